//! Step 2, for cookies that were opened a moment ago: what they carry is remembered, so that the next request of the same browser
//! decrypts and parses nothing.
//!
//! Remembered is only what is authentic, by the whole `Cookie` header to the byte, and only what no passing of time short of its
//! expiry can change. Whether the session is over, due or too old is asked of each request after this, as of any other.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http::HeaderMap;
use http::header::COOKIE;
use perennial_core::Timestamp;
use zeroize::Zeroizing;

use super::Opened;

/// What the last requests of this process brought. Each thread has a shelf of its own, so that no core waits for another.
pub(crate) struct SeenCookies(Box<[Apart]>);

/// A shelf in a cache line of its own, so that no two threads write into one line.
#[derive(Default)]
#[repr(align(128))]
struct Apart(Mutex<Shelf>);

#[derive(Default)]
struct Shelf {
    /// None before the first cookie came.
    places: Box<[Option<Box<Seen>>]>,
    /// The place that is looked at next for what has been there too long.
    hand: usize,
}

struct Seen {
    lines: Zeroizing<Vec<u8>>,
    keys: KeysInForce,
    since: Timestamp,
    until: Timestamp,
    opened: Arc<Opened>,
}

/// Which keys a cookie was judged by: those in force change while a secret is rolled out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeysInForce {
    /// As configured.
    Configured,
    /// Those of before, because not every replica knows the secret in front yet.
    Former,
}

impl SeenCookies {
    pub(crate) fn new() -> Self {
        Self((0..SHELVES).map(|_| Apart::default()).collect())
    }

    /// What these headers carried when they came before.
    pub(super) fn recall(&self, headers: &HeaderMap, keys: KeysInForce, now: Timestamp) -> Option<Arc<Opened>> {
        let shelf = self.shelf()?;
        let seen = shelf.places.get(place_of(headers)?)?.as_ref()?;
        let valid = seen.since <= now && now < seen.until && seen.keys == keys && seen.is(headers);
        valid.then(|| seen.opened.clone())
    }

    /// Remembers what they carry, for a while.
    pub(super) fn remember(&self, headers: &HeaderMap, keys: KeysInForce, opened: &Arc<Opened>, now: Timestamp) {
        let (Some(place), Some(mut shelf)) = (place_of(headers), self.shelf()) else { return };
        let mut lines = Zeroizing::new(Vec::with_capacity(length(headers)));
        if lines.capacity() > HEADER_MAX {
            return;
        }
        for line in headers.get_all(COOKIE) {
            lines.extend_from_slice(line.as_bytes());
            lines.push(BETWEEN);
        }
        if shelf.places.is_empty() {
            shelf.places = (0..PLACES).map(|_| None).collect();
        }
        let until = opened.expires.min(now + REMEMBERED);
        shelf.places[place] = Some(Box::new(Seen { lines, keys, since: now, until, opened: opened.clone() }));
        // One that comes pushes one out that nobody asks for any more.
        let hand = shelf.hand;
        if shelf.places[hand].as_ref().is_some_and(|seen| seen.until <= now) {
            shelf.places[hand] = None;
        }
        shelf.hand = (hand + 1) % PLACES;
    }

    /// This thread's shelf; `None` in the rare case that two threads share one and the other is there just now.
    fn shelf(&self) -> Option<MutexGuard<'_, Shelf>> {
        self.0[THREAD.get() % self.0.len()].0.try_lock().ok()
    }
}

impl Seen {
    /// Whether it came in exactly these lines.
    fn is(&self, headers: &HeaderMap) -> bool {
        let mut rest = &self.lines[..];
        for line in headers.get_all(COOKIE) {
            match rest.strip_prefix(line.as_bytes()).and_then(|rest| rest.strip_prefix(&[BETWEEN])) {
                Some(after) => rest = after,
                None => return false,
            }
        }
        rest.is_empty()
    }
}

fn length(headers: &HeaderMap) -> usize {
    headers.get_all(COOKIE).iter().map(|line| line.len() + 1).sum()
}

/// The place of these headers, by some bytes of the longest line: sessions are ciphertext, and differ everywhere.
fn place_of(headers: &HeaderMap) -> Option<usize> {
    let line = headers.get_all(COOKIE).iter().map(http::HeaderValue::as_bytes).max_by_key(|line| line.len())?;
    let last = line.len().checked_sub(SAMPLE)?;
    let samples = (0..SAMPLES).filter_map(|at| line.get(last * at / (SAMPLES - 1)..)?.first_chunk::<SAMPLE>());
    let mixed =
        samples.fold(0u64, |mixed, sample| (mixed.rotate_left(5) ^ u64::from_le_bytes(*sample)).wrapping_mul(ODD));
    Some(usize::try_from(mixed >> 32).unwrap_or(0) % PLACES)
}

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static THREAD: Cell<usize> = Cell::new(THREADS.fetch_add(1, Ordering::Relaxed));
}

/// Shelves: more than there are threads that serve, which are numbered in the order in which they first come. One that no thread
/// uses takes 128 bytes.
const SHELVES: usize = 64;

