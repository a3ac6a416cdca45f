//! What must hold, said without the engine's help.

use std::time::Duration;

use perennial_core::Timestamp;
use perennial_core::provider::{DRAIN_DEFAULT, LastResort, RefreshClass};
use perennial_core::record::{EndReason, Kept, Phase};
use perennial_core::session::Generation;
use stateright::Property;

use crate::provider::Serial;
use crate::state::{Ending, Law, Replica, Sent, State, Witness};
use crate::system::System;
use crate::values::Tokens;

/// The laws for a system: invariants, and for a sound one, that something happens in it at all.
pub(crate) fn of(system: &System) -> Vec<Property<System>> {
    let mut laws = vec![
        Property::always("S1 one call at a time", |_, state: &State| keeps(state, Law::S1)),
        Property::always("S2 sent again only where permitted", |_, state| keeps(state, Law::S2)),
        Property::always("S3 the generation never decreases", |_, state| keeps(state, Law::S3)),
        Property::always("S4 tokens are of their generation", |system: &System, state| {
            keeps(state, Law::S4) && descends(system, state)
        }),
        Property::always("S5 an end is an end", |_, state| keeps(state, Law::S5)),
        Property::always("S6 refused is the newest", |_, state| keeps(state, Law::S6)),
        Property::always("S7 no fault signs out", |_, state| keeps(state, Law::S7) && has_ground(state)),
        Property::always("S8 received is durable first", |_, state| keeps(state, Law::S8)),
        Property::always("S9 one person to the end", |_, state| is_one_person(state)),
        Property::always("S10 what is handed out lives and is the newest", |_, state| keeps(state, Law::S10)),
        Property::always("S12 not sooner than the shortest interval", |_, state| keeps(state, Law::S12)),
        Property::always("S13 one successor goes on", |_, state| keeps(state, Law::S13)),
        Property::always("L1 every wait has an end", waits_end),
    ];
    // A request may linger longer than such a window is open, and than the early retry at a provider nobody has described
    // takes for granted: nothing can be promised then but the steps above.
    let brief = system.class == RefreshClass::Unknown
        || system.window().is_some_and(|window| window < system.policy.call_deadline + DRAIN_DEFAULT);
    if !brief {
        laws.push(Property::always("L2 a harmless class never refuses", |system: &System, state: &State| {
            !is_harmless(system.class) || !is_lost(state) || state.witness.missed_window || state.witness.uncommitted
        }));
        laws.push(Property::always("L3 nothing lost, nothing refused", |_, state: &State| {
            let Witness { lost_successor, uncommitted, ref untold, .. } = state.witness;
            !is_lost(state) || lost_successor || uncommitted || !untold.is_empty()
        }));
    }
    if system.sabotage.is_none() {
        laws.extend(signs_of_life(system));
    }
    laws
}

/// What must be possible, lest the invariants hold because nothing happens.
fn signs_of_life(system: &System) -> Vec<Property<System>> {
    let mut signs = vec![
        Property::sometimes("all renewals succeed", |system: &System, state: &State| {
            state.record().is_some_and(|record| record.generation.0 == system.renewals)
        }),
        Property::sometimes("a refresh token sent twice buys a successor", |_, state: &State| {
            let twice = state.witness.sent.iter().any(|sent| sent.refresh_token == 0 && sent.times > 1);
            twice && state.record().is_some_and(|record| record.generation.0 > 0)
        }),
    ];
    if !is_harmless(system.class) && system.last_resort == LastResort::Retry {
        signs.push(Property::sometimes("a lost answer costs the session", |_, state: &State| state.is_refused()));
    }
    // One that is acknowledged is spent for good as soon as a cookie has its successor.
    if system.forgets && matches!(system.class, RefreshClass::Overlap(_)) {
        signs.push(Property::sometimes("of two successors the record's goes on", |system: &System, state: &State| {
            outlived(system, state, Kept::Record)
        }));
    }
    // The cookie's is the later one when its own commit failed and that of a forgotten attempt came in after it.
    if system.forgets && matches!(system.class, RefreshClass::Overlap(_)) && system.faults > 0 {
        signs.push(Property::sometimes("of two successors the cookie's goes on", |system: &System, state: &State| {
            outlived(system, state, Kept::Cookie)
        }));
    }
    if system.sign_out {
        signs.push(Property::sometimes("a sign-out overtakes a renewal", |_, state: &State| {
            state.is_ended() && state.replicas.iter().any(|place| matches!(place, Replica::Call { .. }))
        }));
    }
    if system.mistakes {
        signs.push(Property::sometimes("somebody else's tokens end the session", |_, state: &State| {
            matches!(state.phase(), Some(Phase::Ended { reason: EndReason::IdentityChanged, .. }))
        }));
    }
    signs
}

