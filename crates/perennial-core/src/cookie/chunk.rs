//! RFC 6265 §5.4: one value in as many cookies as it takes, and back, whatever else the browser sends beside them.

use crate::Timestamp;
use crate::limits::{COOKIE_CHUNK_CHARS, COOKIE_CHUNKS, COOKIE_NAMESAKES};

use super::keyring::KeyRing;
use super::seal::{OpenError, Opened, open};

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
        match part {
            Part::Whole => {
                let known = value.is_empty() || whole.iter().any(|known| known == value);
                if !known && whole.len() < COOKIE_NAMESAKES {
                    whole.push(value.to_owned());
                }
            }
            // The first of two is the one that belongs to the longer path or came first: RFC 6265 §5.4.
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
        let mut best: Result<Opened, OpenError> = Err(OpenError::Malformed);
        for (index, candidate) in self.candidates().enumerate() {
            match (open(ring, candidate, now), &best) {
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
    "the session has {chars} characters and {COOKIE_CHUNKS} cookies carry {max}: keep less in it, or use the database strategy",
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
fn sealed_at(opened: &Opened) -> f64 {
    let iat = opened.claims.get("iat").and_then(serde_json::Value::as_f64);
    iat.unwrap_or(f64::NEG_INFINITY)
}
