//! What a store holds: a key, a version, bytes and a moment of expiry.

use std::fmt;
use std::sync::Arc;

use perennial_core::Timestamp;

/// Names a record: a digest of the session id, never the id itself, so that a store's dump names no session.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey([u8; 32]);

impl RecordKey {
    /// The key made of a 256-bit digest.
    pub const fn from_digest(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The digest.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for RecordKey {
    /// Writes the first four bytes, enough to follow one record through a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "RecordKey({a:02x}{b:02x}{c:02x}{d:02x}..)")
    }
}

/// The first bytes of some keys, in practice of one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyPrefix {
    bytes: [u8; 32],
    length: usize,
}

impl KeyPrefix {
    /// Fewer bytes would name strangers among many sessions.
    pub const SHORTEST: usize = 4;

    /// The prefix `bytes`; `None` unless they are [`SHORTEST`](Self::SHORTEST) to 32.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut whole = [0; 32];
        let place = whole.get_mut(..bytes.len()).filter(|place| place.len() >= Self::SHORTEST)?;
        place.copy_from_slice(bytes);
        Some(Self { bytes: whole, length: bytes.len() })
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Whether `key` begins with it.
    pub fn begins(&self, key: &RecordKey) -> bool {
        key.0.starts_with(self.as_bytes())
    }

    /// The lowest and the highest key that begin with it.
    pub fn range(&self) -> (RecordKey, RecordKey) {
        let mut highest = self.bytes;
        highest[self.length..].fill(u8::MAX);
        (RecordKey(self.bytes), RecordKey(highest))
    }
}

impl fmt::Debug for KeyPrefix {
    /// Writes the first four bytes, as for a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.bytes;
        write!(f, "KeyPrefix({a:02x}{b:02x}{c:02x}{d:02x}..)")
    }
}

/// One state of one record: opaque, compared for equality only, never given twice for the same key.
///
/// The promise holds across removal, expiry and restart, so that a version remembered by a task that slept through all
/// three can never match a record it has not seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Version(u64);

impl Version {
    /// The version a keeper numbers `raw`; for keepers, not for callers.
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    /// The keeper's number of this version.
    pub const fn raw(self) -> u64 {
        self.0
    }
}

/// A record as it was read, with the version that a later swap must name.
#[derive(Clone, PartialEq, Eq)]
pub struct Versioned {
    /// The state that was read.
    pub version: Version,
    /// What was stored, byte for byte.
    pub bytes: Arc<[u8]>,
    /// The record is live before this moment and absent from it on.
    pub expires: Timestamp,
}

impl fmt::Debug for Versioned {
    /// Leaves the bytes out: they are sealed, and long.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Versioned")
            .field("version", &self.version)
            .field("bytes", &format_args!("[{} bytes]", self.bytes.len()))
            .field("expires", &self.expires)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_has_4_to_32_bytes_and_a_range_of_the_keys_it_begins() {
        for (length, good) in [(0, false), (3, false), (4, true), (9, true), (32, true), (33, false)] {
            assert_eq!(KeyPrefix::new(&vec![0xff; length]).is_some(), good, "{length} bytes");
        }
        let prefix = KeyPrefix::new(&[7; 9]).unwrap();
        let (lowest, highest) = prefix.range();
        assert!(prefix.begins(&lowest) && prefix.begins(&highest));
        assert_eq!((lowest.0[9], highest.0[9], highest.0[31]), (0, 0xff, 0xff));
        assert!(!prefix.begins(&RecordKey([8; 32])));
    }

    #[test]
    fn debug_shows_neither_the_whole_key_nor_the_bytes() {
        let record = Versioned {
            version: Version::from_raw(3),
            bytes: Arc::from(*b"planted"),
            expires: Timestamp::from_unix_millis(9),
        };
        let shown = format!("{record:?} {:?}", RecordKey::from_digest([0xab; 32]));
        assert!(shown.contains("[7 bytes]") && shown.contains("RecordKey(abababab..)"), "{shown}");
        assert!(!shown.contains("planted"), "{shown}");
    }
}
