//! RFC 7515 §3.1, §5.2: a compact JWS and whose signature it bears.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Expectation, IdTokenError, JwsAlgorithm, KeyFamily};
use crate::limits::ID_TOKEN_CHARS;
use crate::metadata::{JwkSet, VerificationKey};

/// A compact JWS, taken apart and not yet believed.
pub(super) struct Jws<'a> {
    header: Header,
    pub(super) payload: Map<String, Value>,
    /// `header.payload` as it came.
    signed: &'a str,
    signature: &'a str,
}

/// What a JWS is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// OIDC Core §2.
    Id,
    /// Back-Channel Logout §2.4.
    Logout,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

impl<'a> Jws<'a> {
    pub(super) fn parse(token: &'a str, kind: Kind) -> Result<Self, IdTokenError> {
        if token.len() > ID_TOKEN_CHARS {
            return Err(IdTokenError::Malformed);
        }
        let malformed = || IdTokenError::Malformed;
        let (signed, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
        let (header, payload) = signed.split_once('.').ok_or_else(malformed)?;
        // The payload of a JWE has dots of its own and is no base64url.
        let header: Header = decoded(header)?;
        let payload = decoded(payload)?;
        let jws = Self { header, payload, signed, signature };
        jws.judge_kind(kind)?;
        Ok(jws)
    }

    /// RFC 8725 §3.11: a `typ` that ends in `+jwt` names another purpose. RFC 7515 §4.1.11: no extension is understood.
    fn judge_kind(&self, kind: Kind) -> Result<(), IdTokenError> {
        if self.header.crit.is_some() {
            return Err(IdTokenError::Malformed);
        }
        let typ = self.header.typ.as_deref().unwrap_or_default().to_ascii_lowercase();
        let typ = typ.strip_prefix("application/").unwrap_or(&typ);
        match (kind, typ.ends_with("+jwt")) {
            (Kind::Logout, true) if typ == "logout+jwt" => Ok(()),
            (_, true) => Err(IdTokenError::NotAnIdToken),
            (_, false) => Ok(()),
        }
    }

    /// The algorithm under which one of the expected keys signed this.
    pub(super) fn verify_signature(
        &self,
        expected: &Expectation<'_>,
        keys: &JwkSet,
    ) -> Result<JwsAlgorithm, IdTokenError> {
        let alg = JwsAlgorithm::parse(&self.header.alg).ok_or(IdTokenError::Algorithm)?;
        if !expected.algs.contains(&alg) {
            return Err(IdTokenError::Algorithm);
        }
        if alg.family() == KeyFamily::Hmac {
            let secret = expected.client_secret.ok_or(IdTokenError::Algorithm)?;
            let key = DecodingKey::from_secret(secret.expose_secret().as_bytes());
            return match self.is_signed_by(&key, alg) {
                true => Ok(alg),
                false => Err(IdTokenError::Signature),
            };
        }
        let candidates = self.candidates(keys, alg)?;
        match candidates.iter().any(|key| self.is_signed_by(key.key(), alg)) {
            true => Ok(alg),
            // Without a name nobody can tell a forged signature from a key that is newer than the set.
            false if self.header.kid.is_none() => Err(IdTokenError::UnknownKid { kid: None }),
            false => Err(IdTokenError::Signature),
        }
    }

    /// The keys of the token's `kid`; without one, and among keys without one, all that suit the algorithm.
    fn candidates<'k>(&self, keys: &'k JwkSet, alg: JwsAlgorithm) -> Result<Vec<&'k VerificationKey>, IdTokenError> {
        let named: Vec<_> = keys
            .keys()
            .iter()
            .filter(|key| match (&self.header.kid, key.kid()) {
                (Some(wanted), Some(kid)) => wanted == kid,
                (Some(_), None) | (None, _) => true,
            })
            .collect();
        if named.is_empty() {
            return Err(IdTokenError::UnknownKid { kid: self.header.kid.clone() });
        }
        Ok(named.into_iter().filter(|key| key.suits(alg)).collect())
    }

    fn is_signed_by(&self, key: &DecodingKey, alg: JwsAlgorithm) -> bool {
        jsonwebtoken::crypto::verify(self.signature, self.signed.as_bytes(), key, alg.into()).unwrap_or(false)
    }
}

fn decoded<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, IdTokenError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| IdTokenError::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| IdTokenError::Malformed)
}
