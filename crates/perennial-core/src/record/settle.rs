//! What came of an attempt, judged against the record as it is by then.

use crate::session::Generation;
use crate::time::Timestamp;

use super::{Doubt, EndReason, Evidence, Intent, Lost, Phase, Record, later};

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempted {
    /// Tokens: the next generation, sealed.
    Tokens {
        /// The generation they belong to.
        generation: Generation,
        /// Its sealed state.
        sealed: Vec<u8>,
    },
    /// The provider did not spend the refresh token; try again at the given time.
    NotSpent {
        /// The earliest next attempt.
        not_before: Timestamp,
    },
    /// Nobody knows whether the refresh token is spent.
    InDoubt {
        /// The earliest next attempt.
        not_before: Timestamp,
        /// Until then the request, if it got no answer, may still reach the provider.
        drained_at: Timestamp,
        /// How the answer got lost.
        lost: Lost,
    },
    /// The provider refused the refresh token.
    Refused {
        /// What it wants of the next sign-in (OIDC Core §5.5), if it said so.
        claims: Option<String>,
    },
}

/// What to do with the outcome of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Write this by compare-and-swap against the record it was judged by.
    Write(Record),
    /// Another attempt has brought the session as far or further: take what the record holds.
    Superseded,
    /// The session ended meanwhile: revoke what was received.
    Ended(EndReason),
}

/// Judges the outcome of the attempt that wrote `intent`, on the refresh token of generation `spent`, against the record as
/// it is now.
pub fn settle(
    record: Option<&Record>,
    intent: &Intent,
    spent: Generation,
    outcome: Attempted,
    now: Timestamp,
) -> Settled {
    let ours = match record.map(|record| &record.phase) {
        Some(Phase::Ended { reason, .. }) => return Settled::Ended(*reason),
        Some(Phase::Intent(standing)) if standing.is_same_as(intent) => Some(standing),
        _ => None,
    };
    if record.is_some_and(|record| record.generation > spent) {
        return Settled::Superseded;
    }
    match (outcome, record, ours) {
        // Tokens are adopted even by an attempt whose lease ran out: nobody else has got this far.
        (Attempted::Tokens { generation, sealed }, ..) => {
            Settled::Write(Record::following(record, generation, sealed, Phase::IDLE))
        }
        (Attempted::Refused { claims }, Some(record), Some(_)) => {
            Settled::Write(record.in_phase(Phase::Refused { at: now, claims }))
        }
        (Attempted::NotSpent { not_before }, Some(record), Some(intent)) => {
            Settled::Write(record.in_phase(match intent.drained_at {
                None => Phase::Idle { failures: intent.failures + 1, not_before: Some(not_before) },
                // A re-send that was turned away unspent leaves the doubt about the first one.
                Some(drained_at) => left_in_doubt(intent, drained_at, not_before, Lost::TimedOut),
            }))
        }
        (Attempted::InDoubt { not_before, drained_at, lost }, Some(record), Some(intent)) => Settled::Write(
            record.in_phase(left_in_doubt(intent, later(intent.drained_at, drained_at), not_before, lost)),
        ),
        (_, _, None) | (_, None, _) => Settled::Superseded,
    }
}

fn left_in_doubt(intent: &Intent, drained_at: Timestamp, not_before: Timestamp, lost: Lost) -> Phase {
    let Intent { first_sent, failures, resend, .. } = *intent;
    let failures = failures + 1;
    Phase::InDoubt(Doubt { first_sent, drained_at, failures, not_before, lost, resend, evidence: Evidence::None })
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::*;
    use super::*;

    fn tokens() -> Attempted {
        Attempted::Tokens { generation: Generation(6), sealed: b"next".to_vec() }
    }

    fn every_outcome() -> [Attempted; 4] {
        [
            tokens(),
            Attempted::NotSpent { not_before: at(210) },
            Attempted::InDoubt { not_before: at(210), drained_at: at(240), lost: Lost::TimedOut },
            Attempted::Refused { claims: None },
        ]
    }

    fn settled(record: Option<&Record>, outcome: Attempted) -> Settled {
        settle(record, &intent(1, 190, 190, 0), Generation(5), outcome, at(200))
    }

    #[test]
    fn our_own_attempt_is_settled_by_its_outcome() {
        let first = record(5, Phase::Intent(intent(1, 190, 190, 0)));
        let again = record(5, Phase::Intent(intent(1, 190, 150, 2)));
        let doubt =
            |first_sent, drained, failures| Phase::InDoubt(Doubt { failures, ..doubt(first_sent, drained, 210) });
        let [tokens, not_spent, in_doubt, refused] = every_outcome();
        for (ours, outcome, expected) in [
            (&first, tokens.clone(), Record::idle(Generation(6), b"next".to_vec())),
            (&again, tokens, Record::idle(Generation(6), b"next".to_vec())),
            (&first, not_spent.clone(), record(5, Phase::Idle { failures: 1, not_before: Some(at(210)) })),
            // Turned away unspent the second time: the doubt about the first sending stays.
            (&again, not_spent, record(5, doubt(150, 190, 3))),
            (&first, in_doubt.clone(), record(5, doubt(190, 240, 1))),
            (&again, in_doubt, record(5, doubt(150, 240, 3))),
            (&first, refused.clone(), record(5, refused_at(200))),
            (&again, refused, record(5, refused_at(200))),
        ] {
            assert_eq!(settled(Some(ours), outcome.clone()), Settled::Write(expected), "{outcome:?} on {ours:?}");
        }
    }

    #[test]
    fn what_others_wrote_meanwhile_stands_except_for_tokens_nobody_else_got() {
        let others = [
            record(5, Phase::Intent(intent(2, 195, 190, 0))),
            record(5, Phase::IDLE),
            record(5, in_doubt(190, 220, 200)),
            record(5, refused_at(199)),
        ];
        for others in others.iter().map(Some).chain([None]) {
            for outcome in every_outcome() {
                let expected = match outcome {
                    // A refresh token that was received is never thrown away (S8).
                    Attempted::Tokens { .. } => Settled::Write(Record::idle(Generation(6), b"next".to_vec())),
                    _ => Settled::Superseded,
                };
                assert_eq!(settled(others, outcome.clone()), expected, "{outcome:?} on {others:?}");
            }
        }
    }

    #[test]
    fn a_newer_generation_supersedes_every_outcome_and_an_end_absorbs_it() {
        for outcome in every_outcome() {
            for phase in [Phase::IDLE, Phase::Intent(intent(1, 190, 190, 0)), refused_at(1)] {
                let newer = record(6, phase);
                assert_eq!(settled(Some(&newer), outcome.clone()), Settled::Superseded, "{outcome:?} on {newer:?}");
            }
            for generation in [4, 5, 9] {
                let over = record(generation, ended());
                let expected = Settled::Ended(EndReason::SignedOut);
                assert_eq!(settled(Some(&over), outcome.clone()), expected, "{outcome:?} on {over:?}");
            }
        }
    }
}
