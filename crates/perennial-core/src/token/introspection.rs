//! RFC 7662 · OIDC Core §5.3: whether a refresh token is spent, asked without spending it.

use http::{Request, StatusCode};
use serde_json::{Map, Value};

use crate::client_auth::{ClientAuthenticationError, FormRequest};
use crate::limits::PROVIDER_ANSWER_BYTES;
use crate::provider::{Introspection, ResolvedProvider};
use crate::record::Told;
use crate::secret::RefreshToken;
use crate::{SecureRandom, Timestamp};

/// RFC 7662 §2.1: asks whether `refresh_token` is active; `None` when the provider has no endpoint for that or is not to be
/// asked.
///
/// # Errors
/// [`ClientAuthenticationError`]; nothing was sent then.
pub fn introspection_request(
    provider: &ResolvedProvider,
    how: Introspection,
    refresh_token: &RefreshToken,
    now: Timestamp,
    random: &dyn SecureRandom,
) -> Result<Option<Request<Vec<u8>>>, ClientAuthenticationError> {
    let Some(endpoint) = &provider.introspection else { return Ok(None) };
    let form = FormRequest::new().with("token", refresh_token.expose_secret());
    let form = match how {
        Introspection::None => return Ok(None),
        Introspection::WithHint => form.with("token_type_hint", "refresh_token"),
        Introspection::WithoutHint => form,
    };
    form.authenticated(provider, endpoint, now, random).map(Some)
}

/// RFC 7662 §2.2: only a 200 that says `active`, true or false, tells anything.
pub fn read_introspection(status: StatusCode, body: &[u8]) -> Told {
    let readable = status == StatusCode::OK && body.len() <= PROVIDER_ANSWER_BYTES;
    let members: Option<Map<String, Value>> = readable.then(|| serde_json::from_slice(body).ok()).flatten();
    match members.as_ref().and_then(|members| members.get("active")).and_then(Value::as_bool) {
        Some(true) => Told::Unspent,
        Some(false) => Told::Spent,
        None => Told::Nothing,
    }
}

/// What UserInfo says by taking an access token or not, at a provider where a renewal kills the one before: RFC 6750 §3.1
/// has 401 for a token that is no longer good. Everything else, a rate limit or an error, says nothing.
pub fn read_probe(status: StatusCode) -> Told {
    match status {
        StatusCode::OK => Told::Unspent,
        StatusCode::UNAUTHORIZED => Told::Spent,
        _ => Told::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_answer_tells_anything() {
        for (status, body, expected) in [
            (200, r#"{"active":true,"token_type":"refresh_token"}"#, Told::Unspent),
            (200, r#"{"active":false}"#, Told::Spent),
            (200, r#"{"active":"true"}"#, Told::Nothing),
            (200, r#"{"active":null}"#, Told::Nothing),
            (200, "{}", Told::Nothing),
            (200, "[true]", Told::Nothing),
            (200, "<html>", Told::Nothing),
            (200, "", Told::Nothing),
            (201, r#"{"active":true}"#, Told::Nothing),
            (302, r#"{"active":true}"#, Told::Nothing),
            (401, r#"{"active":false}"#, Told::Nothing),
            (403, r#"{"error":"insufficient_scope"}"#, Told::Nothing),
            (500, r#"{"active":false}"#, Told::Nothing),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(read_introspection(status, body.as_bytes()), expected, "{status} {body}");
        }
        let padded = |bytes: usize| format!(r#"{{"active":true{}}}"#, " ".repeat(bytes - r#"{"active":true}"#.len()));
        for (bytes, expected) in [(PROVIDER_ANSWER_BYTES, Told::Unspent), (PROVIDER_ANSWER_BYTES + 1, Told::Nothing)] {
            assert_eq!(read_introspection(StatusCode::OK, padded(bytes).as_bytes()), expected, "{bytes}");
        }
    }

    #[test]
    fn a_probe_is_answered_by_its_status() {
        for (status, expected) in [
            (200, Told::Unspent),
            (401, Told::Spent),
            (204, Told::Nothing),
            (302, Told::Nothing),
            (403, Told::Nothing),
            (429, Told::Nothing),
            (503, Told::Nothing),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(read_probe(status), expected, "{status}");
        }
    }
}
