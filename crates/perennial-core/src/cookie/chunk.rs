//! RFC 6265 §5.4: one value in as many cookies as it takes, and back, whatever else the browser sends beside them.

use crate::Timestamp;
use crate::limits::{COOKIE_CHUNK_CHARS, COOKIE_CHUNKS, COOKIE_NAMESAKES};

use super::OpenError;
use super::keyring::KeyRing;
use super::seal::{FromSealed, Opened, open_as};

/// The cookies of a request that belong to one name, and the values that they may stand for.
#[derive(Clone, PartialEq, Eq)]
pub struct Joined {
    /// The chunks from 0 on, put together.
    chain: String,
    /// Where in `chain` a value may end, the most plausible end first.
    ends: Vec<usize>,
    /// The values of the cookie that has no number.
    whole: Vec<String>,
    /// The names of all cookies of ours that came with the request: what [`split`] and [`clear`] want to know.
    pub names: Vec<String>,
}

/// Finds the value of `name` among the request's cookies, given as decoded pairs in the order of the header.
///
/// Cookies of ours are `name` and `name.0`, `name.1` and so on; nothing else that begins with our name is touched.
/// Auth.js takes everything that does, so that any such cookie signs its user out. `None` when none is ours.
///
/// ```
/// use perennial_core::cookie::join;
///
/// let cookies = [("s.1", "def"), ("s-foo", "!"), ("s.0", "abc"), ("s.x", "!")];
/// let joined = join("s", cookies.into_iter()).expect("two are ours");
/// assert_eq!(joined.candidates().next(), Some("abcdef"));
/// assert_eq!(joined.names, ["s.1", "s.0"]);
/// ```
pub fn join<'a>(name: &str, cookies: impl Iterator<Item = (&'a str, &'a str)>) -> Option<Joined> {
    let mut whole: Vec<String> = Vec::new();
    let mut chunks = [""; COOKIE_CHUNKS];
    let mut names: Vec<String> = Vec::new();
    for (cookie, value) in cookies {
        let Some(part) = Part::of(name, cookie) else {
            continue;
        };
        if !names.iter().any(|known| known == cookie) {
            names.push(cookie.to_owned());
        }
        // Nobody writes an empty or a longer one as a session.
        if value.is_empty() || value.len() > COOKIE_CHUNK_CHARS {
            continue;
        }
        match part {
            Part::Whole => {
                let new = whole.iter().all(|known| known != value);
                if new && whole.len() < COOKIE_NAMESAKES {
                    whole.push(value.to_owned());
                }
            }
            // Of two, the first has the longer path or was there earlier: RFC 6265 §5.4.
            Part::Chunk(index) => {
                if let Some(chunk) = chunks.get_mut(index).filter(|chunk| chunk.is_empty()) {
                    *chunk = value;
                }
            }
        }
    }
    if names.is_empty() {
        return None;
    }
    let contiguous = chunks.split(|chunk| chunk.is_empty()).next().unwrap_or(&[]);
    Some(Joined { chain: contiguous.concat(), ends: plausible_ends(contiguous), whole, names })
}

impl Joined {
    /// What the value may be, the most plausible first, at most [`COOKIE_CHUNKS`] and [`COOKIE_NAMESAKES`] of them.
    ///
    /// More than one when a chunk of an older, longer value was left behind, when a chunked and a whole value are both
    /// there, or when somebody planted a namesake. Only one of them can be told right: by opening it.
    pub fn candidates(&self) -> impl Iterator<Item = &str> {
        let chained = self.ends.iter().map(|&end| &self.chain[..end]);
        chained.chain(self.whole.iter().map(String::as_str))
    }

    /// Opens the candidates and takes the one sealed last, so that no leftover hides the session and none outlives it.
    ///
    /// # Errors
    ///
    /// What was wrong with the first candidate, when none opens; [`OpenError::Malformed`] when there is none.
    pub fn open(&self, ring: &KeyRing, now: Timestamp) -> Result<Opened, OpenError> {
        self.open_as(ring, now)
    }

    /// The same for claims of one kind.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_as<C: FromSealed>(&self, ring: &KeyRing, now: Timestamp) -> Result<Opened<C>, OpenError> {
        let mut best: Result<Opened<C>, OpenError> = Err(OpenError::Malformed);
        for (index, candidate) in self.candidates().enumerate() {
            match (open_as(ring, candidate, now), &best) {
                (Ok(opened), Ok(known)) if sealed_at(&opened) <= sealed_at(known) => {}
                (Ok(opened), _) => best = Ok(opened),
                (Err(error), Err(_)) if index == 0 => best = Err(error),
                (Err(_), _) => {}
            }
        }
        best
    }
}

impl std::fmt::Debug for Joined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Joined").field("names", &self.names).finish_non_exhaustive()
    }
}

/// One `Set-Cookie` to be written: the caller adds the attributes.
#[derive(Clone, PartialEq, Eq)]
pub struct ChunkWrite {
    /// The cookie's name, with its number if it has one.
    pub name: String,
    /// The value, or `None` to delete the cookie.
    pub value: Option<String>,
}

