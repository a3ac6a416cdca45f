//! A new secret in front, while other replicas do not know it yet.
//!
//! Whatever a replica seals, every other one must be able to open. So the secret in front does not seal at once: the first
//! replica that has it notes the moment in the store that all share, and until the roll-out has had its time, the secret
//! behind it goes on sealing. All replicas read the same note and change over together.
//!
//! A new secret that is put at the end seals nothing, and nobody would notice: that too can be read from the notes.

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

/// The name under which the store notes when a secret was first seen in front: says nothing about the secret.
pub fn note_name(secret: &CookieSecret) -> [u8; 32] {
    *hkdf_sha256(secret, b"", b"perennial secret first seen v1")
}

/// The same for when it was first seen behind another, if it had not been in front by then.
pub fn note_name_behind(secret: &CookieSecret) -> [u8; 32] {
    *hkdf_sha256(secret, b"", b"perennial secret first seen behind v1")
}

/// When a secret was first seen by any replica, and where in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// In front. It may stand elsewhere by now: an older one, or one whose roll-out was taken back.
    InFront(Timestamp),
    /// Behind another, and never in front.
    Behind(Timestamp),
}

/// Which of the secrets behind the one in front are newer than it, although they were never in front: positions from 1, in a list
/// whose first was first seen `front_since` and is followed by those of `behind`.
pub fn misplaced(front_since: Timestamp, behind: &[Sighting]) -> Vec<usize> {
    let came_later = |sighting: &Sighting| match sighting {
        Sighting::InFront(_) => false,
        Sighting::Behind(since) => *since > front_since + TOGETHER,
    };
    behind.iter().zip(2..).filter(|(sighting, _)| came_later(sighting)).map(|(_, position)| position).collect()
}

/// Secrets that were first seen within this time came together, as a list does that is new to a store: its notes are written one
/// by one, by replicas whose clocks differ.
const TOGETHER: Duration = Duration::from_secs(60);

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
        assert_ne!(note_name(&one), note_name_behind(&one));
        for name in [note_name(&one), note_name_behind(&one)] {
            assert!(!name.windows(7).any(|window| window == b"planted"));
        }
    }

    #[test]
    fn a_secret_is_misplaced_that_came_after_the_one_in_front_and_was_never_in_front() {
        use Sighting::{Behind, InFront};
        let at = Timestamp::from_unix_seconds;
        for (behind, expected, why) in [
            (vec![], vec![], "alone"),
            (vec![Behind(at(1_060))], vec![], "they came together"),
            (vec![Behind(at(1_061))], vec![2], "it came later"),
            (vec![Behind(at(10))], vec![], "it was there before"),
            (vec![InFront(at(9_000))], vec![], "its roll-out was taken back"),
            (vec![InFront(at(10)), Behind(at(5_000)), Behind(at(5_000))], vec![3, 4], "each for itself"),
        ] {
            assert_eq!(misplaced(at(1_000), &behind), expected, "{why}");
        }
    }
}
