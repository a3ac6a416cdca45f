//! The keeper in memory: for tests, and for a single process that may forget.

use std::collections::{BTreeSet, HashMap};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use futures_util::future::{BoxFuture, FutureExt, ready};
use futures_util::stream::BoxStream;
use perennial_core::Timestamp;

use crate::bells::Bells;
use crate::board::Board;
use crate::{
    Announcement, Durability, KeyPrefix, News, RecordKey, Removal, SessionStore, StoreError, StoreErrorKind, Swap,
    Version, Versioned, limits, sequence,
};

/// Keeps a bounded number of records in this process; all are gone when it ends.
///
/// A full store refuses new sessions and never drops a live one: whoever is signed in stays so.
///
/// ```
/// use perennial_store::{Durability, MemoryStore, SessionStore};
///
/// let store = MemoryStore::with_capacity(10_000);
/// assert_eq!(store.durability(), Durability::Process);
/// ```
#[derive(Debug)]
pub struct MemoryStore {
    shelf: Mutex<Shelf>,
    bells: Bells,
    board: Arc<Board>,
    announced: AtomicU64,
}

impl MemoryStore {
    /// A store of at most [`limits::MEMORY_RECORDS`] records.
    pub fn new() -> Self {
        Self::with_capacity(limits::MEMORY_RECORDS)
    }

    /// A store of at most `records` records.
    pub fn with_capacity(records: usize) -> Self {
        Self {
            shelf: Mutex::new(Shelf { records: HashMap::new(), by_expiry: BTreeSet::new(), capacity: records }),
            bells: Bells::new(),
            board: Board::in_touch(),
            announced: AtomicU64::new(0),
        }
    }

    /// Every method leaves the shelf whole before it can panic, so a poisoned lock guards nothing broken.
    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl SessionStore for MemoryStore {
    fn load(&self, key: RecordKey, now: Timestamp) -> BoxFuture<'_, Result<Option<Versioned>, StoreError>> {
        async move { Ok(self.shelf().live(&key, now).cloned()) }.boxed()
    }

    fn compare_and_swap(
        &self,
        key: RecordKey,
        expected: Option<Version>,
        bytes: Vec<u8>,
        expires: Timestamp,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Swap, StoreError>> {
        async move {
            let swap = self.shelf().swap(key, expected, bytes, expires, now)?;
            if matches!(swap, Swap::Stored(_)) {
                self.bells.ring(&key);
            }
            Ok(swap)
        }
        .boxed()
    }

    fn remove(&self, key: RecordKey, expected: Version) -> BoxFuture<'_, Result<Removal, StoreError>> {
        async move {
            let removal = self.shelf().remove(&key, expected);
            if removal == Removal::Removed {
                self.bells.ring(&key);
            }
            Ok(removal)
        }
        .boxed()
    }

    fn changed(&self, key: RecordKey, since: Option<Version>, now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            loop {
                let mut rung = pin!(self.bells.of(&key).notified());
                rung.as_mut().enable();
                if self.shelf().live(&key, now).map(|record| record.version) != since {
                    return Ok(());
                }
                rung.await;
            }
        }
        .boxed()
    }

    fn find(
        &self,
        prefix: KeyPrefix,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Vec<(RecordKey, Versioned)>, StoreError>> {
        async move {
            let shelf = self.shelf();
            let found = shelf.records.iter().filter(|(key, record)| prefix.begins(key) && now < record.expires);
            Ok(found.take(limits::FOUND_RECORDS).map(|(key, record)| (*key, record.clone())).collect())
        }
        .boxed()
    }

    fn announce(&self, announcement: Announcement, now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            // Whoever never sweeps does not gather them for ever either.
            if self.announced.fetch_add(1, Ordering::Relaxed) % TIDY_EVERY == TIDY_EVERY - 1 {
                self.board.take_down_until(now);
            }
            if announcement.until > now {
                self.board.post([announcement]);
            }
            Ok(())
        }
        .boxed()
    }

    fn announcements(&self, now: Timestamp) -> BoxStream<'static, News> {
        self.board.listen(now)
    }

    fn sweep(&self, now: Timestamp) -> BoxFuture<'_, Result<usize, StoreError>> {
        async move {
            let mut swept = 0;
            loop {
                let step = self.shelf().drop_expired(now);
                for key in &step {
                    self.bells.ring(key);
                }
                swept += step.len();
                if step.len() < limits::SWEEP_STEP {
                    self.board.take_down_until(now);
                    return Ok(swept);
                }
                tokio::task::yield_now().await;
            }
        }
        .boxed()
    }

    fn check(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        ready(Ok(())).boxed()
    }

    fn durability(&self) -> Durability {
        Durability::Process
    }

    fn shared(&self) -> bool {
        false
    }
}

/// The records, and their order of expiry; both always name the same keys.
#[derive(Debug)]
struct Shelf {
    records: HashMap<RecordKey, Versioned>,
    by_expiry: BTreeSet<(Timestamp, RecordKey)>,
    capacity: usize,
}

