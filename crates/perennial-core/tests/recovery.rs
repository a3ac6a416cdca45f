//! L4 of docs/proof.md, for any number of sessions, any pace and any outage: when the provider is back, all sessions renew
//! within a stated time, and no second sees more requests than the pace allows.
//!
//! The breaker is the engine's own. The seats before it and whoever comes to it are a few lines of discrete events.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use perennial_core::Timestamp;
use perennial_core::outage::{Admission, Breaker, News, Pass, Turn};
use perennial_core::renewal::{RenewalPolicy, backoff};
use proptest::prelude::*;

/// Microseconds since the outage began.
type Micros = u64;

/// What is drawn.
#[derive(Clone, Copy, Debug)]
struct Story {
    sessions: usize,
    per_second: u32,
    outage: Micros,
    /// How long the provider takes to answer, or to fail.
    takes: Micros,
    seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A session that is due wants a pass.
    Ask { session: usize },
    /// Its slot has come.
    Send { session: usize, trial: bool },
    /// The provider answers what was sent then.
    Answer { session: usize, trial: bool, sent_at: Micros },
}

/// Everybody at one provider, on the way through its gate.
struct Crowd {
    story: Story,
    breaker: Breaker,
    seats: usize,
    /// Who waits for a seat.
    queue: VecDeque<usize>,
    /// Who has a seat and waits for the end of a trial.
    awaiting_trial: Vec<usize>,
    /// Whether an attempt of the session failed.
    failed: Vec<bool>,
    events: BinaryHeap<Reverse<(Micros, Event)>>,
    sent: Vec<Micros>,
    renewed: Vec<Micros>,
}

impl Crowd {
    /// Plays a story to its end, which is when all are renewed.
    fn play(story: Story) -> Self {
        let seats = usize::try_from(RenewalPolicy::default().max_at_once).expect("a small number");
        let mut crowd = Self {
            story,
            breaker: Breaker::default(),
            seats,
            queue: VecDeque::new(),
            awaiting_trial: Vec::new(),
            failed: vec![false; story.sessions],
            events: BinaryHeap::new(),
            sent: Vec::new(),
            renewed: Vec::new(),
        };
        for session in 0..story.sessions {
            // They become due one after the other while the provider is away.
            let due = crowd.roll(session as u64) * story.outage as f64;
            crowd.at(due as Micros, Event::Ask { session });
        }
        while let Some(Reverse((now, event))) = crowd.events.pop() {
            crowd.happens(now, event);
        }
        crowd
    }

    fn happens(&mut self, now: Micros, event: Event) {
        match event {
            Event::Ask { session } => match self.breaker.held_until(shown(now)) {
                Some(until) => self.at(micros(until), Event::Ask { session }),
                None if self.seats == 0 => self.queue.push_back(session),
                None => {
                    self.seats -= 1;
                    self.admit(now, session);
                }
            },
            Event::Send { session, trial } => match self.breaker.held_until(shown(now)) {
                // The breaker opened during the wait.
                Some(until) => {
                    self.give_back(now, trial, News::Nothing, Timestamp::from_unix_seconds(0));
                    self.at(micros(until), Event::Ask { session });
                    self.leave_seat(now);
                }
                None => {
                    self.sent.push(now);
                    self.at(now + self.story.takes, Event::Answer { session, trial, sent_at: now });
                }
            },
            Event::Answer { session, trial, sent_at } => {
                if sent_at < self.story.outage {
                    self.give_back(now, trial, News::Failed { retry_after: None }, shown(now));
                    self.failed[session] = true;
                    let pause = backoff(1, None, self.roll(now ^ session as u64));
                    self.at(now + pause.as_micros() as Micros, Event::Ask { session });
                } else {
                    self.give_back(now, trial, News::Renewed, shown(now));
                    self.renewed.push(now);
                }
                self.leave_seat(now);
            }
        }
    }

