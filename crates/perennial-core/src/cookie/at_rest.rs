//! Records of the store, sealed with AES-256-GCM under a key that neither the store nor the server has alone.
//!
//! ```text
//! version (1 byte, 0x01) · id of the secret (4 bytes) · nonce (12 bytes) · ciphertext · tag (16 bytes)
//! key = HKDF-SHA256(secret, salt = share, "perennial at rest v1"); associated data = version · id · the caller's
//! ```
//!
//! The share lives in the session cookie alone: who dumps the store opens nothing, and who also has the server's
//! secrets still opens only the sessions whose cookies he holds. The exception is a refresh token that is still to be revoked
//! when the cookie is gone: its share is the name it lies under, so that the secrets alone open it (`record/owed.rs`).

use zeroize::Zeroizing;

use super::OpenError;
use super::content_encryption::Gcm;
use super::keyring::{KeyRingError, check_secrets, hkdf_sha256};
use crate::SecureRandom;
use crate::random::random_bytes;
use crate::secret::CookieSecret;

const VERSION: u8 = 1;
const HEADER: usize = 5;
const TAG: usize = 16;

/// The secrets that seal records, newest first: the first seals, each opens.
pub struct RecordKeys {
    newest: RecordKey,
    older: Vec<RecordKey>,
}

struct RecordKey {
    id: [u8; 4],
    secret: CookieSecret,
}

impl RecordKeys {
    /// Takes the secrets of the session cookie, newest first.
    ///
    /// # Errors
    ///
    /// [`KeyRingError`] when the list is empty or too long, or has an empty secret.
    pub fn new(secrets: &[CookieSecret]) -> Result<Self, KeyRingError> {
        let (newest, older) = check_secrets(secrets)?;
        Ok(Self { newest: RecordKey::new(newest), older: older.iter().map(RecordKey::new).collect() })
    }

    /// Whether the secret that seals is the one that `sealed` was sealed under.
    pub fn sealed_by_newest(&self, sealed: &[u8]) -> bool {
        sealed.get(1..HEADER) == Some(&self.newest.id)
    }

    fn newest_first(&self) -> impl Iterator<Item = &RecordKey> {
        std::iter::once(&self.newest).chain(&self.older)
    }
}

impl std::fmt::Debug for RecordKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RecordKeys([{} redacted])", 1 + self.older.len())
    }
}

impl RecordKey {
    fn new(secret: &CookieSecret) -> Self {
        Self { id: *hkdf_sha256(secret, b"", b"perennial at rest key id v1"), secret: secret.clone() }
    }

    fn cipher(&self, share: &[u8; 32]) -> Gcm {
        Gcm::new(&hkdf_sha256(&self.secret, share, b"perennial at rest v1"))
    }
}

/// Seals `plain` for the one who holds `share`. `associated` is not stored, but has to be the same to open it: put the
/// record's name there, so that records cannot be exchanged for one another.
///
/// ```
/// use perennial_core::cookie::{RecordKeys, open_at_rest, seal_at_rest};
/// use perennial_core::secret::CookieSecret;
/// # struct Random;
/// # impl perennial_core::SecureRandom for Random {
/// #     fn fill(&self, out: &mut [u8]) { out.fill(7) }
/// # }
///
/// let keys = RecordKeys::new(&[CookieSecret::new("at least 32 random characters")])?;
/// let share = [1; 32];
/// let sealed = seal_at_rest(&keys, &share, b"session-1", b"tokens", &Random);
/// assert_eq!(open_at_rest(&keys, &share, b"session-1", &sealed)?.as_slice(), b"tokens");
/// assert!(open_at_rest(&keys, &[2; 32], b"session-1", &sealed).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn seal_at_rest(
    keys: &RecordKeys,
    share: &[u8; 32],
    associated: &[u8],
    plain: &[u8],
    random: &dyn SecureRandom,
) -> Vec<u8> {
    let nonce = random_bytes::<{ Gcm::IV }>(random);
    let mut out = Vec::with_capacity(HEADER + Gcm::IV + plain.len() + TAG);
    out.push(VERSION);
    out.extend_from_slice(&keys.newest.id);
    let aad = [&out, associated].concat();
    let sealed = keys.newest.cipher(share).seal(&aad, nonce, plain);
    out.extend_from_slice(&nonce);
    out.extend_from_slice(&sealed.ciphertext);
    out.extend_from_slice(&sealed.tag);
    out
}

