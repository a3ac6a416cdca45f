//! OIDC Core §5.3: what the provider says about the user when asked with the access token.

use http::StatusCode;
use serde_json::{Map, Value};

use crate::limits::PROVIDER_ANSWER_BYTES;

/// The claims of UserInfo, about the user they were asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct UserInfo {
    claims: Map<String, Value>,
}

/// Why UserInfo is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UserInfoError {
    /// Not a JSON object; a signed or encrypted answer is none either.
    #[error("the user info is not a JSON object")]
    NotJson,
    /// Not 200; 401 says that the access token is dead.
    #[error("the user info was answered with HTTP {0}")]
    Status(u16),
    /// About another user than the ID token (OIDC Core §5.3.2).
    #[error("the user info is about another user, or about nobody")]
    Subject,
    /// Larger than [`PROVIDER_ANSWER_BYTES`].
    #[error("the user info is larger than {PROVIDER_ANSWER_BYTES} bytes")]
    TooLarge,
}

/// Judges the answer to [`userinfo_request`](crate::token::userinfo_request). With an OpenID provider `expected_sub`
/// is the ID token's `sub`; a plain OAuth provider has none.
///
/// # Errors
/// [`UserInfoError`]; the answer is then discarded as a whole.
pub fn read_userinfo(status: StatusCode, body: &[u8], expected_sub: Option<&str>) -> Result<UserInfo, UserInfoError> {
    if status != StatusCode::OK {
        return Err(UserInfoError::Status(status.as_u16()));
    }
    if body.len() > PROVIDER_ANSWER_BYTES {
        return Err(UserInfoError::TooLarge);
    }
    let claims: Map<String, Value> = serde_json::from_slice(body).map_err(|_| UserInfoError::NotJson)?;
    match expected_sub {
        Some(expected) if claims.get("sub").and_then(Value::as_str) != Some(expected) => Err(UserInfoError::Subject),
        _ => Ok(UserInfo { claims }),
    }
}

impl UserInfo {
    /// What it says.
    pub fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// What it says, to keep.
    pub fn into_claims(self) -> Map<String, Value> {
        self.claims
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_answers_about_the_right_user_count() {
        let large = format!("{{\"sub\":\"a\",\"x\":\"{}\"}}", "x".repeat(PROVIDER_ANSWER_BYTES));
        for (status, body, expected_sub, expected) in [
            (200, r#"{"sub":"a"}"#, Some("a"), Ok(())),
            (200, r#"{"id":1}"#, None, Ok(())),
            (200, r#"{"sub":"A"}"#, Some("a"), Err(UserInfoError::Subject)),
            (200, r#"{"sub":1}"#, Some("1"), Err(UserInfoError::Subject)),
            (200, r#"{"id":1}"#, Some("a"), Err(UserInfoError::Subject)),
            (200, "eyJhbGciOi.e30.x", None, Err(UserInfoError::NotJson)),
            (200, "[]", None, Err(UserInfoError::NotJson)),
            (200, &large, Some("a"), Err(UserInfoError::TooLarge)),
            // A 401's body never becomes a profile.
            (401, r#"{"sub":"a"}"#, Some("a"), Err(UserInfoError::Status(401))),
            (302, r#"{"sub":"a"}"#, Some("a"), Err(UserInfoError::Status(302))),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let found = read_userinfo(status, body.as_bytes(), expected_sub).map(|_| ());
            assert_eq!(found, expected, "{status} {:.40}", body);
        }
    }
}
