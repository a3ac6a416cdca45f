//! The record of a session in the store, and every decision about it: who may call the provider, and what to keep of
//! its answer.
//!
//! The record holds the newest generation, sealed under a key that needs a share which only the cookie carries, and says
//! where the session stands. Before a refresh token is sent, an *intent* is written into the same record by
//! compare-and-swap; whoever wins that write calls, everybody else waits. An intent whose lease ran out does not mean
//! "free" but "in doubt": the provider may have spent the refresh token. What may be done then depends on the
//! provider's [`RefreshClass`].
//!
//! Three steps, all pure: [`join`] cookie and record, [`plan`] what to do, [`settle`] the outcome. The driver's `renew`
//! is these three with a store and an HTTP client between them.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::cookie::{RecordKeys, open_at_rest, seal_at_rest};
use crate::limits::RETRY_AFTER_MAX;
use crate::names::ProviderId;
use crate::provider::RefreshClass;
use crate::random::{SecureRandom, random_bytes};
use crate::session::{Generation, KeyShare, SessionId, SessionState};
use crate::time::Timestamp;

/// What the store keeps of one session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    v: u8,
    /// The newest generation.
    pub generation: Generation,
    /// That generation's [`SessionState`], sealed; empty once the session has ended.
    #[serde(with = "base64_text")]
    pub sealed: Vec<u8>,
    /// Where the session stands.
    pub phase: Phase,
}

/// Where a session stands between two renewals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nobody is renewing. After a failure that spent nothing, not before `not_before`.
    Idle {
        /// Failed attempts in a row.
        failures: u32,
        /// The earliest next attempt.
        not_before: Option<Timestamp>,
    },
    /// One attempt may be calling the provider.
    Intent(Intent),
    /// An attempt may have spent the refresh token, and its answer never came.
    InDoubt {
        /// When the refresh token of this generation was first sent: the earliest it can have been spent.
        first_sent: Timestamp,
        /// Until then a lost request may still reach the provider.
        drained_at: Timestamp,
        /// Attempts so far.
        failures: u32,
        /// The earliest next attempt.
        not_before: Timestamp,
    },
    /// The provider refused the newest refresh token: the access token may be used up, then the user signs in again.
    Refused {
        /// When.
        at: Timestamp,
    },
    /// Signed out or expelled. Absorbing: nothing revives the session.
    Ended {
        /// When.
        at: Timestamp,
        /// Why.
        reason: EndReason,
    },
}

/// The write-ahead note of one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Which attempt.
    pub attempt: Attempt,
    /// When this attempt was written down, just before its call.
    pub started: Timestamp,
    /// Until then nobody else may call.
    pub lease_until: Timestamp,
    /// When the refresh token of this generation was first sent, by this attempt or an earlier one.
    pub first_sent: Timestamp,
    /// Of a refresh token that may be spent already: until then an earlier attempt's request may still reach the provider.
    pub drained_at: Option<Timestamp>,
    /// Failed attempts before this one.
    pub failures: u32,
}

impl Intent {
    /// Whether a call that is over by `end` is over before anybody else may call.
    ///
    /// To be asked right before the refresh token is sent: planning, discovery and the store take time too.
    pub fn covers(&self, end: Timestamp) -> bool {
        end < self.lease_until
    }
}

/// 128 random bits that name one attempt to renew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attempt(String);

impl Attempt {
    /// A new name.
    pub fn new(random: &dyn SecureRandom) -> Self {
        Self(URL_SAFE_NO_PAD.encode(random_bytes::<16>(random)))
    }
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The user signed out.
    SignedOut,
    /// The provider refused the newest refresh token and the access token has died.
    Refused,
    /// A refreshed ID token was not about the same user, issuer or client (OIDC Core §12.2).
    IdentityChanged,
    /// The `jwt` callback returned nothing, which in Auth.js ends a session.
    Callback,
    /// For the one who asked: the newest generation lies sealed under a secret that is no longer configured.
    SecretGone,
    /// The session reached its absolute lifetime.
    TooOld,
}

impl Record {
    /// The record of a session in which nobody is renewing.
    pub fn idle(generation: Generation, sealed: Vec<u8>) -> Self {
        Self { v: FORMAT, generation, sealed, phase: Phase::Idle { failures: 0, not_before: None } }
    }

