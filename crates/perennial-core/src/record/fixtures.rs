//! Records and moments that the tests of this folder share.

use super::*;

pub(super) struct Fixed(pub(super) u8);

impl SecureRandom for Fixed {
    fn fill(&self, out: &mut [u8]) {
        out.fill(self.0);
    }
}

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(seconds)
}

pub(super) fn name(byte: u8) -> Attempt {
    Attempt::new(&Fixed(byte))
}

/// Attempt `byte`, begun at `started`, on a refresh token first sent at `first_sent`, 40 s before that was drained.
pub(super) fn intent(byte: u8, started: i64, first_sent: i64, failures: u32) -> Intent {
    Intent {
        attempt: name(byte),
        fence: 0,
        started: at(started),
        lease_until: at(started + 25),
        first_sent: at(first_sent),
        drained_at: (first_sent < started).then(|| at(first_sent + 40)),
        failures,
        resend: None,
    }
}

pub(super) fn record(generation: u64, phase: Phase) -> Record {
    Record { phase, ..Record::idle(Generation(generation), b"sealed".to_vec()) }
}

pub(super) fn ended() -> Phase {
    Phase::Ended { at: at(1), reason: EndReason::SignedOut }
}

pub(super) fn in_doubt(first_sent: i64, drained_at: i64, not_before: i64) -> Phase {
    Phase::InDoubt(doubt(first_sent, drained_at, not_before))
}

pub(super) fn doubt(first_sent: i64, drained_at: i64, not_before: i64) -> Doubt {
    Doubt {
        first_sent: at(first_sent),
        drained_at: at(drained_at),
        failures: 2,
        not_before: at(not_before),
        lost: Lost::TimedOut,
        resend: None,
        evidence: Evidence::None,
    }
}

pub(super) fn refused_at(seconds: i64) -> Phase {
    Phase::Refused { at: at(seconds), claims: None }
}
