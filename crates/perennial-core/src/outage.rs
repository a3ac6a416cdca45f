//! Who may call a provider, and when: one in trouble is left alone, and one that has recovered is not stormed.
//!
//! A breaker (closed, open, half-open with a single trial), a pace that no second exceeds, and a budget for attempts that
//! follow a failure. Not for the fast path: only a refresh request that is about to go out asks here.

use std::time::Duration;

use crate::limits::RETRY_AFTER_MAX;
use crate::renewal::backoff;
use crate::time::Timestamp;
use crate::token::{TokenFailure, Verdict};

/// The state of one provider's token endpoint as this process knows it.
#[derive(Debug)]
pub struct Breaker {
    state: State,
    /// The earliest time of the next refresh request, in microseconds since the Unix epoch.
    next_slot: i64,
    /// Attempts after a failure that may still be made, in thousandths, as of `budgeted_at`.
    budget: i64,
    budgeted_at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// All is well, but for so many failures in a row.
    Closed { failures: u32 },
    /// Nobody calls before `until`.
    Open { until: Timestamp, rounds: u32 },
    /// One trial is under way.
    HalfOpen { rounds: u32 },
}

/// Whether an attempt follows a failed one of the same session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// No.
    First,
    /// Yes: it costs of the budget.
    Again,
}

/// The answer to somebody who wants to send a refresh request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Send it after this wait, and give the pass back with what came of it.
    After(Duration, Pass),
    /// Not before then.
    HoldUntil(Timestamp),
    /// A trial is under way; what comes of it decides.
    AwaitTrial,
}

/// The right to send one refresh request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// One of many.
    Ordinary,
    /// The one that finds out whether the provider is back.
    Trial,
}

/// What came of a refresh request, as far as all sessions are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// New tokens.
    Renewed,
    /// The provider is at work, whatever it said about this one token.
    AtWork,
    /// It is out of reach, overloaded or broken.
    Failed {
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// It refuses our client: the next request would fare the same.
    Misconfigured,
    /// The request was not sent after all.
    Nothing,
}

impl News {
    /// What a failure says about the provider.
    pub fn of(failure: &TokenFailure) -> Self {
        match failure.verdict {
            Verdict::Ambiguous | Verdict::Rejected | Verdict::Reauthenticate { .. } => Self::AtWork,
            Verdict::InDoubt | Verdict::NotSent | Verdict::NotProcessed { .. } => {
                Self::Failed { retry_after: failure.retry_after() }
            }
            Verdict::Misconfigured => Self::Misconfigured,
        }
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Self { state: State::Closed { failures: 0 }, next_slot: 0, budget: BUDGET_START, budgeted_at: None }
    }
}

impl Breaker {
    /// Until when everybody is held back, if so.
    pub fn held_until(&self, now: Timestamp) -> Option<Timestamp> {
        match self.state {
            // Further ahead than anybody is ever held: the clock was set back since.
            State::Open { until, .. } if now < until && until <= now + RETRY_AFTER_MAX => Some(until),
            _ => None,
        }
    }

    /// Admits a refresh request at a pace of `per_second`, from 1 to 10 000.
    pub fn admit(&mut self, now: Timestamp, turn: Turn, per_second: u32) -> Admission {
        if let Some(until) = self.held_until(now) {
            return Admission::HoldUntil(until);
        }
        match self.state {
            State::HalfOpen { .. } => Admission::AwaitTrial,
            // The trial costs nothing of the budget: there is one at a time.
            State::Open { rounds, .. } => {
                self.state = State::HalfOpen { rounds };
                Admission::After(self.slot(now, per_second), Pass::Trial)
            }
            State::Closed { .. } => match self.spend(now, turn) {
                Ok(()) => Admission::After(self.slot(now, per_second), Pass::Ordinary),
                Err(until) => Admission::HoldUntil(until),
            },
        }
    }

    /// Takes note of what came of a request that was admitted with `pass`; `roll` in [0, 1) is for the jitter.
    pub fn report(&mut self, pass: Pass, news: News, now: Timestamp, roll: f64) {
        if news == News::Renewed {
            self.budget = (self.budget + BUDGET_PER_RENEWAL).min(BUDGET_MAX);
        }
        let hold = |rounds: u32| {
            let asked = if let News::Failed { retry_after } = news { retry_after } else { None };
            let pause = backoff(rounds, None, roll).min(HOLD_MAX).max(asked.unwrap_or_default().min(RETRY_AFTER_MAX));
            State::Open { until: now + pause, rounds }
        };
        self.state = match (self.state, pass, news) {
            // The next one may try at once.
            (State::HalfOpen { rounds }, Pass::Trial, News::Nothing) => State::Open { until: now, rounds },
            (State::HalfOpen { .. }, Pass::Trial, News::Renewed | News::AtWork) => State::Closed { failures: 0 },
            (State::HalfOpen { rounds }, Pass::Trial, News::Failed { .. } | News::Misconfigured) => {
                hold(rounds.saturating_add(1))
            }
            (State::Closed { .. }, _, News::Renewed | News::AtWork) => State::Closed { failures: 0 },
            (State::Closed { failures }, _, News::Failed { .. }) if failures + 1 < FAILURES_IN_A_ROW => {
                State::Closed { failures: failures + 1 }
            }
            (State::Closed { .. }, _, News::Failed { .. } | News::Misconfigured) => hold(1),
            // Those that were under way when the breaker opened tell nothing new.
            (state, ..) => state,
        };
    }

