//! Two successors at one generation: a store lost an intent or a commit, so that one refresh token was redeemed twice, and cookie and
//! record hold what each of the two redemptions brought.

use serde::{Deserialize, Serialize};

use crate::session::TokenSet;
use crate::time::Timestamp;

use super::Phase;

/// Which of two successors goes on. The other goes on living in whatever holds it, and is come back to when this one is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// The record's.
    Record,
    /// The cookie's.
    Cookie,
}

impl Kept {
    /// Its stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Cookie => "cookie",
        }
    }
}

/// One of two successors: when it was asked for, and what tells it from the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Successor<T> {
    /// When it was asked for.
    pub issued_at: Timestamp,
    /// Its refresh token, or something that stands for it.
    pub refresh_token: T,
}

impl<'a> Successor<&'a str> {
    /// The successor that `tokens` are; `None` without a refresh token, of which there is nothing to go on with.
    pub fn of(tokens: &'a TokenSet) -> Option<Self> {
        let refresh_token = tokens.refresh_token.as_ref()?.expose_secret();
        Some(Self { issued_at: tokens.issued_at, refresh_token })
    }
}

/// Judges what a cookie and a record of the same generation hold, the record standing in `phase`; `None` if they hold the same.
///
/// One that the provider has refused is dead: then the other. While an attempt on the record's is under way or in doubt, the
/// record's: two attempts at a time must not be. Else the one asked for last, which is the likelier to live at providers that keep
/// only the newest; at the same moment the one whose refresh token sorts later, so that all replicas choose alike.
pub fn fork<T: Ord>(cookie: &Successor<T>, record: &Successor<T>, phase: &Phase) -> Option<Kept> {
    if cookie.refresh_token == record.refresh_token {
        return None;
    }
    Some(match phase {
        Phase::Intent(_) | Phase::InDoubt(_) | Phase::Ended { .. } => Kept::Record,
        Phase::Refused { .. } => Kept::Cookie,
        Phase::Idle { .. } if cookie > record => Kept::Cookie,
        Phase::Idle { .. } => Kept::Record,
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::*;
    use super::*;

    fn successor(issued_at: i64, refresh_token: &str) -> Successor<&str> {
        Successor { issued_at: at(issued_at), refresh_token }
    }

    #[test]
    fn every_row_of_the_rule() {
        let waiting = Phase::Idle { failures: 1, not_before: Some(at(9)) };
        for (cookie, record, phase, expected, why) in [
            (successor(1, "a"), successor(1, "a"), Phase::IDLE, None, "the same"),
            (successor(2, "a"), successor(1, "a"), Phase::IDLE, None, "the same, whatever the clocks say"),
            (successor(2, "a"), successor(1, "b"), Phase::IDLE, Some(Kept::Cookie), "the later"),
            (successor(1, "b"), successor(2, "a"), Phase::IDLE, Some(Kept::Record), "the later"),
            (successor(2, "a"), successor(1, "b"), waiting, Some(Kept::Cookie), "a pause concerns both"),
            (successor(1, "b"), successor(1, "a"), Phase::IDLE, Some(Kept::Cookie), "at once, by their order"),
            (successor(1, "a"), successor(1, "b"), Phase::IDLE, Some(Kept::Record), "at once, by their order"),
            (successor(2, "a"), successor(1, "b"), Phase::Intent(intent(1, 1, 1, 0)), Some(Kept::Record), "under way"),
            (successor(2, "a"), successor(1, "b"), in_doubt(1, 1, 1), Some(Kept::Record), "in doubt"),
            (successor(1, "a"), successor(2, "b"), refused_at(3), Some(Kept::Cookie), "the other is dead"),
            (successor(2, "a"), successor(1, "b"), ended(), Some(Kept::Record), "over is over"),
        ] {
            assert_eq!(fork(&cookie, &record, &phase), expected, "{why}: {cookie:?} {record:?} {phase:?}");
        }
    }

    #[test]
    fn which_of_two_goes_on_does_not_depend_on_where_it_lies() {
        let all: Vec<_> = (0..3).flat_map(|time| ["a", "b"].map(|token| successor(time, token))).collect();
        for (one, other) in all.iter().flat_map(|one| all.iter().map(move |other| (one, other))) {
            let chosen = |cookie, record| match fork(cookie, record, &Phase::IDLE) {
                Some(Kept::Cookie) => cookie,
                Some(Kept::Record) | None => record,
            };
            assert_eq!(chosen(one, other).refresh_token, chosen(other, one).refresh_token, "{one:?} {other:?}");
        }
    }
}
