//! A store for several engines, which fails when told to.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use futures_util::future::{BoxFuture, ready};
use futures_util::stream::{self, BoxStream};
use perennial::Timestamp;
use perennial::record::Record;
use perennial::store::{
    Announcement, Durability, KeyPrefix, MemoryStore, News, RecordKey, Removal, SessionStore, StoreError,
    StoreErrorKind, Swap, Version, Versioned,
};
use tokio::sync::watch;

/// A store in memory that claims to be shared, as a server's would be, with switches.
#[derive(Default)]
pub(crate) struct Flaky {
    store: MemoryStore,
    /// Nothing is read.
    pub(crate) no_load: AtomicBool,
    /// Nothing is written.
    pub(crate) no_swap: AtomicBool,
    /// Nothing is announced.
    pub(crate) no_announce: AtomicBool,
    /// Loads asked for so far.
    pub(crate) loads: AtomicUsize,
    /// Whoever begins to listen hears nothing.
    deaf: AtomicBool,
    /// Whether swaps wait.
    held: watch::Sender<bool>,
    /// Swaps of sessions' records asked for so far.
    pub(crate) swaps: AtomicUsize,
    last_key: Mutex<Option<RecordKey>>,
    /// All that was ever written.
    pub(crate) written: Mutex<Vec<u8>>,
}

impl Flaky {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Whoever begins to listen from now on hears of no announcement, and does not know it.
    pub(crate) fn deafen(&self) {
        self.deaf.store(true, Ordering::SeqCst);
    }

    /// From now on swaps wait, or go on.
    pub(crate) fn hold_swaps(&self, hold: bool) {
        self.held.send_replace(hold);
    }

    /// Fails altogether, or works again.
    pub(crate) fn fail(&self, failing: bool) {
        self.no_load.store(failing, Ordering::SeqCst);
        self.no_swap.store(failing, Ordering::SeqCst);
    }
}

impl Flaky {
    /// The record that was asked to be stored last, as text.
    pub(crate) async fn newest(&self) -> String {
        let (_, stored) = self.last().await;
        String::from_utf8(stored.bytes.to_vec()).expect("records are JSON")
    }

    /// Puts something else in place of the record that was stored last, behind everybody's back.
    pub(crate) async fn rewrite(&self, change: impl Fn(&str) -> String) {
        let (key, stored) = self.last().await;
        let text = change(std::str::from_utf8(&stored.bytes).expect("records are JSON"));
        let now = Timestamp::from_unix_millis(0);
        let swapped = self.store.compare_and_swap(key, Some(stored.version), text.into(), stored.expires, now).await;
        assert!(matches!(swapped, Ok(Swap::Stored(_))), "nobody writes meanwhile: {swapped:?}");
    }

    /// Another store that holds nothing but the record that was stored last, as it was in `backup`.
    pub(crate) async fn restored(&self, backup: String) -> Arc<Self> {
        let (key, stored) = self.last().await;
        let restored = Self::new();
        let now = Timestamp::from_unix_millis(0);
        let swapped = restored.compare_and_swap(key, None, backup.into(), stored.expires, now).await;
        assert!(matches!(swapped, Ok(Swap::Stored(_))), "the store is empty: {swapped:?}");
        restored
    }

    /// The record of a session that was asked to be stored last, and its key.
    pub(crate) async fn last(&self) -> (RecordKey, Versioned) {
        let key = self.last_key.lock().expect("no panic while locked").expect("something was stored");
        let stored = self.store.load(key, Timestamp::from_unix_millis(0)).await.expect("memory does not fail");
        (key, stored.expect("the record is there"))
    }
}

fn failure<T: Send + 'static>() -> BoxFuture<'static, Result<T, StoreError>> {
    // Not retryable, so that no test waits for the engine's patience.
    Box::pin(async { Err(StoreError::new(StoreErrorKind::Corrupt, "told to fail")) })
}

impl SessionStore for Flaky {
    fn load(&self, key: RecordKey, now: Timestamp) -> BoxFuture<'_, Result<Option<Versioned>, StoreError>> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        if self.no_load.load(Ordering::SeqCst) { failure() } else { self.store.load(key, now) }
    }

    fn compare_and_swap(
        &self,
        key: RecordKey,
        expected: Option<Version>,
        bytes: Vec<u8>,
        expires: Timestamp,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Swap, StoreError>> {
        if Record::decode(&bytes).is_ok() {
            self.swaps.fetch_add(1, Ordering::SeqCst);
            *self.last_key.lock().expect("no panic while locked") = Some(key);
        }
        self.written.lock().expect("no panic while locked").extend(key.as_bytes().iter().chain(&bytes));
        if self.no_swap.load(Ordering::SeqCst) {
            return failure();
        }
        let mut held = self.held.subscribe();
        Box::pin(async move {
            held.wait_for(|held| !held).await.expect("the store is there");
            self.store.compare_and_swap(key, expected, bytes, expires, now).await
        })
    }

    fn remove(&self, key: RecordKey, expected: Version) -> BoxFuture<'_, Result<Removal, StoreError>> {
        self.store.remove(key, expected)
    }

    fn changed(&self, key: RecordKey, since: Option<Version>, now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        self.store.changed(key, since, now)
    }

    fn find(
        &self,
        prefix: KeyPrefix,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Vec<(RecordKey, Versioned)>, StoreError>> {
        if self.no_load.load(Ordering::SeqCst) { failure() } else { self.store.find(prefix, now) }
    }

    fn announce(&self, announcement: Announcement, now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        let silent = self.no_swap.load(Ordering::SeqCst) || self.no_announce.load(Ordering::SeqCst);
        if silent { failure() } else { self.store.announce(announcement, now) }
    }

    fn announcements(&self, now: Timestamp) -> BoxStream<'static, News> {
        if self.no_load.load(Ordering::SeqCst) {
            return stream::once(ready(News::OutOfTouch)).chain(stream::pending()).boxed();
        }
        if self.deaf.load(Ordering::SeqCst) {
            return stream::once(ready(News::InTouch)).chain(stream::pending()).boxed();
        }
        self.store.announcements(now)
    }

    fn sweep(&self, now: Timestamp) -> BoxFuture<'_, Result<usize, StoreError>> {
        self.store.sweep(now)
    }

    fn check(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.store.check()
    }

    fn durability(&self) -> Durability {
        self.store.durability()
    }

    fn shared(&self) -> bool {
        true
    }
}
