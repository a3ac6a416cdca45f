//! A store with many sessions in it, each of which can be made again from its number.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;
use perennial::store::{self, MemoryStore, SessionStore, Swap};
use perennial::{Clock as _, SecureRandom, SystemClock, Timestamp};
use perennial_bench::{Sealer, person_by};
use perennial_core::session::SessionState;

/// Opens a store; one in memory takes as many sessions as are to come, and as many again as are written without an engine.
pub(crate) fn open(address: &str, sessions: u64) -> Result<Arc<dyn SessionStore>, Box<dyn std::error::Error>> {
    match address {
        "memory:" => Ok(Arc::new(MemoryStore::with_capacity(usize::try_from(sessions)? + WRITTEN_ALONE_MAX))),
        other => Ok(store::open(other)?),
    }
}

/// The session of this number.
pub(crate) fn numbered(number: u64, now: Timestamp) -> SessionState {
    person_by(&Numbered(number), now)
}

/// Puts the sessions with these numbers into the store.
pub(crate) async fn fill(
    store: &Arc<dyn SessionStore>,
    sealer: &Sealer,
    numbers: std::ops::Range<u64>,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut written = stream::iter(numbers)
        .map(|number| {
            let now = SystemClock.now();
            let (key, bytes) = sealer.record(&numbered(number, now), now);
            store.compare_and_swap(key, None, bytes, now + RECORD_LIFE, now)
        })
        .buffer_unordered(AT_ONCE);
    while let Some(swap) = written.next().await {
        if let Swap::Conflict(_) = swap? {
            return Err("the store was not empty".into());
        }
    }
    Ok(())
}

/// As long as the engine keeps them, roughly.
const RECORD_LIFE: std::time::Duration = std::time::Duration::from_secs(30 * 86_400);

/// As many as the embedded store makes durable at once.
const AT_ONCE: usize = 512;

/// Bytes that follow from a number: Steele, Lea and Flood's SplitMix64. Nothing that is sealed here is secret.
struct Numbered(u64);

impl SecureRandom for Numbered {
    fn fill(&self, out: &mut [u8]) {
        let mut state = self.0 ^ (out.len() as u64) << 48;
        for chunk in out.chunks_mut(8) {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = state;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes()[..chunk.len()]);
        }
    }
}

/// More than memory takes in the few seconds in which it is written to as fast as it can.
const WRITTEN_ALONE_MAX: usize = 8_000_000;
