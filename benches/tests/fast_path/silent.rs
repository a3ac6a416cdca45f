//! A store in memory that counts how often it is asked anything.

use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use perennial::Timestamp;
use perennial::store::{
    Announcement, Durability, KeyPrefix, MemoryStore, News, RecordKey, Removal, SessionStore, StoreError, Swap,
    Version, Versioned,
};

#[derive(Default)]
pub(crate) struct Silent {
    store: MemoryStore,
    asked: AtomicU64,
}

impl Silent {
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    fn counting(&self) -> &MemoryStore {
        self.asked.fetch_add(1, Ordering::SeqCst);
        &self.store
    }
}

impl SessionStore for Silent {
    fn load(&self, key: RecordKey, now: Timestamp) -> BoxFuture<'_, Result<Option<Versioned>, StoreError>> {
        self.counting().load(key, now)
    }

    fn compare_and_swap(
        &self,
        key: RecordKey,
        expected: Option<Version>,
        bytes: Vec<u8>,
        expires: Timestamp,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Swap, StoreError>> {
        self.counting().compare_and_swap(key, expected, bytes, expires, now)
    }

    fn remove(&self, key: RecordKey, expected: Version) -> BoxFuture<'_, Result<Removal, StoreError>> {
        self.counting().remove(key, expected)
    }

    fn changed(&self, key: RecordKey, since: Option<Version>, now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        self.counting().changed(key, since, now)
    }

    fn find(
        &self,
        prefix: KeyPrefix,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Vec<(RecordKey, Versioned)>, StoreError>> {
        self.counting().find(prefix, now)
    }

    fn announce(&self, announcement: Announcement, now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        self.counting().announce(announcement, now)
    }

    fn announcements(&self, now: Timestamp) -> BoxStream<'static, News> {
        self.counting().announcements(now)
    }

    fn sweep(&self, now: Timestamp) -> BoxFuture<'_, Result<usize, StoreError>> {
        self.counting().sweep(now)
    }

    fn check(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.counting().check()
    }

    fn durability(&self) -> Durability {
        self.store.durability()
    }

    fn shared(&self) -> bool {
        self.store.shared()
    }
}
