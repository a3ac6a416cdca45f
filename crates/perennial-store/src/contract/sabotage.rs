//! The suite must fail for a keeper that breaks the contract: one saboteur per promise.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, pending};
use perennial_core::Timestamp;

use super::run;
use crate::{Durability, MemoryStore, RecordKey, Removal, SessionStore, StoreError, Swap, Version, Versioned};

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
}

struct Broken {
    inner: MemoryStore,
    fault: Fault,
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
    ];
    for (fault, complaint) in table {
        let suite = run(async |_| Arc::new(Broken { inner: MemoryStore::new(), fault }) as Arc<dyn SessionStore>);
        let panic = AssertUnwindSafe(suite).catch_unwind().await.expect_err(&format!("the suite let {fault:?} pass"));
        let said = match panic.downcast::<String>() {
            Ok(said) => *said,
            Err(panic) => panic.downcast::<&str>().map_or_else(|_| String::new(), |said| (*said).to_owned()),
        };
        assert!(said.contains(complaint), "{fault:?} was caught, but for another reason: {said}");
    }
}
