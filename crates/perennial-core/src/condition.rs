//! How a session stands, in one word, for applications, programs, logs and events.

use serde::Serialize;

use crate::record::Phase;
use crate::renewal::Verdict;
use crate::time::Timestamp;

/// How a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Nothing is due, or nothing ever will be.
    Fresh,
    /// The access token lives and the next one is wanted or under way.
    Renewing,
    /// The access token lives, but the last attempt at the next one failed.
    Degraded,
    /// The access token has died and no other can be had just now. The session is kept.
    Suspended,
    /// Over for good.
    Ended,
}

/// What is known about the session's renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing is under way and nothing went wrong.
    Quiet,
    /// An attempt is under way.
    UnderWay,
    /// The last attempt failed, or its answer got lost.
    Failing,
    /// The provider refused the refresh token.
    Refused,
    /// The session is over.
    Ended,
}

impl Condition {
    /// How a session stands whose tokens are of this age and whose renewal has come this far.
    pub fn of(verdict: Verdict, progress: Progress) -> Self {
        match (verdict, progress) {
            (_, Progress::Ended) | (Verdict::Expired, Progress::Refused) => Self::Ended,
            (Verdict::Expired, Progress::Quiet | Progress::UnderWay | Progress::Failing) => Self::Suspended,
            (Verdict::Bare, _) | (Verdict::Fresh, Progress::Quiet) => Self::Fresh,
            (Verdict::Fresh, Progress::UnderWay) | (Verdict::Due, Progress::Quiet | Progress::UnderWay) => {
                Self::Renewing
            }
            (Verdict::Fresh | Verdict::Due, Progress::Failing | Progress::Refused) => Self::Degraded,
        }
    }

    /// Its stable name: `suspended`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Renewing => "renewing",
            Self::Degraded => "degraded",
            Self::Suspended => "suspended",
            Self::Ended => "ended",
        }
    }
}

impl Progress {
    /// As the phase of the record tells at `now`: an intent whose lease ran out is an answer that got lost.
    pub fn of(phase: Option<&Phase>, now: Timestamp) -> Self {
        match phase {
            None | Some(Phase::Idle { failures: 0, .. }) => Self::Quiet,
            Some(Phase::Intent(intent)) if now < intent.lease_until => Self::UnderWay,
            Some(Phase::Idle { .. } | Phase::Intent(_) | Phase::InDoubt(_)) => Self::Failing,
            Some(Phase::Refused { .. }) => Self::Refused,
            Some(Phase::Ended { .. }) => Self::Ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Attempt, Doubt, EndReason, Evidence, Intent, Lost};

    struct Fixed;

    impl crate::SecureRandom for Fixed {
        fn fill(&self, out: &mut [u8]) {
            out.fill(7);
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    #[test]
    fn how_a_session_stands_by_age_phase_and_time() {
        use Condition::{Degraded, Ended, Fresh, Renewing, Suspended};
        let intent = Intent {
            attempt: Attempt::new(&Fixed),
            fence: 1,
            started: at(100),
            lease_until: at(115),
            first_sent: at(100),
            drained_at: None,
            failures: 0,
            resend: None,
        };
        let doubt = Doubt {
            first_sent: at(100),
            drained_at: at(140),
            failures: 1,
            not_before: at(101),
            lost: Lost::TimedOut,
            resend: None,
            evidence: Evidence::None,
        };
        let failed = Phase::Idle { failures: 1, not_before: Some(at(120)) };
        let refused = Phase::Refused { at: at(1), claims: None };
        let over = Phase::Ended { at: at(1), reason: EndReason::SignedOut };
        // Columns: fresh, due, expired, bare.
        for (phase, now, expected) in [
            (None, 110, [Fresh, Renewing, Suspended, Fresh]),
            (Some(Phase::IDLE), 110, [Fresh, Renewing, Suspended, Fresh]),
            (Some(Phase::Intent(intent.clone())), 114, [Renewing, Renewing, Suspended, Fresh]),
            (Some(Phase::Intent(intent)), 115, [Degraded, Degraded, Suspended, Fresh]),
            (Some(failed), 110, [Degraded, Degraded, Suspended, Fresh]),
            (Some(Phase::InDoubt(doubt)), 110, [Degraded, Degraded, Suspended, Fresh]),
            (Some(refused), 110, [Degraded, Degraded, Ended, Fresh]),
            (Some(over), 110, [Ended, Ended, Ended, Ended]),
        ] {
            let verdicts = [Verdict::Fresh, Verdict::Due, Verdict::Expired, Verdict::Bare];
            let stands = verdicts.map(|verdict| Condition::of(verdict, Progress::of(phase.as_ref(), at(now))));
            assert_eq!(stands, expected, "{phase:?} at {now}");
        }
    }

    #[test]
    fn its_name_is_the_one_that_is_serialised() {
        for condition in
            [Condition::Fresh, Condition::Renewing, Condition::Degraded, Condition::Suspended, Condition::Ended]
        {
            assert_eq!(serde_json::to_value(condition).expect("a name"), condition.as_str());
        }
    }
}
