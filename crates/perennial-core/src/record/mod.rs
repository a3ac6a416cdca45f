//! The record of a session in the store, and every decision about it: who may call the provider, and what to keep of
//! its answer.
//!
//! The record holds the newest generation, sealed under a key that needs a share which only the cookie carries, and says
//! where the session stands. Before a refresh token is sent, an *intent* is written into the same record by
//! compare-and-swap; whoever wins that write calls, everybody else waits. An intent whose lease ran out does not mean
//! "free" but "in doubt": the provider may have spent the refresh token. What may be done then depends on the
//! provider's [`RefreshClass`](crate::provider::RefreshClass).
//!
//! Three steps, all pure: [`join`] cookie and record, [`plan`] what to do, [`settle`] the outcome. The driver's `renew`
//! is these three with a store and an HTTP client between them.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::limits::REPLICA_CLOCK_SKEW;
use crate::outage::Turn;
use crate::random::{SecureRandom, random_bytes};
use crate::session::Generation;
use crate::time::Timestamp;

mod base64_text;
mod doubt;
#[cfg(test)]
mod fixtures;
mod fork;
mod history;
mod mark;
mod owed;
mod plan;
mod sealed;
mod settle;

pub use doubt::{Doubt, Evidence, Lost, Question, ResendReason, Told};
pub use fork::{Kept, Successor, fork};
pub use history::{Entry, History, Loss, RenewalEntry, RenewalReason, RenewalVerdict, Repeated, What};
pub use mark::EndMark;
pub use owed::{OwedRevocation, OwedRevocations};
pub use plan::{Circumstances, Plan, Replicas, plan};
pub use sealed::{open_state, seal_state};
pub use settle::{Attempted, Settled, settle};

/// What the store keeps of one session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    v: u8,
    /// The newest generation.
    pub generation: Generation,
    /// That generation's [`SessionState`](crate::session::SessionState), sealed; empty once the session has ended.
    #[serde(with = "base64_text")]
    pub sealed: Vec<u8>,
    /// How many intents were written for this session so far; never decreases.
    #[serde(default)]
    pub fence: u64,
    /// Where the session stands.
    pub phase: Phase,
    /// How it came there.
    #[serde(default, skip_serializing_if = "History::is_untold")]
    pub history: History,
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
    InDoubt(Doubt),
    /// The provider refused the newest refresh token: the access token may be used up, then the user signs in again.
    Refused {
        /// When.
        at: Timestamp,
        /// What the provider wants of the next sign-in (OIDC Core §5.5), if it said so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        claims: Option<String>,
    },
    /// Signed out or expelled. Absorbing: nothing revives the session.
    Ended {
        /// When.
        at: Timestamp,
        /// Why.
        reason: EndReason,
    },
}

impl Phase {
    /// Nobody is renewing, and nothing went wrong last time.
    pub const IDLE: Self = Self::Idle { failures: 0, not_before: None };
}

/// The write-ahead note of one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Which attempt.
    pub attempt: Attempt,
    /// Which intent of this session it is, counted from 1: a later attempt has a higher one.
    #[serde(default)]
    pub fence: u64,
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
    /// Why the refresh token is sent again although it may be spent; `None` when this attempt is the first to send it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resend: Option<ResendReason>,
}

impl Intent {
    /// The same intent, counted as the next of the session whose record it is about to be written into.
    pub fn counted(self, record: Option<&Record>) -> Self {
        Self { fence: record.map_or(0, |record| record.fence).saturating_add(1), ..self }
    }

    /// Whether this attempt follows a failed one.
    pub fn turn(&self) -> Turn {
        if self.failures == 0 && self.resend.is_none() { Turn::First } else { Turn::Again }
    }

    /// Whether a call that is over by `end` is over before anybody else may call, by the clock of any replica.
    ///
    /// To be asked right before the refresh token is sent: planning, discovery and the store take time too.
    pub fn covers(&self, end: Timestamp) -> bool {
        end + REPLICA_CLOCK_SKEW < self.lease_until
    }

    /// Whether both are the same attempt's, wherever its lease stands.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        self.attempt == other.attempt && self.fence == other.fence
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