    /// The tombstone of a session: keeps the generation, forgets the tokens.
    pub fn ended(generation: Generation, reason: EndReason, at: Timestamp) -> Self {
        Self { v: FORMAT, generation, sealed: Vec::new(), phase: Phase::Ended { at, reason } }
    }

    /// The bytes a store keeps.
    pub fn encode(&self) -> Vec<u8> {
        // Numbers, strings and enums with string tags: serialising them cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// [`CorruptRecord`] when the bytes are something else, or of a format this version does not know.
    pub fn decode(bytes: &[u8]) -> Result<Self, CorruptRecord> {
        serde_json::from_slice::<Self>(bytes).ok().filter(|record| record.v == FORMAT).ok_or(CorruptRecord)
    }

    fn in_phase(&self, phase: Phase) -> Self {
        Self { phase, ..self.clone() }
    }
}

/// A record's bytes cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session's record cannot be read: it is damaged or was sealed under a secret that is gone")]
pub struct CorruptRecord;

/// Seals a generation for its record.
pub fn seal_state(keys: &RecordKeys, state: &SessionState, random: &dyn SecureRandom) -> Vec<u8> {
    let plain = zeroize::Zeroizing::new(serde_json::to_vec(&state.to_claims()).unwrap_or_default());
    seal_at_rest(keys, state.share.expose_secret(), &associated(state.id, state.generation), &plain, random)
}

/// Opens the generation that `record` holds, with the share of a cookie of the same session.
///
/// # Errors
/// [`CorruptRecord`] when no secret opens it or it holds something else.
pub fn open_state(
    keys: &RecordKeys,
    record: &Record,
    id: SessionId,
    share: &KeyShare,
    provider: &ProviderId,
) -> Result<SessionState, CorruptRecord> {
    let plain = open_at_rest(keys, share.expose_secret(), &associated(id, record.generation), &record.sealed)
        .map_err(|_| CorruptRecord)?;
    let claims = serde_json::from_slice(&plain).map_err(|_| CorruptRecord)?;
    let state = SessionState::from_claims(claims, provider).map_err(|_| CorruptRecord)?;
    if state.id == id && state.generation == record.generation { Ok(state) } else { Err(CorruptRecord) }
}

/// Which of cookie and record is to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    /// The cookie holds the newest generation; the record is behind, equal or missing.
    Cookie,
    /// The record holds a newer generation than the cookie.
    Record,
    /// The session is over, whatever the cookie says.
    Ended(EndReason),
}

/// Joins a cookie of generation `cookie` with the record: the higher generation wins, an end wins over both.
pub fn join(cookie: Generation, record: Option<&Record>) -> Joined {
    match record {
        Some(Record { phase: Phase::Ended { reason, .. }, .. }) => Joined::Ended(*reason),
        Some(record) if record.generation > cookie => Joined::Record,
        _ => Joined::Cookie,
    }
}

/// What is to be done about a session that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Write this intent by compare-and-swap; whoever succeeds calls the provider.
    Call(Intent),
    /// Another attempt is under way; look again when the record changes, at the latest then.
    Wait(Timestamp),
    /// Leave the provider alone until then.
    Hold(Timestamp),
    /// The provider refused this generation's refresh token.
    Refused,
}

/// What the plan depends on beside the record.
#[derive(Clone, Debug)]
pub struct Circumstances {
    /// Now.
    pub now: Timestamp,
    /// How the provider treats a refresh token that is presented again.
    pub class: RefreshClass,
    /// When the access token dies.
    pub access_token_expires_at: Option<Timestamp>,
    /// How long an intent bars others.
    pub lease: Duration,
    /// Whether other processes may be writing intents.
    pub replicas: Replicas,
}

/// How many processes share the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replicas {
    /// This one alone, which runs at most one attempt for a session at a time: an intent that is found was left by a process
    /// that is gone.
    One,
    /// Perhaps others: an intent is somebody's until its lease runs out.
    Many,
}

