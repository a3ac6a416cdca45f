//! RFC 7516 §5 with `dir` (RFC 7518 §4.5): claims to cookie text and back. RFC 7519 §4.1 for `exp`, `nbf` and `iat`.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::content_encryption::{CbcHmac, Gcm};
use super::keyring::{DerivedKeys, Identified, KeyRing};
use crate::limits::{COOKIE_CHUNK_CHARS, COOKIE_CHUNKS, COOKIE_EXPIRY_TOLERANCE, COOKIE_HEADER_CHARS};
use crate::random::random_bytes;
use crate::{SecureRandom, Timestamp};

/// Seals `claims` under the newest secret, as Auth.js does: `iat`, `exp` and `jti` are always ours.
///
/// `max_age` counts in whole seconds. What comes out may need [`split`](super::chunk::split).
pub fn seal(
    ring: &KeyRing,
    claims: &Map<String, Value>,
    now: Timestamp,
    max_age: Duration,
    random: &dyn SecureRandom,
) -> String {
    let plain = dated(claims, now, max_age, random);
    match &ring.newest().cbc_hmac {
        Some(id) => {
            let iv = random_bytes::<{ CbcHmac::IV }>(random);
            let sealed = id.key.seal(id.header.as_bytes(), iv, plain.as_bytes());
            compact(&id.header, &iv, &sealed.ciphertext, &sealed.tag)
        }
        None => {
            let id = &ring.newest().gcm;
            let iv = random_bytes::<{ Gcm::IV }>(random);
            let sealed = id.key.seal(id.header.as_bytes(), iv, plain.as_bytes());
            compact(&id.header, &iv, &sealed.ciphertext, &sealed.tag)
        }
    }
}

/// Opens what [`seal`] or Auth.js sealed, if it is authentic and of this time.
///
/// A value with a `kid` opens under that key alone. One without is tried under every secret, newest first; Auth.js
/// tries the first one only, and so a rotation of secrets signs out everybody who came with such a cookie.
///
/// # Errors
///
/// [`OpenError`], which says nothing about the content of a value that is not authentic.
pub fn open(ring: &KeyRing, jwe: &str, now: Timestamp) -> Result<Opened, OpenError> {
    let parts = Parts::parse(jwe)?;
    let (plain, newest_secret) = match parts.header.enc {
        Enc::CbcHmac => decrypt(
            ring,
            &parts,
            |keys| keys.cbc_hmac.as_ref(),
            |key: &CbcHmac, p| key.open(p.aad, &p.iv, &p.ciphertext, &p.tag),
        ),
        Enc::Gcm => {
            decrypt(ring, &parts, |keys| Some(&keys.gcm), |key: &Gcm, p| key.open(p.aad, &p.iv, &p.ciphertext, &p.tag))
        }
    }?;
    let claims: Map<String, Value> = serde_json::from_slice(&plain).map_err(|_| OpenError::Claims)?;
    judge_times(&claims, now)?;
    Ok(Opened { claims, newest_secret, sealed_chars: jwe.len() })
}

/// An authentic cookie's content.
#[derive(Clone, PartialEq)]
pub struct Opened {
    /// All claims, with the `iat`, `exp` and `jti` of the sealing. They may hold tokens.
    pub claims: Map<String, Value>,
    /// Whether the newest secret sealed it. If not, it wants to be sealed anew before that secret is removed.
    pub newest_secret: bool,
    /// How long the sealed text was: what the browser carries with each request.
    pub sealed_chars: usize,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened")
            .field("claims", &format_args!("[redacted]"))
            .field("newest_secret", &self.newest_secret)
            .field("sealed_chars", &self.sealed_chars)
            .finish()
    }
}

/// Why a sealed value, or a sealed record, does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It is longer than any that we write.
    #[error("the sealed value is longer than any that is written here; discard it")]
    TooLong,
    /// It does not have the form of a sealed value.
    #[error("this is not a sealed value, or it was cut; discard it")]
    Malformed,
    /// It is sealed in a way that is refused here: see RFC 7516 §4.1.
    #[error("the value is sealed in a way that is not accepted here; discard it")]
    Unsupported,
    /// No configured secret has the key id that it names.
    #[error("no configured secret sealed this value: has a secret been removed?")]
    UnknownKey,
    /// The tag is wrong: it was changed, or sealed by somebody else.
    #[error("the sealed value was changed or sealed elsewhere; discard it")]
    NotAuthentic,
    /// `exp` has passed.
    #[error("the sealed value has expired; sign in again")]
    Expired,
    /// `nbf` has not come yet.
    #[error("the sealed value is not valid yet; compare the clocks")]
    NotYetValid,
    /// It is authentic, but not an object of claims with a numeric `exp`, `nbf` and `iat`.
    #[error("the sealed value has unusable claims; discard it")]
    Claims,
}

impl OpenError {
    /// The stable name of this error, for logs and answers.
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLong => "seal_too_long",
            Self::Malformed => "seal_malformed",
            Self::Unsupported => "seal_unsupported",
            Self::UnknownKey => "seal_unknown_key",
            Self::NotAuthentic => "seal_not_authentic",
            Self::Expired => "seal_expired",
            Self::NotYetValid => "seal_not_yet_valid",
            Self::Claims => "seal_claims",
        }
    }
}