    /// The first six characters: enough to tell the attempts of one session apart in logs.
    pub fn short(&self) -> &str {
        self.0.get(..6).unwrap_or(&self.0)
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
    /// For the one who asked: another process has ended it and told so; the record says why.
    Elsewhere,
    /// The session reached its absolute lifetime.
    TooOld,
    /// The provider said that the user has signed out there (OIDC Back-Channel Logout).
    ProviderSignedOut,
    /// An operator ended it.
    OperatorEnded,
    /// The session is of an older epoch and has no refresh token by which its provider could vouch for it.
    Unproven,
}

impl EndReason {
    /// Its stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::SignedOut => "signed_out",
            Self::Refused => "refused",
            Self::IdentityChanged => "identity_changed",
            Self::Callback => "callback",
            Self::SecretGone => "secret_gone",
            Self::Elsewhere => "elsewhere",
            Self::TooOld => "too_old",
            Self::ProviderSignedOut => "provider_signed_out",
            Self::OperatorEnded => "operator_ended",
            Self::Unproven => "unproven",
        }
    }
}

impl Record {
    /// The first record of a session, in which nobody is renewing.
    pub fn idle(generation: Generation, sealed: Vec<u8>) -> Self {
        Self::following(None, generation, sealed, Phase::IDLE)
    }

    /// The record that is to stand in place of `previous`: what belongs to the session and not to one generation goes on.
    pub fn following(previous: Option<&Self>, generation: Generation, sealed: Vec<u8>, phase: Phase) -> Self {
        let intents = previous.map_or(0, |previous| previous.fence);
        let fence = match &phase {
            Phase::Intent(intent) => intent.fence.max(intents),
            _ => intents,
        };
        let history = previous.map(|previous| previous.history.clone()).unwrap_or_default();
        Self { v: FORMAT, generation, sealed, fence, phase, history }
    }

    /// The same record, with `entry` at the end of its history.
    pub fn noting(mut self, entry: Entry) -> Self {
        self.history.note(entry);
        self
    }

    /// The tombstone of a session: keeps the generation, forgets the tokens.
    pub fn ended(previous: Option<&Self>, generation: Generation, reason: EndReason, at: Timestamp) -> Self {
        Self::following(previous, generation, Vec::new(), Phase::Ended { at, reason })
    }

    /// Whether the store has forgotten the intent that it acknowledged, or a later one.
    pub fn is_behind(record: Option<&Self>, intent: &Intent) -> bool {
        record.map_or(0, |record| record.fence) < intent.fence
    }

    /// The same record with the lease of `intent` counted from `now`, for as long as the record still holds it: the call
    /// is under way, and nobody is to take it for lost.
    pub fn prolonged(&self, intent: &Intent, lease: Duration, now: Timestamp) -> Option<Self> {
        match &self.phase {
            Phase::Intent(ours) if ours.is_same_as(intent) && ours.lease_until < now + lease => {
                Some(self.in_phase(Phase::Intent(Intent { lease_until: now + lease, ..ours.clone() })))
            }
            _ => None,
        }
    }

    /// The bytes a store keeps.
    pub fn encode(&self) -> Vec<u8> {
        // Numbers, strings and enums with string tags: serialising them cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// [`Unreadable::Newer`] when a later version of this program wrote it, [`Unreadable::Damaged`] when the bytes are
    /// something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        match serde_json::from_slice(bytes) {
            Ok(record @ Self { v: FORMAT, .. }) => Ok(record),
            // Only now, because nearly all are of this format: whose it is.
            Ok(_) | Err(_) => match serde_json::from_slice(bytes) {
                Ok(Format { v }) if v > FORMAT => Err(Unreadable::Newer),
                Ok(_) | Err(_) => Err(Unreadable::Damaged),
            },
        }
    }

    fn in_phase(&self, phase: Phase) -> Self {
        Self { phase, ..self.clone() }
    }
}

/// What every record says, whichever version wrote it.
#[derive(Deserialize)]
struct Format {
    v: u8,
}

/// A record's bytes cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Not what was written: whatever the session's cookie holds is the best that is left.
    #[error("the session's record is damaged")]
    Damaged,
    /// Written by a later version of this program, which replicas of that version read well: it must stay as it is.
    #[error(
        "the session's record was written by a later version of Perennial: finish the roll-out, or go back with all replicas"
    )]
    Newer,
}

/// What a record holds does not open: it is damaged or was sealed under a secret that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session's record cannot be opened: it is damaged or was sealed under a secret that is gone")]
pub struct CorruptRecord;
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

/// The later end of two drains, of which the earlier attempts' may be none.
fn later(earlier_attempts: Option<Timestamp>, this: Timestamp) -> Timestamp {
    earlier_attempts.map_or(this, |earlier| earlier.max(this))
}

const FORMAT: u8 = 1;

#[cfg(test)]
mod tests {
    use super::fixtures::*;
    use super::*;