/// Decides who calls the provider for a session that is due, from its record's phase.
pub fn plan(phase: Option<&Phase>, attempt: Attempt, at: &Circumstances) -> Plan {
    let (started, lease_until) = (at.now, at.now + at.lease);
    let call = |first_sent, drained_at, failures| {
        Plan::Call(Intent { attempt, started, lease_until, first_sent, drained_at, failures })
    };
    match phase {
        None => call(at.now, None, 0),
        Some(Phase::Idle { not_before: Some(until), .. }) if holds(at.now, *until) => Plan::Hold(*until),
        Some(Phase::Idle { failures, .. }) => call(at.now, None, *failures),
        Some(Phase::Intent(other)) if at.replicas == Replicas::Many && at.now < other.lease_until => {
            Plan::Wait(other.lease_until)
        }
        // The one who wrote it is gone, because no call outlives its lease or nobody else is there: the refresh token may
        // be spent, or on its way still.
        Some(Phase::Intent(lost)) => {
            let drained_at = later(lost.drained_at, lost.lease_until + DRAIN);
            match resend(at, lost.first_sent, drained_at) {
                Resend::Now => call(lost.first_sent, Some(drained_at), lost.failures),
                Resend::NotBefore(until) => Plan::Hold(until),
            }
        }
        Some(Phase::InDoubt { not_before, .. }) if holds(at.now, *not_before) => Plan::Hold(*not_before),
        Some(Phase::InDoubt { first_sent, drained_at, failures, .. }) => match resend(at, *first_sent, *drained_at) {
            Resend::Now => call(*first_sent, Some(*drained_at), *failures),
            Resend::NotBefore(until) => Plan::Hold(until),
        },
        Some(Phase::Refused { .. } | Phase::Ended { .. }) => Plan::Refused,
    }
}

/// Whether a pause is still on. One that ends later than any pause can was written before the clock was set back.
fn holds(now: Timestamp, until: Timestamp) -> bool {
    now < until && until <= now + RETRY_AFTER_MAX
}

enum Resend {
    Now,
    NotBefore(Timestamp),
}

/// Whether a refresh token that may be spent may be presented again.
///
/// Harmless at once where the provider takes it again or answers alike; inside a rotation overlap, counted from the
/// first time it was sent; elsewhere only when nothing is left to lose: the access token has died and a lost request
/// can no longer arrive after ours.
fn resend(at: &Circumstances, first_sent: Timestamp, drained_at: Timestamp) -> Resend {
    let window = match at.class {
        RefreshClass::Reusable | RefreshClass::Acknowledged => return Resend::Now,
        RefreshClass::Overlap(window) | RefreshClass::Idempotent(window) => window,
        RefreshClass::SingleUse | RefreshClass::Family | RefreshClass::Unknown => Duration::ZERO,
    };
    if at.now + OVERLAP_MARGIN < first_sent + window {
        return Resend::Now;
    }
    let last_resort = at.access_token_expires_at.map_or(drained_at, |dies| dies.max(drained_at));
    if at.now >= last_resort { Resend::Now } else { Resend::NotBefore(last_resort) }
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempted {
    /// Tokens: the next generation, sealed.
    Tokens {
        /// The generation they belong to.
        generation: Generation,
        /// Its sealed state.
        sealed: Vec<u8>,
    },
    /// The provider did not spend the refresh token; try again at the given time.
    NotSpent {
        /// The earliest next attempt.
        not_before: Timestamp,
    },
    /// Nobody knows whether the refresh token is spent.
    InDoubt {
        /// The earliest next attempt.
        not_before: Timestamp,
        /// Until then the request, if it got no answer, may still reach the provider.
        drained_at: Timestamp,
    },
    /// The provider refused the refresh token.
    Refused,
}

/// What to do with the outcome of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Write this by compare-and-swap against the record it was judged by.
    Write(Record),
    /// Another attempt has brought the session as far or further: take what the record holds.
    Superseded,
    /// The session ended meanwhile: revoke what was received.
    Ended(EndReason),
}

