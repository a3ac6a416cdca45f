//! Whatever is sealed comes back, whatever a browser kept from earlier; whatever was touched does not.

use std::collections::BTreeMap;
use std::time::Duration;

use perennial_core::cookie::{
    ChunkWrite, KeyRing, OpenError, RecordKeys, join, open, open_at_rest, seal, seal_at_rest, split,
};
use perennial_core::limits::{COOKIE_CHUNK_CHARS, COOKIE_CHUNKS};
use perennial_core::secret::CookieSecret;
use perennial_core::{SecureRandom, Timestamp};
use proptest::prelude::*;
use serde_json::{Map, Value};

const NAME: &str = "__Secure-authjs.session-token";
const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
const HOUR: Duration = Duration::from_secs(3600);

/// Replayable randomness: each draw differs from the one before.
struct Seeded(std::sync::atomic::AtomicU64);

impl Seeded {
    fn new(seed: u64) -> Self {
        Self(std::sync::atomic::AtomicU64::new(seed))
    }
}

impl SecureRandom for Seeded {
    fn fill(&self, out: &mut [u8]) {
        for byte in out {
            let next = self
                .0
                .load(std::sync::atomic::Ordering::Relaxed)
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            self.0.store(next, std::sync::atomic::Ordering::Relaxed);
            *byte = next.to_be_bytes()[0];
        }
    }
}

fn ring(secrets: &[&str]) -> KeyRing {
    let secrets: Vec<_> = secrets.iter().map(|secret| CookieSecret::new(*secret)).collect();
    KeyRing::new(&secrets, NAME).expect("secrets")
}

/// A browser's jar for one host: it knows names and values.
#[derive(Default)]
struct Jar(BTreeMap<String, String>);

impl Jar {
    fn apply(&mut self, writes: &[ChunkWrite]) {
        for write in writes {
            match &write.value {
                Some(value) => self.0.insert(write.name.clone(), value.clone()),
                None => self.0.remove(&write.name),
            };
        }
    }

    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..4).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

fn claims() -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec(("[a-z_]{1,8}", json()), 0..6)
        .prop_map(|members| members.into_iter().filter(|(name, _)| name != "nbf").collect())
}

