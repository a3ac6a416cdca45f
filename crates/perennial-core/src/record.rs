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
    /// Failed attempts before this one.
    pub failures: u32,
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
    let call = |first_sent, failures| {
        Plan::Call(Intent { attempt, started: at.now, lease_until: at.now + at.lease, first_sent, failures })
    };
    match phase {
        None => call(at.now, 0),
        Some(Phase::Idle { not_before: Some(until), .. }) if at.now < *until => Plan::Hold(*until),
        Some(Phase::Idle { failures, .. }) => call(at.now, *failures),
        Some(Phase::Intent(other)) if at.replicas == Replicas::Many && at.now < other.lease_until => {
            Plan::Wait(other.lease_until)
        }
        // The one who wrote it is gone, because no call outlives its lease or nobody else is there: the refresh token may
        // be spent.
        Some(Phase::Intent(lost)) => match resend(at, lost.first_sent, lost.lease_until) {
            Resend::Now => call(lost.first_sent, lost.failures),
            Resend::NotBefore(until) => Plan::Hold(until),
        },
        Some(Phase::InDoubt { not_before, .. }) if at.now < *not_before => Plan::Hold(*not_before),
        Some(Phase::InDoubt { first_sent, drained_at, failures, .. }) => match resend(at, *first_sent, *drained_at) {
            Resend::Now => call(*first_sent, *failures),
            Resend::NotBefore(until) => Plan::Hold(until),
        },
        Some(Phase::Refused { .. } | Phase::Ended { .. }) => Plan::Refused,
    }
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
        (Attempted::NotSpent { not_before }, Some(record), Some(intent)) => Settled::Write(record.in_phase(
            // A re-send that was turned away unspent leaves the doubt about the first one.
            if intent.first_sent < intent.started {
                doubt(intent, now, not_before)
            } else {
                Phase::Idle { failures: intent.failures + 1, not_before: Some(not_before) }
            },
        )),
        (Attempted::InDoubt { not_before, drained_at }, Some(record), Some(intent)) => {
            Settled::Write(record.in_phase(doubt(intent, drained_at, not_before)))
        }
        (_, _, None) | (_, None, _) => Settled::Superseded,
    }
}

fn doubt(intent: &Intent, drained_at: Timestamp, not_before: Timestamp) -> Phase {
    Phase::InDoubt { first_sent: intent.first_sent, drained_at, failures: intent.failures + 1, not_before }
}

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
