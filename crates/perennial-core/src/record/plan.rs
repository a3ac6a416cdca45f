//! What is to be done about a session that is due: who calls the provider, who waits, and when a refresh token that may be
//! spent may be sent again.

use std::time::Duration;

use crate::limits::RETRY_AFTER_MAX;
use crate::provider::RefreshClass;
use crate::time::Timestamp;

use super::{Attempt, Intent, Phase, later};

/// What is to be done about a session that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Write this intent, [counted](Intent::counted), by compare-and-swap; whoever succeeds calls the provider.
    Call(Intent),
    /// Another attempt is under way; look again when the record changes, at the latest then.
    Wait(Timestamp),
    /// Leave the provider alone until then.
    Hold(Timestamp),
    /// The provider refused this generation's refresh token.
    Refused,
}

/// What the plan depends on beside the record.
#[derive(Clone, Debug)]
pub struct Circumstances {
    /// Now.
    pub now: Timestamp,
    /// How the provider treats a refresh token that is presented again.
    pub class: RefreshClass,
    /// When the access token dies.
    pub access_token_expires_at: Option<Timestamp>,
    /// How long an intent bars others.
    pub lease: Duration,
    /// Whether other processes may be writing intents.
    pub replicas: Replicas,
}

/// How many processes share the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replicas {
    /// This one alone, which runs at most one attempt for a session at a time: an intent that is found was left by a process
    /// that is gone.
    One,
    /// Perhaps others: an intent is somebody's until its lease runs out.
    Many,
}

/// Decides who calls the provider for a session that is due, from its record's phase.
pub fn plan(phase: Option<&Phase>, attempt: Attempt, at: &Circumstances) -> Plan {
    let (started, lease_until) = (at.now, at.now + at.lease);
    let call = |first_sent, drained_at, failures| {
        Plan::Call(Intent { attempt, fence: 0, started, lease_until, first_sent, drained_at, failures })
    };
    match phase {
        None => call(at.now, None, 0),
        Some(Phase::Idle { not_before: Some(until), .. }) if holds(at.now, *until) => Plan::Hold(*until),
        Some(Phase::Idle { failures, .. }) => call(at.now, None, *failures),
        Some(Phase::Intent(other)) if at.replicas == Replicas::Many && at.now < other.lease_until => {
            Plan::Wait(other.lease_until)
        }
        // The one who wrote it is gone, because no call outlives its lease or nobody else is there: the refresh token may
        // be spent, or on its way still.
        Some(Phase::Intent(lost)) => {
            let drained_at = later(lost.drained_at, lost.lease_until + DRAIN);
            match resend(at, lost.first_sent, drained_at) {
                Resend::Now => call(lost.first_sent, Some(drained_at), lost.failures),
                Resend::NotBefore(until) => Plan::Hold(until),
            }
        }
        Some(Phase::InDoubt { not_before, .. }) if holds(at.now, *not_before) => Plan::Hold(*not_before),
        Some(Phase::InDoubt { first_sent, drained_at, failures, .. }) => match resend(at, *first_sent, *drained_at) {
            Resend::Now => call(*first_sent, Some(*drained_at), *failures),
            Resend::NotBefore(until) => Plan::Hold(until),
        },
        Some(Phase::Refused { .. } | Phase::Ended { .. }) => Plan::Refused,
    }
}

/// Whether a pause is still on. One that ends later than any pause can was written before the clock was set back.
fn holds(now: Timestamp, until: Timestamp) -> bool {
    now < until && until <= now + RETRY_AFTER_MAX
}

enum Resend {
    Now,
    NotBefore(Timestamp),
}

/// Whether a refresh token that may be spent may be presented again.
///
/// Harmless at once where the provider takes it again or answers alike; inside a rotation overlap, counted from the
/// first time it was sent; elsewhere only when nothing is left to lose: the access token has died and a lost request
/// can no longer arrive after ours.
fn resend(at: &Circumstances, first_sent: Timestamp, drained_at: Timestamp) -> Resend {
    let window = match at.class {
        RefreshClass::Reusable | RefreshClass::Acknowledged => return Resend::Now,
        RefreshClass::Overlap(window) | RefreshClass::Idempotent(window) => window,
        RefreshClass::SingleUse | RefreshClass::Family | RefreshClass::Unknown => Duration::ZERO,
    };
    if at.now + OVERLAP_MARGIN < first_sent + window {
        return Resend::Now;
    }
    let last_resort = at.access_token_expires_at.map_or(drained_at, |dies| dies.max(drained_at));
    if at.now >= last_resort { Resend::Now } else { Resend::NotBefore(last_resort) }
}

