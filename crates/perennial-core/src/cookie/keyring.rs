//! RFC 5869 · RFC 7638: the keys of one cookie, derived from the list of secrets as Auth.js derives them.

use aws_lc_rs::{digest, hkdf};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::content_encryption::{CbcHmac, Gcm};
use crate::limits::COOKIE_SECRETS;
use crate::secret::CookieSecret;

/// The keys of one cookie name, newest first: the first seals, each opens.
///
/// Deriving takes microseconds, so make one ring per cookie name at start-up and keep it.
///
/// ```
/// use perennial_core::cookie::KeyRing;
/// use perennial_core::secret::CookieSecret;
///
/// let secrets = [CookieSecret::new("the new one"), CookieSecret::new("the one before")];
/// let ring = KeyRing::new(&secrets, "__Secure-authjs.session-token")?;
/// # let _ = ring;
/// assert!(KeyRing::new(&[], "authjs.session-token").is_err());
/// # Ok::<(), perennial_core::cookie::KeyRingError>(())
/// ```
pub struct KeyRing {
    newest: DerivedKeys,
    older: Vec<DerivedKeys>,
}

/// Why no keys can be derived from a list of secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyRingError {
    /// There is none.
    #[error("no secret is configured: set AUTH_SECRET to at least 32 random characters")]
    NoSecret,
    /// One is the empty string.
    #[error("one of the secrets is empty: remove it or give it a value")]
    EmptySecret,
    /// There are more than [`COOKIE_SECRETS`].
    #[error("more than {COOKIE_SECRETS} secrets are configured: remove the oldest")]
    TooManySecrets,
}

impl KeyRingError {
    /// The stable name of this error, for logs and answers.
    pub fn code(self) -> &'static str {
        match self {
            Self::NoSecret => "secret_missing",
            Self::EmptySecret => "secret_empty",
            Self::TooManySecrets => "secrets_too_many",
        }
    }
}

impl KeyRing {
    /// Derives the keys of the cookie named `salt` from `secrets`, newest first, as Auth.js 5 does.
    ///
    /// # Errors
    ///
    /// [`KeyRingError`] when the list is empty or too long, or has an empty secret.
    pub fn new(secrets: &[CookieSecret], salt: &str) -> Result<Self, KeyRingError> {
        let info = format!("Auth.js Generated Encryption Key ({salt})");
        Self::derive(secrets, |secret| DerivedKeys::auth_js(secret, salt, &info))
    }

    /// Derives the keys of a next-auth 4 session cookie: no salt, `A256GCM` alone, no key id. It seals that way too.
    ///
    /// # Errors
    ///
    /// [`KeyRingError`] when the list is empty or too long, or has an empty secret.
    pub fn next_auth_v4(secrets: &[CookieSecret]) -> Result<Self, KeyRingError> {
        Self::derive(secrets, DerivedKeys::next_auth_v4)
    }

    fn derive(secrets: &[CookieSecret], derive: impl Fn(&CookieSecret) -> DerivedKeys) -> Result<Self, KeyRingError> {
        let (newest, older) = check_secrets(secrets)?;
        Ok(Self { newest: derive(newest), older: older.iter().map(derive).collect() })
    }

    pub(super) fn newest(&self) -> &DerivedKeys {
        &self.newest
    }

    /// Each secret's keys with whether it is the newest one.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = (&DerivedKeys, bool)> {
        let older = self.older.iter().map(|keys| (keys, false));
        std::iter::once((&self.newest, true)).chain(older)
    }
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyRing([{} redacted])", 1 + self.older.len())
    }
}

/// The newest secret and the others, all of them usable.
pub(crate) fn check_secrets(secrets: &[CookieSecret]) -> Result<(&CookieSecret, &[CookieSecret]), KeyRingError> {
    if secrets.len() > COOKIE_SECRETS {
        return Err(KeyRingError::TooManySecrets);
    }
    if secrets.iter().any(|secret| secret.expose_secret().is_empty()) {
        return Err(KeyRingError::EmptySecret);
    }
    secrets.split_first().ok_or(KeyRingError::NoSecret)
}

