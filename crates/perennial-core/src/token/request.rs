//! RFC 6749 §4.1.3, §4.4.2, §6 · RFC 7009 §2.1 · RFC 6750 §2.1: the requests.

use http::header::AUTHORIZATION;
use http::{HeaderValue, Request};

use super::RevocableToken;
use crate::authorize::AuthorizationResponse;
use crate::client_auth::{ClientAuthenticationError, FormRequest};
use crate::metadata::json_request;
use crate::provider::ResolvedProvider;
use crate::secret::{AccessToken, RefreshToken};
use crate::session::Audience;
use crate::{SecureRandom, Timestamp};

/// RFC 6749 §4.1.3: exchanges the code for tokens, once.
///
/// # Errors
/// [`ClientAuthenticationError`]; nothing was sent then.
pub fn code_request(
    provider: &ResolvedProvider,
    response: AuthorizationResponse,
    now: Timestamp,
    random: &dyn SecureRandom,
) -> Result<Request<Vec<u8>>, ClientAuthenticationError> {
    let (code, code_verifier, redirect_uri) = response.into_parts();
    grant(provider, "authorization_code")
        .with("code", code.expose_secret())
        .with("redirect_uri", &redirect_uri)
        .with("code_verifier", code_verifier.expose_secret())
        .authenticated(provider, &provider.token, now, random)
}

/// RFC 6749 §6: buys the next access token.
///
/// For the session's own token no `scope` is sent, which asks for the one granted. For another `audience` it is named as
/// the provider wants it named (RFC 8707 §2.2 by default).
///
/// # Errors
/// [`ClientAuthenticationError`]; nothing was sent then.
pub fn refresh_request(
    provider: &ResolvedProvider,
    refresh_token: &RefreshToken,
    audience: Option<&Audience>,
    now: Timestamp,
    random: &dyn SecureRandom,
) -> Result<Request<Vec<u8>>, ClientAuthenticationError> {
    let mut form = grant(provider, "refresh_token").with("refresh_token", refresh_token.expose_secret());
    if let Some(name) = audience.and_then(Audience::name) {
        form = form.with(provider.provider.audience_parameter.as_str(), name);
    }
    if let Some(scope) = audience.and_then(Audience::requested_scope) {
        form = form.with("scope", scope.as_str());
    }
    form.authenticated(provider, &provider.token, now, random)
}

/// RFC 6749 §4.4.2: a token for this client itself, beside the user's and never instead of it.
///
/// # Errors
/// [`ClientAuthenticationError`]; nothing was sent then.
pub fn client_credentials_request(
    provider: &ResolvedProvider,
    audience: Option<&str>,
    now: Timestamp,
    random: &dyn SecureRandom,
) -> Result<Request<Vec<u8>>, ClientAuthenticationError> {
    let mut form = grant(provider, "client_credentials");
    if let Some(audience) = audience {
        form = form.with("audience", audience);
    }
    form.authenticated(provider, &provider.token, now, random)
}

/// RFC 7009 §2.1: ends a token at the provider; `None` when it has no endpoint for that.
///
/// # Errors
/// [`ClientAuthenticationError`]; nothing was sent then.
pub fn revoke_request(
    provider: &ResolvedProvider,
    token: RevocableToken<'_>,
    now: Timestamp,
    random: &dyn SecureRandom,
) -> Result<Option<Request<Vec<u8>>>, ClientAuthenticationError> {
    let Some(endpoint) = &provider.revocation else {
        return Ok(None);
    };
    FormRequest::new()
        .with("token", token.expose_secret())
        .with("token_type_hint", token.type_hint())
        .authenticated(provider, endpoint, now, random)
        .map(Some)
}

/// OIDC Core §5.3.1: asks who the user is; `None` when the provider has no endpoint for that.
pub fn userinfo_request(provider: &ResolvedProvider, access_token: &AccessToken) -> Option<Request<Vec<u8>>> {
    // A token with characters that a header cannot carry is not a bearer token (RFC 6750 §2.1).
    let bearer = format!("Bearer {}", access_token.expose_secret());
    let mut bearer = HeaderValue::try_from(bearer).ok()?;
    bearer.set_sensitive(true);
    let mut request = json_request(provider.userinfo.as_ref()?);
    request.headers_mut().insert(AUTHORIZATION, bearer);
    Some(request)
}

fn grant(provider: &ResolvedProvider, grant_type: &str) -> FormRequest {
    provider
        .provider
        .token_params
        .iter()
        .fold(FormRequest::new(), |form, (name, value)| form.with(name, value))
        .with("grant_type", grant_type)
}
