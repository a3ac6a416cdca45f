//! Laws about losing a session: L2, L3, S7 and S8. A session may be lost only where nothing could save it.

use std::sync::Arc;

use perennial_core::record::{Phase, Record};

use crate::book::{Book, Redemption};
use crate::provider::{Death, Provider};
use crate::scenario::{Class, Millis, Scenario};
use crate::world::{Life, World};

impl World {
    /// A browser that holds a session was told that it holds none.
    pub(crate) fn told_over(&self, family: usize, what: &str) {
        let provider = self.provider();
        let mut book = self.book();
        let Some(facts) = book.sessions.get(&family) else { return };
        if facts.sign_out_asked.is_some() || facts.lost.is_some() {
            return;
        }
        if facts.refused.is_empty() {
            let sentence =
                format!("a browser of s{family} got {what} although neither the provider nor the user ended it");
            return book.accuse("S7", sentence);
        }
        match excuse(&book, &provider, family, &self.scenario) {
            Ok(why) => {
                *book.tally.losses.entry(why).or_default() += 1;
                if let Some(facts) = book.sessions.get_mut(&family) {
                    facts.lost = Some(why);
                }
                drop(book);
                self.note(format_args!("s{family} is lost: {why}"));
            }
            Err(why) => {
                let law = if is_harmless(self.scenario.class) { "L2" } else { "L3" };
                book.accuse(law, format!("s{family} was lost ({what}), and it need not have been: {why}"));
            }
        }
    }

    /// A sign-out was answered.
    pub(crate) fn signed_out(&self, life: &Arc<Life>, family: usize) {
        let now = self.now();
        let ended = {
            let key = self.book().sessions.get(&family).map(|facts| facts.key);
            key.and_then(|key| self.shelf().record(&key)).is_some_and(|record| is_ended(&record))
        };
        let mut book = self.book();
        book.tally.sign_outs += 1;
        if let Some(facts) = book.sessions.get_mut(&family).filter(|_| ended) {
            facts.sign_outs.push((life.clone(), now));
        }
    }

    /// S8: tokens that reached a living process with a working store are in the record. S5: what came after the end, and
    /// the end itself, were brought to the provider.
    pub(crate) fn judge_books(&self) {
        let now = self.now();
        let weather = self.weather().clone();
        let mut book = self.book();
        let mut accusations = Vec::new();
        for redemption in &book.redemptions {
            let Some(facts) = book.sessions.get(&redemption.family) else { continue };
            let settled = redemption.delivered.is_some_and(|delivered| delivered + SETTLED < now);
            if !settled || facts.recorded.contains(&redemption.access) || facts.outlived || book.tail_lost {
                continue;
            }
            let ended = self.shelf().record(&facts.key).is_some_and(|record| is_ended(&record));
            if !ended && book.hindrance(redemption).is_none() {
                let sentence = format!(
                    "access token {} of s{} was received and is in no record",
                    redemption.access, redemption.family
                );
                accusations.push(("S8", sentence));
            }
        }
        for (family, facts) in &book.sessions {
            let careful = facts.sign_outs.iter().find(|(life, at)| {
                let (from, to) = (at.saturating_sub(SETTLED), at + SETTLED);
                to < now
                    // Without its metadata nobody knows where to revoke; a revocation is not worth more than one attempt.
                    && !weather.was_down_between(from, to)
                    && life.died_at().is_none_or(|died| died > to)
                    && !life.store_failed_between(from, to)
                    && !life.paused_between(from, to)
            });
            if let Some((life, _)) = careful
                && !facts.revocations.contains(&life.number)
                && facts.sign_outs.len() == 1
                && facts.lost.is_none()
                // What the provider has refused need not be revoked.
                && facts.refused.is_empty()
                && !book.tail_lost
            {
                accusations.push(("S5", format!("{life} signed s{family} out and told the provider nothing")));
            }
        }
        for (law, sentence) in accusations {
            book.accuse(law, sentence);
        }
    }
}

