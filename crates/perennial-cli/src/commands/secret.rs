//! `perennial secret`.

use perennial::{SystemRandom, random_token};

use super::{Fault, answer};

/// Prints 32 random bytes as base64url.
pub(crate) fn run() -> Result<(), Fault> {
    answer(&random_token(&SystemRandom))
}
