//! RFC 7516 · RFC 7518 §5.2: claims into a compact JWE and back.

use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{
    AES_256, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::keyring::{KeyRing, Keys};
use crate::limits::{COOKIE_CHUNK_CHARS, COOKIE_CHUNKS, COOKIE_EXPIRY_TOLERANCE};
use crate::random::{SecureRandom, random_bytes};
use crate::secret::constant_time_eq;
use crate::time::Timestamp;

/// Seals `claims` under the newest secret, to expire `max_age` from `now`. `iat`, `exp` and `jti` are always set anew.
pub fn seal(
    keys: &KeyRing,
    claims: &Map<String, Value>,
    now: Timestamp,
    max_age: Duration,
    random: &dyn SecureRandom,
) -> String {
    let mut claims = claims.clone();
    claims.insert("iat".into(), now.unix_seconds().into());
    claims.insert("exp".into(), (now + max_age).unix_seconds().into());
    let jti = uuid::Builder::from_random_bytes(random_bytes(random)).into_uuid();
    claims.insert("jti".into(), jti.to_string().into());
    let plain = Zeroizing::new(Value::Object(claims).to_string().into_bytes());
    // A ring without keys cannot be built.
    let newest = &keys.keys[0];
    let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"dir","enc":"A256CBC-HS512","kid":"{}"}}"#, newest.cbc_kid));
    let iv: [u8; 16] = random_bytes(random);
    let ciphertext = cbc_encrypt(&newest.cbc, iv, &plain);
    let tag = cbc_tag(&newest.cbc, header.as_bytes(), &iv, &ciphertext);
    format!(
        "{header}..{}.{}.{}",
        URL_SAFE_NO_PAD.encode(iv),
        URL_SAFE_NO_PAD.encode(&ciphertext),
        URL_SAFE_NO_PAD.encode(tag)
    )
}

/// A sealed value that opened.
#[derive(Debug)]
pub struct Opened {
    /// The claims, `iat`, `exp` and `jti` included.
    pub claims: Map<String, Value>,
    /// Whether the newest secret opened it; otherwise it should be sealed anew.
    pub newest_secret: bool,
}

/// Why a sealed value does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// No secret fits, or the value was changed.
    #[error("the cookie was sealed under another secret or was changed")]
    Unauthentic,
    /// Past its `exp`, with Auth.js's tolerance of 15 s.
    #[error("the cookie has expired")]
    Expired,
    /// Before its `nbf`.
    #[error("the cookie is not valid yet")]
    NotYet,
    /// Not a compact JWE of the two kinds Auth.js makes.
    #[error("the cookie is not a session cookie")]
    Malformed,
    /// Longer than all chunks together may be.
    #[error("the cookie is too long")]
    TooLong,
}

impl OpenError {
    /// A stable name.
    pub fn code(self) -> &'static str {
        match self {
            Self::Unauthentic => "cookie_unauthentic",
            Self::Expired => "cookie_expired",
            Self::NotYet => "cookie_not_yet_valid",
            Self::Malformed => "cookie_malformed",
            Self::TooLong => "cookie_too_long",
        }
    }
}

/// Opens a sealed value with whichever secret fits.
///
/// With a `kid` the secret of that thumbprint is used. Without one every secret is tried: Auth.js tries its newest alone, and
/// so loses such sessions at a rotation.
///
/// # Errors
/// [`OpenError`]; nothing of the content is believed before its tag is.
pub fn open(keys: &KeyRing, jwe: &str, now: Timestamp) -> Result<Opened, OpenError> {
    if jwe.len() > COOKIE_CHUNKS * COOKIE_CHUNK_CHARS {
        return Err(OpenError::TooLong);
    }
    let parts = Parts::read(jwe)?;
    let (plain, newest_secret) = keys
        .keys
        .iter()
        .enumerate()
        .filter(|(_, keys)| parts.header.kid.as_ref().is_none_or(|kid| kid == parts.header.enc.kid(keys)))
        .find_map(|(index, keys)| Some((parts.decrypt(keys)?, index == 0)))
        .ok_or(OpenError::Unauthentic)?;
    let claims: Map<String, Value> = serde_json::from_slice(&plain).map_err(|_| OpenError::Malformed)?;
    check_times(&claims, now)?;
    Ok(Opened { claims, newest_secret })
}

/// RFC 7519 §4.1.4–4.1.6, as Auth.js judges them.
fn check_times(claims: &Map<String, Value>, now: Timestamp) -> Result<(), OpenError> {
    let seconds = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(value) => value.as_f64().map(|seconds| Some(seconds as i64)).ok_or(OpenError::Malformed),
    };
    let tolerance = i64::try_from(COOKIE_EXPIRY_TOLERANCE.as_secs()).unwrap_or(0);
    seconds("iat")?;
    match (seconds("exp")?, seconds("nbf")?) {
        (Some(exp), _) if exp <= now.unix_seconds().saturating_sub(tolerance) => Err(OpenError::Expired),
        (_, Some(nbf)) if nbf > now.unix_seconds().saturating_add(tolerance) => Err(OpenError::NotYet),
        _ => Ok(()),
    }
}