/// Judges the outcome of `attempt` on the refresh token of generation `spent` against the record as it is now.
pub fn settle(
    record: Option<&Record>,
    attempt: &Attempt,
    spent: Generation,
    outcome: Attempted,
    now: Timestamp,
) -> Settled {
    let ours = match record.map(|record| &record.phase) {
        Some(Phase::Ended { reason, .. }) => return Settled::Ended(*reason),
        Some(Phase::Intent(intent)) if intent.attempt == *attempt => Some(intent),
        _ => None,
    };
    if record.is_some_and(|record| record.generation > spent) {
        return Settled::Superseded;
    }
    match (outcome, record, ours) {
        // Tokens are adopted even by an attempt whose lease ran out: nobody else has got this far.
        (Attempted::Tokens { generation, sealed }, ..) => Settled::Write(Record::idle(generation, sealed)),
        (Attempted::Refused, Some(record), Some(_)) => Settled::Write(record.in_phase(Phase::Refused { at: now })),
        (Attempted::NotSpent { not_before }, Some(record), Some(intent)) => {
            Settled::Write(record.in_phase(match intent.drained_at {
                None => Phase::Idle { failures: intent.failures + 1, not_before: Some(not_before) },
                // A re-send that was turned away unspent leaves the doubt about the first one.
                Some(drained_at) => doubt(intent, drained_at, not_before),
            }))
        }
        (Attempted::InDoubt { not_before, drained_at }, Some(record), Some(intent)) => {
            Settled::Write(record.in_phase(doubt(intent, later(intent.drained_at, drained_at), not_before)))
        }
        (_, _, None) | (_, None, _) => Settled::Superseded,
    }
}

fn doubt(intent: &Intent, drained_at: Timestamp, not_before: Timestamp) -> Phase {
    Phase::InDoubt { first_sent: intent.first_sent, drained_at, failures: intent.failures + 1, not_before }
}

fn later(earlier_attempts: Option<Timestamp>, this: Timestamp) -> Timestamp {
    earlier_attempts.map_or(this, |earlier| earlier.max(this))
}

/// How long after its caller was gone a request may still reach the provider.
pub const DRAIN: Duration = Duration::from_secs(30);

/// Kept back from a rotation overlap for the way to the provider.
const OVERLAP_MARGIN: Duration = Duration::from_millis(500);

const FORMAT: u8 = 1;

fn associated(id: SessionId, generation: Generation) -> Vec<u8> {
    [id.record_key().as_slice(), &generation.0.to_be_bytes()].concat()
}

mod base64_text {
    use super::*;

    pub(super) fn serialize<S: serde::Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        URL_SAFE_NO_PAD.decode(text.as_bytes()).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::{AccessToken, CookieSecret, RefreshToken};
    use crate::session::TokenSet;

    struct Fixed(u8);

