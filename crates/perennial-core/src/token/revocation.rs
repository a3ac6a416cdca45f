//! RFC 7009 §2.2: whether a token was ended.

use std::time::Duration;

use http::{HeaderMap, StatusCode};

use super::{answer, printable_code, retry_after};
use crate::Timestamp;
use crate::secret::{AccessToken, RefreshToken};

/// A token to be ended.
#[derive(Clone, Copy, Debug)]
pub enum RevocableToken<'a> {
    /// Ends the access token alone.
    Access(&'a AccessToken),
    /// Ends the refresh token, and at most providers the access tokens bought with it.
    Refresh(&'a RefreshToken),
}

/// The token may still be good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RevocationError {
    /// The provider refuses.
    #[error("the provider refused to revoke the token (HTTP {status}{})", .error.as_deref().map(|code| format!(", {code}")).unwrap_or_default())]
    Refused {
        /// HTTP status.
        status: u16,
        /// Its `error` code, printable and cut.
        error: Option<String>,
    },
    /// RFC 7009 §2.2.1: the token is still good; try again.
    #[error("the provider cannot revoke the token now")]
    Unavailable {
        /// When, if the provider says so.
        retry_after: Option<Duration>,
    },
}

impl RevocableToken<'_> {
    pub(super) fn expose_secret(&self) -> &str {
        match self {
            Self::Access(token) => token.expose_secret(),
            Self::Refresh(token) => token.expose_secret(),
        }
    }

    pub(super) fn type_hint(&self) -> &'static str {
        match self {
            Self::Access(_) => "access_token",
            Self::Refresh(_) => "refresh_token",
        }
    }
}

/// Judges the answer to [`revoke_request`](super::revoke_request). A token the provider does not know counts as ended.
///
/// # Errors
/// [`RevocationError`]; our own session ends all the same.
pub fn read_revocation(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<(), RevocationError> {
    let members = answer::members(body).unwrap_or_default();
    let error = answer::error_code(&members);
    match (status, error) {
        (_, Some("invalid_token" | "invalid_grant")) => Ok(()),
        (status, None) if status.is_success() => Ok(()),
        (StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS, _) => {
            Err(RevocationError::Unavailable { retry_after: retry_after(headers, now) })
        }
        (status, _) if status.is_server_error() => Err(RevocationError::Unavailable { retry_after: None }),
        (status, error) => Err(RevocationError::Refused { status: status.as_u16(), error: error.map(printable_code) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_as_ended() {
        let unavailable = || Err(RevocationError::Unavailable { retry_after: None });
        let refused =
            |status, error: Option<&str>| Err(RevocationError::Refused { status, error: error.map(str::to_owned) });
        for (status, body, expected) in [
            (200, "", Ok(())),
            (204, "", Ok(())),
            (200, "{}", Ok(())),
            (400, r#"{"error":"invalid_token"}"#, Ok(())),
            (400, r#"{"error":"unsupported_token_type"}"#, refused(400, Some("unsupported_token_type"))),
            (200, r#"{"ok":false,"error":"not_authed"}"#, refused(200, Some("not_authed"))),
            (401, r#"{"error":"invalid_client"}"#, refused(401, Some("invalid_client"))),
            (404, "<html>", refused(404, None)),
            (429, "", unavailable()),
            (503, "", unavailable()),
            (500, "oops", unavailable()),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let now = Timestamp::from_unix_seconds(0);
            let found = read_revocation(status, &HeaderMap::new(), body.as_bytes(), now);
            assert_eq!(found, expected, "{status} {body}");
        }
    }
}
