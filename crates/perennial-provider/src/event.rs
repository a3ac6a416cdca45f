//! What the provider tells about: one event for each thing that happened, one outcome for each token request.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::behaviour::RefreshClass;

/// Something that happened at the provider; it never carries a token.
#[derive(Clone, Debug, Serialize)]
pub struct ProviderEvent {
    /// Counts up from 1; a gap means that the listener was too slow.
    pub sequence: u64,
    /// When it was over, in milliseconds since 1970.
    pub at_ms: u64,
    /// What it was.
    pub kind: EventKind,
    /// The client concerned, where known.
    pub client: Option<String>,
    /// The family concerned, where known.
    pub family: Option<u64>,
    /// The serial of the refresh token presented, or of the first one issued, where there is one.
    pub serial: Option<u64>,
    /// What came of it, for token requests.
    pub outcome: Option<Outcome>,
    /// How long it took at the provider, in milliseconds.
    pub duration_ms: u64,
    /// One sentence for people.
    pub text: String,
}

/// The kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A request to the authorization endpoint was answered.
    Authorize,
    /// The faults or the class were changed.
    Behaviour,
    /// Somebody signed out.
    EndSession,
    /// A token was introspected.
    Introspect,
    /// The signing keys were rotated.
    Keys,
    /// Everything or a part was reset.
    Reset,
    /// A request to a protected resource (`/api`, `/userinfo`).
    Resource,
    /// A token was revoked.
    Revoke,
    /// A token request was answered, or not.
    Token,
}

/// What came of a token request; each request has exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// A code was redeemed for tokens.
    Issued,
    /// A machine got a token (`client_credentials`).
    IssuedToMachine,
    /// A refresh token was redeemed and has a successor.
    Rotated,
    /// A refresh token was accepted that was redeemed before, or need not be rotated, as its class allows.
    ReusedOk(RefreshClass),
    /// A code was presented a second time: its tokens are revoked.
    CodeReuseDetected,
    /// A code was unknown, expired, or another's, or its verifier did not fit.
    CodeRejected,
    /// A refresh token had expired.
    RejectedExpired,
    /// A refresh token of a family that was revoked before.
    RejectedRevoked,
    /// A spent refresh token was presented, in a class where nothing else dies.
    RejectedSpent,
    /// A refresh token nobody knows, or another client's.
    RejectedUnknown,
    /// A spent refresh token was presented, and its family is revoked.
    ReuseDetectedFamilyRevoked,
    /// The client could not be authenticated, or was told so by a fault.
    InvalidClient,
    /// The request was not understood or not allowed.
    InvalidRequest,
    /// A fault: this status was answered, and nothing was committed.
    FaultedStatus,
    /// A fault: HTML or a redirect was answered, and nothing was committed.
    Misanswered,
    /// A fault: the connection was closed before the commit.
    Dropped,
    /// A fault: the tokens were committed, and the answer was withheld or cut.
    ReplyLost,
}

impl Outcome {
    /// Whether tokens were committed.
    pub fn is_committed(self) -> bool {
        matches!(self, Self::Issued | Self::IssuedToMachine | Self::Rotated | Self::ReusedOk(_) | Self::ReplyLost)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReusedOk(class) => return write!(f, "reused_ok_{class}"),
            Self::Issued => "issued",
            Self::IssuedToMachine => "issued_to_machine",
            Self::Rotated => "rotated",
            Self::CodeReuseDetected => "code_reuse_detected",
            Self::CodeRejected => "code_rejected",
            Self::RejectedExpired => "rejected_expired",
            Self::RejectedRevoked => "rejected_revoked",
            Self::RejectedSpent => "rejected_spent",
            Self::RejectedUnknown => "rejected_unknown",
            Self::ReuseDetectedFamilyRevoked => "reuse_detected_family_revoked",
            Self::InvalidClient => "invalid_client",
            Self::InvalidRequest => "invalid_request",
            Self::FaultedStatus => "faulted_status",
            Self::Misanswered => "misanswered",
            Self::Dropped => "dropped",
            Self::ReplyLost => "reply_lost",
        })
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
