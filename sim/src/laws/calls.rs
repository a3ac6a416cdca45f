//! Laws about calls to the provider: S1, S2, S13, the intent before the call, and the lease over it.

use std::sync::Arc;

use perennial::provider::RefreshClass;
use perennial_core::record::Phase;

use super::records::refresh_serial;
use crate::book::{Book, Call, Ending, IntentFacts};
use crate::scenario::Millis;
use crate::world::{Life, ReplicaClock, World};

impl World {
    /// A request with a refresh token leaves the engine. Answers with the call's number.
    pub(crate) fn call_begins(&self, life: &Arc<Life>, family: usize, refresh: usize, arrivals: u32) -> usize {
        let now = self.now();
        let intent = self.intent_of(life, family, refresh, now);
        let accusation = intent.as_ref().and_then(|intent| self.judge_call(life, family, refresh, intent, now));
        let mut book = self.book();
        if let Some((law, sentence)) = accusation {
            book.accuse(law, sentence);
        }
        book.tally.calls += 1;
        book.calls.push(Call {
            life: life.clone(),
            family,
            refresh,
            sent: now,
            ended: None,
            ending: Ending::UnderWay,
            on_their_way: arrivals,
            intent,
        });
        book.calls.len() - 1
    }

    /// The intent this call is made under; a call without one is an offence, unless the process stood still or the store
    /// has lost the intent.
    fn intent_of(&self, life: &Arc<Life>, family: usize, refresh: usize, now: Millis) -> Option<IntentFacts> {
        let (key, intent, tail_lost) = {
            let book = self.book();
            let facts = book.sessions.get(&family)?;
            (facts.key, facts.intent.clone(), book.tail_lost)
        };
        let record = self.shelf().record(&key);
        let held = match (record.as_ref().map(|record| &record.phase), &intent) {
            (Some(Phase::Intent(there)), Some(noted)) => {
                there.attempt == noted.intent.attempt && noted.life == life.number && noted.refresh == Some(refresh)
            }
            // A sign-out overtook it; what it brings is revoked.
            (Some(Phase::Ended { .. }), Some(_)) => true,
            _ => false,
        };
        let excused = tail_lost || life.paused_between(now.saturating_sub(LEASE_AND_MORE), now);
        if !held && !excused {
            let there = record.map(|record| (record.generation.0, self.book().state_of(family, &record)));
            let there = there.map(|(generation, state)| (generation, state.as_ref().and_then(refresh_serial)));
            let sentence = format!(
                "{life} sent refresh token {refresh} of s{family} while the record, {there:?}, does not hold its intent"
            );
            self.book().accuse("S1 intent", sentence);
        }
        intent
    }

    /// S1 and S2: whether this refresh token may go out now.
    fn judge_call(
        &self,
        life: &Arc<Life>,
        family: usize,
        refresh: usize,
        intent: &IntentFacts,
        now: Millis,
    ) -> Option<(&'static str, String)> {
        let mut book = self.book();
        let facts = book.sessions.get(&family)?;
        let excused = book.tail_lost || facts.outlived || self.somebody_outlives(&book.calls, family, refresh, now);
        let earlier: Vec<&Call> =
            book.calls.iter().filter(|call| call.family == family && call.refresh == refresh).collect();
        let same =
            |call: &&&Call| call.intent.as_ref().is_some_and(|other| other.intent.attempt == intent.intent.attempt);
        if earlier.iter().any(|call| same(&call)) {
            return Some(("S2", format!("{life} sent refresh token {refresh} of s{family} twice under one intent")));
        }
        let under_way = |call: &&&Call| call.ended.is_none() && !call.life.is_dead();
        if let Some(other) = earlier.iter().find(under_way).filter(|_| !excused) {
            let sentence = format!(
                "{life} sent refresh token {refresh} of s{family} while the call of {} is under way",
                other.life
            );
            return Some(("S1", sentence));
        }
        if let Some(sentence) = sibling_alive(&book, life, family, refresh, intent) {
            return Some(("S13", sentence));
        }
        let bought =
            book.calls.iter().rev().find(|call| matches!(call.ending, Ending::Tokens(_)) && call.family == family);
        // What its buyer took into the grave, or could not write down, is bought anew.
        let kept = |call: &&Call| match call.ending {
            Ending::Tokens(access) => facts.recorded.contains(&access),
            _ => false,
        };
        let bought = bought.filter(kept);
        if bought.is_some_and(|call| now + self.scenario.skew() < call.sent + self.scenario.min_interval) && !excused {
            return Some(("S12", format!("{life} renewed s{family} again within its shortest interval")));
        }
        let doubted: Vec<_> = earlier.iter().filter(|call| call.ending != Ending::Unprocessed).collect();
        let first = doubted.iter().map(|call| call.sent).min()?;
        let reason = match self.scenario.believed() {
            RefreshClass::Reusable | RefreshClass::Acknowledged => "at once: harmless in this class",
            RefreshClass::Idempotent(window) | RefreshClass::Overlap(window)
                if now < first + window.as_millis() as Millis + self.scenario.skew() + LEASE_SLACK =>
            {
                "inside the window"
            }
            RefreshClass::Unknown if doubted.len() == 1 && now < first + EARLY + self.scenario.skew() + LEASE_SLACK => {
                "early and once, at a provider nobody has described"
            }
            _ => {
                // The decision was made when the intent was planned.
                let alive = intent.dies.is_none_or(|dies| intent.intent.started < dies);
                let strays = earlier.iter().any(|call| call.on_their_way > 0);
                if (alive || strays) && !excused {
                    let why = if alive { "its access token lives" } else { "an earlier request is still on its way" };
                    return Some(("S2", format!("{life} sent refresh token {refresh} of s{family} again while {why}")));
                }
                "as the last resort, access token dead and drained"
            }
        };
        *book.tally.resends.entry(reason).or_default() += 1;
        None
    }