    /// The wait until the next free slot, which is taken by asking.
    fn slot(&mut self, now: Timestamp, per_second: u32) -> Duration {
        let now = now.unix_millis().saturating_mul(1000);
        let interval = 1_000_000 / i64::from(per_second.clamp(1, PER_SECOND_MAX));
        // Further ahead than anybody waits for a slot: the clock was set back since.
        let far = now.saturating_add(SLOTS_AHEAD * interval);
        let slot = if self.next_slot > far { now } else { self.next_slot.max(now) };
        self.next_slot = slot.saturating_add(interval);
        Duration::from_micros((slot - now).unsigned_abs())
    }

    fn spend(&mut self, now: Timestamp, turn: Turn) -> Result<(), Timestamp> {
        let elapsed = self.budgeted_at.map_or(Duration::ZERO, |then| now.since(then));
        let refilled = i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX);
        self.budget = self.budget.saturating_add(refilled).min(BUDGET_MAX);
        self.budgeted_at = Some(now);
        match turn {
            Turn::First => Ok(()),
            Turn::Again if self.budget >= ATTEMPT => {
                self.budget -= ATTEMPT;
                Ok(())
            }
            // A thousandth comes back each millisecond.
            Turn::Again => Err(now + Duration::from_millis((ATTEMPT - self.budget).unsigned_abs())),
        }
    }
}

/// The fastest pace there is.
pub const PER_SECOND_MAX: u32 = 10_000;

/// So many slots are waited for at most; beyond that lies a clock that was set back.
pub const SLOTS_AHEAD: i64 = 1024;

/// So many failures in a row concern everybody; fewer may be one session's own.
const FAILURES_IN_A_ROW: u32 = 3;

/// The longest everybody is held back unless the provider asks for more: a trial every few seconds notices recovery.
const HOLD_MAX: Duration = Duration::from_secs(5);

/// What one attempt after a failure costs. One comes back each second whatever happens.
const ATTEMPT: i64 = 1_000;

/// Each renewal that succeeds allows a tenth of an attempt after a failure.
const BUDGET_PER_RENEWAL: i64 = ATTEMPT / 10;

const BUDGET_START: i64 = 10 * ATTEMPT;