    /// Somebody with a seat wants a pass.
    fn admit(&mut self, now: Micros, session: usize) {
        let turn = if self.failed[session] { Turn::Again } else { Turn::First };
        match self.breaker.admit(shown(now), turn, self.story.per_second) {
            Admission::After(wait, pass) => {
                // Passes are given out at whole milliseconds, so that slots are where the breaker sees them.
                let slot = now + wait.as_micros() as Micros;
                self.events.push(Reverse((slot, Event::Send { session, trial: pass == Pass::Trial })));
            }
            Admission::HoldUntil(until) => {
                self.at(micros(until), Event::Ask { session });
                self.leave_seat(now);
            }
            Admission::AwaitTrial => self.awaiting_trial.push(session),
        }
    }

    fn leave_seat(&mut self, now: Micros) {
        self.seats += 1;
        if let Some(session) = self.queue.pop_front() {
            self.at(now, Event::Ask { session });
        }
    }

    fn give_back(&mut self, now: Micros, trial: bool, news: News, at: Timestamp) {
        let pass = if trial { Pass::Trial } else { Pass::Ordinary };
        let roll = self.roll(now);
        self.breaker.report(pass, news, at, roll);
        if trial {
            for session in std::mem::take(&mut self.awaiting_trial) {
                self.seats += 1;
                self.at(now, Event::Ask { session });
            }
        }
    }

    /// Whoever asks does so at a whole millisecond, which is what clocks show.
    fn at(&mut self, at: Micros, event: Event) {
        let at = if matches!(event, Event::Ask { .. }) { at.next_multiple_of(1_000) } else { at };
        self.events.push(Reverse((at, event)));
    }

    /// A number in [0, 1) that follows from the seed (splitmix64).
    fn roll(&self, about: u64) -> f64 {
        let mut x = self.story.seed ^ about.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// The most requests that any second saw.
    fn peak(&self) -> usize {
        let until = |from: Micros| self.sent.partition_point(|sent| *sent < from + ALMOST_A_SECOND);
        self.sent.iter().enumerate().map(|(first, from)| until(*from) - first).max().unwrap_or_default()
    }

    /// When the last session must be renewed: the last failure has come back, the longest hold is over, a trial has come back,
    /// all that had a slot and all that queued have had their turn, and each whose attempt had failed has waited for the budget.
    fn deadline(&self) -> Micros {
        let Story { sessions, per_second, outage, takes, .. } = self.story;
        let seats = u64::from(RenewalPolicy::default().max_at_once);
        let slot = (SECOND / u64::from(per_second)).max(takes / seats);
        let failed = self.failed.iter().filter(|failed| **failed).count() as u64;
        outage + 3 * takes + HOLD_MAX + (sessions as u64 + seats) * slot + failed * SECOND + ROUNDING
    }
}

fn shown(at: Micros) -> Timestamp {
    Timestamp::from_unix_millis(BEGAN + (at / 1_000) as i64)
}

fn micros(at: Timestamp) -> Micros {
    (at.unix_millis() - BEGAN).unsigned_abs() * 1_000
}

fn stories() -> impl Strategy<Value = Story> {
    (1..1_500_usize, 1..1_000_u32, 0..600_u64, 1..500_u64, any::<u64>()).prop_map(
        |(sessions, per_second, outage, takes, seed)| Story {
            sessions,
            per_second,
            outage: outage * SECOND,
            takes: takes * 1_000,
            seed,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_provider_that_is_back_is_not_stormed_and_everybody_is_renewed_in_time(story in stories()) {
        let crowd = Crowd::play(story);
        prop_assert_eq!(crowd.renewed.len(), story.sessions, "each is renewed once");
        let peak = crowd.peak();
        prop_assert!(peak <= story.per_second as usize, "{peak} requests in a second");
        let (last, deadline) = (crowd.renewed.last().copied().unwrap_or_default(), crowd.deadline());
        prop_assert!(last <= deadline, "the last after {:?} of {:?}", Duration::from_micros(last), Duration::from_micros(deadline));
    }
}

const SECOND: Micros = 1_000_000;

/// The breaker's slots are cut to whole microseconds, so that a thousandth of a second may hold one more.
const ALMOST_A_SECOND: Micros = 999_000;

/// The longest that everybody is held back where the provider asks for nothing.
const HOLD_MAX: Micros = 5 * SECOND;

/// Whoever is told to come back does so at the next millisecond, a few times.
const ROUNDING: Micros = SECOND / 10;

/// Any time will do.
const BEGAN: i64 = 1_000_000_000;
