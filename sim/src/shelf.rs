//! The store that all replicas share, and each replica's way to it, which can be cut, slow, or lose the answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use perennial::Timestamp;
use perennial_core::record::Record;
use perennial_store::{
    Announcement, Durability, KeyPrefix, News, RecordKey, Removal, SessionStore, StoreError, StoreErrorKind, Swap,
    Version, Versioned,
};

use crate::scenario::Millis;
use crate::world::{Life, World, sleep};

/// The records themselves.
#[derive(Default)]
pub(crate) struct Shelf {
    records: BTreeMap<[u8; 32], Versioned>,
    written: u64,
    /// What each recent write replaced, for a store that loses its tail.
    undo: Vec<(Millis, [u8; 32], Option<Versioned>)>,
    /// Everything that was ever announced, in order.
    announced: Vec<Announcement>,
}

impl Shelf {
    pub(crate) fn record(&self, key: &[u8; 32]) -> Option<Record> {
        self.records.get(key).and_then(|stored| Record::decode(&stored.bytes).ok())
    }

    pub(crate) fn stored(&self, key: &[u8; 32]) -> Option<Versioned> {
        self.records.get(key).cloned()
    }

    fn swap(
        &mut self,
        key: [u8; 32],
        expected: Option<Version>,
        bytes: &[u8],
        expires: Timestamp,
        now: Millis,
    ) -> Result<Version, Option<Versioned>> {
        let current = self.records.get(&key).cloned();
        if current.as_ref().map(|stored| stored.version) != expected {
            return Err(current);
        }
        Ok(self.put(key, bytes, expires, now))
    }

    /// Writes whatever was there.
    pub(crate) fn put(&mut self, key: [u8; 32], bytes: &[u8], expires: Timestamp, now: Millis) -> Version {
        self.written += 1;
        let version = Version::from_raw(self.written);
        let old = self.records.insert(key, Versioned { version, bytes: Arc::from(bytes), expires });
        self.undo.push((now, key, old));
        version
    }

    fn remove(&mut self, key: [u8; 32], expected: Version, now: Millis) -> Removal {
        match self.records.remove(&key) {
            Some(old) if old.version == expected => {
                self.undo.push((now, key, Some(old)));
                Removal::Removed
            }
            Some(other) => {
                self.records.insert(key, other);
                Removal::NoSuchVersion
            }
            None => Removal::NoSuchVersion,
        }
    }

    /// Takes back all writes since `since`, as a replica does that was promoted too early; says how many.
    pub(crate) fn lose_tail(&mut self, since: Millis) -> usize {
        let mut lost = 0;
        while let Some((_, key, old)) = self.undo.pop_if(|(at, ..)| *at >= since) {
            match old {
                Some(old) => self.records.insert(key, old),
                None => self.records.remove(&key),
            };
            lost += 1;
        }
        lost
    }
}

/// One life's way to the store.
#[derive(Clone)]
pub(crate) struct StoreLine {
    pub(crate) world: Arc<World>,
    pub(crate) life: Arc<Life>,
}

/// What happens to one operation.
enum Way {
    Good,
    /// It fails before it reaches the store.
    Blocked,
    /// It is done, and the answer is lost.
    Unanswered,
}

impl StoreLine {
    /// Goes to the store: passes when the operation has arrived there.
    async fn travel(&self) -> Way {
        self.life.gate(&self.world).await;
        let rates = self.world.scenario.rates;
        let (way, delay) = {
            let calm = self.world.calm();
            let mut dice = self.world.dice();
            let slow = !calm && dice.chance(rates.slow_store);
            let delay = if slow { dice.between(100, SLOW_MAX) } else { dice.between(1, 4) };
            let way = match !calm && dice.chance(rates.store) {
                true if dice.chance(500) => Way::Blocked,
                true => Way::Unanswered,
                false => Way::Good,
            };
            (way, delay)
        };
        sleep(delay).await;
        // A store that lives in the process dies with it.
        let gone = self.world.scenario.alone && self.life.is_dead();
        if gone || self.life.is_partitioned(self.world.now()) { Way::Blocked } else { way }
    }

    /// Comes back from the store.
    async fn back(&self, way: Way) -> Result<(), StoreError> {
        sleep(1).await;
        self.life.gate(&self.world).await;
        match way {
            Way::Good => Ok(()),
            Way::Blocked => Err(self.failure("the line is cut").before_writing()),
            Way::Unanswered => Err(self.failure("no answer")),
        }
    }

    fn failure(&self, why: &str) -> StoreError {
        self.life.store_failed(self.world.now());
        StoreError::new(StoreErrorKind::Unavailable, why)
    }

    async fn loaded(&self, key: [u8; 32]) -> Result<Option<Versioned>, StoreError> {
        let way = self.travel().await;
        let stored = self.world.shelf().stored(&key);
        self.back(way).await?;
        Ok(stored)
    }

