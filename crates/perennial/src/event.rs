//! What happened: for logs, metrics, pages and tests. Events name sessions by fingerprint and never hold a token.

use std::time::Duration;

use perennial_core::Timestamp;
use perennial_core::condition::Condition;
use perennial_core::record::{EndReason, ResendReason};
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
    /// A person must look: the provider refuses our client, or the store fails.
    Alarm {
        /// When.
        at: Timestamp,
        /// A stable code.
        code: &'static str,
        /// What is wrong and what to do, in one sentence.
        message: String,
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
    /// What asked for it.
    pub reason: RenewalReason,
    /// How long the provider took; zero if it was not called.
    pub provider_time: Duration,
    /// How many other requests waited for the outcome.
    pub waiters: usize,
    /// What came of it.
    pub outcome: RenewalOutcome,
    /// How the session stands afterwards.
    pub condition: Condition,
    /// Why a refresh token that may be spent was sent again, if that was so.
    pub resend: Option<ResendReason>,
    /// Four characters that tell this access token from others.
    pub access_token_fingerprint: Option<String>,
    /// When the newest access token was asked for.
    pub issued_at: Option<Timestamp>,
    /// When the newest access token dies.
    pub expires_at: Option<Timestamp>,
    /// When the session becomes due again.
    pub due_at: Option<Timestamp>,
}

/// What asked for a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RenewalReason {
    /// The access token's renewal window had begun.
    AheadOfTime,
    /// The access token had died.
    Expired,
    /// Somebody pressed the button or called for it.
    OnDemand,
    /// A request needed an access token for another audience, and there was none that lives.
    Audience,
    /// An upstream answered 401 `invalid_token`.
    Unauthorized,
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
