//! RFC 5869 · RFC 7638: the keys that cookies are sealed under, derived once from the secrets.

use aws_lc_rs::digest::{Algorithm, SHA256, SHA512, digest};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::secret::CookieSecret;

/// Keys for one cookie name: the first secret seals, all open.
///
/// ```
/// use perennial_core::cookie::KeyRing;
/// use perennial_core::secret::CookieSecret;
///
/// let newest_first = [CookieSecret::new("this month's secret"), CookieSecret::new("last month's secret")];
/// let keys = KeyRing::new(&newest_first, "authjs.session-token")?;
/// # Ok::<(), perennial_core::cookie::KeyRingError>(())
/// ```
pub struct KeyRing {
    pub(super) keys: Vec<Keys>,
}

/// The keys of one secret.
#[derive(ZeroizeOnDrop)]
pub(super) struct Keys {
    /// HMAC-SHA512 key and AES-256-CBC key.
    pub(super) cbc: [u8; 64],
    #[zeroize(skip)]
    pub(super) cbc_kid: String,
    pub(super) gcm: [u8; 32],
    #[zeroize(skip)]
    pub(super) gcm_kid: String,
}

/// No key can be derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at least one secret is needed, and none may be empty")]
pub struct KeyRingError;

impl KeyRing {
    /// Derives the keys of a cookie called `salt`, as Auth.js 5 does.
    ///
    /// # Errors
    /// [`KeyRingError`] when there is no secret, or an empty one.
    pub fn new(secrets: &[CookieSecret], salt: &str) -> Result<Self, KeyRingError> {
        let info = format!("Auth.js Generated Encryption Key ({salt})");
        Self::derive(secrets, salt, &info)
    }

    /// Derives the keys of next-auth 4, whose cookies all share one.
    ///
    /// # Errors
    /// [`KeyRingError`] when there is no secret, or an empty one.
    pub fn next_auth_v4(secrets: &[CookieSecret]) -> Result<Self, KeyRingError> {
        Self::derive(secrets, "", "NextAuth.js Generated Encryption Key")
    }

    fn derive(secrets: &[CookieSecret], salt: &str, info: &str) -> Result<Self, KeyRingError> {
        if secrets.is_empty() || secrets.iter().any(|secret| secret.expose_secret().is_empty()) {
            return Err(KeyRingError);
        }
        let keys = secrets.iter().map(|secret| {
            let cbc = hkdf_sha256::<64>(secret.expose_secret().as_bytes(), salt.as_bytes(), info.as_bytes());
            let gcm = hkdf_sha256::<32>(secret.expose_secret().as_bytes(), salt.as_bytes(), info.as_bytes());
            Keys { cbc_kid: thumbprint(&cbc, &SHA512), cbc, gcm_kid: thumbprint(&gcm, &SHA256), gcm }
        });
        Ok(Self { keys: keys.collect() })
    }
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyRing([{} secrets])", self.keys.len())
    }
}

/// HKDF with SHA-256 (RFC 5869), `N` bytes, at most 255 · 32.
pub(super) fn hkdf_sha256<const N: usize>(secret: &[u8], salt: &[u8], info: &[u8]) -> [u8; N] {
    struct Length(usize);

    impl KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }

    let mut out = [0; N];
    let info = [info];
    Salt::new(HKDF_SHA256, salt)
        .extract(secret)
        .expand(&info, Length(N))
        .and_then(|okm| okm.fill(&mut out))
        .expect("the lengths asked for are far below HKDF's limit");
    out
}

/// RFC 7638, with the hash as long as the key (Auth.js's choice).
fn thumbprint(key: &[u8], hash: &'static Algorithm) -> String {
    let mut jwk = format!(r#"{{"k":"{}","kty":"oct"}}"#, URL_SAFE_NO_PAD.encode(key));
    let print = URL_SAFE_NO_PAD.encode(digest(hash, jwk.as_bytes()));
    jwk.zeroize();
    print
}