    async fn swapped(
        &self,
        key: [u8; 32],
        expected: Option<Version>,
        bytes: Vec<u8>,
        expires: Timestamp,
    ) -> Result<Swap, StoreError> {
        let way = self.travel().await;
        let outcome = match way {
            Way::Blocked => Err(None),
            Way::Good | Way::Unanswered => self.apply(key, expected, &bytes, expires),
        };
        self.back(way).await?;
        Ok(match outcome {
            Ok(version) => Swap::Stored(version),
            Err(current) => Swap::Conflict(current),
        })
    }

    fn apply(
        &self,
        key: [u8; 32],
        expected: Option<Version>,
        bytes: &[u8],
        expires: Timestamp,
    ) -> Result<Version, Option<Versioned>> {
        let now = self.world.now();
        let before = self.world.shelf().record(&key);
        let swapped = self.world.shelf().swap(key, expected, bytes, expires, now);
        if swapped.is_ok() {
            self.world.record_written(&self.life, key, before.as_ref(), bytes);
            self.world.shelf_changed.notify_waiters();
        }
        swapped
    }

    fn take_away(&self, key: [u8; 32], expected: Version) -> Removal {
        let before = self.world.shelf().record(&key);
        let removed = self.world.shelf().remove(key, expected, self.world.now());
        if removed == Removal::Removed {
            self.world.record_removed(before.as_ref());
            self.world.shelf_changed.notify_waiters();
        }
        removed
    }
}

impl SessionStore for StoreLine {
    fn load(&self, key: RecordKey, _: Timestamp) -> BoxFuture<'_, Result<Option<Versioned>, StoreError>> {
        Box::pin(self.loaded(*key.as_bytes()))
    }

    fn compare_and_swap(
        &self,
        key: RecordKey,
        expected: Option<Version>,
        bytes: Vec<u8>,
        expires: Timestamp,
        _: Timestamp,
    ) -> BoxFuture<'_, Result<Swap, StoreError>> {
        // Handed over is handed over: a caller that goes away does not stop the write.
        let line = self.clone();
        let key = *key.as_bytes();
        Box::pin(async move {
            let written = tokio::spawn(async move { line.swapped(key, expected, bytes, expires).await });
            written.await.unwrap_or_else(|_| Err(StoreError::new(StoreErrorKind::Unavailable, "the writer is gone")))
        })
    }

    fn remove(&self, key: RecordKey, expected: Version) -> BoxFuture<'_, Result<Removal, StoreError>> {
        Box::pin(async move {
            let way = self.travel().await;
            let removed = match way {
                Way::Blocked => Removal::NoSuchVersion,
                Way::Good | Way::Unanswered => self.take_away(*key.as_bytes(), expected),
            };
            self.back(way).await?;
            Ok(removed)
        })
    }

    fn changed(&self, key: RecordKey, since: Option<Version>, _: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            loop {
                let mut rung = std::pin::pin!(self.world.shelf_changed.notified());
                rung.as_mut().enable();
                if self.world.shelf().stored(key.as_bytes()).map(|stored| stored.version) != since {
                    return Ok(());
                }
                rung.await;
                self.life.gate(&self.world).await;
            }
        })
    }

    fn find(&self, _: KeyPrefix, _: Timestamp) -> BoxFuture<'_, Result<Vec<(RecordKey, Versioned)>, StoreError>> {
        // For people who ask about a session, of whom there are none here.
        Box::pin(async { Ok(Vec::new()) })
    }

    fn announce(&self, announcement: Announcement, _: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let way = self.travel().await;
            if !matches!(way, Way::Blocked) {
                self.world.shelf().announced.push(announcement);
                self.world.shelf_changed.notify_waiters();
            }
            self.back(way).await
        })
    }

    fn announcements(&self, _: Timestamp) -> BoxStream<'static, News> {
        // How many were told, and whether the listener knows that it is in touch.
        stream::unfold((self.clone(), 0, false), |(line, told, in_touch)| async move {
            loop {
                let mut rung = std::pin::pin!(line.world.shelf_changed.notified());
                rung.as_mut().enable();
                line.life.gate(&line.world).await;
                let next = line.world.shelf().announced.get(told).copied();
                match next {
                    Some(announcement) => {
                        return Some((News::Announced(announcement), (line.clone(), told + 1, in_touch)));
                    }
                    None if !in_touch => return Some((News::InTouch, (line.clone(), told, true))),
                    None => rung.await,
                }
            }
        })
        .boxed()
    }

    fn sweep(&self, _: Timestamp) -> BoxFuture<'_, Result<usize, StoreError>> {
        Box::pin(async { Ok(0) })
    }

    fn check(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }

    fn durability(&self) -> Durability {
        Durability::Disk
    }

    fn shared(&self) -> bool {
        !self.world.scenario.alone
    }
}

/// A slow operation takes at most this long: shorter than what a lease leaves.
const SLOW_MAX: Millis = 2_000;
