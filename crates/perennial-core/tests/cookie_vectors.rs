//! Cookies that Auth.js 5 and next-auth 4 wrote themselves, both ways: theirs open here, and ours are theirs to the byte.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use perennial_core::cookie::{KeyRing, OpenError, chunk, open, seal};
use perennial_core::csrf::CsrfToken;
use perennial_core::secret::CookieSecret;
use perennial_core::{SecureRandom, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
struct AuthJs {
    sealed: Vec<Vector>,
    opened_only: Vec<Vector>,
    state: State,
    rotation: Rotation,
    chunk_boundaries: std::collections::BTreeMap<usize, Vec<(String, usize)>>,
    csrf: Csrf,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    secret: String,
    #[serde(default)]
    salt: String,
    jwe: String,
    claims: Map<String, Value>,
    #[serde(default)]
    iv: String,
    kid: Option<String>,
    chunks: Option<Vec<(String, usize)>>,
}

#[derive(Deserialize)]
struct State {
    secret: String,
    cookie_salt: String,
    cookie_jwe: String,
    param_salt: String,
    param_jwe: String,
}

#[derive(Deserialize)]
struct Rotation {
    newest_first: Vec<String>,
}

#[derive(Deserialize)]
struct Csrf {
    token: String,
    secret: String,
    cookie_value: String,
    secrets_array: Vec<String>,
    cookie_value_for_array: String,
}

fn auth_js() -> AuthJs {
    serde_json::from_str(include_str!("vectors/authjs_v5.json")).expect("the vectors have this form")
}

fn next_auth_v4() -> Vector {
    serde_json::from_str(include_str!("vectors/next_auth_v4.json")).expect("the vector has this form")
}

fn secrets<S: AsRef<str>>(values: &[S]) -> Vec<CookieSecret> {
    values.iter().map(|value| CookieSecret::new(value.as_ref())).collect()
}

impl Vector {
    fn ring(&self) -> KeyRing {
        KeyRing::new(&secrets(&[&self.secret]), &self.salt).expect("one secret")
    }

    fn seconds(&self, claim: &str) -> i64 {
        self.claims[claim].as_i64().expect("a time")
    }

    fn sealed_at(&self) -> Timestamp {
        Timestamp::from_unix_seconds(self.seconds("iat"))
    }

    /// What was handed to `encode`: all but the claims that it sets.
    fn input(&self) -> Map<String, Value> {
        let mut input = self.claims.clone();
        for own in ["iat", "exp", "jti"] {
            input.shift_remove(own);
        }
        input
    }

    /// Seals the input again with this very time, `jti` and IV.
    fn sealed_again(&self, ring: &KeyRing) -> String {
        let jti: uuid::Uuid = self.claims["jti"].as_str().expect("text").parse().expect("a UUID");
        let random = Scripted::new([jti.as_bytes().to_vec(), unhex(&self.iv)]);
        let max_age = Duration::from_secs((self.seconds("exp") - self.seconds("iat")).unsigned_abs());
        let sealed = seal(ring, &self.input(), self.sealed_at(), max_age, &random);
        assert!(random.0.lock().expect("unpoisoned").is_empty(), "all randomness was used");
        sealed
    }
}

/// Hands out what it was given, once, and only in the lengths that it was given.
struct Scripted(Mutex<VecDeque<Vec<u8>>>);

impl Scripted {
    fn new(draws: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self(Mutex::new(draws.into_iter().collect()))
    }
}

impl SecureRandom for Scripted {
    fn fill(&self, out: &mut [u8]) {
        let draw = self.0.lock().expect("unpoisoned").pop_front().expect("one more draw was scripted");
        out.copy_from_slice(&draw);
    }
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

#[test]
fn cookies_of_auth_js_open() {
    let vectors = auth_js();
    for vector in vectors.sealed.iter().chain(&vectors.opened_only) {
        let opened = open(&vector.ring(), &vector.jwe, vector.sealed_at()).expect(&vector.name);
        assert_eq!(opened.claims, vector.claims, "{}", vector.name);
        assert!(opened.newest_secret, "{}", vector.name);
        assert_eq!(opened.sealed_chars, vector.jwe.len(), "{}", vector.name);
    }
}

#[test]
fn ours_are_the_very_text_of_auth_js() {
    for vector in auth_js().sealed {
        assert_eq!(vector.sealed_again(&vector.ring()), vector.jwe, "{}", vector.name);
    }
}

#[test]
fn next_auth_4_opens_and_is_written_to_the_byte() {
    let vector = next_auth_v4();
    let ring = KeyRing::next_auth_v4(&secrets(&[&vector.secret])).expect("one secret");
    assert_eq!(open(&ring, &vector.jwe, vector.sealed_at()).expect("opens").claims, vector.claims);
    assert_eq!(vector.sealed_again(&ring), vector.jwe);
}

#[test]
fn the_kid_is_the_thumbprint_that_auth_js_writes() {
    use base64::Engine;
    for vector in auth_js().sealed {
        let Some(kid) = &vector.kid else { continue };
        let sealed = vector.sealed_again(&vector.ring());
        let header = sealed.split('.').next().expect("a first part");
        let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(header).expect("base64url");
        let expected = format!(r#"{{"alg":"dir","enc":"A256CBC-HS512","kid":"{kid}"}}"#);
        assert_eq!(String::from_utf8(header).expect("text"), expected, "{}", vector.name);
    }
}

#[test]
fn the_state_parameter_lies_inside_the_state_cookie() {
    let state = auth_js().state;
    let now = Timestamp::from_unix_seconds(1_800_000_000);
    let ring = |salt: &str| KeyRing::new(&secrets(&[&state.secret]), salt).expect("one secret");
    let cookie = open(&ring(&state.cookie_salt), &state.cookie_jwe, now).expect("the cookie opens");
    assert_eq!(cookie.claims["value"], state.param_jwe);
    assert!(
        open(&ring(&state.param_salt), &state.param_jwe, now).expect("so does the parameter").claims["random"]
            .is_string()
    );
}

#[test]
fn any_secret_of_the_list_opens_and_says_whether_it_is_the_newest() {
    let vectors = auth_js();
    let by_older = vectors.sealed.iter().find(|vector| vector.name == "by-the-older-secret").expect("is there");
    let now = by_older.sealed_at();
    let list = secrets(&vectors.rotation.newest_first);

    let both = KeyRing::new(&list, &by_older.salt).expect("two secrets");
    assert!(!open(&both, &by_older.jwe, now).expect("opens").newest_secret);
    let only_new = KeyRing::new(&list[..1], &by_older.salt).expect("one secret");
    assert_eq!(open(&only_new, &by_older.jwe, now), Err(OpenError::UnknownKey));
    let other_cookie = KeyRing::new(&list, "authjs.other").expect("two secrets");
    assert_eq!(open(&other_cookie, &by_older.jwe, now), Err(OpenError::UnknownKey));
}

#[test]
fn without_a_kid_every_secret_is_tried() {
    let vectors = auth_js();
    let vector = vectors.opened_only.iter().find(|vector| vector.kid.is_none()).expect("is there");
    let ring = |list: &[&str]| KeyRing::new(&secrets(list), &vector.salt).expect("secrets");
    let newest = |ring: KeyRing| open(&ring, &vector.jwe, vector.sealed_at()).map(|opened| opened.newest_secret);
    assert_eq!(newest(ring(&[&vector.secret, "another"])), Ok(true));
    assert_eq!(newest(ring(&["another", &vector.secret])), Ok(false));
    assert_eq!(newest(ring(&["another", "one more"])), Err(OpenError::NotAuthentic));
}

#[test]
fn chunks_are_cut_where_auth_js_cuts_them() {
    let vectors = auth_js();
    let chunked =
        vectors.sealed.iter().filter_map(|vector| Some((&vector.salt[..], vector.jwe.clone(), vector.chunks.clone()?)));
    let boundaries =
        vectors.chunk_boundaries.iter().map(|(len, cut)| ("authjs.session-token", "a".repeat(*len), cut.clone()));
    for (name, value, cut) in chunked.chain(boundaries) {
        let writes = chunk::split(name, &value, &[]).expect("fits");
        let lengths: Vec<_> =
            writes.iter().map(|write| (write.name.clone(), write.value.as_ref().map_or(0, String::len))).collect();
        assert_eq!(lengths, cut, "{} characters", value.len());
    }
}

#[test]
fn csrf_cookies_of_auth_js_are_ours() {
    let csrf = auth_js().csrf;
    let random = || Scripted::new([unhex(&csrf.token)]);
    let (one, list) = (secrets(&[&csrf.secret]), secrets(&csrf.secrets_array));
    assert_eq!(CsrfToken::create(&one, &random()).cookie_value(), csrf.cookie_value);
    assert_eq!(CsrfToken::create(&list, &random()).cookie_value(), csrf.cookie_value_for_array);
    for (cookie, secrets) in
        [(&csrf.cookie_value, &one), (&csrf.cookie_value, &list), (&csrf.cookie_value_for_array, &list)]
    {
        let token = CsrfToken::from_cookie(cookie, secrets).expect("made by Auth.js");
        assert_eq!(token.token(), csrf.token);
        assert_eq!(&token.cookie_value(), cookie);
    }
    assert!(CsrfToken::from_cookie(&csrf.cookie_value_for_array, &one).is_none());
}
