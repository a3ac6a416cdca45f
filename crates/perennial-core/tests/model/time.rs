//! What passes while nobody does anything: time, from one moment that makes a difference to the next, until nothing more
//! can be learnt.

use std::time::Duration;

use perennial_core::Timestamp;
use perennial_core::limits::REPLICA_CLOCK_SKEW;
use perennial_core::provider::{DRAIN_DEFAULT, RefreshClass};
use perennial_core::record::{Doubt, Phase};

use crate::driver::spend_fault;
use crate::state::{Replica, State};
use crate::system::System;
use crate::values::Tokens;

impl System {
    /// Nothing but a call and a preparation takes time; the latter by a fault.
    pub(crate) fn time_passes(&self, state: &mut State) -> bool {
        let Some(then) = self.next_moment(state) else { return false };
        let mut dawdle = false;
        for place in &state.replicas {
            match place {
                Replica::Idle => {}
                Replica::Call { sent_at, .. } if state.now < *sent_at + self.policy.call_deadline => {}
                Replica::Claim { .. } => dawdle = true,
                _ => return false,
            }
        }
        state.now = then;
        state.strays.retain(|stray| then < stray.until);
        !dawdle || spend_fault(state)
    }

    /// The next moment at which anybody would do anything else than now.
    fn next_moment(&self, state: &State) -> Option<Timestamp> {
        let record = state.record();
        // What another replica's clock may not show yet is reckoned with where there are others.
        let skew = if self.replicas > 1 { REPLICA_CLOCK_SKEW } else { Duration::ZERO };
        // Moments of the true time, and moments that somebody's clock has to show.
        let mut moments: Vec<_> = state.strays.iter().map(|stray| stray.until).collect();
        let mut shown = Vec::new();
        for tokens in state.cookies.iter().copied().chain(record.and_then(Tokens::opened)) {
            shown.push(tokens.die_at());
        }
        for place in &state.replicas {
            if let Replica::Call { sent_at, .. } = place {
                moments.push(*sent_at + self.policy.call_deadline);
            }
        }
        match state.phase() {
            Some(Phase::Intent(intent)) => {
                shown.extend([intent.lease_until, intent.lease_until + DRAIN_DEFAULT + skew]);
                shown.extend(self.window().map(|window| intent.first_sent + window));
            }
            Some(Phase::InDoubt(Doubt { first_sent, drained_at, not_before, .. })) => {
                shown.extend([*drained_at + skew, *not_before]);
                shown.extend(self.window().map(|window| *first_sent + window));
            }
            _ => {}
        }
        for clock in self.clocks {
            moments.extend(shown.iter().map(|shown| clock.when(*shown)));
        }
        moments.into_iter().filter(|moment| *moment > state.now && *moment <= HORIZON).min()
    }

    /// Whether nothing more can be learnt from here: a law is broken, the last renewal done, or the session over.
    pub(crate) fn is_told(&self, state: &State) -> bool {
        let idle = state.replicas.iter().all(|place| *place == Replica::Idle);
        let last = state.record().is_some_and(|record| record.generation.0 >= self.renewals);
        let quiet = idle && (state.strays.is_empty() || state.provider.is_revoked());
        !state.witness.broken.is_empty() || last && !state.is_ended() && quiet || state.is_ended() && idle
    }

    pub(crate) fn window(&self) -> Option<Duration> {
        match self.class {
            RefreshClass::Overlap(window) | RefreshClass::Idempotent(window) => Some(window),
            _ => None,
        }
    }
}

/// Long enough for two renewals.
const HORIZON: Timestamp = Timestamp::from_unix_seconds(200);
