//! OIDC Back-Channel Logout 1.0 §2.4, §2.6: a logout token, by which a provider says that a user or a session is over there.

use serde_json::{Map, Value};

use super::claims::{audiences, moment, present, text};
use super::jws::{Jws, Kind};
use super::{Expectation, IdTokenError};
use crate::Timestamp;
use crate::limits::ID_TOKEN_CLOCK_SKEW;
use crate::metadata::JwkSet;
use crate::secret::LogoutToken;

/// What a verified logout token says. [`verify_logout`] makes them, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutClaims {
    /// Who is signed out.
    pub whom: LoggedOut,
    /// When, by the provider's clock.
    pub issued_at: Timestamp,
    /// When the token ends.
    pub expires_at: Timestamp,
    /// What tells it from every other.
    pub jti: String,
}

/// Who is signed out at a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoggedOut {
    /// The session that the provider calls by this `sid`.
    Session(String),
    /// The user of this `sub`, in all sessions.
    User(String),
}

/// Why a logout token is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogoutTokenError {
    /// What would make an ID token unbelievable, too: its form, signature, issuer, audience or times.
    #[error("the logout token is not believed ({})", .0.code())]
    Token(#[from] IdTokenError),
    /// There is no `events` with the event of this specification: it may be an ID token.
    #[error("the logout token lacks the event of a back-channel logout")]
    NoLogoutEvent,
    /// It has a `nonce`, as only an ID token may.
    #[error("the logout token has a nonce")]
    Nonce,
    /// There is neither `sub` nor `sid`.
    #[error("the logout token names neither a user nor a session")]
    Nobody,
}

/// For whom a logout token says that it is, before anything of it was verified: to find whose keys may verify it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutAddress {
    /// Who says to have issued it.
    pub issuer: String,
    /// The tenant that says so, where an issuer has several.
    pub tenant: Option<String>,
    /// The clients it says to be for.
    pub audiences: Vec<String>,
}

/// Reads for whom a logout token is, without verifying anything.
///
/// # Errors
/// [`LogoutTokenError::Token`].
pub fn logout_address(token: &LogoutToken) -> Result<LogoutAddress, LogoutTokenError> {
    let claims = Jws::parse(token.expose_secret(), Kind::Logout)?.payload;
    Ok(LogoutAddress {
        issuer: text(&claims, "iss")?.ok_or(IdTokenError::MissingClaim("iss"))?,
        tenant: text(&claims, "tid")?,
        audiences: audiences(&claims)?,
    })
}

/// Verifies signature and claims. Where a session is named it alone is over, though the user is named as well (§2.7).
///
/// # Errors
/// [`LogoutTokenError`]; a [`UnknownKid`](IdTokenError::UnknownKid) in it alone may be cured by a fresh key set.
pub fn verify_logout(
    token: &LogoutToken,
    expected: &Expectation<'_>,
    keys: &JwkSet,
) -> Result<LogoutClaims, LogoutTokenError> {
    let jws = Jws::parse(token.expose_secret(), Kind::Logout)?;
    jws.verify_signature(expected, keys)?;
    let claims = jws.payload;
    judge_parties(&claims, expected)?;
    let required = |name| moment(&claims, name)?.ok_or(IdTokenError::MissingClaim(name));
    let (issued_at, expires_at) = (required("iat")?, required("exp")?);
    if expires_at <= expected.now - ID_TOKEN_CLOCK_SKEW {
        return Err(IdTokenError::Expired.into());
    }
    if issued_at > expected.now + ID_TOKEN_CLOCK_SKEW {
        return Err(IdTokenError::NotYetValid.into());
    }
    let event = claims.get("events").and_then(|events| events.get(LOGOUT_EVENT));
    if !event.is_some_and(Value::is_object) {
        return Err(LogoutTokenError::NoLogoutEvent);
    }
    if present(&claims, "nonce").is_some() {
        return Err(LogoutTokenError::Nonce);
    }
    let named = |name| Ok::<_, IdTokenError>(text(&claims, name)?.filter(|text| !text.is_empty()));
    let whom = match (named("sid")?, named("sub")?) {
        (Some(sid), _) => LoggedOut::Session(sid),
        (None, Some(sub)) => LoggedOut::User(sub),
        (None, None) => return Err(LogoutTokenError::Nobody),
    };
    let jti = named("jti")?.ok_or(IdTokenError::MissingClaim("jti"))?;
    Ok(LogoutClaims { whom, issued_at, expires_at, jti })
}

/// §2.6, item 2: as for ID tokens, but without `azp`, for it may be for several clients.
fn judge_parties(claims: &Map<String, Value>, expected: &Expectation<'_>) -> Result<(), IdTokenError> {
    let issuer = text(claims, "iss")?.ok_or(IdTokenError::MissingClaim("iss"))?;
    if !expected.issuer.accepts(&issuer, text(claims, "tid")?.as_deref()) {
        return Err(IdTokenError::Issuer);
    }
    let us = expected.client_id.as_str();
    if audiences(claims)?.iter().any(|aud| aud == us) { Ok(()) } else { Err(IdTokenError::Audience) }
}

/// §2.4.
const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
