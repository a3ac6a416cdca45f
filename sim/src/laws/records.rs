//! Laws about the record: S3, S4, S5, S6, S11, and the intent that is noted for the laws about calls.

use std::sync::Arc;

use perennial_core::record::{EndReason, OwedRevocations, Phase, Record};
use perennial_core::session::SessionState;

use crate::book::IntentFacts;
use crate::provider::parsed;
use crate::world::{Life, World};

impl World {
    /// A write has reached the store.
    pub(crate) fn record_written(&self, life: &Arc<Life>, key: [u8; 32], before: Option<&Record>, bytes: &[u8]) {
        let now = self.now();
        let mut book = self.book();
        if bytes.windows(8).any(|window| window == b".planted") {
            book.accuse("S11", "a token lies in the store in plain text".into());
        }
        // Since when the newest secret is known: a moment, and nothing else.
        if bytes.iter().all(u8::is_ascii_digit) {
            return;
        }
        // What is to be revoked, which lies beside the records of sessions.
        if OwedRevocations::is_name(&key) && OwedRevocations::decode(bytes).is_some() {
            return;
        }
        let Ok(after) = Record::decode(bytes) else {
            return book.accuse("S11", "what was written is no record".into());
        };
        let Some(family) = book.family_of(&key) else { return };
        let state = book.state_of(family, &after);
        drop(book);
        self.note(format_args!("{life} writes s{family} {}", Shown(&after, state.as_ref())));
        self.judge_record(family, before, &after);
        let Some(state) = state else { return };
        self.judge_tokens(family, &after, &state);
        if let Phase::Intent(intent) = &after.phase {
            let intent = IntentFacts {
                life: life.number,
                written: now,
                refresh: refresh_serial(&state),
                generation: after.generation.0,
                dies: state.tokens.as_ref().and_then(|tokens| tokens.expires_at),
                intent: intent.clone(),
            };
            if let Some(facts) = self.book().sessions.get_mut(&family) {
                // A lease that is prolonged is the same intent's.
                let before = facts.intent.take().filter(|before| before.intent.attempt == intent.intent.attempt);
                let written = before.map_or(now, |before| before.written);
                facts.intent = Some(IntentFacts { written, ..intent });
            }
        }
    }

    /// Something was removed from the store: `before`, if it was the record of a session.
    pub(crate) fn record_removed(&self, before: Option<&Record>) {
        if before.is_some() {
            self.book().accuse("S5", "the record of a session was removed".into());
        }
    }

    fn judge_record(&self, family: usize, before: Option<&Record>, after: &Record) {
        let mut book = self.book();
        if let Some(before) = before {
            if after.generation < before.generation {
                let sentence =
                    format!("the record of s{family} went back from {} to {}", before.generation.0, after.generation.0);
                book.accuse("S3", sentence);
            }
            if matches!(before.phase, Phase::Ended { .. }) && !matches!(after.phase, Phase::Ended { .. }) {
                book.accuse("S5", format!("the record of s{family} had ended and was written over"));
            }
        }
        let was_refused = before.is_some_and(|before| {
            before.generation == after.generation && matches!(before.phase, Phase::Refused { .. })
        });
        match after.phase {
            Phase::Refused { .. } if !was_refused => {
                let newest = before.and_then(|before| book.state_of(family, before)).as_ref().and_then(refresh_serial);
                let refused = book.sessions.get(&family).map(|facts| &facts.refused);
                if !newest.is_some_and(|newest| refused.is_some_and(|refused| refused.contains(&newest))) {
                    book.accuse("S6", format!("s{family} was noted as refused, but its newest refresh token was not"));
                }
            }
            Phase::Ended { reason: EndReason::Refused, .. } if !was_refused => {
                book.accuse("S6", format!("s{family} was ended as refused without a refusal in its record"));
            }
            _ => {}
        }
    }

    fn judge_tokens(&self, family: usize, record: &Record, state: &SessionState) {
        let mut book = self.book();
        let access = state.tokens.as_ref().and_then(|tokens| parsed("at", tokens.access_token.expose_secret()));
        let refresh = state.tokens.as_ref().and_then(|tokens| tokens.refresh_token.as_ref());
        let refresh = refresh.and_then(|token| parsed("rt", token.expose_secret()));
        let ours = |token: Option<(usize, usize)>| token.is_some_and(|(of, _)| of == family);
        if !ours(access) || !ours(refresh) {
            return book.accuse(
                "S4",
                format!("the record of s{family} holds tokens {access:?} {refresh:?} of another session"),
            );
        }
        let (generation, access) = (record.generation.0, access.map_or(0, |(_, serial)| serial));
        let Some(facts) = book.sessions.get_mut(&family) else { return };
        let known = facts.generations.insert(generation, access).unwrap_or(access);
        if facts.recorded.insert(access) {
            book.tally.renewals += 1;
        }
        // Of two successors a cookie's may go on: the rule for forks.
        if known != access && !book.tail_lost && !book.are_siblings(family, known, access) {
            let sentence =
                format!("generation {generation} of s{family} holds access token {access} and before {known}");
            book.accuse("S4", sentence);
        }
    }
}

pub(super) fn refresh_serial(state: &SessionState) -> Option<usize> {
    let refresh = state.tokens.as_ref()?.refresh_token.as_ref()?;
    parsed("rt", refresh.expose_secret()).map(|(_, serial)| serial)
}

/// A record in a line of the log, without what is random in it.
struct Shown<'a>(&'a Record, Option<&'a SessionState>);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let phase = match &self.0.phase {
            Phase::Idle { failures, .. } => format!("idle after {failures} failures"),
            Phase::Intent(intent) => format!("intent {} after {} failures", intent.fence, intent.failures),
            Phase::InDoubt(doubt) => format!("in doubt after {} failures, {:?}", doubt.failures, doubt.lost),
            Phase::Refused { .. } => "refused".into(),
            Phase::Ended { reason, .. } => format!("ended: {reason:?}"),
        };
        let refresh = self.1.and_then(refresh_serial);
        write!(f, "generation {} (refresh token {refresh:?}): {phase}", self.0.generation.0)
    }
}
