//! RFC 7516 §5 with `dir` (RFC 7518 §4.5): claims to cookie text and back. RFC 7519 §4.1 for `exp`, `nbf` and `iat`.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::OpenError;
use super::content_encryption::{CbcHmac, Gcm};
use super::keyring::{DerivedKeys, Identified, KeyRing};
use crate::limits::{COOKIE_CHUNK_CHARS, COOKIE_CHUNKS, COOKIE_EXPIRY_TOLERANCE, COOKIE_HEADER_CHARS};
use crate::random::random_bytes;
use crate::session::{Form, SessionClaims, SessionState, Written};
use crate::{SecureRandom, Timestamp};

/// Seals `claims` under the newest secret, as Auth.js does: `iat`, `exp` and `jti` are always ours.
///
/// `max_age` counts in whole seconds. What comes out may need [`split`](super::chunk::split).
pub fn seal<C: ToSealed>(
    ring: &KeyRing,
    claims: &C,
    now: Timestamp,
    max_age: Duration,
    random: &dyn SecureRandom,
) -> String {
    let plain = claims.to_text(&Dates::new(now, max_age, random));
    match &ring.newest().cbc_hmac {
        Some(id) => {
            let iv = random_bytes::<{ CbcHmac::IV }>(random);
            let sealed = id.key.seal(id.header.as_bytes(), iv, &plain);
            compact(&id.header, &iv, &sealed.ciphertext, &sealed.tag)
        }
        None => {
            let id = &ring.newest().gcm;
            let iv = random_bytes::<{ Gcm::IV }>(random);
            let sealed = id.key.seal(id.header.as_bytes(), iv, &plain);
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
    open_as(ring, jwe, now)
}

/// The same for claims of one kind, such as those of a [session](crate::session::SessionClaims), which are read without a tree of them.
///
/// # Errors
///
/// As [`open`].
pub fn open_as<C: FromSealed>(ring: &KeyRing, jwe: &str, now: Timestamp) -> Result<Opened<C>, OpenError> {
    let parts = Parts::parse(ring, jwe)?;
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
    let claims: C = serde_json::from_slice(&plain).map_err(|_| OpenError::Claims)?;
    judge_times(&claims, now)?;
    Ok(Opened { claims, newest_secret, sealed_chars: jwe.len() })
}

/// An authentic cookie's content.
#[derive(Clone, PartialEq)]
pub struct Opened<C = Map<String, Value>> {
    /// All claims, with the `iat`, `exp` and `jti` of the sealing. They may hold tokens.
    pub claims: C,
    /// Whether the newest secret sealed it. If not, it wants to be sealed anew before that secret is removed.
    pub newest_secret: bool,
    /// How long the sealed text was: what the browser carries with each request.
    pub sealed_chars: usize,
}

impl<C> std::fmt::Debug for Opened<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened")
            .field("claims", &format_args!("[redacted]"))
            .field("newest_secret", &self.newest_secret)
            .field("sealed_chars", &self.sealed_chars)
            .finish()
    }
}

/// The moments of a sealing, and its name (RFC 7519 §4.1.4, §4.1.6, §4.1.7).
pub struct Dates {
    /// When, in seconds.
    pub iat: i64,
    /// Until when it opens, in seconds.
    pub exp: i64,
    /// A random UUID.
    pub jti: String,
}

impl Dates {
    fn new(now: Timestamp, max_age: Duration, random: &dyn SecureRandom) -> Self {
        let iat = now.unix_seconds();
        let exp = iat.saturating_add(i64::try_from(max_age.as_secs()).unwrap_or(i64::MAX));
        Self { iat, exp, jti: uuid::Builder::from_random_bytes(random_bytes(random)).into_uuid().to_string() }
    }
}

/// What can be sealed.
pub trait ToSealed {
    /// A JSON object with these `iat`, `exp` and `jti`.
    fn to_text(&self, dates: &Dates) -> Zeroizing<Vec<u8>>;
}

