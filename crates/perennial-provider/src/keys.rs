//! The signing keys and the JWTs made with them: RFC 7515, RFC 7517, RFC 9068.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde_json::Value;

use crate::limits::FORMER_KEYS;
use crate::random::opaque;

/// The algorithm of ID tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Alg {
    /// ECDSA with P-256 and SHA-256.
    #[default]
    Es256,
    /// RSA PKCS #1 v1.5 with SHA-256, 2048 bits.
    Rs256,
}

impl Alg {
    /// Its registered name (RFC 7518 §3.1).
    pub fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
        }
    }

    fn registered(self) -> Algorithm {
        match self {
            Self::Es256 => Algorithm::ES256,
            Self::Rs256 => Algorithm::RS256,
        }
    }
}

/// No key could be generated, or none would sign; the process is then out of order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signing key cannot be generated or used")]
pub struct KeyError;

/// The newest key signs; a few former ones stay published.
pub(crate) struct KeyRing {
    alg: Alg,
    newest: SigningKey,
    former: Vec<Jwk>,
}

struct SigningKey {
    kid: String,
    private: EncodingKey,
    public: Jwk,
}

impl KeyRing {
    pub(crate) fn generate(alg: Alg) -> Result<Self, KeyError> {
        Ok(Self { alg, newest: SigningKey::generate(alg)?, former: Vec::new() })
    }

    pub(crate) fn rotate(&mut self) -> Result<&str, KeyError> {
        let retired = std::mem::replace(&mut self.newest, SigningKey::generate(self.alg)?);
        self.former.insert(0, retired.public);
        self.former.truncate(FORMER_KEYS);
        Ok(&self.newest.kid)
    }

    pub(crate) fn jwks(&self) -> JwkSet {
        let keys = std::iter::once(&self.newest.public).chain(&self.former);
        JwkSet { keys: keys.cloned().collect() }
    }

    /// Signs `claims`; `spoil` is how the result shall be wrong, if at all.
    pub(crate) fn sign(&self, typ: &str, claims: &Value, spoil: Option<Spoil>) -> Result<String, KeyError> {
        if spoil == Some(Spoil::AlgNone) {
            let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
            return Ok(format!("{header}.{}.", URL_SAFE_NO_PAD.encode(claims.to_string())));
        }
        let mut header = Header::new(self.alg.registered());
        header.typ = Some(typ.to_owned());
        header.kid = Some(match spoil {
            Some(Spoil::Kid) => "no-such-key".to_owned(),
            _ => self.newest.kid.clone(),
        });
        let signed = jsonwebtoken::encode(&header, claims, &self.newest.private).map_err(|_| KeyError)?;
        match spoil {
            Some(Spoil::Sig) => Ok(with_a_wrong_signature(&signed)),
            _ => Ok(signed),
        }
    }

    /// The claims of one of our own ID tokens, expired ones included, as an `id_token_hint` may be.
    pub(crate) fn read_own(&self, token: &str) -> Option<Value> {
        let kid = jsonwebtoken::decode_header(token).ok()?.kid?;
        let jwks = self.jwks();
        let key = DecodingKey::from_jwk(jwks.find(&kid)?).ok()?;
        let mut validation = Validation::new(self.alg.registered());
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        jsonwebtoken::decode::<Value>(token, &key, &validation).ok().map(|data| data.claims)
    }
}

/// A way to spoil a signature or its header.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spoil {
    AlgNone,
    Kid,
    Sig,
}

impl SigningKey {
    fn generate(alg: Alg) -> Result<Self, KeyError> {
        let private = match alg {
            Alg::Es256 => {
                let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
                    .map_err(|_| KeyError)?;
                EncodingKey::from_ec_der(pkcs8.as_ref())
            }
            Alg::Rs256 => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| KeyError)?;
                let pkcs8: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| KeyError)?;
                // Only the PEM reader of jsonwebtoken takes PKCS #8 for RSA; its DER reader wants PKCS #1.
                let pem = format!(
                    "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
                    STANDARD.encode(pkcs8.as_ref())
                );
                EncodingKey::from_rsa_pem(pem.as_bytes()).map_err(|_| KeyError)?
            }
        };
        let kid = opaque("")[..12].to_owned();
        let mut public = Jwk::from_encoding_key(&private, alg.registered()).map_err(|_| KeyError)?;
        public.common.key_id = Some(kid.clone());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        Ok(Self { kid, private, public })
    }
}

/// Turns one bit in the middle of the signature.
fn with_a_wrong_signature(signed: &str) -> String {
    let (message, signature) = signed.rsplit_once('.').unwrap_or((signed, ""));
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_algorithms_sign_what_they_read_back() {
        for alg in [Alg::Es256, Alg::Rs256] {
            let mut keys = KeyRing::generate(alg).unwrap();
            let claims = json!({"sub": "alice", "exp": 1});
            let token = keys.sign("JWT", &claims, None).unwrap();
            assert_eq!(keys.read_own(&token), Some(claims.clone()), "{alg:?}");
            for spoil in [Spoil::AlgNone, Spoil::Kid, Spoil::Sig] {
                assert_eq!(keys.read_own(&keys.sign("JWT", &claims, Some(spoil)).unwrap()), None);
            }
            keys.rotate().unwrap();
            assert_eq!(keys.read_own(&token), Some(claims), "a former key stays published");
            assert_eq!(keys.jwks().keys.len(), 2);
        }
    }
}
