//! RFC 6749 §4.1.2 · RFC 9207 §2: the browser comes back, and what it brings is judged before it is used.

use crate::Timestamp;
use crate::limits::{CALLBACK_QUERY_CHARS, ERROR_DESCRIPTION_CHARS, SIGN_IN_MAX_AGE};
use crate::provider::ResolvedProvider;
use crate::secret::{AuthorizationCode, CodeVerifier, State};
use crate::token::{printable, printable_code};

use super::PendingSignIn;

/// A code that came back to the sign-in it belongs to: state and issuer matched. There is no other way to have one,
/// and [`code_request`](crate::token::code_request) spends it.
#[derive(Debug)]
pub struct AuthorizationResponse {
    code: AuthorizationCode,
    code_verifier: CodeVerifier,
    redirect_uri: String,
}

/// Why a callback is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallbackError {
    /// The same parameter twice, which RFC 6749 §3.1 forbids.
    #[error("the callback repeats the parameter {0}")]
    Duplicate(&'static str),
    /// The sign-in began longer ago than [`SIGN_IN_MAX_AGE`].
    #[error("the sign-in took too long; please sign in again")]
    Expired,
    /// RFC 9207 §2.4: another issuer answered.
    #[error("the callback names another issuer than the provider's")]
    IssuerMismatch,
    /// RFC 9207 §2.4: the provider promises `iss` and did not send it.
    #[error("the callback lacks the parameter iss, which the provider promises to send")]
    IssuerMissing,
    /// Neither code nor error.
    #[error("the callback holds neither a code nor an error")]
    NoCode,
    /// RFC 6749 §4.1.2.1: the provider says no.
    #[error("the provider refused the sign-in: {error}{}", .description.as_deref().map(|text| format!(" ({text})")).unwrap_or_default())]
    Refused {
        /// Why.
        error: AuthorizationErrorCode,
        /// In its own words, printable and cut; plain text, to be escaped like any other.
        description: Option<String>,
    },
    /// Not the state of this sign-in, or none.
    #[error("the callback does not belong to this sign-in; please sign in again")]
    StateMismatch,
    /// Longer than [`CALLBACK_QUERY_CHARS`].
    #[error("the callback is longer than {CALLBACK_QUERY_CHARS} characters")]
    TooLong,
    /// The sign-in was begun with another provider.
    #[error("the sign-in was begun with another provider; please sign in again")]
    WrongProvider,
}

/// RFC 6749 §4.1.2.1 and OIDC Core §3.1.2.6.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each variant is its registered code")]
pub enum AuthorizationErrorCode {
    AccessDenied,
    AccountSelectionRequired,
    ConsentRequired,
    InteractionRequired,
    InvalidRequest,
    InvalidScope,
    LoginRequired,
    ServerError,
    TemporarilyUnavailable,
    UnauthorizedClient,
    UnsupportedResponseType,
    /// Any other, printable and cut.
    Other(String),
}

/// Judges a callback's query, without the leading `?`.
///
/// # Errors
/// [`CallbackError`]; after [`Refused`](CallbackError::Refused) alone the state is known to be ours.
pub fn read_callback(
    query: &str,
    pending: &PendingSignIn,
    provider: &ResolvedProvider,
    now: Timestamp,
) -> Result<AuthorizationResponse, CallbackError> {
    let callback = Callback::read(query)?;
    if pending.provider != provider.provider.id {
        return Err(CallbackError::WrongProvider);
    }
    match callback.state.map(State::new) {
        Some(state) if state == pending.state => {}
        _ => return Err(CallbackError::StateMismatch),
    }
    if now.since(pending.started) > SIGN_IN_MAX_AGE {
        return Err(CallbackError::Expired);
    }
    judge_issuer(callback.iss.as_deref(), provider)?;
    if let Some(error) = callback.error {
        return Err(CallbackError::Refused {
            error: AuthorizationErrorCode::read(&error),
            description: callback
                .error_description
                .map(|text| printable(&text, ERROR_DESCRIPTION_CHARS))
                .filter(|text| !text.is_empty()),
        });
    }
    match callback.code {
        Some(code) if !code.is_empty() => Ok(AuthorizationResponse {
            code: AuthorizationCode::new(code),
            code_verifier: pending.code_verifier.clone(),
            redirect_uri: pending.redirect_uri.clone(),
        }),
        _ => Err(CallbackError::NoCode),
    }
}

