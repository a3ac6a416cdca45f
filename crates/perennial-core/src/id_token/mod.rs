//! OIDC Core §2, §3.1.3.6–8, §12.2 · Back-Channel Logout §2 · RFC 7515 · RFC 8725: ID tokens and logout tokens, believed only
//! after they were verified.

mod algorithm;
mod claims;
mod jws;
mod logout;
mod renewed;
mod userinfo;

use std::time::Duration;

pub use algorithm::JwsAlgorithm;
pub(crate) use algorithm::KeyFamily;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
pub use claims::{IdTokenClaims, read_unverified_claims};
pub use logout::{LoggedOut, LogoutAddress, LogoutClaims, LogoutTokenError, logout_address, verify_logout};
pub use renewed::{RenewedIdTokenError, check_renewed};
use serde_json::Value;
pub use userinfo::{UserInfo, UserInfoError, read_userinfo};

use crate::Timestamp;
use crate::limits::ID_TOKEN_CLOCK_SKEW;
use crate::metadata::JwkSet;
use crate::names::ClientId;
use crate::provider::{ClientAuthentication, IssuerRule, ResolvedProvider};
use crate::secret::{AccessToken, ClientSecret, IdToken, Nonce, constant_time_eq};

/// What an ID token must be to be believed.
#[derive(Clone, Copy, Debug)]
pub struct Expectation<'a> {
    /// Who must have issued it.
    pub issuer: &'a IssuerRule,
    /// For whom it must be.
    pub client_id: &'a ClientId,
    /// By which algorithms it may be signed.
    pub algs: &'a [JwsAlgorithm],
    /// The key of `HS…` algorithms, heeded only where `algs` names one of them.
    pub client_secret: Option<&'a ClientSecret>,
    /// Which nonce it must hold.
    pub nonce: ExpectedNonce<'a>,
    /// The access token it came with, for `at_hash`.
    pub access_token: Option<&'a AccessToken>,
    /// How long ago the user may have signed in, when the request asked for it.
    pub max_age: Option<Duration>,
    /// The time.
    pub now: Timestamp,
}

/// Which nonce an ID token must hold.
#[derive(Clone, Copy, Debug)]
pub enum ExpectedNonce<'a> {
    /// At renewal: [`check_renewed`] compares it with the original's.
    AsBefore,
    /// At sign-in: the one that was sent.
    Sent(&'a Nonce),
}

/// An ID token whose signature and claims were verified. [`verify`] makes them, and nothing else.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedIdToken {
    claims: IdTokenClaims,
}

/// Why an ID token is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdTokenError {
    /// Signed by an algorithm that was not registered; `none` is never.
    #[error("the ID token is signed with an algorithm that is not registered for this client")]
    Algorithm,
    /// `at_hash` is of another access token.
    #[error("the ID token's at_hash does not match the access token")]
    AtHash,
    /// `aud` does not name us.
    #[error("the ID token is for another client")]
    Audience,
    /// The user signed in longer ago than asked for, or nobody says when.
    #[error("the ID token's auth_time is missing or older than the max_age asked for")]
    AuthTime,
    /// `azp` names another client, or is missing where there are further audiences.
    #[error("the ID token's azp is not this client")]
    AuthorizedParty,
    /// `exp` has passed.
    #[error("the ID token has expired")]
    Expired,
    /// `iss` is another.
    #[error("the ID token is from another issuer")]
    Issuer,
    /// Not a JWS of a JSON object, too large, or encrypted.
    #[error("the ID token is malformed")]
    Malformed,
    /// A claim that OIDC Core §2 requires is absent or of the wrong type.
    #[error("the ID token lacks a usable claim {0}")]
    MissingClaim(&'static str),
    /// `nonce` is not the one that was sent.
    #[error("the ID token's nonce is not the one that was sent")]
    Nonce,
    /// A logout token, an access token or another JWT made for another purpose (RFC 8725 §3.11).
    #[error("this is another kind of token, not an ID token")]
    NotAnIdToken,
    /// `nbf` or `iat` lies in the future.
    #[error("the ID token is from the future; compare the clocks")]
    NotYetValid,
    /// The signature is not the key's.
    #[error("the ID token's signature is wrong")]
    Signature,
    /// No key of the set verifies it: fetch the set once more, at a bounded rate (OIDC Core §10.1.1).
    #[error("the ID token is signed with a key that is not in the provider's key set")]
    UnknownKid {
        /// The key's name as the token has it, not yet to be believed.
        kid: Option<String>,
    },
}

/// Verifies signature and claims.
///
/// # Errors
/// [`IdTokenError`]; [`UnknownKid`](IdTokenError::UnknownKid) alone may be cured by a fresh key set.
pub fn verify(token: &IdToken, expected: &Expectation<'_>, keys: &JwkSet) -> Result<VerifiedIdToken, IdTokenError> {
    let jws = jws::Jws::parse(token.expose_secret(), jws::Kind::Id)?;
    let alg = jws.verify_signature(expected, keys)?;
    let claims = IdTokenClaims::read(jws.payload)?;
    judge_parties(&claims, expected)?;
    judge_times(&claims, expected)?;
    if let ExpectedNonce::Sent(sent) = expected.nonce {
        match &claims.nonce {
            Some(nonce) if Nonce::new(&**nonce) == *sent => {}
            _ => return Err(IdTokenError::Nonce),
        }
    }
    judge_at_hash(&claims, expected, alg)?;
    Ok(VerifiedIdToken { claims })
}