/// Why a session that the provider refuses could not be saved; or what is wrong with that.
///
/// A session may be lost only if an answer was lost, or could not be kept, after its refresh token was spent, and
/// - the class forgives no repetition: single use, family;
/// - or the class has a window, and in it every repetition failed too, or nobody came, or it is shorter than a request
///   can linger;
/// - or a cookie alone held the successor and used it, so that the token in the record is spent.
///
/// Or a request lingered longer than a narrow window, or than the early repetition at a provider nobody has described;
/// or the network delivered one request twice where that is theft; or a process stood still past its lease; or the store
/// lost what it had acknowledged.
fn excuse(book: &Book, provider: &Provider, family: usize, scenario: &Scenario) -> Result<&'static str, String> {
    let (class, told) = (scenario.class, scenario.told);
    let facts = &book.sessions[&family];
    if book.tail_lost {
        return Ok("the store lost what it had acknowledged");
    }
    if facts.outlived {
        return Ok("a process stood still past its lease");
    }
    let unrecorded = book.unrecorded(family);
    if let Some(redemption) = unrecorded.iter().find(|one| book.hindrance(one).is_none()) {
        return Err(format!("access token {} was received and not kept", redemption.access));
    }
    let doubled = |death: &Death| matches!(death, Death::Reuse(delivery) if delivery.copy > 0);
    if provider.families[family].dead.as_ref().is_some_and(|(death, _)| doubled(death)) {
        return Ok("the network delivered a request twice");
    }
    let strayed = |death: &Death| match death {
        Death::Reuse(delivery) => book.calls[delivery.call].ended.is_none_or(|ended| ended < provider.died_at(family)),
        Death::Revoked => false,
    };
    if provider.families[family].dead.as_ref().is_some_and(|(death, _)| strayed(death)) {
        match class {
            Class::Overlap(window) if window < LINGERING => return Ok("a request lingered longer than the window"),
            Class::Family if !told => return Ok("a request lingered longer than an early repetition took"),
            _ => {}
        }
    }
    let Some(first) = unrecorded.iter().map(|one| one.at).min() else {
        return Err("no answer was lost after its refresh token was spent".into());
    };
    let by_cookie = unrecorded.iter().any(|one| provider.successor_was_used(family, one.access));
    match class {
        Class::SingleUse | Class::Family => Ok("an answer was lost where no repetition is forgiven"),
        _ if by_cookie => Ok("a cookie alone held the newest generation"),
        Class::Reusable | Class::Acknowledged => Err("its class forgives every repetition".into()),
        Class::Idempotent(window) | Class::Overlap(window) if window < LINGERING => {
            Ok("an answer was lost, and the window is shorter than a request can linger")
        }
        Class::Idempotent(window) | Class::Overlap(window) => {
            let inside = |at: &&Millis| (first + DOUBT_MAX..first + window - 2_000).contains(*at);
            let chances = facts.chances.iter().filter(inside).count();
            let repeated = repetitions(book, &unrecorded, first + window);
            if chances > 0 && repeated == 0 {
                return Err(format!("{chances} requests came while the window was open, and nobody repeated"));
            }
            Ok("every repetition inside the window failed too, or nobody came")
        }
    }
}

/// How often the refresh tokens of lost answers were sent again before the window closed.
fn repetitions(book: &Book, unrecorded: &[&Redemption], until: Millis) -> usize {
    let again = |one: &&&Redemption| {
        let sent = book.calls.iter().filter(|call| {
            call.family == one.family && call.refresh == one.refresh && call.sent > one.at && call.sent < until
        });
        sent.count() > 0
    };
    unrecorded.iter().filter(again).count()
}

fn is_harmless(class: Class) -> bool {
    !matches!(class, Class::SingleUse | Class::Family)
}

fn is_ended(record: &Record) -> bool {
    matches!(record.phase, Phase::Ended { .. })
}

/// The deadline of a call and the drain after it: a window shorter than this may close while a request is on its way.
const LINGERING: Millis = 40_000;

/// From a lost answer to the next attempt at the latest, once a request comes: the lease and the longest back-off.
const DOUBT_MAX: Millis = 52_000;

/// What is this old has been settled.
const SETTLED: Millis = 10_000;