struct Parts<'a> {
    header: Header,
    header_text: &'a str,
    iv: Vec<u8>,
    ciphertext: Vec<u8>,
    tag: Vec<u8>,
}

/// `zip` and `crit` are refused by being unknown: one inflates before anything is checked, the other changes the rules.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: Direct,
    enc: Encryption,
    kid: Option<String>,
    #[serde(rename = "typ")]
    _typ: Option<String>,
    #[serde(rename = "cty")]
    _cty: Option<String>,
}

#[derive(Deserialize)]
enum Direct {
    #[serde(rename = "dir")]
    Dir,
}

#[derive(Clone, Copy, Deserialize)]
enum Encryption {
    #[serde(rename = "A256CBC-HS512")]
    A256CbcHs512,
    #[serde(rename = "A256GCM")]
    A256Gcm,
}

impl Encryption {
    fn kid(self, keys: &Keys) -> &str {
        match self {
            Self::A256CbcHs512 => &keys.cbc_kid,
            Self::A256Gcm => &keys.gcm_kid,
        }
    }
}

impl<'a> Parts<'a> {
    fn read(jwe: &'a str) -> Result<Self, OpenError> {
        let mut parts = jwe.split('.');
        let mut next = || parts.next().ok_or(OpenError::Malformed);
        let (header_text, encrypted_key, iv, ciphertext, tag) = (next()?, next()?, next()?, next()?, next()?);
        if !encrypted_key.is_empty() || parts.next().is_some() {
            return Err(OpenError::Malformed);
        }
        let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| OpenError::Malformed);
        let header: Header = serde_json::from_slice(&bytes(header_text)?).map_err(|_| OpenError::Malformed)?;
        let Direct::Dir = header.alg;
        Ok(Self { header, header_text, iv: bytes(iv)?, ciphertext: bytes(ciphertext)?, tag: bytes(tag)? })
    }

    fn decrypt(&self, keys: &Keys) -> Option<Zeroizing<Vec<u8>>> {
        match self.header.enc {
            Encryption::A256CbcHs512 => {
                let expected = cbc_tag(&keys.cbc, self.header_text.as_bytes(), &self.iv, &self.ciphertext);
                if !constant_time_eq(&expected, &self.tag) {
                    return None;
                }
                let iv: [u8; 16] = self.iv.as_slice().try_into().ok()?;
                let mut buffer = Zeroizing::new(self.ciphertext.clone());
                let key = UnboundCipherKey::new(&AES_256, &keys.cbc[32..]).ok()?;
                let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).ok()?;
                let length =
                    key.decrypt(&mut buffer, DecryptionContext::Iv128(FixedLength::<16>::from(iv))).ok()?.len();
                buffer.truncate(length);
                Some(buffer)
            }
            Encryption::A256Gcm => {
                let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &keys.gcm).ok()?);
                let nonce = Nonce::try_assume_unique_for_key(&self.iv).ok()?;
                let mut buffer = Zeroizing::new([self.ciphertext.as_slice(), &self.tag].concat());
                let length = key.open_in_place(nonce, Aad::from(self.header_text.as_bytes()), &mut buffer).ok()?.len();
                buffer.truncate(length);
                Some(buffer)
            }
        }
    }
}

fn cbc_encrypt(key: &[u8; 64], iv: [u8; 16], plain: &[u8]) -> Vec<u8> {
    let mut buffer = plain.to_vec();
    UnboundCipherKey::new(&AES_256, &key[32..])
        .and_then(PaddedBlockEncryptingKey::cbc_pkcs7)
        .and_then(|key| key.less_safe_encrypt(&mut buffer, EncryptionContext::Iv128(FixedLength::from(iv))))
        .expect("a key of 32 bytes and an IV of 16 always encrypt");
    buffer
}

/// RFC 7518 §5.2.2.1: over header, IV, ciphertext and the header's length in bits; the first half of the MAC.
fn cbc_tag(key: &[u8; 64], header: &[u8], iv: &[u8], ciphertext: &[u8]) -> [u8; 32] {
    let mut mac = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA512, &key[..32]));
    for part in [header, iv, ciphertext, &(header.len() as u64 * 8).to_be_bytes()] {
        mac.update(part);
    }
    let mut tag = [0; 32];
    tag.copy_from_slice(&mac.sign().as_ref()[..32]);
    tag
}