/// Claims of about `len` bytes, so that one session takes as many chunks as wanted.
fn padded(generation: u64, len: usize) -> Map<String, Value> {
    Map::from_iter([("generation".into(), generation.into()), ("padding".into(), "x".repeat(len).into())])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn sealed_claims_come_back(claims in claims(), seed: u64) {
        let sealed = seal(&ring(&["new", "old"]), &claims, NOW, HOUR, &Seeded::new(seed));
        let mut opened = open(&ring(&["newer", "new"]), &sealed, NOW).expect("opens");
        prop_assert!(!opened.newest_secret);
        let mut expected = claims;
        for own in ["iat", "exp", "jti"] {
            prop_assert!(opened.claims.remove(own).is_some());
            expected.remove(own);
        }
        prop_assert_eq!(opened.claims, expected);
    }

    #[test]
    fn any_other_byte_anywhere_is_refused(claims in claims(), seed: u64, at: prop::sample::Index, other: u8) {
        let ring = ring(&["secret"]);
        let sealed = seal(&ring, &claims, NOW, HOUR, &Seeded::new(seed));
        let mut bytes = sealed.clone().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = other;
        let changed = String::from_utf8_lossy(&bytes);
        if changed != sealed {
            prop_assert!(open(&ring, &changed, NOW).is_err());
        }
    }

    #[test]
    fn arbitrary_text_does_not_open(text in r"[A-Za-z0-9_\-]{0,80}(\.[A-Za-z0-9_\-]{0,80}){0,6}|\PC{0,200}") {
        prop_assert!(open(&ring(&["secret"]), &text, NOW).is_err());
    }

    /// A session grows and shrinks as it likes: the browser always holds exactly its newest value.
    #[test]
    fn the_jar_follows_the_session(lengths in prop::collection::vec(0usize..14_000, 1..6), seed: u64) {
        let (ring, random, mut jar) = (ring(&["secret"]), Seeded::new(seed), Jar::default());
        for (generation, len) in (1u64..).zip(lengths) {
            let now = NOW + Duration::from_secs(generation);
            let sealed = seal(&ring, &padded(generation, len), now, HOUR, &random);
            let present = join(NAME, jar.pairs()).map(|joined| joined.names).unwrap_or_default();
            jar.apply(&split(NAME, &sealed, &present).expect("fits"));

            let joined = join(NAME, jar.pairs()).expect("is there");
            prop_assert!(joined.candidates().next() == Some(&sealed));
            let opened = joined.open(&ring, now).expect("opens");
            prop_assert_eq!(&opened.claims["generation"], &Value::from(generation));
            prop_assert_eq!(jar.0.len(), sealed.len().div_ceil(COOKIE_CHUNK_CHARS));
        }
    }

    /// Deletions get lost (a proxy dropped them, another path kept its copy): what is left never hides the newer session.
    #[test]
    fn stale_cookies_do_not_hide_the_session(
        older in 0usize..14_000,
        newer in 0usize..14_000,
        lost in any::<[bool; COOKIE_CHUNKS + 1]>(),
        foreign in prop::collection::vec((r"[-.a-z0-9]{1,3}", "[a-z]{0,9}"), 0..4),
        seed: u64,
    ) {
        let (ring, random, mut jar) = (ring(&["secret"]), Seeded::new(seed), Jar::default());
        let sealed = [(1, older), (2, newer)]
            .map(|(generation, len)| seal(&ring, &padded(generation, len), NOW + Duration::from_secs(generation), HOUR, &random));
        jar.apply(&split(NAME, &sealed[0], &[]).expect("fits"));
        for (suffix, value) in foreign {
            let name = format!("{NAME}{suffix}");
            let numbered = suffix.strip_prefix('.').is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
            if !numbered {
                jar.0.insert(name, value);
            }
        }
        let present = join(NAME, jar.pairs()).map(|joined| joined.names).unwrap_or_default();
        let writes = split(NAME, &sealed[1], &present).expect("fits");
        let mut losses = lost.iter();
        let arrived: Vec<_> =
            writes.into_iter().filter(|write| write.value.is_some() || !losses.next().copied().unwrap_or(false)).collect();
        jar.apply(&arrived);

        let opened = join(NAME, jar.pairs()).expect("is there").open(&ring, NOW).expect("opens");
        prop_assert_eq!(&opened.claims["generation"], &Value::from(2));
    }

    #[test]
    fn arbitrary_cookies_do_not_upset_join(
        cookies in prop::collection::vec((r"s(\.?[0-9]{0,3}|-[a-z])", r"\PC{0,20}"), 0..12),
    ) {
        if let Some(joined) = join("s", cookies.iter().map(|(name, value)| (name.as_str(), value.as_str()))) {
            prop_assert!(joined.candidates().count() <= 2 * COOKIE_CHUNKS);
            prop_assert!(joined.open(&ring(&["secret"]), NOW).is_err());
        }
    }

    #[test]
    fn records_come_back_with_their_share_alone(
        plain in prop::collection::vec(any::<u8>(), 0..300), share: [u8; 32], other: [u8; 32], associated: Vec<u8>, seed: u64,
    ) {
        let keys = RecordKeys::new(&[CookieSecret::new("secret")]).expect("one secret");
        let sealed = seal_at_rest(&keys, &share, &associated, &plain, &Seeded::new(seed));
        prop_assert_eq!(&*open_at_rest(&keys, &share, &associated, &sealed).expect("opens"), &plain);
        if share != other {
            let opened = open_at_rest(&keys, &other, &associated, &sealed);
            prop_assert_eq!(opened.err(), Some(OpenError::NotAuthentic));
        }
    }
}

/// Every byte of both kinds of sealing, with every single bit of it turned over.
#[test]
fn no_bit_can_be_flipped() {
    let claims = padded(1, 20);
    let auth_js = ring(&["secret"]);
    let v4 = KeyRing::next_auth_v4(&[CookieSecret::new("secret")]).expect("one secret");
    for ring in [auth_js, v4] {
        let sealed = seal(&ring, &claims, NOW, HOUR, &Seeded::new(1));
        assert!(open(&ring, &sealed, NOW).is_ok());
        for at in 0..sealed.len() {
            for bit in 0..7 {
                let mut bytes = sealed.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                let changed = String::from_utf8(bytes).expect("still ASCII");
                assert!(open(&ring, &changed, NOW).is_err(), "bit {bit} of byte {at}");
            }
            assert!(open(&ring, &sealed[..at], NOW).is_err(), "cut at {at}");
        }
    }
}

/// The last characters of each part carry spare bits: one value has one text.
#[test]
fn spare_bits_do_not_make_a_second_text() {
    let ring = ring(&["secret"]);
    let sealed = seal(&ring, &padded(1, 20), NOW, HOUR, &Seeded::new(1));
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let opening = ALPHABET.chars().filter(|last| {
        let text = format!("{}{last}", &sealed[..sealed.len() - 1]);
        open(&ring, &text, NOW).is_ok()
    });
    assert_eq!(opening.count(), 1);
}
