//! Randomness of the operating system.

use perennial_core::SecureRandom;

/// The operating system's randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl SecureRandom for SystemRandom {
    fn fill(&self, out: &mut [u8]) {
        // Fails only where the kernel has no randomness at all; going on would mint guessable sessions.
        aws_lc_rs::rand::fill(out).expect("the operating system provides randomness");
    }
}
