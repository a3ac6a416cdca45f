//! RFC 7515 · RFC 8037 · RFC 7638: the keys that sign what an upstream is told of a user, derived from the cookie's secrets.
//!
//! Derived and not stored, so that replicas and restarts agree without anything to keep, and so that a rotation of the
//! secrets rotates these keys with them.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::cookie::{KeyRingError, check_secrets, hkdf_sha256};
use crate::secret::{AccessToken, CookieSecret};

/// One Ed25519 key for each secret, newest first: the first signs, all are published.
///
/// ```
/// use perennial_core::identity::IdentityKeys;
/// use perennial_core::secret::CookieSecret;
///
/// let keys = IdentityKeys::new(&[CookieSecret::new("at least 32 random characters")])?;
/// let statement = keys.sign(&serde_json::json!({ "sub": "alice" }));
/// assert_eq!(statement.split('.').count(), 3);
/// # Ok::<(), perennial_core::cookie::KeyRingError>(())
/// ```
pub struct IdentityKeys {
    newest: IdentityKey,
    older: Vec<IdentityKey>,
}

struct IdentityKey {
    pair: Ed25519KeyPair,
    kid: String,
    /// Encoded already: it is the same in every signature.
    header: String,
}

impl IdentityKeys {
    /// Derives the keys from `secrets`, newest first.
    ///
    /// # Errors
    /// [`KeyRingError`] when the list is empty or too long, or has an empty secret.
    pub fn new(secrets: &[CookieSecret]) -> Result<Self, KeyRingError> {
        let (newest, older) = check_secrets(secrets)?;
        Ok(Self { newest: IdentityKey::new(newest), older: older.iter().map(IdentityKey::new).collect() })
    }

    /// Signs `claims` as a compact JWS of the type [`TYP`]. The claims are the caller's, times and audience included.
    pub fn sign(&self, claims: &Value) -> String {
        let IdentityKey { pair, header, .. } = &self.newest;
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = URL_SAFE_NO_PAD.encode(pair.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// RFC 7517 §5: the public halves.
    pub fn key_set(&self) -> Value {
        let keys: Vec<Value> = std::iter::once(&self.newest).chain(&self.older).map(IdentityKey::public).collect();
        json!({ "keys": keys })
    }
}

impl std::fmt::Debug for IdentityKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IdentityKeys([{} redacted])", 1 + self.older.len())
    }
}

impl IdentityKey {
    fn new(secret: &CookieSecret) -> Self {
        let seed: Zeroizing<[u8; 32]> = hkdf_sha256(secret, b"", b"perennial identity v1");
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed[..]).expect("every 32 bytes are an Ed25519 seed");
        let x = URL_SAFE_NO_PAD.encode(pair.public_key());
        let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        let kid = URL_SAFE_NO_PAD.encode(digest(&SHA256, canonical.as_bytes()));
        let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":"{TYP}"}}"#));
        Self { pair, kid, header }
    }

    fn public(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.pair.public_key());
        json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": self.kid, "use": "sig", "alg": "EdDSA" })
    }
}

/// RFC 9449 §4.2 `ath`: ties a statement to the access token that goes along with it.
pub fn access_token_hash(token: &AccessToken) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, token.expose_secret().as_bytes()))
}

/// RFC 8725 §3.11: the type that keeps such a statement from being taken for any other JWT, and the reverse.
pub const TYP: &str = "perennial-identity+jwt";

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    fn keys(secrets: &[&str]) -> IdentityKeys {
        let secrets: Vec<CookieSecret> = secrets.iter().map(|secret| CookieSecret::new(*secret)).collect();
        IdentityKeys::new(&secrets).expect("good secrets")
    }

    fn decoded(part: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(part).expect("base64url")
    }

    fn verifies(statement: &str, key_set: &Value) -> bool {
        let (signed, signature) = statement.rsplit_once('.').expect("three parts");
        let header: Value =
            serde_json::from_slice(&decoded(signed.split('.').next().expect("a header"))).expect("JSON");
        let all = key_set["keys"].as_array().expect("keys");
        all.iter().filter(|key| key["kid"] == header["kid"]).any(|key| {
            let x = decoded(key["x"].as_str().expect("x"));
            UnparsedPublicKey::new(&ED25519, x).verify(signed.as_bytes(), &decoded(signature)).is_ok()
        })
    }

    #[test]
    fn replicas_with_the_same_secrets_agree_and_others_do_not() {
        let statement = keys(&["one", "two"]).sign(&json!({ "sub": "alice" }));
        for (secrets, expected) in [
            (&["one", "two"][..], true),
            (&["one"], true),
            (&["three", "one"], true),
            (&["two"], false),
            (&["three"], false),
        ] {
            assert_eq!(verifies(&statement, &keys(secrets).key_set()), expected, "{secrets:?}");
        }
    }

    #[test]
    fn a_change_of_any_part_is_found() {
        let keys = keys(&["one"]);
        let statement = keys.sign(&json!({ "sub": "alice" }));
        assert!(verifies(&statement, &keys.key_set()));
        let (header, rest) = statement.split_once('.').expect("three parts");
        let (_, signature) = rest.split_once('.').expect("three parts");
        let forged = format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(r#"{"sub":"mallory"}"#));
        assert!(!verifies(&forged, &keys.key_set()));
    }

    #[test]
    fn the_key_id_is_the_thumbprint_of_rfc_8037() {
        // RFC 8037 A.3 gives this thumbprint for the key of A.1.
        let seed = decoded("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("32 bytes");
        let x = URL_SAFE_NO_PAD.encode(pair.public_key());
        assert_eq!(x, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        let thumbprint = URL_SAFE_NO_PAD.encode(digest(&SHA256, canonical.as_bytes()));
        assert_eq!(thumbprint, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn no_key_is_printed() {
        assert_eq!(format!("{:?}", keys(&["one", "two"])), "IdentityKeys([2 redacted])");
    }
}