impl std::fmt::Debug for ChunkWrite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = self.value.as_ref().map(|_| format_args!("[redacted]"));
        f.debug_struct("ChunkWrite").field("name", &self.name).field("value", &value).finish()
    }
}

/// A value that would need more than [`COOKIE_CHUNKS`] cookies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the session has {chars} characters and {COOKIE_CHUNKS} cookies carry {max}: keep less in it",
    max = COOKIE_CHUNKS * COOKIE_CHUNK_CHARS
)]
pub struct TooLarge {
    /// How long the value is.
    pub chars: usize,
}

impl TooLarge {
    /// The stable name of this error, for logs and answers.
    pub fn code(self) -> &'static str {
        "session_too_large"
    }
}

/// Cuts `value` as Auth.js does, and deletes those of the `present` cookies that the new value does not overwrite.
///
/// # Errors
///
/// [`TooLarge`] when it does not fit; then nothing should be written.
pub fn split(name: &str, value: &str, present: &[String]) -> Result<Vec<ChunkWrite>, TooLarge> {
    let pieces = pieces(value);
    if pieces.len() > COOKIE_CHUNKS {
        return Err(TooLarge { chars: value.len() });
    }
    let chunked = pieces.len() > 1;
    let written: Vec<ChunkWrite> = pieces
        .into_iter()
        .enumerate()
        .map(|(index, piece)| ChunkWrite {
            name: if chunked { format!("{name}.{index}") } else { name.to_owned() },
            value: Some(piece.to_owned()),
        })
        .collect();
    let mut writes = clear(name, present);
    writes.retain(|deletion| written.iter().all(|write| write.name != deletion.name));
    writes.extend(written);
    Ok(writes)
}

/// Deletes those of the `present` cookies that are ours.
pub fn clear(name: &str, present: &[String]) -> Vec<ChunkWrite> {
    present
        .iter()
        .filter(|cookie| Part::of(name, cookie).is_some())
        .map(|cookie| ChunkWrite { name: cookie.clone(), value: None })
        .collect()
}

/// What a cookie of ours carries.
enum Part {
    Whole,
    Chunk(usize),
}

impl Part {
    /// `None` for a foreign cookie. A number is written in one way alone, and in two digits at most: Auth.js writes
    /// without bound, and what it left beyond our [`COOKIE_CHUNKS`] we want to be able to delete.
    fn of(name: &str, cookie: &str) -> Option<Self> {
        let rest = cookie.strip_prefix(name)?;
        if rest.is_empty() {
            return Some(Self::Whole);
        }
        let digits = rest.strip_prefix('.')?;
        match digits.as_bytes() {
            [b'0'..=b'9'] | [b'1'..=b'9', b'0'..=b'9'] => digits.parse().ok().map(Self::Chunk),
            _ => None,
        }
    }
}

/// Where a value made of these chunks may end, the most plausible first.
///
/// All chunks of one value but the last are of one length, so the first that is of another is its end; what follows it
/// was left behind by a longer value. When the end is not visible, each number of chunks is offered, most chunks first.
fn plausible_ends(chunks: &[&str]) -> Vec<usize> {
    let ends: Vec<usize> = chunks
        .iter()
        .scan(0, |end, chunk| {
            *end += chunk.len();
            Some(*end)
        })
        .collect();
    let visible = chunks
        .iter()
        .position(|chunk| Some(chunk.len()) != chunks.first().map(|first| first.len()))
        .map(|index| ends[index]);
    let others = ends.iter().rev().copied().filter(|end| Some(*end) != visible);
    visible.into_iter().chain(others).collect()
}

/// The value in pieces of at most [`COOKIE_CHUNK_CHARS`] bytes, which are characters in sealed text.
fn pieces(value: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = value;
    while rest.len() > COOKIE_CHUNK_CHARS {
        let mut end = COOKIE_CHUNK_CHARS;
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (piece, tail) = rest.split_at(end);
        pieces.push(piece);
        rest = tail;
    }
    pieces.push(rest);
    pieces
}