/// Whether two successors were met, this one went on, and the session is renewed once more.
fn outlived(system: &System, state: &State, kept: Kept) -> bool {
    state.witness.forked == Some(kept) && state.record().is_some_and(|record| record.generation.0 == system.renewals)
}

/// Whether the session is refused, or will be: the family is dead and nobody asked for that.
fn is_lost(state: &State) -> bool {
    let asked_for = state.signing_out
        || matches!(state.phase(), Some(Phase::Ended { reason, .. }) if *reason == EndReason::IdentityChanged);
    state.is_refused() || state.provider.is_revoked() && !asked_for
}

/// Whether record and cookies hold each refresh token at the generation at which the provider minted it.
fn descends(system: &System, state: &State) -> bool {
    let mut held = state.cookies.iter().copied().chain(state.record().and_then(Tokens::opened));
    held.all(|tokens| state.provider.depth(system.class, tokens.refresh_token) == tokens.generation.0)
}

/// Somebody else's tokens are in the record only while whoever received them is on the way to end the session for that, or
/// died on it; and when it is ended, the provider has been told.
fn is_one_person(state: &State) -> bool {
    if let Some(Phase::Ended { reason: EndReason::IdentityChanged, .. }) = state.phase() {
        return state.provider.is_revoked();
    }
    let Some(Tokens { refresh_token, .. }) = state.record().and_then(Tokens::opened) else { return true };
    let tended = |place: &Replica| matches!(place, Replica::End { reason: Ending::AnotherIdentity, .. });
    !state.provider.is_anothers(refresh_token)
        || state.replicas.iter().any(tended)
        || state.witness.untended.contains(&refresh_token)
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
        (_, Some(Phase::Ended { reason: EndReason::IdentityChanged, .. })) => state.provider.knows_another(),
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

/// A refresh token is about to go out, as was decided at `decided`: a lease allows the way from there a few seconds.
pub(crate) fn judge_send(system: &System, state: &mut State, sender: usize, newest: Tokens, decided: Timestamp) {
    let Tokens { generation, refresh_token, issued_at } = newest;
    judge_siblings(state, newest);
    if decided + system.skew() < issued_at + system.policy.min_interval {
        state.witness.accuse(Law::S12);
    }
    let in_flight = state.replicas.iter().enumerate().any(|(replica, place)| {
        replica != sender && matches!(place, Replica::Call { newest, .. } if newest.refresh_token == refresh_token)
    });
    let untold = state.witness.untold.contains(&refresh_token);
    if in_flight && !untold {
        state.witness.accuse(Law::S1);
    }
    let now = state.now;
    let Some(earlier) = state.witness.sent.iter_mut().find(|sent| sent.refresh_token == refresh_token) else {
        return state.witness.sent.push(Sent { refresh_token, generation, first: now, times: 1 });
    };
    earlier.times += 1;
    let first = earlier.first;
    let times = earlier.times;
    let unspent = system.introspects && state.provider.introspect(refresh_token);
    // Of a short window the engine keeps back a quarter, although clocks may be further apart.
    let open = |window: Duration| decided < first + window + system.skew().saturating_sub(window / 4);
    let permitted = match system.class {
        RefreshClass::Reusable | RefreshClass::Acknowledged => true,
        RefreshClass::Unknown if times == 2 && open(EARLY) => true,
        RefreshClass::Overlap(window) | RefreshClass::Idempotent(window) if open(window) => true,
        // Nothing is under way that ours would be a reuse of or make one of, and either the provider has said that the
        // token is unspent, or nothing is left to lose.
        _ => {
            let stray = state.strays.iter().any(|stray| stray.refresh_token == refresh_token);
            let mut held = state.cookies.iter().copied().chain(state.record().and_then(Tokens::opened));
            // Dead by the clock of the one, it may live a little longer by the clock of another.
            let alive =
                held.any(|tokens| tokens.refresh_token == refresh_token && now + system.skew() < tokens.die_at());
            !stray && !in_flight && (unspent || !alive && system.last_resort == LastResort::Retry)
        }
    };
    if !permitted && !untold {
        state.witness.accuse(Law::S2);
    }
    note_lateness(system, state, refresh_token);
}

/// Of two successors of one refresh token the second goes out only when the first is known to be dead.
fn judge_siblings(state: &mut State, newest: Tokens) {
    let gone_out = state.witness.sent.iter().filter(|sent| sent.generation == newest.generation);
    let alive = gone_out.filter(|sent| {
        let told = !state.witness.untold.contains(&sent.refresh_token);
        sent.refresh_token != newest.refresh_token && told && !state.provider.has_refused(sent.refresh_token)
    });
    if alive.count() > 0 {
        state.witness.accuse(Law::S13);
    }
}

/// An access token is handed out at a moment at which its giver's clock shows `shown`, who has `seen` the record hold that
/// generation just before.
pub(crate) fn judge_hand_out(state: &mut State, tokens: Tokens, seen: Option<Generation>, shown: Timestamp) {
    if shown >= tokens.die_at() || seen.is_some_and(|seen| tokens.generation < seen) {
        state.witness.accuse(Law::S10);
    }
}

/// A browser is told that its session is over: then the provider has refused what its own cookie holds, too, if that is no
/// older than what was refused.
pub(crate) fn judge_end(state: &mut State, cookie: Tokens, newest: Tokens) {
    if cookie.generation == newest.generation && !state.provider.has_refused(cookie.refresh_token) {
        state.witness.accuse(Law::S13);
    }
}

/// Whatever holds a session up is over when its lease and the drain after that are, by anybody's clock.
fn waits_end(system: &System, state: &State) -> bool {
    let ends = state.now + system.policy.lease() + DRAIN_DEFAULT + system.skew();
    match state.phase() {
        Some(Phase::Idle { not_before, .. }) => not_before.is_none_or(|until| until <= ends),
        Some(Phase::Intent(intent)) => intent.lease_until + DRAIN_DEFAULT <= ends,
        Some(Phase::InDoubt(doubt)) => doubt.not_before.max(doubt.drained_at) <= ends,
        _ => true,
    }
}

/// Notes when a caller comes too late for the window of its class.
pub(crate) fn note_lateness(system: &System, state: &mut State, refresh_token: Serial) {
    let first = state.witness.sent.iter().find(|sent| sent.refresh_token == refresh_token).map(|sent| sent.first);
    if let (Some(window), Some(first)) = (system.window(), first) {
        state.witness.missed_window |= state.now >= first + window;
    }
}

/// The request on this replica's line comes back unprocessed: as if it had not been sent.
pub(crate) fn forget_send(state: &mut State, replica: usize) {
    let Replica::Call { newest, .. } = &state.replicas[replica] else { return };
    for sent in &mut state.witness.sent {
        if sent.refresh_token == newest.refresh_token {
            sent.times -= 1;
        }
    }
    state.witness.sent.retain(|sent| sent.times > 0);
}

/// The overlap that a provider nobody has described is credited with, once.
const EARLY: Duration = Duration::from_secs(10);