impl Shelf {
    fn live(&self, key: &RecordKey, now: Timestamp) -> Option<&Versioned> {
        self.records.get(key).filter(|record| now < record.expires)
    }

    fn swap(
        &mut self,
        key: RecordKey,
        expected: Option<Version>,
        bytes: Vec<u8>,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<Swap, StoreError> {
        if bytes.len() > limits::RECORD_BYTES {
            return Err(StoreError::too_large(bytes.len()));
        }
        let current = self.live(&key, now);
        if current.map(|record| record.version) != expected {
            return Ok(Swap::Conflict(current.cloned()));
        }
        if !self.records.contains_key(&key) {
            self.make_room(now)?;
        }
        let version = next_version();
        let record = Versioned { version, bytes: Arc::from(bytes), expires };
        if let Some(old) = self.records.insert(key, record) {
            self.by_expiry.remove(&(old.expires, key));
        }
        self.by_expiry.insert((expires, key));
        Ok(Swap::Stored(version))
    }

    /// Room is made of expired records alone.
    fn make_room(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if self.records.len() >= self.capacity {
            self.drop_expired(now);
        }
        if self.records.len() < self.capacity {
            return Ok(());
        }
        let message = format!(
            "the memory store holds its {} sessions: raise its capacity, or give the store a path or a server",
            self.capacity
        );
        Err(StoreError::new(StoreErrorKind::Full, message).before_writing())
    }

    fn remove(&mut self, key: &RecordKey, expected: Version) -> Removal {
        match self.records.get(key) {
            Some(record) if record.version == expected => {
                self.by_expiry.remove(&(record.expires, *key));
                self.records.remove(key);
                Removal::Removed
            }
            _ => Removal::NoSuchVersion,
        }
    }

    /// Drops at most [`limits::SWEEP_STEP`] expired records, the oldest first.
    fn drop_expired(&mut self, now: Timestamp) -> Vec<RecordKey> {
        let mut dropped = Vec::new();
        while dropped.len() < limits::SWEEP_STEP
            && let Some((expires, key)) = self.by_expiry.first().copied()
            && expires <= now
        {
            self.by_expiry.pop_first();
            self.records.remove(&key);
            dropped.push(key);
        }
        dropped
    }
}

/// Announcements between two looks at those that matter no more.
const TIDY_EVERY: u64 = 4096;

/// One sequence for all memory stores of the process.
fn next_version() -> Version {
    static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(sequence::beginning()));
    Version::from_raw(NEXT.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
    const LATER: Timestamp = Timestamp::from_unix_seconds(1_800_000_100);

    async fn insert(store: &MemoryStore, name: u8, expires: Timestamp, now: Timestamp) -> Result<Swap, StoreError> {
        let key = RecordKey::from_digest([name; 32]);
        store.compare_and_swap(key, None, vec![name], expires, now).await
    }

    #[tokio::test]
    async fn a_full_store_refuses_the_new_and_keeps_the_living() {
        let store = MemoryStore::with_capacity(2);
        for name in [1, 2] {
            assert!(matches!(insert(&store, name, LATER, NOW).await, Ok(Swap::Stored(_))));
        }
        let refused = insert(&store, 3, LATER, NOW).await.unwrap_err();
        assert_eq!((refused.kind(), refused.wrote_nothing()), (StoreErrorKind::Full, true));
        for name in [1, 2] {
            let key = RecordKey::from_digest([name; 32]);
            let kept = store.load(key, NOW).await.unwrap().expect("a live session was evicted");
            // A full store still renews those it has.
            let renewed = store.compare_and_swap(key, Some(kept.version), vec![9], LATER, NOW).await;
            assert!(matches!(renewed, Ok(Swap::Stored(_))), "{renewed:?}");
        }
    }

    #[tokio::test]
    async fn room_is_made_of_the_expired() {
        let store = MemoryStore::with_capacity(2);
        for (name, expires) in [(1, LATER), (2, LATER + Duration::from_secs(1))] {
            assert!(matches!(insert(&store, name, expires, NOW).await, Ok(Swap::Stored(_))));
        }
        assert!(matches!(insert(&store, 3, LATER + Duration::from_secs(2), LATER).await, Ok(Swap::Stored(_))));
        let two = store.load(RecordKey::from_digest([2; 32]), LATER).await.unwrap();
        assert!(two.is_some(), "a live session made room");
    }

    #[tokio::test]
    async fn the_order_of_expiry_names_the_records_and_no_others() {
        let store = MemoryStore::new();
        for (name, expires) in [(1, NOW), (2, LATER), (1, LATER), (3, NOW)] {
            assert!(matches!(insert(&store, name, expires, NOW).await, Ok(Swap::Stored(_))));
        }
        store.sweep(NOW).await.unwrap();
        let shelf = store.shelf();
        let ordered: BTreeSet<RecordKey> = shelf.by_expiry.iter().map(|(_, key)| *key).collect();
        assert_eq!(ordered, shelf.records.keys().copied().collect());
        assert_eq!((shelf.by_expiry.len(), shelf.records.len()), (2, 2));
    }
}
