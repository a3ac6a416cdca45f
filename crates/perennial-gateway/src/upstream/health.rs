//! How a target is: by what comes of connecting to it, and by asking it where it can be asked.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// What is known of one target. Read for every request, so without a lock.
pub(super) struct Health {
    epoch: Instant,
    /// Milliseconds since the epoch until which it is left alone, because it could not be reached.
    held_until: AtomicU64,
    /// Taken out by its own bad answers.
    out: AtomicBool,
    /// Answers in a row that speak against what `out` says.
    against: AtomicU32,
}

/// What changed by an answer to the question for health.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    None,
    TakenOut,
    BroughtBack,
}

impl Health {
    /// A target of which nothing bad is known.
    pub(super) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            held_until: AtomicU64::new(0),
            out: AtomicBool::new(false),
            against: AtomicU32::new(0),
        }
    }

    /// Whether its own answers took it out.
    pub(super) fn is_out(&self) -> bool {
        self.out.load(Ordering::Relaxed)
    }

    /// Whether it is left alone because it could not be reached a moment ago.
    pub(super) fn is_held(&self) -> bool {
        let until = self.held_until.load(Ordering::Relaxed);
        // The clock is asked only of a target that has failed.
        until != 0 && until > self.millis()
    }

    /// It could not be reached. Whether that is news.
    pub(super) fn hold(&self, hold: Duration) -> bool {
        let until = self.millis().saturating_add(u64::try_from(hold.as_millis()).unwrap_or(u64::MAX)).max(1);
        self.held_until.swap(until, Ordering::Relaxed) == 0
    }

    /// It was reached. Whether that is news.
    pub(super) fn reached(&self) -> bool {
        self.held_until.load(Ordering::Relaxed) != 0 && self.held_until.swap(0, Ordering::Relaxed) != 0
    }

    /// It was asked, and this was its answer. Called by one task alone.
    pub(super) fn answered(&self, good: bool, unhealthy_after: u32, healthy_after: u32) -> Change {
        let out = self.is_out();
        if good != out {
            self.against.store(0, Ordering::Relaxed);
            return Change::None;
        }
        let against = self.against.load(Ordering::Relaxed) + 1;
        let wanted = if out { healthy_after } else { unhealthy_after };
        if against < wanted {
            self.against.store(against, Ordering::Relaxed);
            return Change::None;
        }
        self.against.store(0, Ordering::Relaxed);
        self.out.store(!out, Ordering::Relaxed);
        if out { Change::BroughtBack } else { Change::TakenOut }
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_answers_in_a_row_and_not_one_less_change_what_is_thought_of_a_target() {
        let health = Health::new();
        for (row, (good, change, out)) in [
            (false, Change::None, false),
            (false, Change::None, false),
            (true, Change::None, false),
            (false, Change::None, false),
            (false, Change::None, false),
            (false, Change::TakenOut, true),
            (false, Change::None, true),
            (true, Change::None, true),
            (false, Change::None, true),
            (true, Change::None, true),
            (true, Change::BroughtBack, false),
            (true, Change::None, false),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(health.answered(good, 3, 2), change, "answer {row}");
            assert_eq!(health.is_out(), out, "answer {row}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_target_that_could_not_be_reached_is_left_alone_for_as_long_as_said() {
        let (health, hold) = (Health::new(), Duration::from_secs(5));
        assert!(!health.is_held() && !health.reached());
        assert!(health.hold(hold), "the first failure is news");
        assert!(!health.hold(hold), "the second is not");
        tokio::time::advance(Duration::from_millis(4999)).await;
        assert!(health.is_held());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!health.is_held(), "it is tried again");
        assert!(health.reached(), "and that it is back is news");
        assert!(!health.reached());
    }
}
