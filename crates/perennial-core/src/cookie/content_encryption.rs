//! The two content encryptions of RFC 7518 that session cookies use: `A256CBC-HS512` (§5.2.5) and `A256GCM` (§5.3).

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{
    AES_256, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use zeroize::Zeroizing;

use crate::secret::constant_time_eq;

/// What a sealing leaves: the ciphertext and its tag.
pub(super) struct Sealed<const TAG: usize> {
    pub(super) ciphertext: Vec<u8>,
    pub(super) tag: [u8; TAG],
}

/// AES-256 in CBC mode under HMAC-SHA-512 cut to 256 bits. The ciphers wipe their keys when dropped.
pub(super) struct CbcHmac {
    mac: hmac::Key,
    encrypting: PaddedBlockEncryptingKey,
    decrypting: PaddedBlockDecryptingKey,
}

impl CbcHmac {
    pub(super) const ENC: &'static str = "A256CBC-HS512";
    pub(super) const IV: usize = 16;
    const BLOCK: usize = 16;

    /// RFC 7518 §5.2.2.1: the first half authenticates, the second encrypts.
    pub(super) fn new(key: &[u8; 64]) -> Self {
        let (mac, aes) = key.split_at(32);
        let aes_key = || UnboundCipherKey::new(&AES_256, aes).expect("half of 64 bytes is 32");
        Self {
            mac: hmac::Key::new(hmac::HMAC_SHA512, mac),
            encrypting: PaddedBlockEncryptingKey::cbc_pkcs7(aes_key()).expect("AES has CBC"),
            decrypting: PaddedBlockDecryptingKey::cbc_pkcs7(aes_key()).expect("AES has CBC"),
        }
    }

    pub(super) fn seal(&self, aad: &[u8], iv: [u8; Self::IV], plain: &[u8]) -> Sealed<32> {
        // Room for the padding, so that the plain text is not left behind in a smaller buffer.
        let mut in_out = Vec::with_capacity(plain.len() + Self::BLOCK);
        in_out.extend_from_slice(plain);
        self.encrypting
            .less_safe_encrypt(&mut in_out, EncryptionContext::Iv128(FixedLength::from(iv)))
            .expect("AES-256-CBC takes any length");
        let tag = self.tag(aad, &iv, &in_out);
        Sealed { ciphertext: in_out, tag }
    }

    /// `None` unless the tag is right. Nothing is decrypted before that, so padding tells nobody anything.
    pub(super) fn open(&self, aad: &[u8], iv: &[u8], ciphertext: &[u8], tag: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let iv: [u8; Self::IV] = iv.try_into().ok()?;
        if !constant_time_eq(&self.tag(aad, &iv, ciphertext), tag) {
            return None;
        }
        let mut in_out = Zeroizing::new(ciphertext.to_vec());
        let context = DecryptionContext::Iv128(FixedLength::from(iv));
        let plain_len = self.decrypting.decrypt(&mut in_out, context).ok()?.len();
        in_out.truncate(plain_len);
        Some(in_out)
    }

    /// RFC 7518 §5.2.2.1: over the associated data, the IV, the ciphertext and the associated data's length in bits.
    fn tag(&self, aad: &[u8], iv: &[u8], ciphertext: &[u8]) -> [u8; 32] {
        let aad_bits = u64::try_from(aad.len()).map_or(u64::MAX, |bytes| bytes.saturating_mul(8));
        let mut mac = hmac::Context::with_key(&self.mac);
        mac.update(aad);
        mac.update(iv);
        mac.update(ciphertext);
        mac.update(&aad_bits.to_be_bytes());
        *mac.sign().as_ref().first_chunk().expect("SHA-512 gives 64 bytes")
    }
}

/// AES-256 in Galois/Counter mode. The cipher wipes its key when dropped.
pub(super) struct Gcm(LessSafeKey);

impl Gcm {
    pub(super) const ENC: &'static str = "A256GCM";
    pub(super) const IV: usize = 12;

    pub(super) fn new(key: &[u8; 32]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, key).expect("AES-256 takes 32 bytes");
        Self(LessSafeKey::new(key))
    }

    pub(super) fn seal(&self, aad: &[u8], iv: [u8; Self::IV], plain: &[u8]) -> Sealed<16> {
        let mut in_out = plain.to_vec();
        let tag = self
            .0
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(iv), Aad::from(aad), &mut in_out)
            .expect("far below the 64 GiB that one nonce carries");
        Sealed { ciphertext: in_out, tag: tag.as_ref().try_into().expect("the tag of GCM has 16 bytes") }
    }

    /// `None` unless the tag is right.
    pub(super) fn open(&self, aad: &[u8], iv: &[u8], ciphertext: &[u8], tag: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let iv: [u8; Self::IV] = iv.try_into().ok()?;
        // The cipher takes the tag's last 16 bytes for the tag: another length would shift it into the ciphertext.
        let tag: &[u8; 16] = tag.try_into().ok()?;
        let mut in_out = Zeroizing::new([ciphertext, tag].concat());
        let plain_len = self.0.open_in_place(Nonce::assume_unique_for_key(iv), Aad::from(aad), &mut in_out).ok()?.len();
        in_out.truncate(plain_len);
        Some(in_out)
    }
}