/// The state that a callback names, by which its [`PendingSignIn`] is found among several; nothing is judged by it.
pub fn state_of(query: &str) -> Option<State> {
    Callback::read(query).ok()?.state.map(State::new)
}

impl AuthorizationResponse {
    pub(crate) fn into_parts(self) -> (AuthorizationCode, CodeVerifier, String) {
        (self.code, self.code_verifier, self.redirect_uri)
    }
}

impl CallbackError {
    /// A stable name for logs and pages.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Duplicate(_) => "callback_duplicate_parameter",
            Self::Expired => "callback_expired",
            Self::IssuerMismatch => "callback_issuer_mismatch",
            Self::IssuerMissing => "callback_issuer_missing",
            Self::NoCode => "callback_without_code",
            Self::Refused { .. } => "callback_refused",
            Self::StateMismatch => "callback_state_mismatch",
            Self::TooLong => "callback_too_long",
            Self::WrongProvider => "callback_wrong_provider",
        }
    }
}

impl AuthorizationErrorCode {
    fn read(code: &str) -> Self {
        match code {
            "access_denied" => Self::AccessDenied,
            "account_selection_required" => Self::AccountSelectionRequired,
            "consent_required" => Self::ConsentRequired,
            "interaction_required" => Self::InteractionRequired,
            "invalid_request" => Self::InvalidRequest,
            "invalid_scope" => Self::InvalidScope,
            "login_required" => Self::LoginRequired,
            "server_error" => Self::ServerError,
            "temporarily_unavailable" => Self::TemporarilyUnavailable,
            "unauthorized_client" => Self::UnauthorizedClient,
            "unsupported_response_type" => Self::UnsupportedResponseType,
            other => Self::Other(printable_code(other)),
        }
    }

    /// The code as it is on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::AccessDenied => "access_denied",
            Self::AccountSelectionRequired => "account_selection_required",
            Self::ConsentRequired => "consent_required",
            Self::InteractionRequired => "interaction_required",
            Self::InvalidRequest => "invalid_request",
            Self::InvalidScope => "invalid_scope",
            Self::LoginRequired => "login_required",
            Self::ServerError => "server_error",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::Other(code) => code,
        }
    }
}

impl std::fmt::Display for AuthorizationErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The parameters that count, each at most once.
#[derive(Default)]
struct Callback {
    code: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
    iss: Option<String>,
    state: Option<String>,
}

impl Callback {
    fn read(query: &str) -> Result<Self, CallbackError> {
        if query.len() > CALLBACK_QUERY_CHARS {
            return Err(CallbackError::TooLong);
        }
        let mut callback = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let (name, slot) = match &*name {
                "code" => ("code", &mut callback.code),
                "error" => ("error", &mut callback.error),
                "error_description" => ("error_description", &mut callback.error_description),
                "iss" => ("iss", &mut callback.iss),
                "state" => ("state", &mut callback.state),
                _ => continue,
            };
            if slot.replace(value.into_owned()).is_some() {
                return Err(CallbackError::Duplicate(name));
            }
        }
        Ok(callback)
    }
}

/// An OAuth provider whose issuer nobody told us cannot be compared: there each provider's own redirect URI tells them apart.
fn judge_issuer(iss: Option<&str>, provider: &ResolvedProvider) -> Result<(), CallbackError> {
    match (iss, &provider.issuer) {
        (Some(iss), Some(rule)) if !rule.accepts_in_callback(iss) => Err(CallbackError::IssuerMismatch),
        (None, _) if provider.iss_parameter_promised => Err(CallbackError::IssuerMissing),
        _ => Ok(()),
    }
}
