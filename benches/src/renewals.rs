//! How many renewals a second: intent and commit are in the store before an answer counts, as in production.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use futures_util::StreamExt as _;
use futures_util::stream;
use http::Method;
use perennial::store::{RecordKey, SessionStore, Swap};
use perennial::{Auth, Clock as _, Door, SessionStrategy, SystemClock};
use perennial_bench::{InstantProvider, LIFETIME, ManualClock, Sealer, Spread, engine, headers, next_cookie};
use serde_json::json;
use tokio::time::Instant;

use crate::{Told, shelf};

#[derive(Args)]
pub(crate) struct Options {
    /// The store's address.
    #[arg(long)]
    store: String,
    /// How many people are signed in.
    #[arg(long, default_value_t = 10_000)]
    sessions: u64,
    /// How many of them come at a time.
    #[arg(long, default_value_t = 512)]
    at_once: usize,
    /// At least so long, in whole rounds over all sessions.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
}

/// Renews all sessions again and again; then writes twice for each of them, without an engine, for what the store alone bears.
pub(crate) async fn run(options: Options) -> Told {
    let store = shelf::open(&options.store, options.sessions)?;
    let (clock, provider, sealer) = (ManualClock::default(), InstantProvider::default(), Sealer::new());
    shelf::fill(&store, &sealer, 0..options.sessions).await?;
    let auth = engine(store.clone(), SessionStrategy::Jwt, &clock, &provider)?;
    let now = clock.now();
    let mut cookies: Vec<String> =
        (0..options.sessions).map(|number| sealer.whole(&shelf::numbered(number, now), now)).collect();

    // The first round warms up: discovery, connections to the store, its page cache.
    round(&auth, &clock, &mut cookies, options.at_once).await?;
    let (mut renewals, mut times, warmed) = (0, Spread::default(), provider.redemptions());
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(options.seconds) {
        times.extend(round(&auth, &clock, &mut cookies, options.at_once).await?);
        renewals += options.sessions;
    }
    let seconds = began.elapsed().as_secs_f64();
    let redemptions = provider.redemptions() - warmed;
    auth.drain().await;
    Ok(json!({
        "renewals": renewals, "seconds": seconds, "per_second": renewals as f64 / seconds, "redemptions": redemptions,
        "times": times.told(), "store_alone_per_second": pairs_of_writes(&store, &options).await?,
    }))
}

/// One token life later: everybody comes once, with a dead access token, and leaves with the next generation.
async fn round(
    auth: &Auth,
    clock: &ManualClock,
    cookies: &mut [String],
    at_once: usize,
) -> Result<Vec<Duration>, Box<dyn std::error::Error>> {
    clock.advance(LIFETIME + Duration::from_secs(1));
    let count = cookies.len();
    let mut answers = stream::iter(cookies.iter_mut())
        .map(|cookie| async move {
            let began = Instant::now();
            let entry = auth.enter(&Method::GET, &headers(cookie), Door::Ordinary).await;
            let next = next_cookie(&entry).filter(|_| entry.renewed);
            Some((std::mem::replace(cookie, next?), began.elapsed()))
        })
        .buffer_unordered(at_once);
    let mut times = Vec::with_capacity(count);
    while let Some(renewed) = answers.next().await {
        times.push(renewed.ok_or("a session was not renewed")?.1);
    }
    Ok(times)
}

/// What a renewal writes, an intent and a commit, as fast as the store takes it: pairs a second.
async fn pairs_of_writes(store: &Arc<dyn SessionStore>, options: &Options) -> Result<f64, Box<dyn std::error::Error>> {
    let sealer = Sealer::new();
    let now = SystemClock.now();
    let began = Instant::now();
    let mut pairs = 0_u64;
    let mut written = stream::iter(options.sessions..)
        .take_while(|_| std::future::ready(began.elapsed() < Duration::from_secs(options.seconds)))
        .map(|number| {
            let (key, bytes) = sealer.record(&shelf::numbered(number, now), now);
            pair(store, key, bytes)
        })
        .buffer_unordered(options.at_once);
    while let Some(pair) = written.next().await {
        pair?;
        pairs += 1;
    }
    Ok(pairs as f64 / began.elapsed().as_secs_f64())
}

async fn pair(store: &Arc<dyn SessionStore>, key: RecordKey, bytes: Vec<u8>) -> Result<(), Box<dyn std::error::Error>> {
    let now = SystemClock.now();
    let expires = now + LIFETIME;
    let mut version = None;
    for _ in 0..2 {
        match store.compare_and_swap(key, version, bytes.clone(), expires, now).await? {
            Swap::Stored(stored) => version = Some(stored),
            Swap::Conflict(_) => return Err("the store was not empty".into()),
        }
    }
    Ok(())
}
