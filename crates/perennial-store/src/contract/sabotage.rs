//! The suite must fail for a keeper that breaks the contract: one saboteur per promise.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{BoxFuture, pending, ready};
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt};
use perennial_core::Timestamp;

use super::run;
use crate::{
    Announcement, Durability, KeyPrefix, MemoryStore, News, RecordKey, Removal, SessionStore, StoreError, Swap,
    Version, Versioned, limits,
};

/// What is wrong with the keeper.
#[derive(Clone, Copy, Debug)]
enum Fault {
    SwapsWithoutComparing,
    SwapsInTwoSteps,
    HidesTheCurrentRecord,
    RepeatsVersions,
    NeverExpires,
    ExpiresTooEarly,
    RemovesAnyVersion,
    SweepsNothing,
    SweepsTheLiving,
    ClaimsToBeDurable,
    CutsLongRecords,
    IsNeverReady,
    SpinsWhileWaiting,
    NeverWakes,
    MissesEarlierChanges,
    FindsNothing,
    FindsTheExpired,
    FindsNeighbours,
    FindsWithoutEnd,
    AnnouncesToNobody,
    ForgetsTheBacklog,
    TellsOfThePast,
    LosesSomeNews,
    IsNeverInTouch,
    IsInTouchTooEarly,
    KeepsTheFirstEnd,
}

struct Broken {
    inner: MemoryStore,
    fault: Fault,
    announced: Mutex<Option<RecordKey>>,
}

impl Broken {
    fn judged_at(&self, now: Timestamp) -> Timestamp {
        match self.fault {
            Fault::NeverExpires => Timestamp::from_unix_millis(0),
            Fault::ExpiresTooEarly => now + Duration::from_millis(2),
            _ => now,
        }
    }

    fn disguise(&self, version: Version) -> Version {
        match self.fault {
            Fault::RepeatsVersions => Version::from_raw(version.raw() % 2),
            _ => version,
        }
    }

    async fn current(&self, key: RecordKey, now: Timestamp) -> Option<Version> {
        let record = self.inner.load(key, self.judged_at(now)).await.ok().flatten();
        record.map(|record| record.version)
    }
}

impl SessionStore for Broken {
    fn load(&self, key: RecordKey, now: Timestamp) -> BoxFuture<'_, Result<Option<Versioned>, StoreError>> {
        async move {
            let record = self.inner.load(key, self.judged_at(now)).await?;
            Ok(record.map(|record| Versioned { version: self.disguise(record.version), ..record }))
        }
        .boxed()
    }

    fn compare_and_swap(
        &self,
        key: RecordKey,
        expected: Option<Version>,
        mut bytes: Vec<u8>,
        expires: Timestamp,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Swap, StoreError>> {
        async move {
            let now = self.judged_at(now);
            let expected = match self.fault {
                Fault::SwapsWithoutComparing => self.current(key, now).await,
                Fault::SwapsInTwoSteps => {
                    let compared = self.current(key, now).await;
                    tokio::task::yield_now().await;
                    match compared == expected {
                        true => self.current(key, now).await,
                        false => expected,
                    }
                }
                Fault::RepeatsVersions => match self.current(key, now).await {
                    current if current.map(|version| self.disguise(version)) == expected => current,
                    _ => Some(Version::from_raw(u64::MAX)),
                },
                _ => expected,
            };
            if let Fault::CutsLongRecords = self.fault {
                bytes.truncate(60_000);
            }
            match self.inner.compare_and_swap(key, expected, bytes, expires, now).await? {
                Swap::Stored(version) => Ok(Swap::Stored(self.disguise(version))),
                Swap::Conflict(_) if matches!(self.fault, Fault::HidesTheCurrentRecord) => Ok(Swap::Conflict(None)),
                conflict => Ok(conflict),
            }
        }
        .boxed()
    }

    fn remove(&self, key: RecordKey, expected: Version) -> BoxFuture<'_, Result<Removal, StoreError>> {
        async move {
            let expected = match self.fault {
                Fault::RemovesAnyVersion => self.current(key, Timestamp::from_unix_millis(0)).await,
                _ => Some(expected),
            };
            match expected {
                Some(expected) => self.inner.remove(key, expected).await,
                None => Ok(Removal::NoSuchVersion),
            }
        }
        .boxed()
    }

    fn changed(&self, key: RecordKey, since: Option<Version>, now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        match self.fault {
            Fault::SpinsWhileWaiting => async {
                tokio::task::yield_now().await;
                Ok(())
            }
            .boxed(),
            Fault::NeverWakes => pending().boxed(),
            Fault::MissesEarlierChanges => async move {
                let current = self.current(key, now).await;
                self.inner.changed(key, current, now).await
            }
            .boxed(),
            _ => self.inner.changed(key, since, self.judged_at(now)),
        }
    }

    fn find(
        &self,
        prefix: KeyPrefix,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Vec<(RecordKey, Versioned)>, StoreError>> {
        async move {
            let wider = KeyPrefix::new(&prefix.as_bytes()[..prefix.as_bytes().len() - 1]).unwrap_or(prefix);
            match self.fault {
                Fault::FindsNothing => Ok(Vec::new()),
                Fault::FindsTheExpired => self.inner.find(prefix, Timestamp::from_unix_millis(0)).await,
                Fault::FindsNeighbours => self.inner.find(wider, now).await,
                Fault::FindsWithoutEnd => {
                    let found = self.inner.find(prefix, now).await?;
                    let full = found.len() == limits::FOUND_RECORDS;
                    Ok(if full { found.iter().chain(&found).cloned().collect() } else { found })
                }
                _ => self.inner.find(prefix, now).await,
            }
        }
        .boxed()
    }

    fn announce(&self, announcement: Announcement, now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        let key = announcement.key.as_bytes();
        match self.fault {
            Fault::AnnouncesToNobody => ready(Ok(())).boxed(),
            Fault::LosesSomeNews if key[31] % 16 == 15 => ready(Ok(())).boxed(),
            Fault::KeepsTheFirstEnd if self.announced.lock().unwrap().replace(announcement.key).is_some() => {
                ready(Ok(())).boxed()
            }
            _ => self.inner.announce(announcement, now),
        }
    }

    fn announcements(&self, now: Timestamp) -> BoxStream<'static, News> {
        let told = self.inner.announcements(now);
        match self.fault {
            Fault::TellsOfThePast => self.inner.announcements(Timestamp::from_unix_millis(0)),
            Fault::IsNeverInTouch => told.filter(|news| ready(*news != News::InTouch)).boxed(),
            Fault::IsInTouchTooEarly => stream::once(ready(News::InTouch)).chain(told).boxed(),
            Fault::ForgetsTheBacklog => told
                .scan(false, |in_touch, news| {
                    *in_touch |= news == News::InTouch;
                    ready(Some(in_touch.then_some(news)))
                })
                .filter_map(ready)
                .boxed(),
            _ => told,
        }
    }

    fn sweep(&self, now: Timestamp) -> BoxFuture<'_, Result<usize, StoreError>> {
        match self.fault {
            Fault::SweepsNothing => async { Ok(0) }.boxed(),
            Fault::SweepsTheLiving => self.inner.sweep(now + Duration::from_secs(86_400)),
            _ => self.inner.sweep(now),
        }
    }

    fn check(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        match self.fault {
            Fault::IsNeverReady => async { Err(StoreError::too_large(0)) }.boxed(),
            _ => self.inner.check(),
        }
    }

    fn durability(&self) -> Durability {
        match self.fault {
            Fault::ClaimsToBeDurable => Durability::Disk,
            _ => Durability::Process,
        }
    }

    fn shared(&self) -> bool {
        false
    }
}

