//! In-process notification of changed records, for keepers that belong to one process.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

use crate::RecordKey;

/// A fixed number of bells shared by all keys: ringing one wakes whoever waits for a key on it, who then looks again.
///
/// Sharing costs a neighbour's waiters one look, and saves a map of waiters that would have to be swept itself.
#[derive(Debug)]
pub(crate) struct Bells {
    bells: Box<[Bell]>,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Bell {
    notify: Notify,
    /// The hash of the key for which it was rung last; zero, when it was for nobody in particular.
    rung_for: AtomicU64,
}

impl Bells {
    pub(crate) fn new() -> Self {
        Self { bells: (0..BELLS).map(|_| Bell::default()).collect(), hasher: RandomState::new() }
    }

    /// The bell of `key`. A waiter enables its `notified()` before it looks, so that no change falls in between.
    pub(crate) fn of(&self, key: &RecordKey) -> &Notify {
        &self.bell(self.hasher.hash_one(key)).notify
    }

    /// Whether the bell of `key` was rung for it the last time: whoever was woken then need not look whether it was for a neighbour.
    #[cfg(any(feature = "redis", feature = "postgres"))]
    pub(crate) fn rang_for(&self, key: &RecordKey) -> bool {
        let hash = self.hasher.hash_one(key);
        self.bell(hash).rung_for.load(Ordering::Acquire) == hash
    }

    /// Wakes all waiters: something may have been missed.
    #[cfg(any(feature = "redis", feature = "postgres"))]
    pub(crate) fn ring_all(&self) {
        for bell in &self.bells {
            bell.rung_for.store(0, Ordering::Release);
            bell.notify.notify_waiters();
        }
    }

    /// Wakes the waiters of `key`; call it once the change can be read.
    pub(crate) fn ring(&self, key: &RecordKey) {
        let hash = self.hasher.hash_one(key);
        let bell = self.bell(hash);
        bell.rung_for.store(hash, Ordering::Release);
        bell.notify.notify_waiters();
    }

    fn bell(&self, hash: u64) -> &Bell {
        &self.bells[usize::try_from(hash % BELLS).expect("below BELLS, which fits")]
    }
}

/// 256 bells keep a thousand waiting sessions to four a bell.
const BELLS: u64 = 256;
