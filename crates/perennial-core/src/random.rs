//! Randomness as an argument.

/// A source of unpredictable bytes, handed in by the caller so that a simulation can replay them.
///
/// ```
/// use perennial_core::SecureRandom;
///
/// /// Predictable on purpose: for tests alone.
/// struct Counting(std::sync::atomic::AtomicU8);
///
/// impl SecureRandom for Counting {
///     fn fill(&self, out: &mut [u8]) {
///         out.fill_with(|| self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
///     }
/// }
/// ```
pub trait SecureRandom: Send + Sync {
    /// Overwrites all of `out` with random bytes.
    fn fill(&self, out: &mut [u8]);
}

/// `N` random bytes as an array.
pub fn random_bytes<const N: usize>(random: &dyn SecureRandom) -> [u8; N] {
    let mut bytes = [0; N];
    random.fill(&mut bytes);
    bytes
}

/// 32 random bytes as 43 characters of base64url: a state, a nonce, a code verifier (RFC 7636 §4.1).
pub fn random_token(random: &dyn SecureRandom) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(random_bytes::<32>(random))
}
