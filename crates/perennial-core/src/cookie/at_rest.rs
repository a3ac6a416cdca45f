//! How a record's content lies in the store: sealed under a key that needs a server secret and a share that only the session's
//! cookie carries. A dump of the store alone opens nothing.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use zeroize::{Zeroize, Zeroizing};

use super::keyring::{KeyRingError, hkdf_sha256};
use super::seal::OpenError;
use crate::random::{SecureRandom, random_bytes};
use crate::secret::CookieSecret;

/// The server's half of the keys, newest secret first.
pub struct RecordKeys {
    secrets: Vec<(KeyId, CookieSecret)>,
}

type KeyId = [u8; 4];

impl RecordKeys {
    /// Takes the secrets, newest first.
    ///
    /// # Errors
    /// [`KeyRingError`] when there is no secret, or an empty one.
    pub fn new(secrets: &[CookieSecret]) -> Result<Self, KeyRingError> {
        if secrets.is_empty() || secrets.iter().any(|secret| secret.expose_secret().is_empty()) {
            return Err(KeyRingError);
        }
        Ok(Self { secrets: secrets.iter().map(|secret| (key_id(secret), secret.clone())).collect() })
    }
}

impl std::fmt::Debug for RecordKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RecordKeys([{} secrets])", self.secrets.len())
    }
}

/// Seals `plain` under the newest secret and `share`, bound to `associated`: version, key id, nonce, AES-256-GCM.
pub fn seal_at_rest(
    keys: &RecordKeys,
    share: &[u8; 32],
    associated: &[u8],
    plain: &[u8],
    random: &dyn SecureRandom,
) -> Vec<u8> {
    // A set without secrets cannot be built.
    let (id, secret) = &keys.secrets[0];
    let nonce: [u8; NONCE] = random_bytes(random);
    let mut sealed = Vec::with_capacity(HEADER + plain.len() + 16);
    sealed.push(FORMAT);
    sealed.extend_from_slice(id);
    sealed.extend_from_slice(&nonce);
    let mut body = plain.to_vec();
    key(secret, share)
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(associated), &mut body)
        .expect("a record is far below the cipher's limit");
    sealed.append(&mut body);
    sealed
}

/// Opens what [`seal_at_rest`] sealed.
///
/// # Errors
/// [`OpenError::Malformed`] for other bytes, [`OpenError::Unauthentic`] when secret, share or `associated` are not the same.
pub fn open_at_rest(
    keys: &RecordKeys,
    share: &[u8; 32],
    associated: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let (header, body) = sealed.split_at_checked(HEADER).ok_or(OpenError::Malformed)?;
    if header[0] != FORMAT {
        return Err(OpenError::Malformed);
    }
    let nonce = Nonce::try_assume_unique_for_key(&header[5..]).map_err(|_| OpenError::Malformed)?;
    let (_, secret) = keys.secrets.iter().find(|(id, _)| id == &header[1..5]).ok_or(OpenError::Unauthentic)?;
    let mut body = Zeroizing::new(body.to_vec());
    let opened = key(secret, share).open_in_place(nonce, Aad::from(associated), &mut body);
    let length = opened.map_err(|_| OpenError::Unauthentic)?.len();
    body.truncate(length);
    Ok(body)
}

fn key(secret: &CookieSecret, share: &[u8; 32]) -> LessSafeKey {
    let mut key = hkdf_sha256::<32>(secret.expose_secret().as_bytes(), share, b"perennial at rest v1");
    let unbound = UnboundKey::new(&AES_256_GCM, &key).expect("the key is 32 bytes long");
    key.zeroize();
    LessSafeKey::new(unbound)
}

/// Tells the secrets of a rotation apart; 32 bits of a hash of a derived key say nothing about the secret.
fn key_id(secret: &CookieSecret) -> KeyId {
    let named = hkdf_sha256::<32>(secret.expose_secret().as_bytes(), b"", b"perennial at rest key id");
    let hash = digest(&SHA256, &named);
    let mut id = KeyId::default();
    id.copy_from_slice(&hash.as_ref()[..4]);
    id
}

const FORMAT: u8 = 1;
const NONCE: usize = 12;
const HEADER: usize = 1 + 4 + NONCE;
