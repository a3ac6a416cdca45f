//! What names a session, what opens its record, and what counts its renewals.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

/// 128 random bits that name a session. Known to the cookie and the engine; stores and logs see digests of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId(pub(super) [u8; 16]);

impl SessionId {
    /// The key of this session's record: a digest, so that a store does not learn the id.
    pub fn record_key(self) -> [u8; 32] {
        derive("perennial record", &URL_SAFE_NO_PAD.encode(self.0))
    }

    /// Eight of the random bytes, for hashing without allocation.
    pub(crate) fn leading_bits(self) -> u64 {
        self.0.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }

    /// Twelve characters that name the session in logs and headers: the beginning of its record's key, so that whoever has them
    /// finds the record (`perennial explain`). Useless for opening it.
    pub fn fingerprint(self) -> String {
        URL_SAFE_NO_PAD.encode(&self.record_key()[..FINGERPRINT_BYTES])
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
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, format!("{label}\n{seed}").as_bytes()).as_ref());
    out
}