    /// Whether a call with this refresh token has outlived its lease because its process stood still.
    fn somebody_outlives(&self, calls: &[Call], family: usize, refresh: usize, now: Millis) -> bool {
        calls.iter().any(|call| {
            call.family == family
                && call.refresh == refresh
                && call.intent.as_ref().is_some_and(|intent| call.life.paused_between(intent.written, now))
        })
    }

    /// A call is over for its caller.
    pub(crate) fn call_ends(&self, number: usize, ending: Ending) {
        let now = self.now();
        let mut book = self.book();
        let call = &mut book.calls[number];
        call.ended = Some(now);
        call.ending = ending;
        let (life, family, refresh, intent) = (call.life.clone(), call.family, call.refresh, call.intent.clone());
        match ending {
            Ending::Tokens(access) => {
                let redemption = book.redemptions.iter_mut().find(|one| one.family == family && one.access == access);
                if let Some(redemption) = redemption {
                    redemption.delivered = Some(now);
                }
            }
            Ending::Refused => {
                if let Some(facts) = book.sessions.get_mut(&family) {
                    facts.refused.insert(refresh);
                }
            }
            Ending::UnderWay | Ending::Unprocessed | Ending::InDoubt => {}
        }
        let Some(intent) = intent else { return };
        let paused = life.paused_between(intent.written, now);
        let Some(facts) = book.sessions.get_mut(&family) else { return };
        // The lease as the record has it: whoever writes it may have made it longer since.
        let noted = facts.intent.as_ref().filter(|noted| noted.intent.attempt == intent.intent.attempt);
        let lease_until = noted.unwrap_or(&intent).intent.lease_until;
        if ReplicaClock::at(self, life.replica, now) > lease_until {
            facts.outlived |= paused;
            if !paused {
                book.accuse("S1 lease", format!("a call of {life} for s{family} lasted longer than its lease"));
            }
        }
    }
}

/// S13: of two successors of one refresh token the second goes out only when the first is known to be dead, or when nobody
/// can know that it went out.
fn sibling_alive(book: &Book, life: &Arc<Life>, family: usize, refresh: usize, intent: &IntentFacts) -> Option<String> {
    let facts = book.sessions.get(&family).filter(|facts| !facts.outlived)?;
    let went_out = |call: &&Call| {
        let under = call.intent.as_ref().filter(|under| under.generation == intent.generation);
        let known = under.is_some_and(|under| book.losses.iter().all(|lost| !lost.contains(&under.written)));
        let dead = call.ending == Ending::Unprocessed || facts.refused.contains(&call.refresh);
        call.family == family && call.refresh != refresh && known && !dead
    };
    let other = book.calls.iter().find(went_out)?;
    let generation = intent.generation;
    Some(format!(
        "{life} sent refresh token {refresh} of s{family}, generation {generation}, which had gone on with {} at {}",
        other.refresh, other.life
    ))
}

/// From the decision to the call at most what a lease leaves.
const LEASE_SLACK: Millis = 5_000;

/// What an unknown provider is credited with.
const EARLY: Millis = 10_000;

/// A pause that ended longer ago than this has nothing to do with a call that begins now.
const LEASE_AND_MORE: Millis = 60_000;