/// In virtual time, so that a waiter who sleeps for ever is found out at once.
#[tokio::test(start_paused = true)]
async fn the_suite_fails_for_every_broken_keeper() {
    let table = [
        (Fault::SwapsWithoutComparing, "gave Stored"),
        (Fault::SwapsInTwoSteps, "tasks won the same version"),
        (Fault::HidesTheCurrentRecord, "gave Conflict(None)"),
        (Fault::RepeatsVersions, ""),
        (Fault::NeverExpires, "an expired record"),
        (Fault::ExpiresTooEarly, "expired too early"),
        (Fault::RemovesAnyVersion, "an outdated version removed"),
        (Fault::SweepsNothing, "the sweep's count"),
        (Fault::SweepsTheLiving, "the sweep's count"),
        (Fault::ClaimsToBeDurable, "against the stated durability"),
        (Fault::CutsLongRecords, ""),
        (Fault::IsNeverReady, "not ready"),
        (Fault::SpinsWhileWaiting, "spins"),
        (Fault::NeverWakes, "a waiter was not woken"),
        (Fault::MissesEarlierChanges, "a waiter was not woken"),
        (Fault::FindsNothing, "a prefix found"),
        (Fault::FindsTheExpired, "a prefix found"),
        (Fault::FindsNeighbours, "a prefix found"),
        (Fault::FindsWithoutEnd, "more than a handful"),
        (Fault::AnnouncesToNobody, "was in touch before"),
        (Fault::ForgetsTheBacklog, "was in touch before"),
        (Fault::TellsOfThePast, "was told what matters no more"),
        (Fault::LosesSomeNews, "was not told"),
        (Fault::IsNeverInTouch, "was never in touch"),
        (Fault::IsInTouchTooEarly, "was in touch before"),
        (Fault::KeepsTheFirstEnd, "was not told"),
    ];
    for (fault, complaint) in table {
        let broken = || Broken { inner: MemoryStore::new(), fault, announced: Mutex::default() };
        let suite = run(async |_| Arc::new(broken()) as Arc<dyn SessionStore>);
        let panic = AssertUnwindSafe(suite).catch_unwind().await.expect_err(&format!("the suite let {fault:?} pass"));
        let said = match panic.downcast::<String>() {
            Ok(said) => *said,
            Err(panic) => panic.downcast::<&str>().map_or_else(|_| String::new(), |said| (*said).to_owned()),
        };
        assert!(said.contains(complaint), "{fault:?} was caught, but for another reason: {said}");
    }
}