/// How long after its caller was gone a request may still reach the provider.
pub const DRAIN: Duration = Duration::from_secs(30);

/// Kept back from a rotation overlap for the way to the provider.
const OVERLAP_MARGIN: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::super::fixtures::*;
    use super::*;
    use crate::record::{Attempted, Settled, settle};
    use crate::session::Generation;

    const SECONDS_10: Duration = Duration::from_secs(10);

    fn circumstances(now: i64, class: RefreshClass, dies: Option<i64>) -> Circumstances {
        Circumstances {
            now: at(now),
            class,
            access_token_expires_at: dies.map(at),
            lease: Duration::from_secs(25),
            replicas: Replicas::Many,
        }
    }

    fn planned(phase: Option<&Phase>, now: i64, class: RefreshClass, dies: Option<i64>) -> Plan {
        plan(phase, name(9), &circumstances(now, class, dies))
    }

    fn call(now: i64, first_sent: i64, failures: u32) -> Plan {
        Plan::Call(intent(9, now, first_sent, failures))
    }

    const EVERY_CLASS: [RefreshClass; 7] = [
        RefreshClass::Acknowledged,
        RefreshClass::Family,
        RefreshClass::Idempotent(SECONDS_10),
        RefreshClass::Overlap(SECONDS_10),
        RefreshClass::Reusable,
        RefreshClass::SingleUse,
        RefreshClass::Unknown,
    ];

    #[test]
    fn without_doubt_the_class_plays_no_part() {
        let waiting = Phase::Idle { failures: 3, not_before: Some(at(110)) };
        let flying = Phase::Intent(intent(1, 90, 80, 0));
        for class in EVERY_CLASS {
            for (phase, now, expected) in [
                (None, 100, call(100, 100, 0)),
                (Some(Phase::IDLE), 100, call(100, 100, 0)),
                (Some(waiting.clone()), 109, Plan::Hold(at(110))),
                (Some(waiting.clone()), 110, call(110, 110, 3)),
                // While a lease lives, nobody else calls.
                (Some(flying.clone()), 90, Plan::Wait(at(115))),
                (Some(flying.clone()), 114, Plan::Wait(at(115))),
                (Some(in_doubt(80, 80, 120)), 119, Plan::Hold(at(120))),
                (Some(Phase::Refused { at: at(50) }), 100, Plan::Refused),
                (Some(ended()), 100, Plan::Refused),
            ] {
                assert_eq!(planned(phase.as_ref(), now, class, Some(300)), expected, "{class:?} {phase:?} at {now}");
            }
        }
    }

    #[test]
    fn alone_in_the_world_an_intent_is_nobodys_and_in_doubt_at_once() {
        // Begun and first sent at 100, its lease running to 110.
        let orphan = Phase::Intent(Intent { lease_until: at(110), ..intent(1, 100, 100, 2) });
        let planned = |now, class, replicas| {
            plan(Some(&orphan), name(9), &Circumstances { replicas, ..circumstances(now, class, Some(300)) })
        };
        for (class, alone) in [
            (RefreshClass::Reusable, call(101, 100, 2)),
            (RefreshClass::Overlap(SECONDS_10), call(101, 100, 2)),
            (RefreshClass::Family, Plan::Hold(at(300))),
        ] {
            assert_eq!(planned(101, class, Replicas::One), alone, "{class:?}");
            assert_eq!(planned(101, class, Replicas::Many), Plan::Wait(at(110)), "{class:?}");
        }
    }

    #[test]
    fn in_doubt_the_class_says_when_the_refresh_token_may_be_sent_again() {
        use RefreshClass::{Acknowledged, Family, Idempotent, Overlap, Reusable, SingleUse, Unknown};
        // First sent at 100, drained at 140; times are those of the decision.
        for (class, now, dies, expected) in [
            (Reusable, 101, Some(300), None),
            (Acknowledged, 101, Some(300), None),
            // Inside the window, with a margin for the way.
            (Overlap(SECONDS_10), 101, Some(300), None),
            (Overlap(SECONDS_10), 109, Some(300), None),
            (Idempotent(SECONDS_10), 109, Some(300), None),
            // The margin reaches into the last half second: 110 is too late.
            (Overlap(SECONDS_10), 110, Some(300), Some(300)),
            (Idempotent(SECONDS_10), 110, Some(300), Some(300)),
            // Elsewhere only when nothing is left to lose.
            (Family, 101, Some(300), Some(300)),
            (SingleUse, 101, Some(300), Some(300)),
            (Unknown, 101, Some(300), Some(300)),
            (Family, 299, Some(300), Some(300)),
            (Family, 300, Some(300), None),
            (Overlap(SECONDS_10), 300, Some(300), None),
            // A dead access token does not make a request arrive earlier: the drain counts too.
            (Family, 130, Some(120), Some(140)),
            (Family, 140, Some(120), None),
            // Without an expiry the drain alone decides.
            (Unknown, 139, None, Some(140)),
            (Unknown, 140, None, None),
        ] {
            let expected_doubt = expected.map_or(call(now, 100, 2), |until| Plan::Hold(at(until)));
            let doubt = in_doubt(100, 140, 100);
            assert_eq!(
                planned(Some(&doubt), now, class, dies),
                expected_doubt.clone(),
                "{class:?} at {now}, dies {dies:?}"
            );
            // An orphaned intent is a doubt as well, drained some time after its lease.
            let lost = Phase::Intent(Intent { lease_until: at(110), ..intent(1, 100, 100, 2) });
            let alone = Circumstances { replicas: Replicas::One, ..circumstances(now, class, dies) };
            assert_eq!(plan(Some(&lost), name(9), &alone), expected_doubt, "{class:?} at {now}, dies {dies:?}");
        }
    }

    #[test]
    fn a_window_is_counted_from_the_first_sending_not_from_the_last() {
        // First sent at 100, sent again at 106: at 109 the window of 10 s is open, at 112 it is closed.
        let class = RefreshClass::Overlap(SECONDS_10);
        let again = in_doubt(100, 140, 106);
        assert_eq!(planned(Some(&again), 109, class, Some(300)), call(109, 100, 2));
        assert_eq!(planned(Some(&again), 112, class, Some(300)), Plan::Hold(at(300)));
    }
    #[test]
    fn a_clock_that_was_set_back_makes_no_pause_endless() {
        let at_now = Circumstances {
            now: at(1_000),
            class: RefreshClass::Reusable,
            access_token_expires_at: None,
            lease: Duration::from_secs(15),
            replicas: Replicas::One,
        };
        let longest = 1_000 + RETRY_AFTER_MAX.as_secs() as i64;
        for (until, held) in [(999, false), (1_001, true), (longest, true), (longest + 1, false), (90_000, false)] {
            let phases = [Phase::Idle { failures: 1, not_before: Some(at(until)) }, in_doubt(900, 900, until)];
            for phase in phases {
                let planned = plan(Some(&phase), Attempt::new(&Fixed(1)), &at_now);
                assert_eq!(matches!(planned, Plan::Hold(_)), held, "{phase:?}: {planned:?}");
            }
        }
    }

    /// Found by the model checker (tests/model). A replica crashes just after it sent the refresh token; its request
    /// lingers in a proxy. The lease runs out, the access token is dead, another replica sends the refresh token again
    /// and gets a successor. Then the first request arrives: a reuse, and the provider revokes the family.
    #[test]
    fn a_crash_is_drained_like_a_timeout() {
        let orphan = Phase::Intent(intent(1, 100, 100, 0));
        let (lease_over, drained) = (125, 155);
        assert_eq!(planned(Some(&orphan), lease_over, RefreshClass::Family, Some(110)), Plan::Hold(at(drained)));
        let Plan::Call(again) = planned(Some(&orphan), drained, RefreshClass::Family, Some(110)) else {
            panic!("drained, and nothing left to lose")
        };
        assert_eq!((again.first_sent, again.drained_at), (at(100), Some(at(drained))));
    }

    /// Found by the model checker. No answer to the first request, which may arrive until 140; the second, sent inside
    /// the overlap, is turned away or answered 500. That says nothing about the first: a last resort before 140 could
    /// be overtaken by it, and then the overlap is over.
    #[test]
    fn an_answered_repetition_does_not_vouch_for_the_request_before_it() {
        let class = RefreshClass::Overlap(SECONDS_10);
        let Plan::Call(again) = planned(Some(&in_doubt(100, 140, 100)), 102, class, Some(110)) else {
            panic!("inside the overlap")
        };
        let flying = record(5, Phase::Intent(again.clone()));
        for answered in [
            Attempted::NotSpent { not_before: at(103) },
            Attempted::InDoubt { not_before: at(103), drained_at: at(103) },
        ] {
            let settled = settle(Some(&flying), &again, Generation(5), answered.clone(), at(103));
            let Settled::Write(after) = settled else { panic!("{answered:?} is ours to settle") };
            assert_eq!(planned(Some(&after.phase), 120, class, Some(110)), Plan::Hold(at(140)), "{answered:?}");
        }
    }
}
