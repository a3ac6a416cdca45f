//! One entry of a session's history, as it lies in the record.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::record::{EndReason, Intent, Kept, ResendReason};
use crate::session::Generation;
use crate::time::Timestamp;

/// One thing that happened. Its names in the record are short because it is stored sixteen times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When it was written down.
    #[serde(rename = "t")]
    pub at: Timestamp,
    /// The newest generation after it.
    #[serde(rename = "g")]
    pub generation: Generation,
    /// When that generation's access token dies, if it is known to.
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Cookies of older generations that this replica gave the newest one since its last entry.
    #[serde(rename = "s", default, skip_serializing_if = "is_zero")]
    pub stale_cookies: u32,
    /// That another successor at this generation was met, and which of the two went on.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    pub fork: Option<Kept>,
    /// What happened.
    #[serde(rename = "w")]
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The user signed in; never dropped.
    SignedIn,
    /// An attempt to renew.
    Renewal(RenewalEntry),
    /// The session ended.
    Ended(EndReason),
}

/// One attempt to renew, or several in a row that failed alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewalEntry {
    /// The beginning of the attempt's name; of the last, if there were several.
    #[serde(rename = "a")]
    pub attempt: String,
    /// What asked for it.
    #[serde(rename = "y")]
    pub reason: RenewalReason,
    /// What came of it.
    #[serde(rename = "v")]
    pub verdict: RenewalVerdict,
    /// Why a refresh token was sent that had been sent before.
    #[serde(rename = "again", default, skip_serializing_if = "Option::is_none")]
    pub resend: Option<ResendReason>,
    /// How many other requests waited for it.
    #[serde(rename = "n", default, skip_serializing_if = "is_zero")]
    pub waiters: u32,
    /// How long the provider took, in milliseconds.
    #[serde(rename = "ms", default, skip_serializing_if = "is_zero")]
    pub provider_millis: u32,
    /// The HTTP status of the provider's answer, if one came that brought no tokens.
    #[serde(rename = "h", default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The provider's `error` code (RFC 6749 §5.2), printable and cut; never its description.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The replica that made the attempt, if it has a name.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub replica: Option<String>,
    /// That it happened more than once in a row.
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    pub repeated: Option<Repeated>,
}

/// Attempts in a row that failed alike, told as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeated {
    /// When the first of them failed.
    #[serde(rename = "t")]
    pub since: Timestamp,
    /// How many there were.
    #[serde(rename = "n")]
    pub times: u32,
}

/// What asked for a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    /// The session was of an older epoch: its provider had to vouch for it.
    Epoch,
    /// The answer to an earlier attempt was lost, and nobody else came while it could be asked for again.
    Doubt,
}

/// What came of an attempt to renew, as far as the record knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RenewalVerdict {
    /// It was begun. If another entry follows, nobody ever heard of it again.
    Begun,
    /// New tokens.
    Renewed,
    /// The request never left; nothing was spent.
    NotSent,
    /// The provider was busy; nothing was spent.
    NotProcessed,
    /// The provider refuses our client; nothing was spent.
    Misconfigured,
    /// The provider said no in a way that may mean "try again".
    Ambiguous,
    /// The provider gives no token for the audience that was asked for; nothing was spent.
    AudienceRefused,
    /// No tokens of use, but a refresh token that was saved.
    Salvaged,
    /// No answer: nobody knows whether the refresh token was spent.
    InDoubt,
    /// The provider refused the refresh token.
    Refused,
}

impl RenewalEntry {
    /// The beginning of an attempt, of whose outcome nothing is known.
    pub fn begun(intent: &Intent, reason: RenewalReason, replica: Option<&str>) -> Self {
        Self {
            attempt: intent.attempt.short().to_owned(),
            reason,
            verdict: RenewalVerdict::Begun,
            resend: intent.resend,
            waiters: 0,
            provider_millis: 0,
            status: None,
            error: None,
            replica: replica.map(str::to_owned),
            repeated: None,
        }
    }

    /// The same with how long the provider took.
    pub fn with_provider_time(self, took: Duration) -> Self {
        Self { provider_millis: u32::try_from(took.as_millis()).unwrap_or(u32::MAX), ..self }
    }
}

impl RenewalReason {
    /// Its stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::AheadOfTime => "ahead_of_time",
            Self::Expired => "expired",
            Self::OnDemand => "on_demand",
            Self::Audience => "audience",
            Self::Unauthorized => "unauthorized",
            Self::Epoch => "epoch",
            Self::Doubt => "doubt",
        }
    }
}

impl RenewalVerdict {
    /// Its stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Renewed => "renewed",
            Self::NotSent => "not_sent",
            Self::NotProcessed => "not_processed",
            Self::Misconfigured => "misconfigured",
            Self::Ambiguous => "ambiguous",
            Self::AudienceRefused => "audience_refused",
            Self::Salvaged => "salvaged",
            Self::InDoubt => "in_doubt",
            Self::Refused => "refused",
        }
    }

    /// Whether nobody knows if the refresh token was spent.
    pub fn leaves_doubt(self) -> bool {
        matches!(self, Self::Begun | Self::InDoubt)
    }

    pub(super) fn is_failure(self) -> bool {
        !matches!(self, Self::Begun | Self::Renewed)
    }
}

/// For what is left out of the record where there is nothing to count.
pub(super) fn is_zero(number: &u32) -> bool {
    *number == 0
}
