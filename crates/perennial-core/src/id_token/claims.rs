//! OIDC Core §2: the claims of an ID token by name.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{IdTokenError, jws};
use crate::Timestamp;
use crate::names::Issuer;
use crate::secret::IdToken;

/// What an ID token says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct IdTokenClaims {
    /// Who issued it.
    pub iss: Issuer,
    /// The user, by the issuer's name for them; compared byte for byte.
    pub sub: String,
    /// For whom it is; one text or several on the wire.
    pub aud: Vec<String>,
    /// The client it was issued to.
    pub azp: Option<String>,
    /// When the user last proved who they are.
    pub auth_time: Option<Timestamp>,
    /// What ties it to a sign-in.
    pub nonce: Option<String>,
    /// When it was issued.
    pub iat: Timestamp,
    /// When it ends.
    pub exp: Timestamp,
    /// When it begins.
    pub nbf: Option<Timestamp>,
    /// The session at the provider, for logout.
    pub sid: Option<String>,
    /// Every claim, as it came.
    pub all: Map<String, Value>,
}

/// Reads the claims of a token without verifying anything: only for one that comes out of our own sealed session,
/// where it was put after [`verify`](super::verify).
///
/// # Errors
/// [`IdTokenError::Malformed`] or [`IdTokenError::MissingClaim`].
pub fn read_unverified_claims(token: &IdToken) -> Result<IdTokenClaims, IdTokenError> {
    IdTokenClaims::read(jws::Jws::parse(token.expose_secret(), jws::Kind::Id)?.payload)
}

impl IdTokenClaims {
    pub(super) fn read(all: Map<String, Value>) -> Result<Self, IdTokenError> {
        if all.contains_key("events") {
            // A logout token (Back-Channel Logout §2.4).
            return Err(IdTokenError::NotAnIdToken);
        }
        Ok(Self {
            iss: Issuer::new(text(&all, "iss")?.ok_or(IdTokenError::MissingClaim("iss"))?),
            sub: text(&all, "sub")?.filter(|sub| !sub.is_empty()).ok_or(IdTokenError::MissingClaim("sub"))?,
            aud: audiences(&all)?,
            azp: text(&all, "azp")?,
            auth_time: moment(&all, "auth_time")?,
            nonce: text(&all, "nonce")?,
            iat: moment(&all, "iat")?.ok_or(IdTokenError::MissingClaim("iat"))?,
            exp: moment(&all, "exp")?.ok_or(IdTokenError::MissingClaim("exp"))?,
            nbf: moment(&all, "nbf")?,
            sid: text(&all, "sid")?,
            all,
        })
    }
}

/// `null` counts as absent.
pub(super) fn present<'a>(all: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    all.get(name).filter(|value| !value.is_null())
}

pub(super) fn text(all: &Map<String, Value>, name: &'static str) -> Result<Option<String>, IdTokenError> {
    match present(all, name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(IdTokenError::MissingClaim(name)),
    }
}

/// RFC 7519 §2 `NumericDate`: a fraction is allowed, and dropped.
pub(super) fn moment(all: &Map<String, Value>, name: &'static str) -> Result<Option<Timestamp>, IdTokenError> {
    match present(all, name) {
        None => Ok(None),
        Some(value) => match value.as_f64() {
            // Beyond the range of `i64` the cast saturates, as `Timestamp` does.
            Some(seconds) if seconds.is_finite() => Ok(Some(Timestamp::from_unix_seconds(seconds as i64))),
            _ => Err(IdTokenError::MissingClaim(name)),
        },
    }
}

pub(super) fn audiences(all: &Map<String, Value>) -> Result<Vec<String>, IdTokenError> {
    let missing = || IdTokenError::MissingClaim("aud");
    match present(all, "aud") {
        Some(Value::String(aud)) => Ok(vec![aud.clone()]),
        Some(Value::Array(auds)) => {
            auds.iter().map(|aud| aud.as_str().map(str::to_owned).ok_or_else(missing)).collect()
        }
        _ => Err(missing()),
    }
}
