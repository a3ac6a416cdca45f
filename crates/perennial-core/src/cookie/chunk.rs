//! A value spread over cookies as Auth.js spreads it, put together more carefully than Auth.js does.

use crate::limits::{COOKIE_CHUNK_CHARS, COOKIE_CHUNKS};

/// What a request's cookies may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Values to try in turn. Several where a stale cookie lies beside the session: a chunk of an older, longer value, or a
    /// whole value beside chunks. Their tags tell which one is whole.
    pub candidates: Vec<String>,
    /// The names of the cookies that belong to the session, to be replaced or deleted.
    pub names: Vec<String>,
}

/// Finds the session called `name` among a request's cookies.
///
/// Counts `name` and `name.0`, `name.1`, … without a gap, at most five. Names that merely begin so, empty values, numbers
/// written oddly and repeated names are others' and are ignored.
pub fn join<'a>(name: &str, cookies: impl Iterator<Item = (&'a str, &'a str)>) -> Option<Joined> {
    let mut whole = None;
    let mut chunks: [Option<&str>; COOKIE_CHUNKS] = [None; COOKIE_CHUNKS];
    let mut names = Vec::new();
    for (each, value) in cookies {
        let Some(rest) = each.strip_prefix(name).filter(|_| !value.is_empty()) else { continue };
        let place = match rest {
            "" => &mut whole,
            _ => match rest.strip_prefix('.').and_then(index) {
                Some(index) => &mut chunks[index],
                None => continue,
            },
        };
        if place.is_none() {
            *place = Some(value);
            names.push(each.to_owned());
        }
    }
    let contiguous: Vec<&str> = chunks.iter().map_while(|chunk| *chunk).collect();
    // A full chunk is followed by another, the last one may be shorter: anything after the first short one is left over from
    // an older value, which is tried after it all the same.
    let first_short = contiguous.iter().position(|chunk| chunk.len() < COOKIE_CHUNK_CHARS).map(|at| at + 1);
    let mut lengths: Vec<usize> = (1..=contiguous.len()).rev().collect();
    if let Some(likely) = first_short {
        lengths.sort_by_key(|length| *length != likely);
    }
    let mut candidates: Vec<String> = lengths.into_iter().map(|length| contiguous[..length].concat()).collect();
    candidates.extend(whole.map(str::to_owned));
    if candidates.is_empty() { None } else { Some(Joined { candidates, names }) }
}

/// One cookie to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkWrite {
    /// Its name.
    pub name: String,
    /// Its value; `None` deletes it.
    pub value: Option<String>,
}

/// A value is longer than all chunks together may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session is larger than {COOKIE_CHUNKS} cookies hold")]
pub struct TooLarge;

/// Spreads `value` over cookies, and deletes those of `present` that it does not overwrite.
///
/// # Errors
/// [`TooLarge`] beyond five chunks of 3936 characters.
pub fn split(name: &str, value: &str, present: &[String]) -> Result<Vec<ChunkWrite>, TooLarge> {
    if value.len() > COOKIE_CHUNKS * COOKIE_CHUNK_CHARS {
        return Err(TooLarge);
    }
    let written: Vec<ChunkWrite> = if value.len() <= COOKIE_CHUNK_CHARS {
        vec![ChunkWrite { name: name.to_owned(), value: Some(value.to_owned()) }]
    } else {
        // Sealed values are ASCII; anything else is cut at bytes that keep it whole text.
        let chunks = value.as_bytes().chunks(COOKIE_CHUNK_CHARS).enumerate();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        chunks.map(|(index, bytes)| ChunkWrite { name: format!("{name}.{index}"), value: Some(text(bytes)) }).collect()
    };
    let left_over: Vec<String> =
        present.iter().filter(|name| written.iter().all(|write| write.name != **name)).cloned().collect();
    Ok(clear(name, &left_over).into_iter().chain(written).collect())
}

/// Deletes the cookies of `present` that belong to the session called `name`.
pub fn clear(name: &str, present: &[String]) -> Vec<ChunkWrite> {
    let ours = present.iter().filter(|each| each.strip_prefix(name).is_some());
    ours.map(|each| ChunkWrite { name: each.clone(), value: None }).collect()
}

/// A chunk's number, written as we write it: no sign, no leading zero, within bounds.
fn index(text: &str) -> Option<usize> {
    text.parse().ok().filter(|index: &usize| *index < COOKIE_CHUNKS && index.to_string() == text)
}
