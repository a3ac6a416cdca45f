//! What is to be done about a session that is due: who calls the provider, who waits, and when a refresh token that may be
//! spent may be sent again.

use std::time::Duration;

use crate::limits::{REPLICA_CLOCK_SKEW, RETRY_AFTER_MAX};
use crate::provider::{DoubtRules, RefreshClass};
use crate::time::Timestamp;

use super::doubt::{EARLY_RETRY, Resolved, resolve};
use super::{Attempt, Doubt, Intent, Phase, Question, Told};

/// What is to be done about a session that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Write this intent, [counted](Intent::counted), by compare-and-swap; whoever succeeds calls the provider.
    Call(Intent),
    /// Another attempt is under way; look again when the record changes, at the latest then.
    Wait(Timestamp),
    /// Leave the provider alone until then.
    Hold(Timestamp),
    /// Ask the provider about the refresh token, without spending it, and plan again with what it told.
    Ask(Question),
    /// Write this phase by compare-and-swap, so that nobody asks the same again, and plan again.
    Note(Phase),
    /// The access token has died and the refresh token may not be sent again: the provider must see the user.
    Reauthenticate,
    /// The provider refused this generation's refresh token.
    Refused {
        /// What it wants of the next sign-in (OIDC Core §5.5), if it said so.
        claims: Option<String>,
    },
}

