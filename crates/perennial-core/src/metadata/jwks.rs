//! RFC 7517 §4, §5: the keys a provider signs with.

use http::{Request, StatusCode};
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use serde::Deserialize;
use serde_json::Value;

use super::json_request;
use crate::id_token::{JwsAlgorithm, KeyFamily};
use crate::limits::{JWKS_KEYS, PROVIDER_ANSWER_BYTES};
use crate::provider::ResolvedProvider;

/// The keys of a provider that signatures can be verified with.
#[derive(Clone, Debug, Default)]
pub struct JwkSet {
    keys: Vec<VerificationKey>,
    skipped: usize,
}

/// One public key of a [`JwkSet`].
#[derive(Clone, Debug)]
pub struct VerificationKey {
    kid: Option<String>,
    /// Where the key names one, it is good for this one alone.
    alg: Option<JwsAlgorithm>,
    family: KeyFamily,
    key: DecodingKey,
}

/// Why a key set is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwkSetError {
    /// No JSON object with an array `keys`.
    #[error("the key set is not a JSON object with an array `keys`")]
    NotAKeySet,
    /// Not 200.
    #[error("the key set was answered with HTTP {0}")]
    Status(u16),
    /// Larger than [`PROVIDER_ANSWER_BYTES`].
    #[error("the key set is larger than {PROVIDER_ANSWER_BYTES} bytes")]
    TooLarge,
}

/// Asks for the provider's keys; `None` for a provider that has none to offer.
pub fn jwks_request(provider: &ResolvedProvider) -> Option<Request<Vec<u8>>> {
    provider.jwks.as_ref().map(json_request)
}

/// Judges the answer to [`jwks_request`]: keys that cannot verify an ID token are skipped, not refused.
///
/// # Errors
/// [`JwkSetError`] when there is no key set at all.
pub fn read_jwk_set(status: StatusCode, body: &[u8]) -> Result<JwkSet, JwkSetError> {
    #[derive(Deserialize)]
    struct Document {
        keys: Vec<Value>,
    }
    if status != StatusCode::OK {
        return Err(JwkSetError::Status(status.as_u16()));
    }
    if body.len() > PROVIDER_ANSWER_BYTES {
        return Err(JwkSetError::TooLarge);
    }
    let document: Document = serde_json::from_slice(body).map_err(|_| JwkSetError::NotAKeySet)?;
    let offered = document.keys.len();
    let keys: Vec<VerificationKey> =
        document.keys.into_iter().take(JWKS_KEYS).filter_map(VerificationKey::read).collect();
    Ok(JwkSet { skipped: offered - keys.len(), keys })
}

impl JwkSet {
    /// The keys that can be used.
    pub fn keys(&self) -> &[VerificationKey] {
        &self.keys
    }

    /// How many more the document held: for encryption, of an unknown kind, or beyond [`JWKS_KEYS`].
    pub fn skipped(&self) -> usize {
        self.skipped
    }
}

impl VerificationKey {
    /// The key's name, if it has one.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Whether a signature of `alg` can be this key's.
    pub(crate) fn suits(&self, alg: JwsAlgorithm) -> bool {
        self.family == alg.family() && self.alg.is_none_or(|own| own == alg)
    }

    pub(crate) fn key(&self) -> &DecodingKey {
        &self.key
    }

    /// `None` for what cannot verify: other uses, unknown kinds, and `oct`, which nobody publishes on purpose.
    fn read(value: Value) -> Option<Self> {
        let named_alg = value.get("alg").and_then(Value::as_str).map(str::to_owned);
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        if matches!(&jwk.common.public_key_use, Some(other) if *other != PublicKeyUse::Signature) {
            return None;
        }
        if matches!(&jwk.common.key_operations, Some(allowed) if !allowed.contains(&KeyOperations::Verify)) {
            return None;
        }
        let alg = match named_alg {
            Some(name) => Some(JwsAlgorithm::parse(&name)?),
            None => None,
        };
        let family = family(&jwk.algorithm)?;
        if alg.is_some_and(|alg| alg.family() != family) {
            return None;
        }
        Some(Self { family, alg, key: DecodingKey::from_jwk(&jwk).ok()?, kid: jwk.common.key_id })
    }
}

fn family(parameters: &AlgorithmParameters) -> Option<KeyFamily> {
    match parameters {
        AlgorithmParameters::RSA(_) => Some(KeyFamily::Rsa),
        AlgorithmParameters::EllipticCurve(ec) => match ec.curve {
            EllipticCurve::P256 => Some(KeyFamily::P256),
            EllipticCurve::P384 => Some(KeyFamily::P384),
            _ => None,
        },
        AlgorithmParameters::OctetKeyPair(okp) => (okp.curve == EllipticCurve::Ed25519).then_some(KeyFamily::Ed25519),
        _ => None,
    }
}