/// What one secret yields: a key per content encryption.
pub(super) struct DerivedKeys {
    /// next-auth 4 has no such key.
    pub(super) cbc_hmac: Option<Identified<CbcHmac>>,
    pub(super) gcm: Identified<Gcm>,
}

/// A key with its name, and with the protected header that a value sealed under it begins with.
pub(super) struct Identified<K> {
    pub(super) key: K,
    pub(super) kid: Option<String>,
    /// Encoded already.
    pub(super) header: String,
}

impl DerivedKeys {
    fn auth_js(secret: &CookieSecret, salt: &str, info: &str) -> Self {
        let wide: Zeroizing<[u8; 64]> = hkdf_sha256(secret, salt.as_bytes(), info.as_bytes());
        let narrow: Zeroizing<[u8; 32]> = hkdf_sha256(secret, salt.as_bytes(), info.as_bytes());
        Self {
            cbc_hmac: Some(Identified::new(
                CbcHmac::new(&wide),
                CbcHmac::ENC,
                Some(thumbprint(&digest::SHA512, &wide[..])),
            )),
            gcm: Identified::new(Gcm::new(&narrow), Gcm::ENC, Some(thumbprint(&digest::SHA256, &narrow[..]))),
        }
    }

    fn next_auth_v4(secret: &CookieSecret) -> Self {
        let key = hkdf_sha256(secret, b"", b"NextAuth.js Generated Encryption Key");
        Self { cbc_hmac: None, gcm: Identified::new(Gcm::new(&key), Gcm::ENC, None) }
    }
}

impl<K> Identified<K> {
    /// The header's members stand in the order in which Auth.js writes them, so that both write the same text.
    fn new(key: K, enc: &str, kid: Option<String>) -> Self {
        let header = match &kid {
            Some(kid) => format!(r#"{{"alg":"dir","enc":"{enc}","kid":"{kid}"}}"#),
            None => format!(r#"{{"alg":"dir","enc":"{enc}"}}"#),
        };
        Self { key, kid, header: URL_SAFE_NO_PAD.encode(header) }
    }
}

/// RFC 5869 §2 with SHA-256: `N` bytes of key, which depend on every argument.
pub(crate) fn hkdf_sha256<const N: usize>(secret: &CookieSecret, salt: &[u8], info: &[u8]) -> Zeroizing<[u8; N]> {
    struct Length(usize);
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }

    let mut key = Zeroizing::new([0; N]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(secret.expose_secret().as_bytes())
        .expand(&[info], Length(N))
        .and_then(|okm| okm.fill(&mut key[..]))
        .expect("at most 64 bytes are asked for, HKDF-SHA256 gives up to 8160");
    key
}

/// RFC 7638 §3 of a symmetric key. Auth.js hashes with as many bits as the key has.
fn thumbprint(hash: &'static digest::Algorithm, key: &[u8]) -> String {
    let jwk =
        Zeroizing::new(format!(r#"{{"k":"{}","kty":"oct"}}"#, Zeroizing::new(URL_SAFE_NO_PAD.encode(key)).as_str()));
    URL_SAFE_NO_PAD.encode(digest::digest(hash, jwk.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_the_list_at_their_edges() {
        let secrets = |count: usize| vec![CookieSecret::new("s"); count];
        let error = |list: &[CookieSecret]| KeyRing::new(list, "cookie").err();
        assert_eq!(error(&secrets(0)), Some(KeyRingError::NoSecret));
        assert_eq!(error(&secrets(1)), None);
        assert_eq!(error(&secrets(COOKIE_SECRETS)), None);
        assert_eq!(error(&secrets(COOKIE_SECRETS + 1)), Some(KeyRingError::TooManySecrets));
        assert_eq!(error(&[CookieSecret::new("s"), CookieSecret::new("")]), Some(KeyRingError::EmptySecret));
    }
}