/// Opens what [`seal_at_rest`] sealed with the same `share` and `associated`, under whichever of the secrets it was.
///
/// # Errors
///
/// [`OpenError::Malformed`], [`OpenError::Unsupported`] for another version, [`OpenError::UnknownKey`] when the secret
/// has been removed, [`OpenError::NotAuthentic`] for a wrong share or any change.
pub fn open_at_rest(
    keys: &RecordKeys,
    share: &[u8; 32],
    associated: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let (header, body) = sealed.split_first_chunk::<HEADER>().ok_or(OpenError::Malformed)?;
    let (nonce, body) = body.split_first_chunk::<{ Gcm::IV }>().ok_or(OpenError::Malformed)?;
    let (ciphertext, tag) = body.split_last_chunk::<TAG>().ok_or(OpenError::Malformed)?;
    let [version, id @ ..] = header;
    if *version != VERSION {
        return Err(OpenError::Unsupported);
    }

    let aad = [header, associated].concat();
    let mut named = keys.newest_first().filter(|key| key.id == *id).peekable();
    named.peek().ok_or(OpenError::UnknownKey)?;
    // Four bytes of two secrets can be equal: then each has its turn.
    named.find_map(|key| key.cipher(share).open(&aad, nonce, ciphertext, tag)).ok_or(OpenError::NotAuthentic)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(u8);

    impl SecureRandom for Fixed {
        fn fill(&self, out: &mut [u8]) {
            out.fill(self.0);
        }
    }

    const SHARE: [u8; 32] = [1; 32];

    fn keys(list: &str) -> RecordKeys {
        let secrets: Vec<_> = list.split_whitespace().map(CookieSecret::new).collect();
        RecordKeys::new(&secrets).expect("secrets")
    }

    fn open(keys: &RecordKeys, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        open_at_rest(keys, &SHARE, b"record", sealed).map(|plain| plain.to_vec())
    }

    #[test]
    fn a_rotated_list_still_opens() {
        let sealed = seal_at_rest(&keys("one"), &SHARE, b"record", b"tokens", &Fixed(9));
        for (list, expected) in [
            ("one", Ok(b"tokens".to_vec())),
            ("two one", Ok(b"tokens".to_vec())),
            ("three two one", Ok(b"tokens".to_vec())),
            ("two", Err(OpenError::UnknownKey)),
        ] {
            assert_eq!(open(&keys(list), &sealed), expected, "{list}");
        }
        let by_newest = seal_at_rest(&keys("two one"), &SHARE, b"record", b"tokens", &Fixed(9));
        assert_eq!(open(&keys("one"), &by_newest), Err(OpenError::UnknownKey));
        for (list, sealed, expected) in [
            ("two one", &by_newest[..], true),
            ("two one", &sealed, false),
            ("one", &sealed, true),
            ("one", &sealed[..4], false),
            ("one", b"", false),
        ] {
            assert_eq!(keys(list).sealed_by_newest(sealed), expected, "{list} {sealed:?}");
        }
    }

    #[test]
    fn the_share_and_the_record_are_part_of_the_key() {
        let keys = keys("one");
        let sealed = seal_at_rest(&keys, &SHARE, b"record", b"tokens", &Fixed(9));
        let open = |share: &[u8; 32], associated: &[u8]| open_at_rest(&keys, share, associated, &sealed).map(|_| ());
        assert_eq!(open(&SHARE, b"record"), Ok(()));
        assert_eq!(open(&SHARE, b"another"), Err(OpenError::NotAuthentic));
        assert_eq!(open(&SHARE, b""), Err(OpenError::NotAuthentic));
        for bit in 0..256 {
            let mut other = SHARE;
            other[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(&other, b"record"), Err(OpenError::NotAuthentic));
        }
    }

    #[test]
    fn no_byte_can_be_changed_cut_or_added() {
        let keys = keys("one");
        for plain in [&b""[..], b"tokens"] {
            let sealed = seal_at_rest(&keys, &SHARE, b"record", plain, &Fixed(9));
            assert_eq!(open(&keys, &sealed).as_deref(), Ok(plain));
            for at in 0..sealed.len() {
                let mut changed = sealed.clone();
                changed[at] ^= 0x80;
                let expected = match at {
                    0 => OpenError::Unsupported,
                    1..=4 => OpenError::UnknownKey,
                    _ => OpenError::NotAuthentic,
                };
                assert_eq!(open(&keys, &changed), Err(expected), "byte {at}");
                assert!(open(&keys, &sealed[..at]).is_err(), "cut at {at}");
            }
            assert_eq!(open(&keys, &[&sealed[..], b"x"].concat()), Err(OpenError::NotAuthentic));
        }
    }

    /// RFC 5869 and AES-GCM by another implementation, so that a change of format does not go unseen.
    #[test]
    fn the_format_is_this() {
        let sealed = seal_at_rest(&keys("one"), &SHARE, b"record", b"tokens", &Fixed(9));
        let hex: String = sealed.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "01148bab5e090909090909090909090909c5018e1b2f1366f63dd07c68ded8cf0afbbe01199356");
    }
}
