//! RFC 6749 §5.2: what a failure says about the refresh token that was sent. No session ends here: that is decided
//! by who holds the record, and only after reading it again.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value};

use super::{answer, printable_code, retry_after};
use crate::Timestamp;
use crate::limits::CLAIMS_CHALLENGE_CHARS;
use crate::provider::{FailureMeaning, Provider, common_failures};
use crate::record::Lost;
use crate::secret::RefreshToken;

/// A token request did not bring tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenFailure {
    /// What it says about the refresh token that was sent.
    pub verdict: Verdict,
    /// The provider's `error` code, printable and cut.
    pub error: Option<String>,
    /// The HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// A refresh token that came with an answer of no other use: it may be the only one that is still good.
    pub salvaged: Option<RefreshToken>,
    /// How the answer got lost, where nobody can tell whether the token was spent.
    pub lost: Option<Lost>,
}

/// What a failure says about the refresh token that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Refused for a request whose shape worked before: one spaced retry, then a new sign-in.
    Ambiguous,
    /// Nobody can tell whether it was spent.
    InDoubt,
    /// Our configuration was refused and the token not judged: the session stays, an operator must act.
    Misconfigured,
    /// The provider did not process the request: the same token may be sent again after a while.
    NotProcessed {
        /// How long to wait, if the provider says so.
        retry_after: Option<Duration>,
    },
    /// The request never left.
    NotSent,
    /// The provider wants to see the user.
    Reauthenticate {
        /// The `claims` parameter for the next authorization request, a JSON object.
        claims: Option<String>,
    },
    /// The token is refused, provided it was the newest one.
    Rejected,
}

impl TokenFailure {
    /// The request never left: no connection, no TLS, no signature.
    pub const fn not_sent() -> Self {
        Self::without_answer(Verdict::NotSent, None)
    }

    /// The request left and no whole answer came back: the connection broke.
    pub const fn no_answer() -> Self {
        Self::without_answer(Verdict::InDoubt, Some(Lost::Broken))
    }

    /// The request left and no whole answer came back in time.
    pub const fn timed_out() -> Self {
        Self::without_answer(Verdict::InDoubt, Some(Lost::TimedOut))
    }

    /// How long the provider asked to be left alone, if it did.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.verdict {
            Verdict::NotProcessed { retry_after } => retry_after,
            _ => None,
        }
    }

    /// Whether the refusal of a request that named an audience may be about that audience, and not about the client or the
    /// refresh token (RFC 8707 §2, RFC 6749 §5.2). Where a provider does not say, the session gets the benefit of the doubt.
    pub fn may_be_about_the_audience(&self) -> bool {
        match self.verdict {
            Verdict::Ambiguous => true,
            Verdict::Misconfigured => matches!(self.error.as_deref(), Some("invalid_target" | "invalid_scope")),
            _ => false,
        }
    }

    const fn without_answer(verdict: Verdict, lost: Option<Lost>) -> Self {
        Self { verdict, error: None, status: None, salvaged: None, lost }
    }
}

