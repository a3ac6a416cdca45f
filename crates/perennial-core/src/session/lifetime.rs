//! How long a session lasts: two clocks of ours, and the provider's (OAuth 2.0 for Browser-Based Applications §6.1.2.2).
//!
//! The *idle* clock counts from the last moment at which a person used the session, the *absolute* one from sign-in.
//! Neither is fed by renewals. Where the provider says how long its refresh token lives, nothing longer is promised.

use std::time::Duration;

use super::SessionState;
use crate::time::Timestamp;

/// The lifetimes a deployment gives its sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// How long a session lasts without a person.
    pub idle: Duration,
    /// How long a session lasts at all; `None` for no end.
    pub absolute: Option<Duration>,
    /// How old the last moment that was noted gets before a visit notes a newer one: less than `idle`. A session may end
    /// that much before `idle` has passed since the very last visit.
    pub note_after: Duration,
}

impl Lifetimes {
    /// When the session ends unless a person uses it.
    pub fn idle_until(&self, state: &SessionState) -> Timestamp {
        state.active_at + self.idle
    }

    /// When the session ends whatever happens; `None` for never.
    pub fn absolute_until(&self, state: &SessionState) -> Option<Timestamp> {
        self.absolute.map(|age| state.started_at + age)
    }

    /// When the session ends as things stand at `now`: what its cookie promises.
    pub fn ends_at(&self, state: &SessionState, now: Timestamp) -> Timestamp {
        let ours = self.idle_until(state).min(self.absolute_until(state).unwrap_or(FAR));
        // A moment that has passed has proven nothing yet: the provider says so when it is asked.
        match renewable_until(state).filter(|until| *until > now) {
            Some(until) => ours.min(until),
            None => ours,
        }
    }

    /// Whether its absolute lifetime is over.
    pub fn is_too_old(&self, state: &SessionState, now: Timestamp) -> bool {
        self.absolute_until(state).is_some_and(|until| now >= until)
    }

    /// Whether a visit at `now` is worth noting in a session whose cookie was sealed at `sealed_at`.
    pub fn wants_note(&self, state: &SessionState, sealed_at: Timestamp, now: Timestamp) -> bool {
        now >= state.active_at.min(sealed_at) + self.note_after
    }
}

/// When what the provider gave is used up, where it says so: the refresh token, and the access token if that lives longer.
fn renewable_until(state: &SessionState) -> Option<Timestamp> {
    let tokens = state.tokens.as_ref()?;
    Some(tokens.refresh_token_expires_at?.max(tokens.expires_at?))
}

const FAR: Timestamp = Timestamp::from_unix_millis(i64::MAX);

#[cfg(test)]
mod tests {
    use super::super::fixtures::*;
    use super::*;
    use crate::session::TokenSet;

    const LIFETIMES: Lifetimes = Lifetimes {
        idle: Duration::from_secs(1_000),
        absolute: Some(Duration::from_secs(5_000)),
        note_after: Duration::from_secs(100),
    };

    /// Signed in at 1, used at `active`; the access token dies at `access`, the refresh token at `refresh`.
    fn lived(active: i64, access: Option<i64>, refresh: Option<i64>) -> SessionState {
        let tokens = session().tokens.map(|tokens| TokenSet {
            expires_at: access.map(at),
            refresh_token_expires_at: refresh.map(at),
            ..tokens
        });
        SessionState { tokens, ..session().active(at(active)) }
    }

    #[test]
    fn the_earliest_end_is_the_end() {
        for (active, access, refresh, now, expected) in [
            (1, Some(300), None, 1, 1_001),
            (900, Some(300), None, 900, 1_900),
            // From sign-in, however busy.
            (4_500, Some(4_600), None, 4_500, 5_001),
            // The provider's word, where it is given.
            (900, Some(1_200), Some(1_500), 900, 1_500),
            (900, Some(1_200), Some(9_000), 900, 1_900),
            // An access token that outlives its refresh token serves on; one without an end, as long as we like.
            (900, Some(1_600), Some(1_500), 900, 1_600),
            (900, None, Some(1_500), 900, 1_900),
            // What should have died already is the provider's to refuse.
            (900, Some(1_200), Some(1_500), 1_500, 1_900),
        ] {
            let ends_at = LIFETIMES.ends_at(&lived(active, access, refresh), at(now));
            assert_eq!(ends_at, at(expected), "{active} {access:?} {refresh:?} at {now}");
        }
        let endless = Lifetimes { absolute: None, ..LIFETIMES };
        assert_eq!(endless.ends_at(&lived(90_000, Some(1), None), at(90_000)), at(91_000));
        assert_eq!(endless.absolute_until(&session()), None);
    }

    #[test]
    fn the_absolute_end_comes_at_its_moment() {
        for (now, expected) in [(5_000, false), (5_001, true), (9_999, true)] {
            assert_eq!(LIFETIMES.is_too_old(&lived(4_999, None, None), at(now)), expected, "{now}");
            assert!(!Lifetimes { absolute: None, ..LIFETIMES }.is_too_old(&session(), at(now)));
        }
    }

    #[test]
    fn a_visit_is_noted_when_the_note_or_the_cookie_is_old_enough() {
        for (active, sealed, now, expected) in [
            (500, 500, 599, false),
            (500, 500, 600, true),
            // A cookie set anew by a renewal in the background says nothing about visits.
            (500, 599, 600, true),
            // A cookie that never arrived: the one that is there is old.
            (599, 500, 600, true),
            (599, 599, 600, false),
        ] {
            let wanted = LIFETIMES.wants_note(&lived(active, None, None), at(sealed), at(now));
            assert_eq!(wanted, expected, "active {active}, sealed {sealed}, now {now}");
        }
    }
}
