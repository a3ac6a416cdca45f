//! Unguessable strings, their fingerprints, and the one digest everything here needs.

use aws_lc_rs::{digest, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// 256 random bits behind a prefix that tells people what they look at.
pub(crate) fn opaque(prefix: &str) -> String {
    let mut bytes = [0u8; 32];
    rand::fill(&mut bytes).expect("the operating system gives randomness");
    format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// The first 16 bits of SHA-256 in hex: too few to search for a token, enough to tell two apart.
pub(crate) fn fingerprint(token: &str) -> String {
    let digest = sha256(token);
    format!("{:02x}{:02x}", digest.as_ref()[0], digest.as_ref()[1])
}

/// base64url(SHA-256(text)): the S256 challenge of RFC 7636 §4.2.
pub(crate) fn s256(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(sha256(text))
}

/// The left half of SHA-256 in base64url: `at_hash` of OIDC Core §3.1.3.6.
pub(crate) fn left_half(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(&sha256(text).as_ref()[..16])
}

/// Compares without telling by its running time where the first difference is.
pub(crate) fn same(a: &str, b: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a.as_bytes(), b.as_bytes()).is_ok()
}

fn sha256(text: &str) -> digest::Digest {
    digest::digest(&digest::SHA256, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc7636_appendix_b() {
        assert_eq!(s256("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
