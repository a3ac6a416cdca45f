//! Every refusal: a stable code, a status, and one sentence that says what to do.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};

/// Why a request is not served.
///
/// As a response: the status, and JSON `{"error":"<code>","message":"<sentence>"}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// No open session.
    NotSignedIn,
    /// The access token has died and the provider cannot be asked for another right now. The session is kept.
    RenewalSuspended {
        /// Try again after this long.
        retry_after: Duration,
    },
    /// The session lies in a store that does not answer. The session is kept.
    SessionUnavailable {
        /// Try again after this long.
        retry_after: Duration,
    },
    /// The session store does not answer: this browser is signed out, copies of the session may live elsewhere until it does.
    SignOutUnfinished,
    /// The access token has died, and the refresh token, which may be spent, must not be tried at this provider: it must see
    /// the user. The session is kept.
    ReauthenticationRequired,
    /// The session has no access token that could be handed out.
    NoAccessToken,
    /// The provider gives no access token for the audience that was asked for.
    AudienceRefused,
    /// Another site sent this request with the user's cookies.
    CrossSite,
    /// An endpoint for applications was asked by a browser, or without the secret they share with us.
    BackendOnly,
    /// What a provider sent as a logout token does not prove that anybody is signed out.
    LogoutTokenRefused,
    /// The CSRF token that came with the request is not the one in the cookie.
    CsrfMismatch,
    /// No such endpoint.
    UnknownEndpoint,
    /// The endpoint exists, but not for this method.
    MethodNotAllowed,
    /// No provider of that id is configured.
    UnknownProvider,
    /// The body is not what its content type says, or of a type this endpoint does not read.
    BadBody,
    /// The body is larger than an endpoint reads.
    BodyTooLarge,
}

impl Refusal {
    /// A stable name, for programs.
    pub fn code(self) -> &'static str {
        self.row().1
    }

    /// One sentence that says what to do, for people.
    pub fn message(self) -> &'static str {
        self.row().2
    }

    /// The HTTP status.
    pub fn status(self) -> StatusCode {
        self.row().0
    }

    fn row(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::NotSignedIn => (StatusCode::UNAUTHORIZED, "not_signed_in", "Sign in first, then repeat the request."),
            Self::RenewalSuspended { .. } => (
                StatusCode::SERVICE_UNAVAILABLE,
                "renewal_suspended",
                "The sign-in provider cannot be reached; you are still signed in: repeat the request a little later.",
            ),
            Self::SessionUnavailable { .. } => (
                StatusCode::SERVICE_UNAVAILABLE,
                "session_unavailable",
                "The session store cannot be reached; if you were signed in, you still are: repeat the request a little later.",
            ),
            Self::SignOutUnfinished => (
                StatusCode::SERVICE_UNAVAILABLE,
                "sign_out_unfinished",
                "This browser is signed out; the session store cannot be reached, so wait for other copies of the session to end with its return.",
            ),
            Self::ReauthenticationRequired => (
                StatusCode::UNAUTHORIZED,
                "reauthentication_required",
                "The sign-in provider must see you once more: load a page of this site, then repeat the request.",
            ),
            Self::NoAccessToken => (
                StatusCode::FORBIDDEN,
                "no_access_token",
                "This session has no access token: configure the provider to issue one together with a refresh token.",
            ),
            Self::AudienceRefused => (
                StatusCode::FORBIDDEN,
                "audience_refused",
                "The provider gives no access token for this API: allow the audience and its scope for this client there.",
            ),
            Self::CrossSite => (
                StatusCode::FORBIDDEN,
                "cross_site",
                "This request came from another site; send it from a page of this one.",
            ),
            Self::BackendOnly => (
                StatusCode::FORBIDDEN,
                "backend_only",
                "Only the application's server may ask here, with the backend secret as its bearer token; browsers may not.",
            ),
            Self::LogoutTokenRefused => (
                StatusCode::BAD_REQUEST,
                "logout_token_refused",
                "The logout token could not be verified or came before; the log says why: compare issuer, client id, keys and clocks.",
            ),
            Self::CsrfMismatch => (
                StatusCode::FORBIDDEN,
                "csrf_mismatch",
                "The csrfToken does not belong to this browser; fetch a new one and repeat the request.",
            ),
            Self::UnknownEndpoint => {
                (StatusCode::NOT_FOUND, "unknown_endpoint", "There is no such endpoint; the documentation lists them.")
            }
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "This endpoint does not take that method; see the Allow header.",
            ),
            Self::UnknownProvider => (
                StatusCode::NOT_FOUND,
                "unknown_provider",
                "No provider of that name is configured; the providers endpoint lists those that are.",
            ),
            Self::BadBody => (
                StatusCode::BAD_REQUEST,
                "bad_body",
                "The body could not be read: send a JSON object or an HTML form with the matching Content-Type.",
            ),
            Self::BodyTooLarge => {
                (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "The body is larger than 64 KiB; send less.")
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = serde_json::json!({ "error": self.code(), "message": self.message() }).to_string();
        let mut response = (self.status(), body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Self::RenewalSuspended { retry_after } | Self::SessionUnavailable { retry_after } = self {
            headers.insert(RETRY_AFTER, retry_after_seconds(retry_after));
        }
        response
    }
}

/// `Retry-After` in whole seconds, at least one.
pub(crate) fn retry_after_seconds(duration: Duration) -> HeaderValue {
    HeaderValue::from(duration.as_millis().div_ceil(1000).clamp(1, 3600) as u64)
}