/// What can be saved up: an outage leaves no more sessions behind that were tried in vain.
const BUDGET_MAX: i64 = 100 * ATTEMPT;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_unix_millis(1_000_000 + millis)
    }

    const FAILED: News = News::Failed { retry_after: None };
    const NOW: Admission = Admission::After(Duration::ZERO, Pass::Ordinary);
    const TRIAL: Admission = Admission::After(Duration::ZERO, Pass::Trial);

    enum Step {
        Admit(Admission),
        Report(Pass, News),
    }

    /// Plays a story of moments in milliseconds; the jitter always rolls one half.
    fn play(story: &str, steps: &[(i64, Step)]) {
        let mut breaker = Breaker::default();
        for (number, (millis, step)) in steps.iter().enumerate() {
            match step {
                Step::Admit(expected) => {
                    let admitted = breaker.admit(at(*millis), Turn::First, 1000);
                    assert_eq!(admitted, *expected, "{story}, step {number} at {millis}");
                }
                Step::Report(pass, news) => breaker.report(*pass, *news, at(*millis), 0.5),
            }
        }
    }

    #[test]
    fn it_opens_tries_once_and_closes() {
        use Pass::{Ordinary, Trial};
        use Step::{Admit, Report};
        let held = |millis| Admit(Admission::HoldUntil(at(millis)));
        let fail = |millis| (millis, Report(Ordinary, FAILED));
        play("two failures are nobody's outage", &[fail(0), fail(1), (2, Admit(NOW))]);
        play(
            "nor are three with a success between them",
            &[fail(0), fail(1), (2, Report(Ordinary, News::AtWork)), fail(3), (4, Admit(NOW))],
        );
        // Half of 500 ms after the first round, of 1 s after the second.
        play(
            "an outage and its end",
            &[
                fail(0),
                fail(1),
                fail(2),
                (3, held(252)),
                // Those that were under way make it no longer and no shorter.
                fail(4),
                (5, Report(Ordinary, News::Renewed)),
                (251, held(252)),
                (252, Admit(TRIAL)),
                (253, Admit(Admission::AwaitTrial)),
                fail(254),
                (255, Admit(Admission::AwaitTrial)),
                (300, Report(Trial, FAILED)),
                (301, held(800)),
                (800, Admit(TRIAL)),
                (900, Report(Trial, News::Renewed)),
                (901, Admit(NOW)),
                fail(902),
                fail(903),
                (904, Admit(NOW)),
            ],
        );
        play(
            "a trial that was not sent is anybody's",
            &[
                (0, Report(Ordinary, News::Misconfigured)),
                (1, held(250)),
                (250, Admit(TRIAL)),
                (260, Report(Trial, News::Nothing)),
                (261, Admit(TRIAL)),
                // A refused token is a provider at work.
                (270, Report(Trial, News::AtWork)),
                (271, Admit(NOW)),
            ],
        );
        let asks = |seconds| News::Failed { retry_after: Some(Duration::from_secs(seconds)) };
        play(
            "what the provider asks for is obeyed, within bounds",
            &[fail(0), fail(1), (2, Report(Ordinary, asks(60))), (3, held(60_002)), (60_002, Admit(TRIAL))],
        );
        play(
            "within bounds",
            &[fail(0), fail(1), (2, Report(Ordinary, asks(9_999))), (3, held(300_002)), (300_002, Admit(TRIAL))],
        );
    }

    #[test]
    fn a_hold_grows_to_five_seconds_and_no_further() {
        let mut breaker = Breaker::default();
        breaker.report(Pass::Ordinary, News::Misconfigured, at(0), 1.0);
        let mut now = at(0);
        for expected in [500, 1_000, 2_000, 4_000, 5_000, 5_000] {
            let until = breaker.held_until(now).expect("it is open");
            assert_eq!(until.since(now).as_millis(), expected);
            now = until;
            assert_eq!(breaker.admit(now, Turn::Again, 1000), TRIAL);
            breaker.report(Pass::Trial, FAILED, now, 1.0);
        }
    }

    #[test]
    fn the_pace_is_kept_however_many_ask_at_once() {
        for per_second in [1, 3, 100, 999, 10_000] {
            let mut breaker = Breaker::default();
            let asked = 2 * per_second.min(500);
            let sent: Vec<Duration> = (0..asked)
                .map(|_| match breaker.admit(at(0), Turn::First, per_second) {
                    Admission::After(wait, Pass::Ordinary) => wait,
                    other => panic!("{other:?}"),
                })
                .collect();
            for from in &sent {
                let within = sent.iter().filter(|to| **to >= *from && **to < *from + Duration::from_micros(999_000));
                assert!(within.count() <= per_second as usize, "{per_second}");
            }
            assert!(
                sent[sent.len() - 1] >= Duration::from_secs(1) * (asked - 1) / per_second - Duration::from_millis(1)
            );
        }
    }

    #[test]
    fn attempts_after_failures_cost_of_a_budget_that_renewals_fill() {
        let mut breaker = Breaker::default();
        for attempt in 0..10 {
            assert!(matches!(breaker.admit(at(0), Turn::Again, 10_000), Admission::After(..)), "{attempt}");
        }
        assert_eq!(breaker.admit(at(0), Turn::Again, 10_000), Admission::HoldUntil(at(1_000)));
        assert_eq!(breaker.admit(at(600), Turn::Again, 10_000), Admission::HoldUntil(at(1_000)));
        assert!(matches!(breaker.admit(at(600), Turn::First, 10_000), Admission::After(..)), "first ones go free");
        assert!(matches!(breaker.admit(at(1_000), Turn::Again, 10_000), Admission::After(..)), "one a second");
        for _ in 0..9 {
            breaker.report(Pass::Ordinary, News::Renewed, at(1_000), 0.5);
        }
        assert_eq!(breaker.admit(at(1_000), Turn::Again, 10_000), Admission::HoldUntil(at(1_100)));
        breaker.report(Pass::Ordinary, News::Renewed, at(1_000), 0.5);
        assert!(matches!(breaker.admit(at(1_000), Turn::Again, 10_000), Admission::After(..)), "a tenth of renewals");
    }

    #[test]
    fn a_clock_that_was_set_back_holds_nobody_for_ever() {
        let mut breaker = Breaker::default();
        breaker.report(Pass::Ordinary, News::Misconfigured, at(900_000_000), 0.5);
        breaker.admit(at(900_000_000), Turn::First, 1);
        assert_eq!(breaker.admit(at(0), Turn::First, 1), TRIAL);
        breaker.report(Pass::Trial, News::Renewed, at(0), 0.5);
        let mut breaker = Breaker::default();
        assert_eq!(breaker.admit(at(900_000_000), Turn::First, 1), NOW);
        assert_eq!(breaker.admit(at(0), Turn::First, 1), NOW);
    }

    #[test]
    fn every_verdict_is_news_of_the_provider_or_of_the_token() {
        let failure = |verdict| TokenFailure { verdict, ..TokenFailure::not_sent() };
        let retry_after = Some(Duration::from_secs(7));
        for (verdict, expected) in [
            (Verdict::Ambiguous, News::AtWork),
            (Verdict::Rejected, News::AtWork),
            (Verdict::Reauthenticate { claims: None }, News::AtWork),
            (Verdict::InDoubt, FAILED),
            (Verdict::NotSent, FAILED),
            (Verdict::NotProcessed { retry_after: None }, FAILED),
            (Verdict::NotProcessed { retry_after }, News::Failed { retry_after }),
            (Verdict::Misconfigured, News::Misconfigured),
        ] {
            assert_eq!(News::of(&failure(verdict.clone())), expected, "{verdict:?}");
        }
    }
}