/// A claim that was there already keeps its place.
impl ToSealed for Map<String, Value> {
    fn to_text(&self, dates: &Dates) -> Zeroizing<Vec<u8>> {
        let mut claims = self.clone();
        claims.insert("iat".into(), dates.iat.into());
        claims.insert("exp".into(), dates.exp.into());
        claims.insert("jti".into(), dates.jti.as_str().into());
        Zeroizing::new(serde_json::to_vec(&claims).expect("a JSON map has text keys alone"))
    }
}

impl ToSealed for SessionState {
    fn to_text(&self, dates: &Dates) -> Zeroizing<Vec<u8>> {
        Written { state: self, form: Form::Cookie, dates: Some(dates) }.to_text()
    }
}

/// What can be read from sealed claims.
pub trait FromSealed: DeserializeOwned {
    /// The claim of that name among `iat`, `exp` and `nbf`.
    fn date(&self, name: &str) -> Option<&Value>;
}

impl FromSealed for Map<String, Value> {
    fn date(&self, name: &str) -> Option<&Value> {
        self.get(name)
    }
}

impl FromSealed for SessionClaims {
    fn date(&self, name: &str) -> Option<&Value> {
        self.reserved(name)
    }
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

#[cfg_attr(test, derive(Debug, PartialEq))]
struct Header {
    enc: Enc,
    kid: Option<String>,
}

#[cfg_attr(test, derive(Debug, PartialEq))]
enum Enc {
    CbcHmac,
    Gcm,
}

impl<'a> Parts<'a> {
    fn parse(ring: &KeyRing, jwe: &'a str) -> Result<Self, OpenError> {
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
            header: Header::of(ring, header)?,
            aad: header.as_bytes(),
            iv: decode(iv)?,
            ciphertext: decode(ciphertext)?,
            tag: decode(tag)?,
        })
    }
}

