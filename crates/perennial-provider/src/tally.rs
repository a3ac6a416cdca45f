//! The counters: what really arrived, so that a test can say "50 requests, one redemption".

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::Serialize;

use crate::event::Outcome;
use crate::provider::unix_seconds;

/// A snapshot of everything counted since the start or the last reset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Requests at the token endpoint that were answered or abandoned; the sum of `outcomes`.
    pub token_requests: u64,
    /// Token requests by outcome; an outcome that never came is absent.
    pub outcomes: BTreeMap<Outcome, u64>,
    /// Codes redeemed for tokens, whether or not the answer arrived.
    pub codes_redeemed: u64,
    /// Refresh tokens redeemed, whether or not the answer arrived: what a renewal must do once.
    pub refreshes_committed: u64,
    /// The most requests that ever carried one refresh token at the same time.
    pub max_in_flight_per_token: u32,
    /// The most requests that ever carried refresh tokens of one family at the same time.
    pub max_in_flight_per_family: u32,
    /// Token requests in each of the last ten seconds, oldest first; the last is the second under way.
    pub requests_per_second: [u32; 10],
}

impl Counters {
    /// How many token requests had this outcome; `ReusedOk` counts all classes with the same name together.
    pub fn of(&self, outcome: Outcome) -> u64 {
        match outcome {
            Outcome::ReusedOk(class) => {
                self.count(|seen| matches!(seen, Outcome::ReusedOk(c) if c.name() == class.name()))
            }
            outcome => self.count(|seen| *seen == outcome),
        }
    }

    fn count(&self, wanted: impl Fn(&Outcome) -> bool) -> u64 {
        self.outcomes.iter().filter(|(outcome, _)| wanted(outcome)).map(|(_, count)| count).sum()
    }
}

/// The counters as they run.
#[derive(Default)]
pub(crate) struct Tally {
    counters: Counters,
    second: u64,
}

impl Tally {
    pub(crate) fn arrived(&mut self, now: SystemTime) {
        self.roll(now);
        self.counters.requests_per_second[9] += 1;
    }

    pub(crate) fn answered(&mut self, outcome: Outcome) {
        self.counters.token_requests += 1;
        *self.counters.outcomes.entry(outcome).or_default() += 1;
    }

    pub(crate) fn code_redeemed(&mut self) {
        self.counters.codes_redeemed += 1;
    }

    pub(crate) fn refresh_committed(&mut self) {
        self.counters.refreshes_committed += 1;
    }

    pub(crate) fn in_flight(&mut self, of_token: u32, of_family: u32) {
        let counters = &mut self.counters;
        counters.max_in_flight_per_token = counters.max_in_flight_per_token.max(of_token);
        counters.max_in_flight_per_family = counters.max_in_flight_per_family.max(of_family);
    }

    pub(crate) fn snapshot(&mut self, now: SystemTime) -> Counters {
        self.roll(now);
        self.counters.clone()
    }

    /// Moves the window to the second of `now`; a clock that goes back leaves it where it is.
    fn roll(&mut self, now: SystemTime) {
        let second = unix_seconds(now);
        let steps = second.saturating_sub(self.second).min(10);
        let window = &mut self.counters.requests_per_second;
        for _ in 0..steps {
            window.rotate_left(1);
            window[9] = 0;
        }
        self.second = self.second.max(second);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_window_rolls_with_the_clock() {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut tally = Tally::default();
        for seconds in [0, 0, 3, 9] {
            tally.arrived(at(seconds));
        }
        assert_eq!(tally.snapshot(at(9)).requests_per_second, [2, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
        assert_eq!(tally.snapshot(at(12)).requests_per_second, [1, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
        assert_eq!(tally.snapshot(at(99)).requests_per_second, [0; 10]);
    }
}
