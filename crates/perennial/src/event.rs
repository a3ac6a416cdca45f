//! What happened: for logs, metrics, pages and tests. Events name sessions by fingerprint and never hold a token.

use std::time::Duration;

use perennial_core::Timestamp;
use perennial_core::condition::Condition;
pub use perennial_core::record::RenewalReason;
use perennial_core::record::{EndReason, Kept, Loss, ResendReason};
use perennial_core::session::Generation;
use serde::Serialize;

/// Something that happened to a session.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A user signed in (Auth.js event `signIn`).
    SignedIn {
        /// When.
        at: Timestamp,
        /// The session's fingerprint.
        session: String,
        /// The provider's id.
        provider: String,
    },
    /// A user signed out (Auth.js event `signOut`).
    SignedOut {
        /// When.
        at: Timestamp,
        /// The session's fingerprint.
        session: String,
    },
    /// The engine ended a session.
    Ended {
        /// When.
        at: Timestamp,
        /// The session's fingerprint.
        session: String,
        /// Why.
        reason: EndReason,
        /// The provider's id.
        provider: String,
        /// How it was lost, if nobody asked for its end.
        loss: Option<Loss>,
    },
    /// A renewal came to its end, well or not.
    Renewal(Renewal),
    /// A cookie of an older generation was given the newest one from the record.
    StaleCookieSaved {
        /// When.
        at: Timestamp,
        /// The session's fingerprint.
        session: String,
        /// The generation the cookie held.
        presented: Generation,
        /// The generation it was given.
        newest: Generation,
    },
    /// Cookie and record were found with different tokens at one generation: the store has lost a write, and a refresh token was
    /// redeemed twice. The session goes on. Told once for a generation by each process.
    Forked {
        /// When.
        at: Timestamp,
        /// The session's fingerprint.
        session: String,
        /// The generation of both.
        generation: Generation,
        /// The provider's id.
        provider: String,
        /// Whose tokens go on.
        kept: Kept,
    },
    /// A person must look: the provider refuses our client, or the store fails.
    Alarm {
        /// When.
        at: Timestamp,
        /// A stable code of the [table](crate::AlarmCode).
        code: &'static str,
        /// The provider it is about, if it is about one.
        provider: Option<String>,
        /// What is wrong, in one sentence.
        message: String,
        /// What to do, in one sentence.
        remedy: &'static str,
        /// How often the same was held back since it was last told.
        held_back: u64,
    },
}

/// The outcome of one renewal.
#[derive(Clone, Debug, Serialize)]
pub struct Renewal {
    /// When it ended.
    pub at: Timestamp,
    /// The session's fingerprint.
    pub session: String,
    /// The newest generation after it.
    pub generation: Generation,
    /// The provider's id.
    pub provider: String,
    /// The beginning of the attempt's name, as the session's record and the log have it.
    pub attempt: String,
    /// What asked for it.
    pub reason: RenewalReason,
    /// Why a refresh token was sent that had been sent before.
    pub resend: Option<ResendReason>,
    /// How long the provider took; zero if it was not called.
    pub provider_time: Duration,
    /// How many other requests waited for the outcome.
    pub waiters: usize,
    /// What came of it.
    pub outcome: RenewalOutcome,
    /// How the session stands afterwards.
    pub condition: Condition,
    /// Four characters that tell this access token from others.
    pub access_token_fingerprint: Option<String>,
    /// When the newest access token was asked for.
    pub issued_at: Option<Timestamp>,
    /// When the newest access token dies.
    pub expires_at: Option<Timestamp>,
    /// When the session becomes due again.
    pub due_at: Option<Timestamp>,
}

/// What came of a renewal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RenewalOutcome {
    /// New tokens.
    Renewed,
    /// No new tokens this time; the session stays.
    Kept {
        /// A stable code: `not_sent`, `not_processed`, `misconfigured`, `in_doubt`, `store_unavailable`, `held`, `audience_refused`.
        why: &'static str,
    },
    /// The provider refused the refresh token: the session lasts as long as its access token.
    Refused,
    /// The session ended while the renewal was under way; what arrived was revoked.
    Ended,
}

impl RenewalOutcome {
    /// Its stable code: of a session that was kept, why.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Renewed => "renewed",
            Self::Kept { why } => why,
            Self::Refused => "refused",
            Self::Ended => "ended",
        }
    }
}
