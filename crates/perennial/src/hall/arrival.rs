//! What a flight brings to everybody aboard: its outcome, and the cookies that this means for them, sealed once.
//!
//! A thousand requests may wait for one renewal, nearly all of them with the same cookie. Sealing the next one takes longer than
//! everything else that is left to do for each, so the first who leaves seals it and the others take the same bytes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use perennial_core::Timestamp;
use perennial_core::session::SessionState;

use super::Visit;
use crate::outcome::Outcome;

/// What is told to all aboard.
pub(crate) struct Arrival {
    pub(crate) outcome: Outcome,
    sealed: Mutex<Vec<Sealed>>,
}

/// With what a request leaves whose cookie is set anew: the session as the cookie carries it, and `Set-Cookie` lines, which are
/// cheap to clone.
#[derive(Clone)]
pub(super) struct Leaving {
    pub(super) state: Arc<SessionState>,
    pub(super) set_cookies: Vec<HeaderValue>,
}

/// What was sealed, and for whom it will do.
struct Sealed {
    at: Timestamp,
    visit: Visit,
    /// The cookies that it replaces.
    present: Vec<String>,
    leaving: Leaving,
}

impl Arrival {
    pub(crate) fn of(outcome: Outcome) -> Self {
        Self { outcome, sealed: Mutex::default() }
    }

    /// With what somebody leaves who came with the cookies `present` and got `state` from this flight: with what another was
    /// given a moment ago, else with what `seal` makes. A state that something has changed since is another matter.
    pub(super) fn leaving(
        &self,
        state: &Arc<SessionState>,
        (present, visit): (&[String], Visit),
        now: Timestamp,
        seal: impl FnOnce() -> Leaving,
    ) -> Leaving {
        if !self.outcome.state().is_some_and(|brought| Arc::ptr_eq(brought, state)) {
            return seal();
        }
        // Held while the first seals: who comes meanwhile would only do the same. A panic leaves the list as it was.
        let mut sealed = self.sealed.lock().unwrap_or_else(PoisonError::into_inner);
        sealed.retain(|sealed| now.since(sealed.at) <= SEALED_FOR);
        let mut alike = sealed.iter().filter(|sealed| sealed.visit == visit && sealed.present == present);
        if let Some(alike) = alike.next() {
            return alike.leaving.clone();
        }
        let leaving = seal();
        if sealed.len() < KINDS_MAX {
            sealed.push(Sealed { at: now, visit, present: present.to_vec(), leaving: leaving.clone() });
        }
        leaving
    }
}

/// How long a sealed cookie is given to others: they come all at once, and what it says about the time of their visit and its own
/// expiry is hardly ever told in finer steps than this. A flight whose tokens the store does not take stays up for minutes.
const SEALED_FOR: Duration = Duration::from_secs(1);

/// Kinds of requests for which one flight keeps what it sealed: one cookie or some chunks, by a person or by a program. Who comes
/// with still another set of cookies has them sealed alone.
const KINDS_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use perennial_core::names::ProviderId;
    use serde_json::Map;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    fn state() -> Arc<SessionState> {
        let claims = Map::from_iter([("jti".to_owned(), "j".into())]);
        SessionState::from_claims(claims, &ProviderId::new("p")).expect("a cookie of Auth.js is adopted").into()
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn one_cookie_is_sealed_for_all_who_are_alike_and_for_a_moment() {
        let brought = state();
        let arrival = Arrival::of(Outcome::Newest { state: brought.clone(), renewed: true });
        let changed = Arc::new(SessionState::clone(&brought));
        let (whole, chunks) = (names(&["s"]), names(&["s.0", "s.1"]));
        let seals = Cell::new(0);
        let rows = [
            ("the first", &brought, &whole, Visit::Unnoted, NOW, 1),
            ("the second", &brought, &whole, Visit::Unnoted, NOW, 1),
            ("a moment later", &brought, &whole, Visit::Unnoted, NOW + SEALED_FOR, 1),
            ("by a clock set back", &brought, &whole, Visit::Unnoted, NOW - SEALED_FOR, 1),
            ("a visit", &brought, &whole, Visit::Noted, NOW, 2),
            ("in chunks", &brought, &chunks, Visit::Unnoted, NOW, 3),
            ("the first once more", &brought, &whole, Visit::Unnoted, NOW, 3),
            ("changed on the way", &changed, &whole, Visit::Unnoted, NOW, 4),
            ("too late", &brought, &whole, Visit::Unnoted, NOW + SEALED_FOR + Duration::from_millis(1), 5),
        ];
        for (what, state, present, visit, now, expected) in rows {
            let left = arrival.leaving(state, (present, visit), now, || {
                seals.set(seals.get() + 1);
                Leaving { state: state.clone(), set_cookies: Vec::new() }
            });
            assert!(Arc::ptr_eq(&left.state, state), "{what}");
            assert_eq!(seals.get(), expected, "{what}");
        }
    }

    #[test]
    fn so_many_kinds_are_kept_and_no_more() {
        let brought = state();
        let arrival = Arrival::of(Outcome::Newest { state: brought.clone(), renewed: true });
        let seals = Cell::new(0);
        for _ in 0..2 {
            for kind in 0..=KINDS_MAX {
                let present = names(&[&kind.to_string()]);
                arrival.leaving(&brought, (&present, Visit::Unnoted), NOW, || {
                    seals.set(seals.get() + 1);
                    Leaving { state: brought.clone(), set_cookies: Vec::new() }
                });
            }
        }
        assert_eq!(seals.get(), KINDS_MAX + 2, "the last is sealed both times, the others once");
    }
}