/// Cookies on one shelf: with sessions of 4 KB each it holds 4 MB.
const PLACES: usize = 1024;

/// The longest that a cookie is remembered: opening it once a minute costs nothing, and tokens do not lie about.
const REMEMBERED: Duration = Duration::from_secs(60);

/// Longer headers than two chunks and some small cookies are opened each time.
const HEADER_MAX: usize = 16 << 10;

/// What no header line contains.
const BETWEEN: u8 = b'\n';

/// Bytes of a sample, and how many are taken.
const SAMPLE: usize = 8;
const SAMPLES: usize = 8;

/// The golden ratio of 2^64, which spreads what it multiplies.
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use perennial_core::session::{Carried, Handle};
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    fn headers(lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (COOKIE, HeaderValue::from_str(line).expect("a header"))).collect()
    }

    fn opened(expires: Timestamp) -> Arc<Opened> {
        let claims = json!({"perennial": {"v": 2, "sid": "A".repeat(22), "key": "A".repeat(43)}});
        let claims = claims.as_object().cloned().expect("an object");
        let provider = perennial_core::names::ProviderId::new("oidc");
        let carried = Carried::from_claims(claims, &provider).expect("a handle");
        assert!(matches!(carried, Carried::Handle(Handle { .. })));
        let names = vec!["authjs.session-token".to_owned()];
        Arc::new(Opened { carried, names, issued: NOW, expires, well_sealed: true, bytes: 1 })
    }

    #[test]
    fn the_same_lines_are_recalled_under_the_same_keys_for_a_while() {
        use KeysInForce::{Configured, Former};
        let cookies = SeenCookies::new();
        let came = headers(&["theme=dark", "authjs.session-token=abcdefghijklmnop"]);
        cookies.remember(&came, Configured, &opened(NOW + 2 * REMEMBERED), NOW);
        let second = Duration::from_secs(1);
        for (what, lines, keys, when, found) in [
            ("at once", &["theme=dark", "authjs.session-token=abcdefghijklmnop"][..], Configured, NOW, true),
            (
                "to the end",
                &["theme=dark", "authjs.session-token=abcdefghijklmnop"],
                Configured,
                NOW + REMEMBERED - second,
                true,
            ),
            ("after it", &["theme=dark", "authjs.session-token=abcdefghijklmnop"], Configured, NOW + REMEMBERED, false),
            (
                "by a clock set back",
                &["theme=dark", "authjs.session-token=abcdefghijklmnop"],
                Configured,
                NOW - second,
                false,
            ),
            ("under other keys", &["theme=dark", "authjs.session-token=abcdefghijklmnop"], Former, NOW, false),
            ("another value", &["theme=dark", "authjs.session-token=abcdefghijklmnoq"], Configured, NOW, false),
            ("less", &["authjs.session-token=abcdefghijklmnop"], Configured, NOW, false),
            ("more", &["theme=dark", "authjs.session-token=abcdefghijklmnop", "a=b"], Configured, NOW, false),
            ("in one line", &["theme=dark; authjs.session-token=abcdefghijklmnop"], Configured, NOW, false),
            ("nothing", &[], Configured, NOW, false),
        ] {
            assert_eq!(cookies.recall(&headers(lines), keys, when).is_some(), found, "{what}");
        }
    }

    #[test]
    fn nothing_is_recalled_beyond_its_own_expiry() {
        let cookies = SeenCookies::new();
        let came = headers(&["authjs.session-token=abcdefghijklmnop"]);
        let second = Duration::from_secs(1);
        cookies.remember(&came, KeysInForce::Configured, &opened(NOW + second), NOW);
        assert!(cookies.recall(&came, KeysInForce::Configured, NOW).is_some());
        assert!(cookies.recall(&came, KeysInForce::Configured, NOW + second).is_none());
    }

    #[test]
    fn headers_up_to_the_limit_are_remembered() {
        for (length, found) in [(HEADER_MAX - 1, true), (HEADER_MAX, false)] {
            let cookies = SeenCookies::new();
            let came = headers(&[&"x".repeat(length)]);
            cookies.remember(&came, KeysInForce::Configured, &opened(NOW + REMEMBERED), NOW);
            assert_eq!(cookies.recall(&came, KeysInForce::Configured, NOW).is_some(), found, "{length}");
        }
    }

    #[test]
    fn what_nobody_asks_for_goes_when_others_come() {
        let cookies = SeenCookies::new();
        let line = |at: usize| headers(&[&format!("authjs.session-token={:0>64}", at * 7919)]);
        cookies.remember(&line(0), KeysInForce::Configured, &opened(NOW + 9 * REMEMBERED), NOW);
        let first = Arc::downgrade(&cookies.recall(&line(0), KeysInForce::Configured, NOW).expect("remembered"));
        let later = NOW + 2 * REMEMBERED;
        for at in 1..=PLACES {
            cookies.remember(&line(at), KeysInForce::Configured, &opened(later + REMEMBERED), later);
        }
        assert!(first.upgrade().is_none(), "its tokens are gone");
    }
}