impl std::fmt::Display for TokenFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = match self.verdict {
            Verdict::Ambiguous => "the provider refused the request without saying why",
            Verdict::InDoubt => "the provider did not give a whole answer",
            Verdict::Misconfigured => "the provider refused our configuration",
            Verdict::NotProcessed { .. } => "the provider is busy",
            Verdict::NotSent => "the provider could not be reached",
            Verdict::Reauthenticate { .. } => "the provider wants the user to sign in again",
            Verdict::Rejected => "the provider refused the token",
        };
        f.write_str(what)?;
        match (&self.error, self.status) {
            (Some(error), Some(status)) => write!(f, " ({error}, HTTP {status})"),
            (None, Some(status)) => write!(f, " (HTTP {status})"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for TokenFailure {}

/// Judges an answer that brought no tokens: the provider's own wordings first, then the registered codes, then the status.
pub(super) fn classify(
    provider: &Provider,
    status: StatusCode,
    headers: &HeaderMap,
    members: Option<&Map<String, Value>>,
    now: Timestamp,
) -> TokenFailure {
    let error = members.and_then(answer::error_code);
    let description = members.map(answer::error_description).unwrap_or_default();
    let not_processed = || Verdict::NotProcessed { retry_after: retry_after(headers, now) };
    let worded =
        provider.failures.iter().chain(common_failures()).find(|pattern| pattern.matches(status, error, description));
    let verdict = match worded.map(|pattern| pattern.means()) {
        Some(FailureMeaning::InDoubt) => Verdict::InDoubt,
        Some(FailureMeaning::Misconfigured) => Verdict::Misconfigured,
        Some(FailureMeaning::Rejected) => Verdict::Rejected,
        Some(FailureMeaning::Transient) => not_processed(),
        None => match error {
            Some(code) => by_code(code, members, status, not_processed),
            None => by_status(status, members.is_some(), headers, not_processed),
        },
    };
    let lost = (verdict == Verdict::InDoubt).then_some(Lost::Answered);
    TokenFailure { verdict, error: error.map(printable_code), status: Some(status.as_u16()), salvaged: None, lost }
}

/// The code wins over the status, which only helps where the code says nothing about the token.
fn by_code(
    code: &str,
    members: Option<&Map<String, Value>>,
    status: StatusCode,
    not_processed: impl Fn() -> Verdict,
) -> Verdict {
    let claims = || members.and_then(claims_challenge);
    match code {
        // Microsoft adds the challenge to an invalid_grant as well.
        "invalid_grant" if claims().is_some() => Verdict::Reauthenticate { claims: claims() },
        "invalid_grant"
        | "bad_refresh_token"
        | "BAD_REFRESH_TOKEN"
        | "invalid_refresh_token"
        | "refresh_token_reused" => Verdict::Rejected,
        "interaction_required" | "login_required" | "consent_required" | "mfa_required" => {
            Verdict::Reauthenticate { claims: claims() }
        }
        "invalid_client"
        | "unauthorized_client"
        | "unsupported_grant_type"
        | "incorrect_client_credentials"
        | "bad_client_secret"
        | "invalid_scope"
        | "invalid_target"
        | "redirect_uri_mismatch" => Verdict::Misconfigured,
        "use_dpop_nonce" | "temporarily_unavailable" => not_processed(),
        _ if status == StatusCode::TOO_MANY_REQUESTS => not_processed(),
        "invalid_request" | "access_denied" => Verdict::Ambiguous,
        // `server_error`, Slack's `fatal_error`, and every code nobody registered: none of them ends a session by itself.
        _ => Verdict::InDoubt,
    }
}

fn by_status(status: StatusCode, readable: bool, headers: &HeaderMap, not_processed: impl Fn() -> Verdict) -> Verdict {
    match status.as_u16() {
        // 408 and 425 say in so many words that the request was not processed (RFC 9110 §15.5.9, RFC 8470 §5.2).
        408 | 425 | 429 => not_processed(),
        // A convention, not a proof.
        503 if headers.contains_key(http::header::RETRY_AFTER) => not_processed(),
        400 if readable => Verdict::Ambiguous,
        // A redirect, which is never followed, a firewall's page, a wrong path: not the token endpoint's own words.
        300..=499 => Verdict::Misconfigured,
        // Server errors, and a 2xx without a token that can be read.
        _ => Verdict::InDoubt,
    }
}

/// OIDC Core §5.5: only a JSON object of bounded size is passed on.
fn claims_challenge(members: &Map<String, Value>) -> Option<String> {
    let claims = answer::text(members, "claims")?;
    let fits = claims.len() <= CLAIMS_CHALLENGE_CHARS && serde_json::from_str::<Map<String, Value>>(claims).is_ok();
    fits.then(|| claims.to_owned())
}
