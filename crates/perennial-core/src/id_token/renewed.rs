//! OIDC Core §12.2: an ID token that came with a renewal must speak of the same sign-in.

use std::collections::BTreeSet;

use super::{IdTokenClaims, VerifiedIdToken};
use crate::limits::ID_TOKEN_CLOCK_SKEW;

/// Why a renewed ID token does not continue the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RenewedIdTokenError {
    /// `aud` differs.
    #[error("the renewed ID token has other audiences")]
    Audience,
    /// `auth_time` moved.
    #[error("the renewed ID token has another auth_time")]
    AuthTime,
    /// `azp` differs, appeared or vanished.
    #[error("the renewed ID token has another azp")]
    AuthorizedParty,
    /// `iat` is older than the previous one's.
    #[error("the renewed ID token is older than the one before it")]
    IssuedAt,
    /// `iss` differs, be it by a trailing slash.
    #[error("the renewed ID token is from another issuer")]
    Issuer,
    /// `nonce` is there and differs.
    #[error("the renewed ID token has another nonce")]
    Nonce,
    /// `sub` differs, be it by case.
    #[error("the renewed ID token is about another user")]
    Subject,
}

/// Whether `renewed` continues the session of `previous`, which is the sign-in's ID token or any renewed one after it.
///
/// A nonce is compared where both have one: a provider may leave it out once and repeat it the next time.
///
/// # Errors
/// [`RenewedIdTokenError`]: the tokens that came with it belong to another session and must not be used.
pub fn check_renewed(previous: &IdTokenClaims, renewed: &VerifiedIdToken) -> Result<(), RenewedIdTokenError> {
    let renewed = renewed.claims();
    let set = |claims: &IdTokenClaims| claims.aud.iter().cloned().collect::<BTreeSet<String>>();
    if renewed.iss != previous.iss {
        return Err(RenewedIdTokenError::Issuer);
    }
    if renewed.sub != previous.sub {
        return Err(RenewedIdTokenError::Subject);
    }
    if set(renewed) != set(previous) {
        return Err(RenewedIdTokenError::Audience);
    }
    if renewed.azp != previous.azp {
        return Err(RenewedIdTokenError::AuthorizedParty);
    }
    if renewed.iat + ID_TOKEN_CLOCK_SKEW < previous.iat {
        return Err(RenewedIdTokenError::IssuedAt);
    }
    if differ(&renewed.auth_time, &previous.auth_time) {
        return Err(RenewedIdTokenError::AuthTime);
    }
    if differ(&renewed.nonce, &previous.nonce) {
        return Err(RenewedIdTokenError::Nonce);
    }
    Ok(())
}

fn differ<T: PartialEq>(renewed: &Option<T>, previous: &Option<T>) -> bool {
    matches!((renewed, previous), (Some(renewed), Some(previous)) if renewed != previous)
}
