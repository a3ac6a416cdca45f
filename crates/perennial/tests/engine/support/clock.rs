//! A clock that stands still until a test moves it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use perennial::{Clock, Timestamp};

/// One time for engine and provider.
#[derive(Clone)]
pub(crate) struct TestClock {
    millis: Arc<AtomicI64>,
    skew: i64,
}

/// How far the clock of one machine is from that of the others.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Skew {
    Ahead(Duration),
    Behind(Duration),
}

impl TestClock {
    pub(crate) fn new() -> Self {
        Self { millis: Arc::new(AtomicI64::new(1_900_000_000_000)), skew: 0 }
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.millis.fetch_add(by.as_millis() as i64, Ordering::SeqCst);
    }

    /// The clock of another machine, which goes as this one does, and wrong.
    pub(crate) fn off_by(&self, skew: Skew) -> Self {
        let skew = match skew {
            Skew::Ahead(by) => by.as_millis() as i64,
            Skew::Behind(by) => -(by.as_millis() as i64),
        };
        Self { skew, ..self.clone() }
    }

    pub(crate) fn of_provider(&self) -> perennial_provider::Clock {
        let clock = self.clone();
        Arc::new(move || SystemTime::UNIX_EPOCH + Duration::from_millis(clock.now().unix_millis() as u64))
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.millis.load(Ordering::SeqCst) + self.skew)
    }
}
