//! What a request costs while the store holds many sessions, and what they take of this process's memory.

use std::time::Duration;

use clap::Args;
use futures_util::StreamExt as _;
use futures_util::stream;
use http::{HeaderMap, Method};
use perennial::{Auth, Clock as _, Door, SessionStrategy, SystemClock};
use perennial_bench::{InstantProvider, ManualClock, Sealer, Spread, engine, headers};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{Told, shelf};

#[derive(Args)]
pub(crate) struct Options {
    /// The store's address.
    #[arg(long)]
    store: String,
    /// How many sessions it holds.
    #[arg(long)]
    sessions: u64,
    /// How many requests are measured one after the other, and as many again 64 at a time.
    #[arg(long, default_value_t = 20_000)]
    requests: u64,
}

/// Fills the store, then asks for sessions from all over it: by their handles, and by cookies that carry them.
pub(crate) async fn run(options: Options) -> Told {
    let store = shelf::open(&options.store, options.sessions)?;
    let sealer = Sealer::new();
    let (before, began) = (resident()?, Instant::now());
    shelf::fill(&store, &sealer, 0..options.sessions).await?;
    let (filled, grown) = (began.elapsed(), resident()?.saturating_sub(before));
    let now = SystemClock.now();
    let asked: Vec<_> = (0..options.requests)
        .map(|index| shelf::numbered(index.wrapping_mul(STRIDE) % options.sessions, now))
        .collect();
    let handles: Vec<_> = asked.iter().map(|state| headers(&sealer.handle(state, now))).collect();
    let wholes: Vec<_> = asked.iter().map(|state| headers(&sealer.whole(state, now))).collect();
    let (clock, provider) = (ManualClock::default(), InstantProvider::default());
    let stored = engine(store.clone(), SessionStrategy::Database, &clock, &provider)?;
    let carried = engine(store.clone(), SessionStrategy::Jwt, &clock, &provider)?;
    Ok(json!({
        "sessions": options.sessions,
        "filled_per_second": options.sessions as f64 / filled.as_secs_f64(),
        "memory_bytes_each": grown as f64 / options.sessions as f64,
        "database": measured(&stored, &handles).await?,
        "jwt": measured(&carried, &wholes).await?,
    }))
}

/// One after the other for the time of one, then many at a time for how many a second.
async fn measured(auth: &Auth, requests: &[HeaderMap]) -> Result<Value, Box<dyn std::error::Error>> {
    let enter = async |headers: &HeaderMap| {
        let began = Instant::now();
        let entry = auth.enter(&Method::GET, headers, Door::Ordinary).await;
        entry.session.map(|_| began.elapsed())
    };
    let mut times = Vec::with_capacity(requests.len());
    for headers in requests {
        times.push(enter(headers).await.ok_or("a session was not found")?);
    }
    let began = Instant::now();
    let mut answers = stream::iter(requests).map(enter).buffer_unordered(AT_ONCE);
    while let Some(found) = answers.next().await {
        found.ok_or("a session was not found")?;
    }
    let per_second = requests.len() as f64 / began.elapsed().as_secs_f64();
    let times: Spread = times.into_iter().collect::<Vec<Duration>>().into_iter().collect();
    Ok(json!({ "alone": times.told(), "per_second": per_second }))
}

const AT_ONCE: usize = 64;

/// A prime, so that the sessions asked for lie all over the store.
const STRIDE: u64 = 982_451_653;

/// Bytes of this process's memory, as Linux tells of it.
fn resident() -> std::io::Result<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    Ok(pages.unwrap_or_default() * PAGE)
}

const PAGE: u64 = 4096;
