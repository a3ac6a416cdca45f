//! In-process notification of changed records, for keepers that belong to one process.

use std::hash::{BuildHasher, RandomState};

use tokio::sync::Notify;

use crate::RecordKey;

/// A fixed number of bells shared by all keys: ringing one wakes whoever waits for a key on it, who then looks again.
///
/// Sharing costs a neighbour's waiters one look, and saves a map of waiters that would have to be swept itself.
#[derive(Debug)]
pub(crate) struct Bells {
    bells: Box<[Notify]>,
    hasher: RandomState,
}

impl Bells {
    pub(crate) fn new() -> Self {
        Self { bells: (0..BELLS).map(|_| Notify::new()).collect(), hasher: RandomState::new() }
    }

    /// The bell of `key`. A waiter enables its `notified()` before it looks, so that no change falls in between.
    pub(crate) fn of(&self, key: &RecordKey) -> &Notify {
        let place = self.hasher.hash_one(key) % BELLS;
        &self.bells[usize::try_from(place).expect("below BELLS, which fits")]
    }

    /// Wakes all waiters: something may have been missed.
    #[cfg(any(feature = "redis", feature = "postgres"))]
    pub(crate) fn ring_all(&self) {
        self.bells.iter().for_each(Notify::notify_waiters);
    }

    /// Wakes the waiters of `key`; call it once the change can be read.
    pub(crate) fn ring(&self, key: &RecordKey) {
        self.of(key).notify_waiters();
    }
}

/// 256 bells keep a thousand waiting sessions to four a bell.
const BELLS: u64 = 256;
