//! What names a session, what opens its record, and what counts its renewals.

use std::fmt;
use std::hash::{Hash, Hasher};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

/// 128 random bits that name a session. Known to the cookie and the engine; stores and logs see digests of it.
#[derive(Clone, Copy)]
pub struct SessionId {
    bytes: [u8; 16],
    /// Derived once: it is asked for several times by each request and each renewal.
    record_key: [u8; 32],
}

impl SessionId {
    pub(super) fn new(bytes: [u8; 16]) -> Self {
        Self { bytes, record_key: derive_name("perennial record", &bytes) }
    }

    pub(super) fn as_bytes(&self) -> &[u8; 16] {
        &self.bytes
    }

    /// The key of this session's record: a digest, so that a store does not learn the id.
    pub fn record_key(self) -> [u8; 32] {
        self.record_key
    }

    /// Eight of the random bytes, for hashing without allocation.
    pub(crate) fn leading_bits(self) -> u64 {
        self.bytes.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }

    /// Twelve characters that name the session in logs and headers: the beginning of its record's key, so that whoever has them
    /// finds the record (`perennial explain`). Useless for opening it.
    pub fn fingerprint(self) -> String {
        URL_SAFE_NO_PAD.encode(&self.record_key()[..FINGERPRINT_BYTES])
    }
}

impl PartialEq for SessionId {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for SessionId {}

impl Hash for SessionId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({})", self.fingerprint())
    }
}

/// Bytes of a record's key that make a session's fingerprint.
pub const FINGERPRINT_BYTES: usize = 9;

/// 256 random bits that only the cookie carries: without them a record does not open.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyShare(pub(super) [u8; 32]);

impl KeyShare {
    /// The bytes, for key derivation.
    pub fn expose_secret(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for KeyShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyShare([redacted])")
    }
}

impl Drop for KeyShare {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Counts the renewals of a session; never decreases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl Generation {
    /// The one after this.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Counts how often the deployment lost what it knew of its sessions, by its operator's word; 0 until the first time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// What a cookie carries of a session that lies in the store: its name and the share that opens its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handle {
    /// Which session.
    pub id: SessionId,
    /// The half of the at-rest key that only the cookie carries.
    pub share: KeyShare,
}

/// 256 bits that a seed gives under one label and under no other.
pub(crate) fn derive(label: &str, seed: &str) -> [u8; 32] {
    hashed(format!("{label}\n{seed}").as_bytes())
}

/// The same for a seed of 16 bytes in its base64url form, which needs no memory of its own: it is done for every cookie that comes.
pub(super) fn derive_name(label: &str, seed: &[u8; 16]) -> [u8; 32] {
    let mut text = [0; LABEL_MAX + 1 + NAME_CHARS];
    let end = label.len() + 1;
    text[..label.len()].copy_from_slice(label.as_bytes());
    text[label.len()] = b'\n';
    let chars = URL_SAFE_NO_PAD.encode_slice(seed, &mut text[end..]).expect("16 bytes are 22 characters");
    hashed(&text[..end + chars])
}

fn hashed(text: &[u8]) -> [u8; 32] {
    digest(&SHA256, text).as_ref().try_into().expect("SHA-256 gives 32 bytes")
}

/// The longest label of a name, "perennial end mark".
const LABEL_MAX: usize = 18;

/// Characters of 16 bytes in base64url.
const NAME_CHARS: usize = 22;

#[cfg(test)]
mod tests {
    use super::*;

    /// Records that are in stores already are found under these keys.
    #[test]
    fn a_name_is_derived_as_its_text_is() {
        for label in ["perennial record", "perennial end mark"] {
            for seed in [[0; 16], [255; 16], *b"sixteen bytes ok"] {
                assert_eq!(derive_name(label, &seed), derive(label, &URL_SAFE_NO_PAD.encode(seed)), "{label}");
            }
        }
    }

    #[test]
    fn a_session_is_known_by_its_bytes() {
        let ids = [1, 1, 2].map(|byte| SessionId::new([byte; 16]));
        assert!(ids[0] == ids[1] && ids[0] != ids[2]);
        assert_eq!(std::collections::HashSet::from(ids).len(), 2);
    }
}
