//! Client authentication at the token, revocation and introspection endpoints: RFC 6749 §2.3, OIDC Core §9.

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::answer::OAuthError;
use crate::client::{Client, TokenEndpointAuthMethod};
use crate::params::Params;
use crate::provider::Settings;
use crate::random::same;

/// What a request shows of its client, before it is believed.
struct Shown {
    id: String,
    secret: Option<String>,
    method: TokenEndpointAuthMethod,
}

/// The client that sent this request, if it proved it in the one way it is registered for.
pub(crate) fn authenticate<'a>(
    settings: &'a Settings,
    headers: &HeaderMap,
    params: &Params,
) -> Result<&'a Client, OAuthError> {
    let shown = shown(headers, params)?;
    let failed = |why: &str| OAuthError::invalid_client(why);
    let client = settings.client(&shown.id).ok_or_else(|| failed("The client is unknown."))?;
    if client.token_endpoint_auth_method != shown.method {
        return Err(failed("The client is registered for another authentication method."));
    }
    let proven = match (&client.secret, &shown.secret) {
        (None, None) => true,
        (Some(known), Some(given)) => same(known, given),
        _ => false,
    };
    if proven { Ok(client) } else { Err(failed("The client secret is wrong.")) }
}

/// The id a request claims, for counting what a refused client did.
pub(crate) fn claimed_id(headers: &HeaderMap, params: &Params) -> Option<String> {
    shown(headers, params).ok().map(|shown| shown.id)
}

fn shown(headers: &HeaderMap, params: &Params) -> Result<Shown, OAuthError> {
    let posted = params.owned("client_secret");
    let Some(header) = headers.get(header::AUTHORIZATION) else {
        let id = params.owned("client_id").ok_or_else(|| OAuthError::invalid_client("The request names no client."))?;
        let method = match posted {
            Some(_) => TokenEndpointAuthMethod::ClientSecretPost,
            None => TokenEndpointAuthMethod::None,
        };
        return Ok(Shown { id, secret: posted, method });
    };
    if posted.is_some() {
        return Err(OAuthError::invalid_request("The client authenticates in two ways at once (RFC 6749 §2.3)."));
    }
    let (id, secret) = header
        .to_str()
        .ok()
        .and_then(basic)
        .ok_or_else(|| OAuthError::invalid_client("The Authorization header is not HTTP Basic."))?;
    match params.of("client_id") {
        Some(other) if other != id => {
            Err(OAuthError::invalid_request("The form and the header name different clients."))
        }
        _ => Ok(Shown { id, secret: Some(secret), method: TokenEndpointAuthMethod::ClientSecretBasic }),
    }
}

/// Both halves are form-urlencoded before they are joined (RFC 6749 §2.3.1).
fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((form_decoded(id)?, form_decoded(secret)?))
}

fn form_decoded(text: &str) -> Option<String> {
    // A stray `&` or `=` would be read as structure; encoders never leave one.
    if text.contains(['&', '=']) {
        return None;
    }
    let mut pairs = url::form_urlencoded::parse(text.as_bytes());
    Some(pairs.next().map(|(name, _)| name.into_owned()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_is_form_decoded() {
        for (header, expected) in [
            (format!("Basic {}", STANDARD.encode("app:secret")), Some(("app", "secret"))),
            (format!("basic {}", STANDARD.encode("a%3Ab:p%25+q")), Some(("a:b", "p% q"))),
            (format!("Basic {}", STANDARD.encode("app:")), Some(("app", ""))),
            (format!("Basic {}", STANDARD.encode("no colon")), None),
            (format!("Basic {}", STANDARD.encode("app:a=b")), None),
            ("Basic ???".to_owned(), None),
            ("Bearer abc".to_owned(), None),
        ] {
            let expected = expected.map(|(id, secret)| (id.to_owned(), secret.to_owned()));
            assert_eq!(basic(&header), expected, "{header}");
        }
    }
}