    impl SecureRandom for Fixed {
        fn fill(&self, out: &mut [u8]) {
            out.fill(self.0);
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    fn name(byte: u8) -> Attempt {
        Attempt::new(&Fixed(byte))
    }

    /// Attempt `byte`, begun at `started`, on a refresh token first sent at `first_sent`, 40 s before that was drained.
    fn intent(byte: u8, started: i64, first_sent: i64, failures: u32) -> Intent {
        Intent {
            attempt: name(byte),
            started: at(started),
            lease_until: at(started + 25),
            first_sent: at(first_sent),
            drained_at: (first_sent < started).then(|| at(first_sent + 40)),
            failures,
        }
    }

    fn record(generation: u64, phase: Phase) -> Record {
        Record { phase, ..Record::idle(Generation(generation), b"sealed".to_vec()) }
    }

    const IDLE: Phase = Phase::Idle { failures: 0, not_before: None };

    fn ended() -> Phase {
        Phase::Ended { at: at(1), reason: EndReason::SignedOut }
    }

    fn in_doubt(first_sent: i64, drained_at: i64, not_before: i64) -> Phase {
        Phase::InDoubt {
            first_sent: at(first_sent),
            drained_at: at(drained_at),
            failures: 2,
            not_before: at(not_before),
        }
    }

    #[test]
    fn the_higher_generation_wins_and_an_end_wins_over_both() {
        let alive = [IDLE, Phase::Intent(intent(1, 0, 0, 0)), in_doubt(0, 0, 0), Phase::Refused { at: at(1) }];
        for phase in alive {
            for (cookie, kept, expected) in [(4, 5, Joined::Record), (5, 5, Joined::Cookie), (6, 5, Joined::Cookie)] {
                let joined = join(Generation(cookie), Some(&record(kept, phase.clone())));
                assert_eq!(joined, expected, "cookie {cookie}, record {kept} {phase:?}");
            }
        }
        for cookie in [4, 5, 6] {
            let joined = join(Generation(cookie), Some(&record(5, ended())));
            assert_eq!(joined, Joined::Ended(EndReason::SignedOut), "cookie {cookie}");
        }
        assert_eq!(join(Generation(0), None), Joined::Cookie);
    }

    const SECONDS_10: Duration = Duration::from_secs(10);

    fn circumstances(now: i64, class: RefreshClass, dies: Option<i64>) -> Circumstances {
        Circumstances {
            now: at(now),
            class,
            access_token_expires_at: dies.map(at),
            lease: Duration::from_secs(25),
            replicas: Replicas::Many,
        }
    }

    fn planned(phase: Option<&Phase>, now: i64, class: RefreshClass, dies: Option<i64>) -> Plan {
        plan(phase, name(9), &circumstances(now, class, dies))
    }

    fn call(now: i64, first_sent: i64, failures: u32) -> Plan {
        Plan::Call(intent(9, now, first_sent, failures))
    }

    const EVERY_CLASS: [RefreshClass; 7] = [
        RefreshClass::Acknowledged,
        RefreshClass::Family,
        RefreshClass::Idempotent(SECONDS_10),
        RefreshClass::Overlap(SECONDS_10),
        RefreshClass::Reusable,
        RefreshClass::SingleUse,
        RefreshClass::Unknown,
    ];

    #[test]
    fn without_doubt_the_class_plays_no_part() {
        let waiting = Phase::Idle { failures: 3, not_before: Some(at(110)) };
        let flying = Phase::Intent(intent(1, 90, 80, 0));
        for class in EVERY_CLASS {
            for (phase, now, expected) in [
                (None, 100, call(100, 100, 0)),
                (Some(IDLE), 100, call(100, 100, 0)),
                (Some(waiting.clone()), 109, Plan::Hold(at(110))),
                (Some(waiting.clone()), 110, call(110, 110, 3)),
                // While a lease lives, nobody else calls.
                (Some(flying.clone()), 90, Plan::Wait(at(115))),
                (Some(flying.clone()), 114, Plan::Wait(at(115))),
                (Some(in_doubt(80, 80, 120)), 119, Plan::Hold(at(120))),
                (Some(Phase::Refused { at: at(50) }), 100, Plan::Refused),
                (Some(ended()), 100, Plan::Refused),
            ] {
                assert_eq!(planned(phase.as_ref(), now, class, Some(300)), expected, "{class:?} {phase:?} at {now}");
            }
        }
    }

    #[test]
    fn alone_in_the_world_an_intent_is_nobodys_and_in_doubt_at_once() {
        // Begun and first sent at 100, its lease running to 110.
        let orphan = Phase::Intent(Intent { lease_until: at(110), ..intent(1, 100, 100, 2) });
        let planned = |now, class, replicas| {
            plan(Some(&orphan), name(9), &Circumstances { replicas, ..circumstances(now, class, Some(300)) })
        };
        for (class, alone) in [
            (RefreshClass::Reusable, call(101, 100, 2)),
            (RefreshClass::Overlap(SECONDS_10), call(101, 100, 2)),
            (RefreshClass::Family, Plan::Hold(at(300))),
        ] {
            assert_eq!(planned(101, class, Replicas::One), alone, "{class:?}");
            assert_eq!(planned(101, class, Replicas::Many), Plan::Wait(at(110)), "{class:?}");
        }
    }

    #[test]
    fn in_doubt_the_class_says_when_the_refresh_token_may_be_sent_again() {
        use RefreshClass::{Acknowledged, Family, Idempotent, Overlap, Reusable, SingleUse, Unknown};
        // First sent at 100, drained at 140; times are those of the decision.
        for (class, now, dies, expected) in [
            (Reusable, 101, Some(300), None),
            (Acknowledged, 101, Some(300), None),
            // Inside the window, with a margin for the way.
            (Overlap(SECONDS_10), 101, Some(300), None),
            (Overlap(SECONDS_10), 109, Some(300), None),
            (Idempotent(SECONDS_10), 109, Some(300), None),
            // The margin reaches into the last half second: 110 is too late.
            (Overlap(SECONDS_10), 110, Some(300), Some(300)),
            (Idempotent(SECONDS_10), 110, Some(300), Some(300)),
            // Elsewhere only when nothing is left to lose.
            (Family, 101, Some(300), Some(300)),
            (SingleUse, 101, Some(300), Some(300)),
            (Unknown, 101, Some(300), Some(300)),
            (Family, 299, Some(300), Some(300)),
            (Family, 300, Some(300), None),
            (Overlap(SECONDS_10), 300, Some(300), None),
            // A dead access token does not make a request arrive earlier: the drain counts too.
            (Family, 130, Some(120), Some(140)),
            (Family, 140, Some(120), None),
            // Without an expiry the drain alone decides.
            (Unknown, 139, None, Some(140)),
            (Unknown, 140, None, None),
        ] {
            let expected_doubt = expected.map_or(call(now, 100, 2), |until| Plan::Hold(at(until)));
            let doubt = in_doubt(100, 140, 100);
            assert_eq!(
                planned(Some(&doubt), now, class, dies),
                expected_doubt.clone(),
                "{class:?} at {now}, dies {dies:?}"
            );
            // An orphaned intent is a doubt as well, drained some time after its lease.
            let lost = Phase::Intent(Intent { lease_until: at(110), ..intent(1, 100, 100, 2) });
            let alone = Circumstances { replicas: Replicas::One, ..circumstances(now, class, dies) };
            assert_eq!(plan(Some(&lost), name(9), &alone), expected_doubt, "{class:?} at {now}, dies {dies:?}");
        }
    }

    #[test]
    fn a_window_is_counted_from_the_first_sending_not_from_the_last() {
        // First sent at 100, sent again at 106: at 109 the window of 10 s is open, at 112 it is closed.
        let class = RefreshClass::Overlap(SECONDS_10);
        let again = in_doubt(100, 140, 106);
        assert_eq!(planned(Some(&again), 109, class, Some(300)), call(109, 100, 2));
        assert_eq!(planned(Some(&again), 112, class, Some(300)), Plan::Hold(at(300)));
    }

    fn tokens() -> Attempted {
        Attempted::Tokens { generation: Generation(6), sealed: b"next".to_vec() }
    }

    fn every_outcome() -> [Attempted; 4] {
        [
            tokens(),
            Attempted::NotSpent { not_before: at(210) },
            Attempted::InDoubt { not_before: at(210), drained_at: at(240) },
            Attempted::Refused,
        ]
    }

    fn settled(record: Option<&Record>, outcome: Attempted) -> Settled {
        settle(record, &name(1), Generation(5), outcome, at(200))
    }

    #[test]
    fn our_own_attempt_is_settled_by_its_outcome() {
        let first = record(5, Phase::Intent(intent(1, 190, 190, 0)));
        let again = record(5, Phase::Intent(intent(1, 190, 150, 2)));
        let doubt = |first_sent, drained, failures| Phase::InDoubt {
            first_sent: at(first_sent),
            drained_at: at(drained),
            failures,
            not_before: at(210),
        };
        let [tokens, not_spent, in_doubt, refused] = every_outcome();
        for (ours, outcome, expected) in [
            (&first, tokens.clone(), Record::idle(Generation(6), b"next".to_vec())),
            (&again, tokens, Record::idle(Generation(6), b"next".to_vec())),
            (&first, not_spent.clone(), record(5, Phase::Idle { failures: 1, not_before: Some(at(210)) })),
            // Turned away unspent the second time: the doubt about the first sending stays.
            (&again, not_spent, record(5, doubt(150, 190, 3))),
            (&first, in_doubt.clone(), record(5, doubt(190, 240, 1))),
            (&again, in_doubt, record(5, doubt(150, 240, 3))),
            (&first, refused.clone(), record(5, Phase::Refused { at: at(200) })),
            (&again, refused, record(5, Phase::Refused { at: at(200) })),
        ] {
            assert_eq!(settled(Some(ours), outcome.clone()), Settled::Write(expected), "{outcome:?} on {ours:?}");
        }
    }

    #[test]
    fn what_others_wrote_meanwhile_stands_except_for_tokens_nobody_else_got() {
        let others = [
            record(5, Phase::Intent(intent(2, 195, 190, 0))),
            record(5, IDLE),
            record(5, in_doubt(190, 220, 200)),
            record(5, Phase::Refused { at: at(199) }),
        ];
        for others in others.iter().map(Some).chain([None]) {
            for outcome in every_outcome() {
                let expected = match outcome {
                    // A refresh token that was received is never thrown away (S8).
                    Attempted::Tokens { .. } => Settled::Write(Record::idle(Generation(6), b"next".to_vec())),
                    _ => Settled::Superseded,
                };
                assert_eq!(settled(others, outcome.clone()), expected, "{outcome:?} on {others:?}");
            }
        }
    }

    #[test]
    fn a_newer_generation_supersedes_every_outcome_and_an_end_absorbs_it() {
        for outcome in every_outcome() {
            for phase in [IDLE, Phase::Intent(intent(1, 190, 190, 0)), Phase::Refused { at: at(1) }] {
                let newer = record(6, phase);
                assert_eq!(settled(Some(&newer), outcome.clone()), Settled::Superseded, "{outcome:?} on {newer:?}");
            }
            for generation in [4, 5, 9] {
                let over = record(generation, ended());
                let expected = Settled::Ended(EndReason::SignedOut);
                assert_eq!(settled(Some(&over), outcome.clone()), expected, "{outcome:?} on {over:?}");
            }
        }
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_pause_endless() {
        let at_now = Circumstances {
            now: at(1_000),
            class: RefreshClass::Reusable,
            access_token_expires_at: None,
            lease: Duration::from_secs(15),
            replicas: Replicas::One,
        };
        let longest = 1_000 + RETRY_AFTER_MAX.as_secs() as i64;
        for (until, held) in [(999, false), (1_001, true), (longest, true), (longest + 1, false), (90_000, false)] {
            let phases = [Phase::Idle { failures: 1, not_before: Some(at(until)) }, in_doubt(900, 900, until)];
            for phase in phases {
                let planned = plan(Some(&phase), Attempt::new(&Fixed(1)), &at_now);
                assert_eq!(matches!(planned, Plan::Hold(_)), held, "{phase:?}: {planned:?}");
            }
        }
    }

    #[test]
    fn every_record_survives_its_bytes() {
        let phases = [
            IDLE,
            Phase::Idle { failures: 7, not_before: Some(at(9)) },
            Phase::Intent(intent(1, 2, 1, 3)),
            in_doubt(1, 2, 3),
            Phase::Refused { at: at(4) },
        ];
        for phase in phases {
            let record = record(u64::MAX, phase);
            assert_eq!(Record::decode(&record.encode()), Ok(record));
        }
        for reason in [
            EndReason::SignedOut,
            EndReason::Refused,
            EndReason::IdentityChanged,
            EndReason::Callback,
            EndReason::TooOld,
        ] {
            let tombstone = Record::ended(Generation(3), reason, at(8));
            assert!(tombstone.sealed.is_empty(), "a tombstone keeps no tokens");
            assert_eq!(Record::decode(&tombstone.encode()), Ok(tombstone));
        }
    }

    #[test]
    fn junk_is_refused() {
        let good = String::from_utf8(record(1, IDLE).encode()).expect("records are JSON");
        let other_format = good.replace("\"v\":1", "\"v\":2");
        assert_ne!(good, other_format);
        let no_base64 = good.replace("c2VhbGVk", "!!!!");
        assert_ne!(good, no_base64);
        let unknown_phase = good.replace("idle", "asleep");
        for junk in
            ["", "null", "[]", "{}", "\u{0}", &good[..good.len() - 1], &other_format, &no_base64, &unknown_phase]
        {
            assert_eq!(Record::decode(junk.as_bytes()), Err(CorruptRecord), "{junk}");
        }
        assert_eq!(Record::decode(&[0xff; 40]), Err(CorruptRecord));
    }

    fn session(random: u8) -> SessionState {
        let tokens = TokenSet {
            access_token: AccessToken::new("at"),
            token_type: "Bearer".into(),
            refresh_token: Some(RefreshToken::new("rt")),
            id_token: None,
            scope: None,
            issued_at: at(0),
            expires_at: Some(at(300)),
            refresh_token_expires_at: None,
        };
        SessionState::begin(ProviderId::new("p"), serde_json::Map::new(), tokens, at(0), &Fixed(random))
    }

    fn keys(secrets: &[&str]) -> RecordKeys {
        let secrets: Vec<_> = secrets.iter().map(|secret| CookieSecret::new(*secret)).collect();
        RecordKeys::new(&secrets).expect("there is a secret")
    }

    #[test]
    fn a_record_opens_with_the_right_secret_share_session_and_generation_only() {
        let (ours, theirs) = (session(1), session(2));
        let sealed = seal_state(&keys(&["a-secret-of-32-bytes-for-testing"]), &ours, &Fixed(5));
        let kept = |generation| Record::idle(Generation(generation), sealed.clone());
        let open = |secrets: &[&str], generation, id, share: &KeyShare| {
            open_state(&keys(secrets), &kept(generation), id, share, &ProviderId::new("p"))
                .map(|state| state.generation)
        };
        let secret = "a-secret-of-32-bytes-for-testing";
        let newer = "another-secret-of-32-bytes-for-it";
        for (case, opened, expected) in [
            ("right", open(&[secret], 0, ours.id, &ours.share), Ok(Generation(0))),
            ("a newer secret in front", open(&[newer, secret], 0, ours.id, &ours.share), Ok(Generation(0))),
            ("another secret", open(&[newer], 0, ours.id, &ours.share), Err(CorruptRecord)),
            ("another share", open(&[secret], 0, ours.id, &theirs.share), Err(CorruptRecord)),
            ("another session", open(&[secret], 0, theirs.id, &ours.share), Err(CorruptRecord)),
            ("another generation", open(&[secret], 1, ours.id, &ours.share), Err(CorruptRecord)),
        ] {
            assert_eq!(opened, expected, "{case}");
        }
        assert!(!String::from_utf8_lossy(&kept(0).encode()).contains("rt"), "sealed is not clear");
        let mut torn = kept(0);
        torn.sealed.pop();
        let opened = open_state(&keys(&[secret]), &torn, ours.id, &ours.share, &ProviderId::new("p"));
        assert_eq!(opened.map(|state| state.generation), Err(CorruptRecord));
    }

    /// Found by the model checker (tests/model). A replica crashes just after it sent the refresh token; its request
    /// lingers in a proxy. The lease runs out, the access token is dead, another replica sends the refresh token again
    /// and gets a successor. Then the first request arrives: a reuse, and the provider revokes the family.
    #[test]
    fn a_crash_is_drained_like_a_timeout() {
        let orphan = Phase::Intent(intent(1, 100, 100, 0));
        let (lease_over, drained) = (125, 155);
        assert_eq!(planned(Some(&orphan), lease_over, RefreshClass::Family, Some(110)), Plan::Hold(at(drained)));
        let Plan::Call(again) = planned(Some(&orphan), drained, RefreshClass::Family, Some(110)) else {
            panic!("drained, and nothing left to lose")
        };
        assert_eq!((again.first_sent, again.drained_at), (at(100), Some(at(drained))));
    }

    /// Found by the model checker. No answer to the first request, which may arrive until 140; the second, sent inside
    /// the overlap, is turned away or answered 500. That says nothing about the first: a last resort before 140 could
    /// be overtaken by it, and then the overlap is over.
    #[test]
    fn an_answered_repetition_does_not_vouch_for_the_request_before_it() {
        let class = RefreshClass::Overlap(SECONDS_10);
        let Plan::Call(again) = planned(Some(&in_doubt(100, 140, 100)), 102, class, Some(110)) else {
            panic!("inside the overlap")
        };
        let flying = record(5, Phase::Intent(again));
        for answered in [
            Attempted::NotSpent { not_before: at(103) },
            Attempted::InDoubt { not_before: at(103), drained_at: at(103) },
        ] {
            let settled = settle(Some(&flying), &name(9), Generation(5), answered.clone(), at(103));
            let Settled::Write(after) = settled else { panic!("{answered:?} is ours to settle") };
            assert_eq!(planned(Some(&after.phase), 120, class, Some(110)), Plan::Hold(at(140)), "{answered:?}");
        }
    }

    /// Found by the model checker. A replica plans, discovery or the store takes its time, and the lease is nearly over
    /// when the request goes out: another replica calls while it is under way.
    #[test]
    fn a_lease_covers_a_call_that_is_over_before_it() {
        let intent = intent(1, 100, 100, 0);
        for (end, expected) in [(110, true), (124, true), (125, false), (130, false)] {
            assert_eq!(intent.covers(at(end)), expected, "{end}");
        }
    }
}
