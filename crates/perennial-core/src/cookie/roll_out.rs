//! A new secret in front, while other replicas do not know it yet.
//!
//! Whatever a replica seals, every other one must be able to open. So the secret in front does not seal at once: the first
//! replica that has it notes the moment in the store that all share, and until the roll-out has had its time, the secret
//! behind it goes on sealing. All replicas read the same note and change over together.

use std::time::Duration;

use super::keyring::hkdf_sha256;
use crate::secret::CookieSecret;
use crate::time::Timestamp;

/// What the secret in front of the list does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front {
    /// It seals.
    Seals,
    /// It only opens; the one behind it seals.
    Waits,
}

/// Judges by when the secret in front was first seen by any replica, and how long a roll-out may take.
pub fn front(seen_since: Option<Timestamp>, roll_out: Duration, now: Timestamp) -> Front {
    match seen_since {
        Some(since) if now >= since + roll_out => Front::Seals,
        Some(_) | None => Front::Waits,
    }
}

/// The name under which the store notes when a secret was first seen: says nothing about the secret.
pub fn note_name(secret: &CookieSecret) -> [u8; 32] {
    *hkdf_sha256(secret, b"", b"perennial secret first seen v1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_in_front_waits_until_the_roll_out_has_had_its_time() {
        let (at, roll_out) = (Timestamp::from_unix_seconds, Duration::from_secs(600));
        for (since, now, expected) in [
            (None, 5_000, Front::Waits),
            (Some(1_000), 1_000, Front::Waits),
            (Some(1_000), 1_599, Front::Waits),
            (Some(1_000), 1_600, Front::Seals),
            // Another replica's clock is ahead.
            (Some(1_030), 1_000, Front::Waits),
        ] {
            assert_eq!(front(since.map(at), roll_out, at(now)), expected, "{since:?} at {now}");
        }
        assert_eq!(front(Some(at(5)), Duration::ZERO, at(5)), Front::Seals);
    }

    #[test]
    fn secrets_have_names_of_their_own_that_do_not_show_them() {
        let (one, two) = (CookieSecret::new("planted-secret-one"), CookieSecret::new("planted-secret-two"));
        assert_eq!(note_name(&one), note_name(&one));
        assert_ne!(note_name(&one), note_name(&two));
        assert!(!note_name(&one).windows(7).any(|window| window == b"planted"));
    }
}