/// What the plan depends on beside the record.
#[derive(Clone, Debug)]
pub struct Circumstances {
    /// Now.
    pub now: Timestamp,
    /// What may be done about a refresh token that may be spent.
    pub rules: DoubtRules,
    /// When the access token dies.
    pub access_token_expires_at: Option<Timestamp>,
    /// How long an intent bars others.
    pub lease: Duration,
    /// Whether other processes may be writing intents.
    pub replicas: Replicas,
    /// The question asked last about this very version of the record, and its answer.
    pub told: Option<(Question, Told)>,
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

impl Circumstances {
    /// How long after an intent was written a look at it can save a session that a later look cannot, should its writer be
    /// gone; `None` where it makes no difference when somebody looks.
    pub fn window_after_crash(&self) -> Option<Duration> {
        let barred = match self.replicas {
            Replicas::One => Duration::ZERO,
            Replicas::Many => self.lease,
        };
        let window = match self.rules.class {
            RefreshClass::Overlap(window) | RefreshClass::Idempotent(window) => Some(window),
            RefreshClass::Unknown => Some(EARLY_RETRY),
            RefreshClass::Reusable | RefreshClass::Acknowledged | RefreshClass::SingleUse | RefreshClass::Family => {
                None
            }
        };
        window.filter(|window| *window > barred)
    }
}

impl Replicas {
    /// How far the clock that wrote the record may be from ours.
    pub(super) fn clock_skew(self) -> Duration {
        match self {
            Self::One => Duration::ZERO,
            Self::Many => REPLICA_CLOCK_SKEW,
        }
    }
}

/// Decides who calls the provider for a session that is due, from its record's phase.
pub fn plan(phase: Option<&Phase>, attempt: Attempt, at: &Circumstances) -> Plan {
    let (started, lease_until) = (at.now, at.now + at.lease);
    let first = |failures| {
        let (first_sent, drained_at, resend) = (at.now, None, None);
        Intent { attempt: attempt.clone(), fence: 0, started, lease_until, first_sent, drained_at, failures, resend }
    };
    let settled = |doubt: &Doubt| match resolve(at, doubt) {
        Resolved::SendAgain(reason) => Plan::Call(Intent {
            first_sent: doubt.first_sent,
            drained_at: Some(doubt.drained_at),
            resend: Some(reason),
            ..first(doubt.failures)
        }),
        Resolved::NotBefore(until) => Plan::Hold(until),
        Resolved::Ask(question) => Plan::Ask(question),
        Resolved::Note(doubt) => Plan::Note(Phase::InDoubt(doubt)),
        Resolved::Reauthenticate => Plan::Reauthenticate,
    };
    match phase {
        None => Plan::Call(first(0)),
        Some(Phase::Idle { not_before: Some(until), .. }) if holds(at.now, *until) => Plan::Hold(*until),
        Some(Phase::Idle { failures, .. }) => Plan::Call(first(*failures)),
        Some(Phase::Intent(other)) if at.replicas == Replicas::Many && at.now < other.lease_until => {
            Plan::Wait(other.lease_until)
        }
        // The one who wrote it is gone, because no call outlives its lease or nobody else is there: the refresh token may
        // be spent, or on its way still.
        Some(Phase::Intent(lost)) => settled(&Doubt::of_crash(lost, at.rules.drain)),
        Some(Phase::InDoubt(doubt)) if holds(at.now, doubt.not_before) => Plan::Hold(doubt.not_before),
        Some(Phase::InDoubt(doubt)) => settled(doubt),
        Some(Phase::Refused { claims, .. }) => Plan::Refused { claims: claims.clone() },
        Some(Phase::Ended { .. }) => Plan::Refused { claims: None },
    }
}

/// Whether a pause is still on. One that ends later than any pause can was written before the clock was set back.
fn holds(now: Timestamp, until: Timestamp) -> bool {
    now < until && until <= now + RETRY_AFTER_MAX
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::*;
    use super::*;
    use crate::provider::RefreshClass;
    use crate::record::{Attempted, Lost, ResendReason, Settled, settle};
    use crate::session::Generation;

    const SECONDS_10: Duration = Duration::from_secs(10);

    fn circumstances(now: i64, class: RefreshClass, dies: Option<i64>) -> Circumstances {
        Circumstances {
            now: at(now),
            rules: DoubtRules::of_class(class),
            access_token_expires_at: dies.map(at),
            lease: Duration::from_secs(25),
            replicas: Replicas::One,
            told: None,
        }
    }

    fn among_replicas(now: i64, class: RefreshClass) -> Circumstances {
        Circumstances { replicas: Replicas::Many, ..circumstances(now, class, Some(300)) }
    }

    fn planned(phase: Option<&Phase>, now: i64, class: RefreshClass, dies: Option<i64>) -> Plan {
        plan(phase, name(9), &circumstances(now, class, dies))
    }

    fn call(now: i64, first_sent: i64, failures: u32) -> Plan {
        Plan::Call(intent(9, now, first_sent, failures))
    }

    fn again(now: i64, first_sent: i64, failures: u32, reason: ResendReason) -> Plan {
        Plan::Call(Intent { resend: Some(reason), ..intent(9, now, first_sent, failures) })
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
                (Some(refused_at(50)), 100, Plan::Refused { claims: None }),
                (Some(ended()), 100, Plan::Refused { claims: None }),
            ] {
                let planned = plan(phase.as_ref(), name(9), &among_replicas(now, class));
                assert_eq!(planned, expected, "{class:?} {phase:?} at {now}");
            }
        }
    }

    #[test]
    fn only_a_window_that_outlives_the_lease_asks_for_a_look_in_time() {
        let overlap = |seconds| RefreshClass::Overlap(Duration::from_secs(seconds));
        let idempotent = RefreshClass::Idempotent(SECONDS_10);
        for (class, alone, shared) in [
            (overlap(25), Some(25), None),
            (overlap(26), Some(26), Some(26)),
            (idempotent, Some(10), None),
            (RefreshClass::Unknown, Some(10), None),
            (RefreshClass::Reusable, None, None),
            (RefreshClass::Acknowledged, None, None),
            (RefreshClass::SingleUse, None, None),
            (RefreshClass::Family, None, None),
        ] {
            let window = |at: Circumstances| at.window_after_crash().map(|window| window.as_secs());
            assert_eq!(window(circumstances(0, class, None)), alone, "{class:?} alone");
            assert_eq!(window(among_replicas(0, class)), shared, "{class:?} among replicas");
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
            (RefreshClass::Reusable, again(101, 100, 2, ResendReason::Harmless)),
            (RefreshClass::Overlap(SECONDS_10), again(101, 100, 2, ResendReason::Window)),
            (RefreshClass::Unknown, again(101, 100, 2, ResendReason::EarlyRetry)),
            (RefreshClass::Family, Plan::Hold(at(300))),
        ] {
            assert_eq!(planned(101, class, Replicas::One), alone, "{class:?}");
            assert_eq!(planned(101, class, Replicas::Many), Plan::Wait(at(110)), "{class:?}");
        }
    }

    #[test]
    fn in_doubt_the_class_says_when_the_refresh_token_may_be_sent_again() {
        use RefreshClass::{Acknowledged, Family, Idempotent, Overlap, Reusable, SingleUse};
        use ResendReason::{Harmless, LastResort, Window};
        let sent = |reason| Ok(reason);
        let held = |until| Err(until);
        // First sent at 100, drained at 140; times are those of the decision.
        for (class, now, dies, expected) in [
            (Reusable, 101, Some(300), sent(Harmless)),
            (Acknowledged, 101, Some(300), sent(Harmless)),
            // Inside the window, with a margin for the way.
            (Overlap(SECONDS_10), 101, Some(300), sent(Window)),
            (Overlap(SECONDS_10), 109, Some(300), sent(Window)),
            (Idempotent(SECONDS_10), 109, Some(300), sent(Window)),
            // The margin reaches into the last half second: 110 is too late.
            (Overlap(SECONDS_10), 110, Some(300), held(300)),
            (Idempotent(SECONDS_10), 110, Some(300), held(300)),
            // Elsewhere only when nothing is left to lose.
            (Family, 101, Some(300), held(300)),
            (SingleUse, 101, Some(300), held(300)),
            (Family, 299, Some(300), held(300)),
            (Family, 300, Some(300), sent(LastResort)),
            (Overlap(SECONDS_10), 300, Some(300), sent(LastResort)),
            // A dead access token does not make a request arrive earlier: the drain counts too.
            (Family, 130, Some(120), held(140)),
            (Family, 140, Some(120), sent(LastResort)),
            // Without an expiry the drain alone decides.
            (SingleUse, 139, None, held(140)),
            (SingleUse, 140, None, sent(LastResort)),
        ] {
            let expected = match expected {
                Ok(reason) => again(now, 100, 2, reason),
                Err(until) => Plan::Hold(at(until)),
            };
            let doubt = in_doubt(100, 140, 100);
            assert_eq!(planned(Some(&doubt), now, class, dies), expected, "{class:?} at {now}, dies {dies:?}");
            // An orphaned intent is a doubt as well, drained some time after its lease.
            let lost = Phase::Intent(Intent { lease_until: at(110), ..intent(1, 100, 100, 2) });
            let alone = Circumstances { replicas: Replicas::One, ..circumstances(now, class, dies) };
            assert_eq!(plan(Some(&lost), name(9), &alone), expected, "{class:?} at {now}, dies {dies:?}");
        }
    }

    /// Found by the model checker. A moment that one replica wrote and another goes by is off by as much as their clocks are
    /// apart: a window is judged open that has closed, a request gone that can still arrive.
    #[test]
    fn among_replicas_moments_are_moved_to_the_safe_side() {
        let minute = Duration::from_secs(60);
        // First sent at 100, drained at 140.
        for (class, now, expected) in [
            // A quarter of a short window is kept back, at most 5 s of a longer one, and half a second for the way.
            (RefreshClass::Overlap(SECONDS_10), 106, again(106, 100, 2, ResendReason::Window)),
            (RefreshClass::Overlap(SECONDS_10), 107, Plan::Hold(at(300))),
            (RefreshClass::Idempotent(minute), 154, again(154, 100, 2, ResendReason::Window)),
            (RefreshClass::Idempotent(minute), 155, Plan::Hold(at(300))),
        ] {
            let planned = plan(Some(&in_doubt(100, 140, 100)), name(9), &among_replicas(now, class));
            assert_eq!(planned, expected, "{class:?} at {now}");
        }
        for (now, expected) in [(144, Plan::Hold(at(145))), (145, again(145, 100, 2, ResendReason::LastResort))] {
            let dead =
                Circumstances { access_token_expires_at: Some(at(120)), ..among_replicas(now, RefreshClass::Family) };
            assert_eq!(plan(Some(&in_doubt(100, 140, 100)), name(9), &dead), expected, "drained, at {now}");
        }
    }

    #[test]
    fn a_window_is_counted_from_the_first_sending_not_from_the_last() {
        // First sent at 100, sent again at 106: at 109 the window of 10 s is open, at 112 it is closed.
        let class = RefreshClass::Overlap(SECONDS_10);
        let sent = in_doubt(100, 140, 106);
        assert_eq!(planned(Some(&sent), 109, class, Some(300)), again(109, 100, 2, ResendReason::Window));
        assert_eq!(planned(Some(&sent), 112, class, Some(300)), Plan::Hold(at(300)));
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_pause_endless() {
        let at_now = Circumstances {
            now: at(1_000),
            rules: DoubtRules::of_class(RefreshClass::Reusable),
            access_token_expires_at: None,
            lease: Duration::from_secs(15),
            replicas: Replicas::One,
            told: None,
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
            Attempted::InDoubt { not_before: at(103), drained_at: at(103), lost: Lost::Answered },
        ] {
            let settled = settle(Some(&flying), &again, Generation(5), answered.clone(), at(103));
            let Settled::Write(after) = settled else { panic!("{answered:?} is ours to settle") };
            assert_eq!(planned(Some(&after.phase), 120, class, Some(110)), Plan::Hold(at(140)), "{answered:?}");
        }
    }
}