impl Header {
    /// Nearly always it is, letter by letter, one that these keys seal under: that one need not be parsed.
    fn of(ring: &KeyRing, encoded: &str) -> Result<Self, OpenError> {
        let ours = ring.newest_first().find_map(|(keys, _)| match &keys.cbc_hmac {
            Some(id) if id.header == encoded => Some((Enc::CbcHmac, &id.kid)),
            _ if keys.gcm.header == encoded => Some((Enc::Gcm, &keys.gcm.kid)),
            _ => None,
        });
        match ours {
            Some((enc, kid)) => Ok(Self { enc, kid: kid.clone() }),
            None => Self::parse(encoded),
        }
    }

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
fn judge_times(claims: &impl FromSealed, now: Timestamp) -> Result<(), OpenError> {
    let seconds = |name: &str| match claims.date(name) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::CookieSecret;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
    const GOOD: &str = r#"{"alg":"dir","enc":"A256CBC-HS512"}"#;

    struct Fixed;

    impl SecureRandom for Fixed {
        fn fill(&self, out: &mut [u8]) {
            out.fill(7);
        }
    }

    fn ring() -> KeyRing {
        KeyRing::new(&[CookieSecret::new("secret")], "cookie").expect("one secret")
    }

    /// Authentic under [`ring`], whatever the header and the plain text say: what only the holder of the secret can make.
    fn authentic(header: &str, plain: &str) -> String {
        let header = URL_SAFE_NO_PAD.encode(header);
        let ring = ring();
        let key = &ring.newest().cbc_hmac.as_ref().expect("not of next-auth 4").key;
        let sealed = key.seal(header.as_bytes(), [1; 16], plain.as_bytes());
        compact(&header, &[1; 16], &sealed.ciphertext, &sealed.tag)
    }

    fn error(jwe: &str) -> Option<OpenError> {
        open(&ring(), jwe, NOW).err()
    }

    #[test]
    fn a_header_of_ours_means_what_it_says() {
        let secrets = ["new", "old"].map(CookieSecret::new);
        let ours = KeyRing::new(&secrets, "cookie").expect("two secrets");
        let fourth = KeyRing::next_auth_v4(&secrets).expect("two secrets");
        for ring in [&ours, &fourth] {
            for (keys, _) in ring.newest_first() {
                let written = keys.cbc_hmac.as_ref().map(|id| &id.header).into_iter().chain([&keys.gcm.header]);
                for header in written {
                    assert_eq!(Header::of(ring, header), Header::parse(header), "{header}");
                }
            }
        }
    }

    #[test]
    fn headers_that_ask_for_more_are_refused_though_authentic() {
        use OpenError::{Malformed, UnknownKey, Unsupported};
        for (header, expected) in [
            (GOOD, None),
            (r#"{"enc":"A256CBC-HS512","typ":"JWT","cty":"x","alg":"dir"}"#, None),
            (r#"{"alg":"dir","enc":"A256CBC-HS512","zip":"DEF"}"#, Some(Unsupported)),
            (r#"{"alg":"dir","enc":"A256CBC-HS512","zip":null}"#, Some(Unsupported)),
            (r#"{"alg":"dir","enc":"A256CBC-HS512","crit":["exp"],"exp":1}"#, Some(Unsupported)),
            (r#"{"alg":"dir","enc":"A256CBC-HS512","crit":[]}"#, Some(Unsupported)),
            (r#"{"alg":"A256KW","enc":"A256CBC-HS512"}"#, Some(Unsupported)),
            (r#"{"alg":"none","enc":"A256CBC-HS512"}"#, Some(Unsupported)),
            (r#"{"alg":"DIR","enc":"A256CBC-HS512"}"#, Some(Unsupported)),
            (r#"{"enc":"A256CBC-HS512"}"#, Some(Unsupported)),
            (r#"{"alg":"dir"}"#, Some(Unsupported)),
            (r#"{"alg":"dir","enc":"A128CBC-HS256"}"#, Some(Unsupported)),
            (r#"{"alg":"dir","enc":5}"#, Some(Unsupported)),
            (r#"{"alg":"dir","enc":"A256CBC-HS512","kid":"other"}"#, Some(UnknownKey)),
            (r#"{"alg":"dir","enc":"A256CBC-HS512","kid":""}"#, Some(UnknownKey)),
            (r#"{"alg":"dir","enc":"A256CBC-HS512","kid":5}"#, Some(Malformed)),
            (r#"{"alg":"dir","enc":"A256CBC-HS512","kid":null}"#, Some(Malformed)),
            (r#"["dir"]"#, Some(Malformed)),
            ("", Some(Malformed)),
            (r#"{"alg":"dir","enc":"A256CBC-HS512"} x"#, Some(Malformed)),
        ] {
            assert_eq!(error(&authentic(header, r#"{"exp":1900000000}"#)), expected, "{header}");
        }
    }

    #[test]
    fn claims_are_judged_at_their_edges() {
        use OpenError::{Claims, Expired, NotYetValid};
        for (plain, expected) in [
            (r#"{"exp":1800000001}"#, None),
            (r#"{"exp":1799999986}"#, None),
            (r#"{"exp":1799999985}"#, Some(Expired)),
            (r#"{"exp":1799999985.5}"#, None),
            (r#"{"exp":1799999984}"#, Some(Expired)),
            (r#"{"exp":-1}"#, Some(Expired)),
            (r#"{"exp":1e300}"#, None),
            (r#"{"exp":18446744073709551615}"#, None),
            (r#"{"exp":1900000000,"nbf":1800000015}"#, None),
            (r#"{"exp":1900000000,"nbf":1800000016}"#, Some(NotYetValid)),
            (r#"{"exp":1900000000,"iat":5000000000}"#, None),
            (r#"{"exp":1900000000,"iat":"now"}"#, Some(Claims)),
            (r#"{"exp":1900000000,"nbf":null}"#, Some(Claims)),
            (r#"{"exp":"1900000000"}"#, Some(Claims)),
            (r#"{"exp":null}"#, Some(Claims)),
            (r#"{"sub":"ada"}"#, Some(Claims)),
            ("{}", Some(Claims)),
            ("[]", Some(Claims)),
            ("null", Some(Claims)),
            ("", Some(Claims)),
            (r#"{"exp":1900000000"#, Some(Claims)),
        ] {
            assert_eq!(error(&authentic(GOOD, plain)), expected, "{plain}");
        }
        assert_eq!(
            error(&authentic(GOOD, &format!(r#"{{"a":{}1{}}}"#, "[".repeat(500), "]".repeat(500)))),
            Some(Claims)
        );
    }

    #[test]
    fn the_form_is_exact() {
        use OpenError::{Malformed, NotAuthentic, Unsupported};
        let good = authentic(GOOD, r#"{"exp":1900000000}"#);
        assert_eq!(error(&good), None);
        let [header, _, iv, ciphertext, tag]: [&str; 5] =
            good.split('.').collect::<Vec<_>>().try_into().expect("five parts");
        for (text, expected) in [
            (String::new(), Malformed),
            ("....".into(), Malformed),
            (".".repeat(10_000), Malformed),
            (format!("{good}."), Malformed),
            (format!("{header}.{iv}.{ciphertext}.{tag}"), Malformed),
            (format!("{header}.AAAA.{iv}.{ciphertext}.{tag}"), Unsupported),
            (format!("{header}..{iv}=.{ciphertext}.{tag}"), Malformed),
            (format!("{header}..{iv}.{ciphertext} .{tag}"), Malformed),
            (format!("{header}..{}.{ciphertext}.{tag}", &iv[..21]), Malformed),
            (format!("{header}..{}.{ciphertext}.{tag}", &iv[..20]), NotAuthentic),
            (format!("{header}...{ciphertext}.{tag}"), NotAuthentic),
            (format!("{header}..{iv}..{tag}"), NotAuthentic),
            (format!("{header}..{iv}.{ciphertext}."), NotAuthentic),
            (format!("{header}..{iv}.{ciphertext}.{}", &tag[..42]), NotAuthentic),
            (format!("{header}..{iv}.{ciphertext}.{tag}A"), NotAuthentic),
        ] {
            assert_eq!(error(&text), Some(expected), "{text}");
        }
    }

    #[test]
    fn limits_at_their_edges() {
        let longest = COOKIE_CHUNKS * COOKIE_CHUNK_CHARS;
        assert_eq!(error(&"a".repeat(longest)), Some(OpenError::Malformed));
        assert_eq!(error(&"a".repeat(longest + 1)), Some(OpenError::TooLong));

        let padded = |spaces: usize| format!("{GOOD}{}", " ".repeat(spaces));
        let spaces = COOKIE_HEADER_CHARS / 4 * 3 - GOOD.len();
        assert_eq!(error(&authentic(&padded(spaces), r#"{"exp":1900000000}"#)), None);
        assert_eq!(error(&authentic(&padded(spaces + 1), r#"{"exp":1900000000}"#)), Some(OpenError::TooLong));
    }

    #[test]
    fn the_registered_claims_are_always_ours() {
        let claims = serde_json::json!({ "exp": 1, "sub": "ada", "jti": null, "iat": "x", "iss": "https://op" });
        let max_age = Duration::from_millis(60_999);
        let sealed = seal(&ring(), claims.as_object().expect("an object"), NOW, max_age, &Fixed);
        let opened = open(&ring(), &sealed, NOW).expect("opens").claims;
        assert_eq!(
            serde_json::to_string(&opened).expect("JSON"),
            r#"{"exp":1800000060,"sub":"ada","jti":"07070707-0707-4707-8707-070707070707","iat":1800000000,"iss":"https://op"}"#
        );
    }

    #[test]
    fn a_ring_and_an_opened_cookie_do_not_print() {
        let ring = ring();
        let claims = serde_json::json!({ "access_token": "planted" });
        let sealed = seal(&ring, claims.as_object().expect("an object"), NOW, Duration::from_secs(60), &Fixed);
        let shown = format!("{ring:?} {:?}", open(&ring, &sealed, NOW));
        assert!(!shown.contains("planted") && !shown.contains("secret\""), "{shown}");
    }
}