    #[test]
    fn the_higher_generation_wins_and_an_end_wins_over_both() {
        let alive = [Phase::IDLE, Phase::Intent(intent(1, 0, 0, 0)), in_doubt(0, 0, 0), refused_at(1)];
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

    #[test]
    fn every_record_survives_its_bytes() {
        let phases = [
            Phase::IDLE,
            Phase::Idle { failures: 7, not_before: Some(at(9)) },
            Phase::Intent(intent(1, 2, 1, 3)),
            in_doubt(1, 2, 3),
            Phase::InDoubt(Doubt {
                lost: Lost::Broken,
                resend: Some(ResendReason::Window),
                evidence: Evidence::Spent,
                ..doubt(1, 2, 3)
            }),
            refused_at(4),
            Phase::Refused { at: at(4), claims: Some("{\"id_token\":{}}".into()) },
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
            EndReason::ProviderSignedOut,
            EndReason::OperatorEnded,
            EndReason::Unproven,
        ] {
            let tombstone = Record::ended(Some(&record(3, Phase::IDLE)), Generation(3), reason, at(8));
            assert!(tombstone.sealed.is_empty(), "a tombstone keeps no tokens");
            assert_eq!(Record::decode(&tombstone.encode()), Ok(tombstone));
        }
    }

    #[test]
    fn junk_is_refused() {
        let good = String::from_utf8(record(1, Phase::IDLE).encode()).expect("records are JSON");
        let older = good.replace("\"v\":1", "\"v\":0");
        assert_ne!(good, older);
        let no_base64 = good.replace("c2VhbGVk", "!!!!");
        assert_ne!(good, no_base64);
        let unknown_phase = good.replace("idle", "asleep");
        for junk in ["", "null", "[]", "{}", "\u{0}", &good[..good.len() - 1], &older, &no_base64, &unknown_phase] {
            assert_eq!(Record::decode(junk.as_bytes()), Err(Unreadable::Damaged), "{junk}");
        }
        assert_eq!(Record::decode(&[0xff; 40]), Err(Unreadable::Damaged));
        // Whatever else a later format may bring.
        for newer in [good.replace("\"v\":1", "\"v\":2"), "{\"v\":9,\"phase\":[]}".to_owned()] {
            assert_eq!(Record::decode(newer.as_bytes()), Err(Unreadable::Newer), "{newer}");
        }
    }

    /// Found by the model checker. A replica plans, discovery or the store takes its time, and the lease is nearly over
    /// when the request goes out: another replica calls while it is under way.
    #[test]
    fn a_lease_covers_a_call_that_is_over_before_it() {
        let intent = intent(1, 100, 100, 0);
        // The lease runs to 125, and the clocks of others may be 5 s ahead of ours.
        for (end, expected) in [(110, true), (119, true), (120, false), (125, false), (130, false)] {
            assert_eq!(intent.covers(at(end)), expected, "{end}");
        }
    }

    #[test]
    fn intents_are_counted_over_the_life_of_a_session() {
        let intending = |record: Option<&Record>, generation| {
            let intent = intent(1, 100, 100, 0).counted(record);
            Record::following(record, Generation(generation), Vec::new(), Phase::Intent(intent))
        };
        let first = intending(None, 0);
        let idle = Record::following(Some(&first), Generation(1), Vec::new(), Phase::IDLE);
        let second = intending(Some(&idle), 1);
        let ended = Record::ended(Some(&second), Generation(1), EndReason::SignedOut, at(201));
        assert_eq!([first.fence, idle.fence, second.fence, ended.fence], [1, 1, 2, 2]);
        let Phase::Intent(written) = second.phase else { panic!("an intent was written") };
        assert_eq!(written.fence, 2);
    }

    #[test]
    fn a_lease_is_prolonged_for_the_intent_that_still_stands_and_never_shortened() {
        let lease = Duration::from_secs(25);
        let ours = Intent { fence: 1, ..intent(1, 100, 100, 0) };
        let standing = record(5, Phase::Intent(ours.clone()));
        let until = |record: Option<Record>| match record?.phase {
            Phase::Intent(intent) => Some(intent.lease_until),
            other => panic!("{other:?}"),
        };
        assert_eq!(until(standing.prolonged(&ours, lease, at(105))), Some(at(130)));
        assert_eq!(until(standing.prolonged(&ours, lease, at(95))), None, "a clock set back shortens nothing");
        let later = Intent { fence: 2, ..ours.clone() };
        for (case, other) in [
            ("another attempt", record(5, Phase::Intent(Intent { attempt: name(2), ..ours.clone() }))),
            ("a later intent", record(5, Phase::Intent(later))),
            ("committed meanwhile", record(6, Phase::IDLE)),
            ("ended meanwhile", record(5, ended())),
        ] {
            assert_eq!(other.prolonged(&ours, lease, at(105)), None, "{case}");
        }
    }
}