impl<'a> Expectation<'a> {
    /// What `provider` must have signed at `now`, with nothing yet said about nonce and access token; `None` for a
    /// provider without an issuer, which cannot sign ID tokens.
    pub fn of(provider: &'a ResolvedProvider, now: Timestamp) -> Option<Self> {
        Some(Self {
            issuer: provider.issuer.as_ref()?,
            client_id: &provider.provider.client_id,
            algs: &provider.id_token_algs,
            client_secret: match &provider.provider.client_authentication {
                ClientAuthentication::ClientSecretBasic(secret) | ClientAuthentication::ClientSecretPost(secret) => {
                    Some(secret)
                }
                ClientAuthentication::None | ClientAuthentication::PrivateKeyJwt { .. } => None,
            },
            nonce: ExpectedNonce::AsBefore,
            access_token: None,
            max_age: None,
            now,
        })
    }
}

impl VerifiedIdToken {
    /// What it says.
    pub fn claims(&self) -> &IdTokenClaims {
        &self.claims
    }

    /// What it says, to keep.
    pub fn into_claims(self) -> IdTokenClaims {
        self.claims
    }
}

impl IdTokenError {
    /// A stable name for logs and pages.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Algorithm => "id_token_algorithm",
            Self::AtHash => "id_token_at_hash",
            Self::Audience => "id_token_audience",
            Self::AuthTime => "id_token_auth_time",
            Self::AuthorizedParty => "id_token_authorized_party",
            Self::Expired => "id_token_expired",
            Self::Issuer => "id_token_issuer",
            Self::Malformed => "id_token_malformed",
            Self::MissingClaim(_) => "id_token_missing_claim",
            Self::Nonce => "id_token_nonce",
            Self::NotAnIdToken => "id_token_wrong_kind",
            Self::NotYetValid => "id_token_not_yet_valid",
            Self::Signature => "id_token_signature",
            Self::UnknownKid { .. } => "id_token_unknown_kid",
        }
    }
}

/// OIDC Core §3.1.3.7, items 2 to 5. Further audiences are accepted when `azp` says that the token is ours all the
/// same: some providers name the whole project there.
fn judge_parties(claims: &IdTokenClaims, expected: &Expectation<'_>) -> Result<(), IdTokenError> {
    let tid = claims.all.get("tid").and_then(Value::as_str);
    if !expected.issuer.accepts(claims.iss.as_str(), tid) {
        return Err(IdTokenError::Issuer);
    }
    let us = expected.client_id.as_str();
    if !claims.aud.iter().any(|aud| aud == us) {
        return Err(IdTokenError::Audience);
    }
    match &claims.azp {
        Some(azp) if azp != us => Err(IdTokenError::AuthorizedParty),
        None if claims.aud.iter().any(|aud| aud != us) => Err(IdTokenError::AuthorizedParty),
        _ => Ok(()),
    }
}

/// OIDC Core §3.1.3.7, items 9, 10 and 13, with [`ID_TOKEN_CLOCK_SKEW`] for clocks that differ.
fn judge_times(claims: &IdTokenClaims, expected: &Expectation<'_>) -> Result<(), IdTokenError> {
    let latest = expected.now + ID_TOKEN_CLOCK_SKEW;
    let earliest = expected.now - ID_TOKEN_CLOCK_SKEW;
    if claims.exp <= earliest {
        return Err(IdTokenError::Expired);
    }
    if claims.iat > latest || claims.nbf.is_some_and(|nbf| nbf > latest) {
        return Err(IdTokenError::NotYetValid);
    }
    match (expected.max_age, claims.auth_time) {
        (None, _) => Ok(()),
        (Some(max_age), Some(auth_time)) if auth_time + max_age >= earliest => Ok(()),
        (Some(_), _) => Err(IdTokenError::AuthTime),
    }
}

/// OIDC Core §3.1.3.8.
fn judge_at_hash(claims: &IdTokenClaims, expected: &Expectation<'_>, alg: JwsAlgorithm) -> Result<(), IdTokenError> {
    let (Some(found), Some(access_token)) = (claims.all.get("at_hash"), expected.access_token) else {
        return Ok(());
    };
    let digest = aws_lc_rs::digest::digest(alg.digest(), access_token.expose_secret().as_bytes());
    let half = &digest.as_ref()[..digest.as_ref().len() / 2];
    let right = URL_SAFE_NO_PAD.encode(half);
    match found.as_str() {
        Some(found) if constant_time_eq(found.as_bytes(), right.as_bytes()) => Ok(()),
        _ => Err(IdTokenError::AtHash),
    }
}
