//! `perennial secret`.

use perennial::{SystemRandom, random_token};

use super::{Fault, answer};

pub(crate) const AFTER_HELP: &str = "\
Whoever knows the secret can open and forge sessions: keep it out of files that are shared.
  export AUTH_SECRET=$(perennial secret)

To change it without signing anybody out, set a newer one beside it, and keep the old until its sessions are over:
  export AUTH_SECRET_1=$(perennial secret)";

/// Prints 32 random bytes as base64url.
pub(crate) fn run() -> Result<(), Fault> {
    answer(&random_token(&SystemRandom))
}