/// The claims as JSON text with `iat`, `exp` and `jti`; a claim that was there already keeps its place.
fn dated(
    claims: &Map<String, Value>,
    now: Timestamp,
    max_age: Duration,
    random: &dyn SecureRandom,
) -> Zeroizing<String> {
    let iat = now.unix_seconds();
    let exp = iat.saturating_add(i64::try_from(max_age.as_secs()).unwrap_or(i64::MAX));
    let jti = uuid::Builder::from_random_bytes(random_bytes(random)).into_uuid();

    let mut claims = claims.clone();
    claims.insert("iat".into(), iat.into());
    claims.insert("exp".into(), exp.into());
    claims.insert("jti".into(), jti.to_string().into());
    Zeroizing::new(serde_json::to_string(&claims).expect("a JSON map has text keys alone"))
}

/// RFC 7516 §7.1, with the empty encrypted key of `dir`.
fn compact(header: &str, iv: &[u8], ciphertext: &[u8], tag: &[u8]) -> String {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    format!("{header}..{}.{}.{}", encode(iv), encode(ciphertext), encode(tag))
}

/// A compact JWE taken apart, of a kind that we open.
struct Parts<'a> {
    header: Header,
    aad: &'a [u8],
    iv: Vec<u8>,
    ciphertext: Vec<u8>,
    tag: Vec<u8>,
}

struct Header {
    enc: Enc,
    kid: Option<String>,
}

enum Enc {
    CbcHmac,
    Gcm,
}

impl<'a> Parts<'a> {
    fn parse(jwe: &'a str) -> Result<Self, OpenError> {
        if jwe.len() > COOKIE_CHUNKS * COOKIE_CHUNK_CHARS {
            return Err(OpenError::TooLong);
        }
        let mut parts = jwe.split('.');
        let mut next = || parts.next().ok_or(OpenError::Malformed);
        let (header, encrypted_key, iv, ciphertext, tag) = (next()?, next()?, next()?, next()?, next()?);
        if parts.next().is_some() {
            return Err(OpenError::Malformed);
        }
        if header.len() > COOKIE_HEADER_CHARS {
            return Err(OpenError::TooLong);
        }
        if !encrypted_key.is_empty() {
            return Err(OpenError::Unsupported);
        }
        Ok(Self {
            header: Header::parse(header)?,
            aad: header.as_bytes(),
            iv: decode(iv)?,
            ciphertext: decode(ciphertext)?,
            tag: decode(tag)?,
        })
    }
}

impl Header {
    /// Everything that a header could ask for beyond naming its key is refused: `zip` could inflate to any size, and
    /// `crit` (RFC 7516 §4.1.13) forbids us to go on because we know no extension.
    fn parse(encoded: &str) -> Result<Self, OpenError> {
        let header: Map<String, Value> = serde_json::from_slice(&decode(encoded)?).map_err(|_| OpenError::Malformed)?;
        if header.contains_key("zip") || header.contains_key("crit") {
            return Err(OpenError::Unsupported);
        }
        if header.get("alg").and_then(Value::as_str) != Some("dir") {
            return Err(OpenError::Unsupported);
        }
        let enc = match header.get("enc").and_then(Value::as_str) {
            Some(CbcHmac::ENC) => Enc::CbcHmac,
            Some(Gcm::ENC) => Enc::Gcm,
            _ => return Err(OpenError::Unsupported),
        };
        let kid = match header.get("kid") {
            None => None,
            Some(Value::String(kid)) => Some(kid.clone()),
            Some(_) => return Err(OpenError::Malformed),
        };
        Ok(Self { enc, kid })
    }
}

/// The alphabet without padding and without stray last bits, so that one value has one text.
fn decode(part: &str) -> Result<Vec<u8>, OpenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| OpenError::Malformed)
}

/// The plain text, and whether the newest secret sealed it.
fn decrypt<'r, K: 'r>(
    ring: &'r KeyRing,
    parts: &Parts<'_>,
    key_of: impl Fn(&'r DerivedKeys) -> Option<&'r Identified<K>>,
    open_with: impl Fn(&K, &Parts<'_>) -> Option<Zeroizing<Vec<u8>>>,
) -> Result<(Zeroizing<Vec<u8>>, bool), OpenError> {
    let mut keys = ring.newest_first().filter_map(|(keys, newest)| Some((key_of(keys)?, newest)));
    match &parts.header.kid {
        Some(kid) => {
            let (id, newest) = keys.find(|(id, _)| id.kid.as_ref() == Some(kid)).ok_or(OpenError::UnknownKey)?;
            let plain = open_with(&id.key, parts).ok_or(OpenError::NotAuthentic)?;
            Ok((plain, newest))
        }
        None => keys.find_map(|(id, newest)| Some((open_with(&id.key, parts)?, newest))).ok_or(OpenError::NotAuthentic),
    }
}

/// Auth.js opens an authentic value without `exp` for ever; none of its writers makes one, so we refuse it.
fn judge_times(claims: &Map<String, Value>, now: Timestamp) -> Result<(), OpenError> {
    let seconds = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or(OpenError::Claims),
    };
    // Exact: a float holds whole seconds for 285 million years.
    let at = |moment: Timestamp| moment.unix_seconds() as f64;

    seconds("iat")?;
    if seconds("exp")?.ok_or(OpenError::Claims)? <= at(now - COOKIE_EXPIRY_TOLERANCE) {
        return Err(OpenError::Expired);
    }
    match seconds("nbf")? {
        Some(nbf) if nbf > at(now + COOKIE_EXPIRY_TOLERANCE) => Err(OpenError::NotYetValid),
        _ => Ok(()),
    }
}
