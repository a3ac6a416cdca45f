//! RFC 6749 §5.1: tokens came, in one of the many ways providers write them down.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value};

use super::answer::{members, text};
use super::failure::classify;
use super::{TokenFailure, Verdict, answer};
use crate::Timestamp;
use crate::limits::{REFRESH_TOKEN_LIFETIME_MAX, TOKEN_LIFETIME_MAX};
use crate::names::Scope;
use crate::provider::Provider;
use crate::secret::{AccessToken, IdToken, RefreshToken};

/// What was asked, for judging what was answered.
#[derive(Clone, Copy, Debug)]
pub struct TokenExchange<'a> {
    /// Whom.
    pub provider: &'a Provider,
    /// The refresh token that was sent, if one was.
    pub presented: Option<&'a RefreshToken>,
    /// When the request began: lifetimes count from here, so that a slow answer cannot stretch them.
    pub started: Timestamp,
    /// When the answer was there: a `Retry-After` date counts from here.
    pub answered: Timestamp,
}

/// Tokens, normalised.
#[non_exhaustive]
pub struct TokenResponse {
    /// RFC 6749 §1.4, of the type `Bearer`: no other is understood.
    pub access_token: AccessToken,
    /// `token_type` as the provider spells it; `Bearer` where it says nothing.
    pub token_type: String,
    /// When the request for it began: the token's age counts from here.
    pub requested_at: Timestamp,
    /// How long the access token lives, if the provider says so in a way that can be believed.
    pub expires_in: Option<Duration>,
    /// When it ends: told, or else by the provider's configured lifetime.
    pub expires_at: Option<Timestamp>,
    /// A new refresh token; `None` means keep the one you have.
    pub refresh_token: Option<RefreshToken>,
    /// When the refresh token ends, by whichever of its names the provider says so.
    pub refresh_token_expires_at: Option<Timestamp>,
    /// Present at sign-in with an OpenID provider, and sometimes at renewal.
    pub id_token: Option<IdToken>,
    /// What was granted; `None` means what was asked for.
    pub scope: Option<Scope>,
    /// Members of no meaning here. They may hold secrets.
    pub extra: Map<String, Value>,
}

/// Members that have a place of their own in [`TokenResponse`].
const KNOWN: &[&str] = &["access_token", "expires_in", "id_token", "refresh_token", "scope", "token_type"];

/// By which names providers tell the lifetime of the refresh token or of the grant behind it.
const REFRESH_TOKEN_LIFETIMES: &[&str] = &[
    "refresh_expires_in",
    "refresh_token_expires_in",
    "x_refresh_token_expires_in",
    "refresh_token_timeout",
    "authorization_expires_in",
];

/// Judges the answer of the token endpoint. An `error` member wins over the status.
///
/// # Errors
/// [`TokenFailure`], whose [`Verdict`] says what the failure means for the refresh token that was sent.
pub fn read_token_response(
    exchange: &TokenExchange<'_>,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<TokenResponse, TokenFailure> {
    let members = members(body);
    let refused = |members: Option<&Map<String, Value>>| TokenFailure {
        salvaged: members.and_then(|members| new_refresh_token(exchange, members)),
        ..classify(exchange.provider, status, headers, members, exchange.answered)
    };
    let Some(members) = members else {
        return Err(refused(None));
    };
    if !status.is_success() || answer::error_code(&members).is_some() {
        return Err(refused(Some(&members)));
    }
    let Some(access_token) = text(&members, "access_token").map(AccessToken::new) else {
        return Err(refused(Some(&members)));
    };
    let token_type = text(&members, "token_type").unwrap_or("Bearer").to_owned();
    if let Some(fault) = unusable(&access_token, &token_type) {
        return Err(TokenFailure {
            verdict: Verdict::Misconfigured,
            error: Some(fault.to_owned()),
            ..refused(Some(&members))
        });
    }
    let expires_in = lifetime(members.get("expires_in"), TOKEN_LIFETIME_MAX);
    Ok(TokenResponse {
        access_token,
        token_type,
        requested_at: exchange.started,
        expires_in,
        expires_at: expires_in.or(exchange.provider.default_token_lifetime).map(|lifetime| exchange.started + lifetime),
        refresh_token: new_refresh_token(exchange, &members),
        refresh_token_expires_at: REFRESH_TOKEN_LIFETIMES
            .iter()
            .filter_map(|name| lifetime(members.get(*name), REFRESH_TOKEN_LIFETIME_MAX))
            .min()
            .map(|lifetime| exchange.started + lifetime),
        id_token: text(&members, "id_token").map(IdToken::new),
        scope: granted(exchange.provider, &members),
        extra: members.into_iter().filter(|(name, _)| !KNOWN.contains(&name.as_str())).collect(),
    })
}

impl std::fmt::Debug for TokenResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let extra: Vec<&String> = self.extra.keys().collect();
        f.debug_struct("TokenResponse")
            .field("access_token", &self.access_token)
            .field("token_type", &self.token_type)
            .field("requested_at", &self.requested_at)
            .field("expires_in", &self.expires_in)
            .field("expires_at", &self.expires_at)
            .field("refresh_token", &self.refresh_token)
            .field("refresh_token_expires_at", &self.refresh_token_expires_at)
            .field("id_token", &self.id_token)
            .field("scope", &self.scope)
            .field("extra", &extra)
            .finish()
    }
}

/// RFC 6749 §7.1: an access token we cannot present is not used. The refresh token may have been spent for it, and is
/// salvaged.
fn unusable(access_token: &AccessToken, token_type: &str) -> Option<&'static str> {
    // RFC 6749 appendix A.12; nothing else fits into a header.
    let printable = |byte: u8| matches!(byte, b' '..=b'~');
    if !token_type.eq_ignore_ascii_case("bearer") {
        Some("unsupported_token_type")
    } else if !access_token.expose_secret().bytes().all(printable) {
        Some("unprintable_access_token")
    } else {
        None
    }
}

/// RFC 6749 §6: absent, empty or the same again all mean that the one sent stays good.
fn new_refresh_token(exchange: &TokenExchange<'_>, members: &Map<String, Value>) -> Option<RefreshToken> {
    let token = text(members, "refresh_token").map(RefreshToken::new)?;
    (exchange.presented != Some(&token)).then_some(token)
}

/// Seconds as a number or as text, whole or not. Zero, less than zero and nonsense count as not told: a token that
/// lives no time cannot be meant, and Keycloak's `refresh_expires_in` of 0 means that it never ends.
fn lifetime(value: Option<&Value>, limit: Duration) -> Option<Duration> {
    let seconds = match value? {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    let believable = seconds >= 1.0 && seconds.is_finite();
    believable.then(|| Duration::try_from_secs_f64(seconds.floor()).map_or(limit, |told| told.min(limit)))
}

/// RFC 6749 §3.3, and the variants: a list (Twitch), commas (GitHub).
fn granted(provider: &Provider, members: &Map<String, Value>) -> Option<Scope> {
    let scope = match members.get("scope")? {
        Value::String(scope) if provider.comma_scopes => scope.replace(',', " "),
        Value::String(scope) => scope.clone(),
        Value::Array(scopes) => {
            let scopes: Vec<&str> = scopes.iter().filter_map(Value::as_str).collect();
            scopes.join(" ")
        }
        _ => return None,
    };
    (!scope.is_empty()).then(|| Scope::new(scope))
}