/// When it was sealed, in seconds; before everything when it does not say.
fn sealed_at(opened: &Opened<impl FromSealed>) -> f64 {
    let iat = opened.claims.date("iat").and_then(serde_json::Value::as_f64);
    iat.unwrap_or(f64::NEG_INFINITY)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: usize = COOKIE_CHUNK_CHARS;

    /// `name=value` pairs, with a value such as `a*3936` for a letter many times.
    fn joined(cookies: &str) -> Option<Joined> {
        let cookies: Vec<(&str, String)> = cookies
            .split_whitespace()
            .filter_map(|cookie| cookie.split_once('='))
            .map(|(name, value)| (name, unfold(value)))
            .collect();
        join("s", cookies.iter().map(|(name, value)| (*name, value.as_str())))
    }

    fn unfold(value: &str) -> String {
        match value.split_once('*') {
            Some((letter, times)) => letter.repeat(times.parse().expect("a number")),
            None => value.to_owned(),
        }
    }

    /// `aaab` as `a*3 b*1`, so that a failure can be read.
    fn folded(value: &str) -> String {
        let mut runs: Vec<(char, usize)> = Vec::new();
        for letter in value.chars() {
            match runs.last_mut() {
                Some((last, times)) if *last == letter => *times += 1,
                _ => runs.push((letter, 1)),
            }
        }
        runs.iter().map(|(letter, times)| format!("{letter}*{times}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn candidates_in_the_order_of_their_plausibility() {
        for (cookies, expected) in [
            ("s=a", vec!["a*1"]),
            ("s.0=a*9 s.1=b*4", vec!["a*9 b*4", "a*9"]),
            ("s.1=b*4 other=x s.0=a*9", vec!["a*9 b*4", "a*9"]),
            // The third was left behind by a longer value: the second, shorter than the first, is the end.
            ("s.0=a*9 s.1=b*4 s.2=c*9", vec!["a*9 b*4", "a*9 b*4 c*9", "a*9"]),
            // Here the end cannot be seen.
            ("s.0=a*9 s.1=b*9", vec!["a*9 b*9", "a*9"]),
            // Foreign cookies with our prefix, and numbers that nobody writes.
            ("s-foo=x s.x=x s.00=x s.01=x s.=x s..0=x s.0.0=x s.-1=x s.+1=x sx=x S=x s.100=x s=a", vec!["a*1"]),
            // Gaps and empty values end the chain.
            ("s.0=a s.2=c", vec!["a*1"]),
            ("s.0=a s.1= s.2=c", vec!["a*1"]),
            ("s.1=b s.2=c", vec![]),
            ("s=", vec![]),
            // Of two with one number the first counts, of two whole ones each.
            ("s.0=a s.0=x s.1=b", vec!["a*1 b*1", "a*1"]),
            ("s=a s=x s=a", vec!["a*1", "x*1"]),
            ("s=a s.0=b", vec!["b*1", "a*1"]),
        ] {
            let joined = joined(cookies).expect("one is ours");
            assert_eq!(joined.candidates().map(folded).collect::<Vec<_>>(), expected, "{cookies}");
        }
        assert!(joined("other=a s-foo=b").is_none());
    }

    #[test]
    fn limits_at_their_edges() {
        let chunks = |count: usize, len: usize| -> String {
            (0..count).map(|index| format!("s.{index}=a*{len} ")).collect::<String>()
        };
        let longest = |cookies: String| joined(&cookies).and_then(|j| j.candidates().map(str::len).max());
        assert_eq!(longest(chunks(COOKIE_CHUNKS, FULL)), Some(COOKIE_CHUNKS * FULL));
        assert_eq!(longest(chunks(COOKIE_CHUNKS + 1, FULL)), Some(COOKIE_CHUNKS * FULL));
        assert_eq!(longest(chunks(2, FULL + 1)), None);
        assert_eq!(longest(format!("s=a*{FULL}")), Some(FULL));
        assert_eq!(longest(format!("s=a*{}", FULL + 1)), None);

        let namesakes: String = (0..COOKIE_NAMESAKES + 1).map(|n| format!("s={n} ")).collect();
        assert_eq!(joined(&namesakes).map(|j| j.candidates().count()), Some(COOKIE_NAMESAKES));

        let largest = "a".repeat(COOKIE_CHUNKS * FULL);
        assert_eq!(split("s", &largest, &[]).map(|writes| writes.len()), Ok(COOKIE_CHUNKS));
        assert_eq!(split("s", &(largest + "a"), &[]), Err(TooLarge { chars: COOKIE_CHUNKS * FULL + 1 }));
    }

    /// As `s` for a write and `-s` for a deletion.
    fn shown(writes: &[ChunkWrite]) -> String {
        let shown = writes.iter().map(|w| format!("{}{}", if w.value.is_some() { "" } else { "-" }, w.name));
        shown.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_a_new_value_leaves_over_is_deleted() {
        for (present, len, expected) in [
            ("", 1, "s"),
            ("s", 1, "s"),
            ("s.0 s.1 s.2", 1, "-s.0 -s.1 -s.2 s"),
            ("s", FULL + 64, "-s s.0 s.1"),
            ("s.0 s.1 s.2", FULL + 1, "-s.2 s.0 s.1"),
            ("s.0 s.1", 2 * FULL + 1, "s.0 s.1 s.2"),
            ("s s.0 s.7 s.42", 1, "-s.0 -s.7 -s.42 s"),
            ("s-foo other s.x", 1, "s"),
        ] {
            let present: Vec<String> = present.split_whitespace().map(str::to_owned).collect();
            let writes = split("s", &"a".repeat(len), &present).expect("fits");
            assert_eq!(shown(&writes), expected, "{present:?}");
        }
        let present: Vec<String> = ["s", "s.0", "s.42", "s-foo"].map(str::to_owned).to_vec();
        assert_eq!(shown(&clear("s", &present)), "-s -s.0 -s.42");
    }

    #[test]
    fn a_character_is_not_cut_in_two() {
        let value = format!("a{}", "é".repeat(FULL));
        let writes = split("s", &value, &[]).expect("fits");
        let back: String = writes.iter().filter_map(|write| write.value.clone()).collect();
        assert_eq!(back, value);
    }
}
