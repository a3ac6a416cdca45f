//! The stage: virtual time, the log, and the processes that live and die on it.

use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use perennial::{Clock, Timestamp};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::book::Book;
use crate::dice::Dice;
use crate::provider::Provider;
use crate::scenario::{Millis, Scenario};
use crate::shelf::Shelf;

/// Everything that a run consists of beside the engines. One thread, so no lock is ever waited for; none is held across
/// an await.
pub(crate) struct World {
    pub(crate) scenario: Scenario,
    began: Instant,
    log: Arc<Mutex<Vec<String>>>,
    provider: Mutex<Provider>,
    book: Mutex<Book>,
    shelf: Mutex<Shelf>,
    pub(crate) shelf_changed: Notify,
    weather: Mutex<Weather>,
    dice: Mutex<Dice>,
}

/// What is the matter everywhere at present.
#[derive(Clone, Debug, Default)]
pub(crate) struct Weather {
    /// The faulty part of the run is over.
    pub(crate) calm: bool,
    /// The provider is down until then, and whether it refuses connections or swallows what it is sent.
    pub(crate) down_until: Millis,
    pub(crate) swallows: bool,
    /// From when to when the provider was down.
    pub(crate) outages: Vec<(Millis, Millis)>,
}

impl Weather {
    /// Whether the provider was down at any time between.
    pub(crate) fn was_down_between(&self, from: Millis, to: Millis) -> bool {
        self.outages.iter().any(|(began, ended)| *began <= to && from <= *ended)
    }
}

impl World {
    pub(crate) fn new(scenario: Scenario) -> Arc<Self> {
        let log = Arc::new(Mutex::default());
        Arc::new(Self {
            began: Instant::now(),
            log: log.clone(),
            provider: Mutex::new(Provider::new(&scenario)),
            book: Mutex::new(Book::new(&scenario, log)),
            shelf: Mutex::default(),
            shelf_changed: Notify::new(),
            weather: Mutex::default(),
            dice: Mutex::new(Dice::new(scenario.seed, "network")),
            scenario,
        })
    }

    pub(crate) fn now(&self) -> Millis {
        self.began.elapsed().as_millis() as Millis
    }

    /// Writes a line into the log, which is all that a replay has to repeat.
    pub(crate) fn note(&self, line: std::fmt::Arguments<'_>) {
        let now = self.now();
        lock(&self.log).push(format!("{:>9.3} {line}", now as f64 / 1000.0));
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, Vec<String>> {
        lock(&self.log)
    }

    pub(crate) fn provider(&self) -> MutexGuard<'_, Provider> {
        lock(&self.provider)
    }

    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        lock(&self.book)
    }

    pub(crate) fn shelf(&self) -> MutexGuard<'_, Shelf> {
        lock(&self.shelf)
    }

    pub(crate) fn weather(&self) -> MutexGuard<'_, Weather> {
        lock(&self.weather)
    }

    pub(crate) fn dice(&self) -> MutexGuard<'_, Dice> {
        lock(&self.dice)
    }

    /// Whether faults are over.
    pub(crate) fn calm(&self) -> bool {
        self.weather().calm
    }
}

/// One life of a replica, from start to crash or shutdown. Its edges are where it is stopped: a dead process sends,
/// writes and answers nothing any more, whichever await its tasks stand at; a paused one does it later.
pub(crate) struct Life {
    pub(crate) replica: usize,
    pub(crate) number: usize,
    /// When it died; zero while it lives.
    died_at: AtomicU64,
    died: Notify,
    paused_until: AtomicU64,
    partitioned_until: AtomicU64,
    /// From when to when it stood still.
    pauses: Mutex<Vec<(Millis, Millis)>>,
    /// When its store failed it.
    store_failures: Mutex<Vec<Millis>>,
}

impl Life {
    pub(crate) fn new(replica: usize, number: usize) -> Arc<Self> {
        Arc::new(Self {
            replica,
            number,
            died_at: AtomicU64::new(0),
            died: Notify::new(),
            paused_until: AtomicU64::new(0),
            partitioned_until: AtomicU64::new(0),
            pauses: Mutex::default(),
            store_failures: Mutex::default(),
        })
    }

    /// Passes when the process is running; never for a dead one.
    pub(crate) async fn gate(&self, world: &World) {
        loop {
            if self.is_dead() {
                return pending().await;
            }
            let until = self.paused_until.load(Ordering::Relaxed);
            let now = world.now();
            if until <= now {
                return;
            }
            sleep(until - now).await;
        }
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.died_at.load(Ordering::Relaxed) > 0
    }

    /// When it died, if it did.
    pub(crate) fn died_at(&self) -> Option<Millis> {
        Some(self.died_at.load(Ordering::Relaxed)).filter(|at| *at > 0)
    }

    pub(crate) fn die(&self, now: Millis) {
        self.died_at.store(now.max(1), Ordering::Relaxed);
        self.died.notify_waiters();
    }

    /// Resolves when the process has died.
    pub(crate) async fn death(&self) {
        let died = self.died.notified();
        if !self.is_dead() {
            died.await;
        }
    }

    pub(crate) fn pause(&self, now: Millis, until: Millis) {
        self.paused_until.store(until, Ordering::Relaxed);
        lock(&self.pauses).push((now, until));
    }

    /// Whether it stood still at any time between.
    pub(crate) fn paused_between(&self, from: Millis, to: Millis) -> bool {
        lock(&self.pauses).iter().any(|(began, ended)| *began <= to && from <= *ended)
    }

    pub(crate) fn partition(&self, until: Millis) {
        self.partitioned_until.store(until, Ordering::Relaxed);
    }

    pub(crate) fn is_partitioned(&self, now: Millis) -> bool {
        now < self.partitioned_until.load(Ordering::Relaxed)
    }

    pub(crate) fn store_failed(&self, now: Millis) {
        lock(&self.store_failures).push(now);
    }

    pub(crate) fn store_failed_between(&self, from: Millis, to: Millis) -> bool {
        lock(&self.store_failures).iter().any(|at| (from..=to).contains(at))
    }
}

impl std::fmt::Display for Life {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "r{}.{}", self.replica, self.number)
    }
}

/// A replica's clock: off by a skew that grows.
pub(crate) struct ReplicaClock {
    pub(crate) world: Arc<World>,
    pub(crate) replica: usize,
}

impl ReplicaClock {
    pub(crate) fn at(world: &World, replica: usize, now: Millis) -> Timestamp {
        let (skew, drift) = world.scenario.clocks[replica];
        Timestamp::from_unix_millis(EPOCH + now as i64 + skew + now as i64 * drift / 1_000_000)
    }
}

impl Clock for ReplicaClock {
    fn now(&self) -> Timestamp {
        Self::at(&self.world, self.replica, self.world.now())
    }
}

pub(crate) async fn sleep(millis: Millis) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

/// A panic ends the run; what the lock guards is only read for the report then.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// When runs begin, in milliseconds since 1970.
pub(crate) const EPOCH: i64 = 1_900_000_000_000;
