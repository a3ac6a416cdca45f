//! What must hold, said without the engine's help.

use perennial_core::Timestamp;
use perennial_core::provider::RefreshClass;
use perennial_core::record::{EndReason, Intent, Phase};
use stateright::Property;

use crate::provider::Serial;
use crate::state::{Law, Replica, State};
use crate::system::System;
use crate::values::Tokens;

/// The laws for a system: invariants, and for a sound one, that something happens in it at all.
pub(crate) fn of(system: &System) -> Vec<Property<System>> {
    let mut laws = vec![
        Property::always("S1 one call at a time", |_, state: &State| keeps(state, Law::S1)),
        Property::always("S2 sent again only where permitted", |_, state| keeps(state, Law::S2)),
        Property::always("S3 the generation never decreases", |_, state| keeps(state, Law::S3)),
        Property::always("S5 an end is an end", |_, state| keeps(state, Law::S5)),
        Property::always("S6 refused is the newest", |_, state| keeps(state, Law::S6)),
        Property::always("S7 no fault signs out", |_, state| keeps(state, Law::S7) && has_ground(state)),
        Property::always("S8 received is durable first", |_, state| keeps(state, Law::S8)),
        Property::always("L2 a harmless class never refuses", |system: &System, state: &State| {
            !state.is_refused() || !is_harmless(system.class) || state.witness.missed_window || state.witness.uncommitted
        }),
        Property::always("L3 nothing lost, nothing refused", |_, state: &State| {
            !state.is_refused() || state.witness.lost_successor || state.witness.uncommitted
        }),
    ];
    if system.sabotage.is_none() {
        laws.push(Property::sometimes("a session renews twice", |_, state: &State| {
            state.record().is_some_and(|record| record.generation.0 == 2)
        }));
        laws.push(Property::sometimes("a sign-out overtakes a renewal", |_, state: &State| {
            state.is_ended() && state.replicas.iter().any(|place| matches!(place, Replica::Call { .. }))
        }));
        laws.push(Property::sometimes("doubt is overcome", |_, state: &State| {
            state.witness.lost_successor && matches!(state.phase(), Some(Phase::InDoubt { .. }))
        }));
    }
    laws
}

fn keeps(state: &State, law: Law) -> bool {
    !state.witness.broken.contains(&law)
}

/// A session is over only because the provider said so or the user did.
fn has_ground(state: &State) -> bool {
    match (state.record(), state.phase()) {
        (Some(record), Some(Phase::Refused { .. })) => {
            Tokens::opened(record).is_some_and(|tokens| state.provider.has_refused(tokens.refresh_token))
        }
        (_, Some(Phase::Ended { reason: EndReason::Refused, .. })) => state.provider.has_refused_any(),
        (_, Some(Phase::Ended { .. })) => state.signing_out,
        _ => true,
    }
}

fn is_harmless(class: RefreshClass) -> bool {
    match class {
        RefreshClass::Reusable
        | RefreshClass::Acknowledged
        | RefreshClass::Idempotent(_)
        | RefreshClass::Overlap(_) => true,
        RefreshClass::SingleUse | RefreshClass::Family | RefreshClass::Unknown => false,
    }
}

/// A refresh token is about to go out.
pub(crate) fn judge_send(
    system: &System,
    state: &mut State,
    sender: usize,
    refresh_token: Serial,
    _claimed_first: Timestamp,
) {
    let in_flight = state.replicas.iter().enumerate().any(|(replica, place)| {
        replica != sender
            && matches!(place, Replica::Call { newest, .. } if newest.refresh_token == refresh_token)
    });
    if in_flight {
        state.witness.accuse(Law::S1);
    }
    let now = state.now;
    let Some((_, first)) = state.witness.sent.iter().find(|(sent, _)| *sent == refresh_token).copied() else {
        state.witness.sent.push((refresh_token, now));
        return;
    };
    let permitted = match system.class {
        RefreshClass::Reusable | RefreshClass::Acknowledged => true,
        RefreshClass::Overlap(window) | RefreshClass::Idempotent(window) if now < first + window => true,
        // Last resort: nothing left to lose, and nothing under way that ours could make a reuse of.
        _ => {
            let stray = state.strays.iter().any(|stray| stray.refresh_token == refresh_token);
            let holder = state.cookies.iter().copied().chain(state.record().and_then(Tokens::opened));
            let alive = holder.filter(|tokens| tokens.refresh_token == refresh_token).any(|t| now < t.die_at());
            !stray && !alive && !in_flight
        }
    };
    if !permitted {
        state.witness.accuse(Law::S2);
    }
    judge_presentation(system, state, refresh_token);
}

/// Notes when a caller comes too late for the window of its class.
pub(crate) fn judge_presentation(system: &System, state: &mut State, refresh_token: Serial) {
    let first = state.witness.sent.iter().find(|(sent, _)| *sent == refresh_token).map(|(_, first)| *first);
    if let (Some(window), Some(first)) = (system.window(), first) {
        state.witness.missed_window |= state.now >= first + window;
    }
}

/// The only request that carried this refresh token was not processed: as if it had not been sent.
pub(crate) fn forget_send(state: &mut State, refresh_token: Serial, intent: &Intent) {
    if intent.first_sent == intent.started {
        state.witness.sent.retain(|(sent, _)| *sent != refresh_token);
    }
}
