//! What a renewal, a sign-in or an end leaves in the session's history, and the stale cookies that wait to be told there.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use perennial_core::record::{Entry, Intent, Kept, RenewalEntry, RenewalVerdict, What};
use perennial_core::secret::RefreshToken;
use perennial_core::session::{Generation, SessionId, SessionState};
use perennial_core::token::TokenFailure;

use crate::engine::Inner;
use crate::event::Event;
use crate::outcome::Ask;

impl Inner {
    /// What is to be noted about the newest generation `state`.
    pub(crate) fn entry(&self, state: &SessionState, what: What, stale_cookies: u32) -> Entry {
        let expires_at = state.tokens.as_ref().and_then(|tokens| tokens.expires_at);
        Entry { at: self.now(), generation: state.generation, expires_at, stale_cookies, fork: None, what }
    }

    /// The attempt of `intent` before its call. Stale cookies saved since the last entry are told with it, and a fork that was met.
    pub(crate) fn begun(&self, newest: &SessionState, intent: &Intent, ask: &Ask, fork: Option<Kept>) -> Entry {
        let begun = RenewalEntry::begun(intent, ask.reason, self.settings.replica_name.as_deref());
        Entry { fork, ..self.entry(newest, What::Renewal(begun), self.stale_cookies.pending(newest.id)) }
    }

    /// A cookie and the record hold two successors at one generation: told once by this process.
    pub(crate) fn met_fork(&self, state: &SessionState, kept: Kept) {
        if !self.forks.is_news(state) {
            return;
        }
        tracing::warn!(session = state.id.fingerprint(), generation = state.generation.0, kept = kept.code(), "a fork");
        self.emit(Event::Forked {
            at: self.now(),
            session: state.id.fingerprint(),
            generation: state.generation,
            provider: state.provider.to_string(),
            kept,
        });
    }

    /// The attempt of `intent` after its call: tokens came, or `failure`, whose verdict is still to be found.
    pub(crate) fn renewal_entry(
        &self,
        intent: &Intent,
        ask: &Ask,
        waiters: usize,
        provider_time: Duration,
        failure: Option<&TokenFailure>,
    ) -> RenewalEntry {
        let begun = RenewalEntry::begun(intent, ask.reason, self.settings.replica_name.as_deref());
        RenewalEntry {
            verdict: if failure.is_none() { RenewalVerdict::Renewed } else { RenewalVerdict::InDoubt },
            waiters: u32::try_from(waiters).unwrap_or(u32::MAX),
            status: failure.and_then(|failure| failure.status),
            error: failure.and_then(|failure| failure.error.clone()),
            ..begun.with_provider_time(provider_time)
        }
    }
}

/// The failure without an `error` code that repeats the refresh token: a broken provider must not have us write it down.
pub(crate) fn without_echo(mut failure: TokenFailure, refresh_token: &RefreshToken) -> TokenFailure {
    let token = refresh_token.expose_secret();
    // The code was cut, so that it may be a part of the token as well as the token a part of it.
    let echoes = |code: &String| code.contains(token) || (code.len() >= ECHO_CHARS && token.contains(code.as_str()));
    failure.error = failure.error.filter(|code| !echoes(code));
    failure
}

/// Stale cookies that were given the newest generation, by session, until a write that happens anyway carries them along.
///
/// Touched only when a stale cookie is saved or an intent written, never on the fast path.
#[derive(Default)]
pub(crate) struct StaleCookies {
    untold: Mutex<HashMap<SessionId, u32>>,
}

impl StaleCookies {
    /// A cookie of the session was saved.
    pub(crate) fn saved(&self, id: SessionId) {
        let mut untold = self.untold();
        // A session that never renews again would stay for ever; beyond this the metrics alone count.
        if untold.len() < SESSIONS_MAX || untold.contains_key(&id) {
            let count = untold.entry(id).or_default();
            *count = count.saturating_add(1);
        }
    }

    /// How many are to be told.
    pub(crate) fn pending(&self, id: SessionId) -> u32 {
        self.untold().get(&id).copied().unwrap_or(0)
    }

    /// `count` of them are in the record now.
    pub(crate) fn told(&self, id: SessionId, count: u32) {
        let mut untold = self.untold();
        if let Some(left) = untold.get_mut(&id) {
            *left = left.saturating_sub(count);
            if *left == 0 {
                untold.remove(&id);
            }
        }
    }

    fn untold(&self) -> MutexGuard<'_, HashMap<SessionId, u32>> {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The forks that were told, by session: the same is met by every cookie that comes.
#[derive(Default)]
pub(crate) struct Forks {
    told: Mutex<HashMap<SessionId, Generation>>,
}

impl Forks {
    fn is_news(&self, state: &SessionState) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= SESSIONS_MAX {
            // So many mean a store that forgets; to tell some twice is better than to tell none.
            told.clear();
        }
        told.insert(state.id, state.generation) != Some(state.generation)
    }
}

/// A part of a token as long as this is no coincidence.
const ECHO_CHARS: usize = 8;

/// Sessions whose saved cookies wait to be told: 50 bytes each.
const SESSIONS_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use perennial_core::names::ProviderId;

    use super::*;

    fn id(number: usize) -> SessionId {
        let claims = serde_json::Map::from_iter([("jti".to_owned(), number.to_string().into())]);
        SessionState::from_claims(claims, &ProviderId::new("p")).expect("a cookie of Auth.js is adopted").id
    }

    #[test]
    fn an_error_code_that_repeats_the_token_is_dropped_and_every_other_kept() {
        let token = RefreshToken::new("rt_0123456789abcdefghijklmnopqrstuvwxyz");
        for (code, kept) in [
            ("invalid_grant", true),
            ("rt", true),
            ("rt_0123456789abcdefghijklmnopqrstuvwxyz", false),
            ("unknown:rt_0123456789abcdefghijklmnopqrstuvwxyz", false),
            ("rt_0123456789abc", false),
            ("mnopqrst", false),
        ] {
            let mut failure = TokenFailure::no_answer();
            failure.error = Some(code.to_owned());
            assert_eq!(without_echo(failure, &token).error.is_some(), kept, "{code}");
        }
    }

    #[test]
    fn stale_cookies_are_told_once_and_those_saved_meanwhile_later() {
        let stale = StaleCookies::default();
        assert_eq!(stale.pending(id(1)), 0);
        stale.saved(id(1));
        stale.saved(id(1));
        let pending = stale.pending(id(1));
        stale.saved(id(1));
        stale.told(id(1), pending);
        assert_eq!((pending, stale.pending(id(1)), stale.pending(id(2))), (2, 1, 0));
        stale.told(id(1), 1);
        assert!(stale.untold().is_empty());
    }

    #[test]
    fn a_fork_is_news_once_for_each_generation_and_the_memory_of_forks_is_bounded() {
        let forks = Forks::default();
        let state = |number: usize, generation| {
            let claims = serde_json::Map::from_iter([("jti".to_owned(), number.to_string().into())]);
            let state =
                SessionState::from_claims(claims, &ProviderId::new("p")).expect("a cookie of Auth.js is adopted");
            SessionState { generation: Generation(generation), ..state }
        };
        let told =
            [(1, 5), (1, 5), (1, 6), (2, 5)].map(|(number, generation)| forks.is_news(&state(number, generation)));
        assert_eq!(told, [true, false, true, true]);
        for number in 0..SESSIONS_MAX + 10 {
            let _ = forks.is_news(&state(number, 1));
        }
        assert!(forks.told.lock().expect("no panic while locked").len() <= SESSIONS_MAX);
    }

    #[test]
    fn the_memory_of_stale_cookies_is_bounded() {
        let stale = StaleCookies::default();
        (0..SESSIONS_MAX + 10).for_each(|number| stale.saved(id(number)));
        assert_eq!(stale.untold().len(), SESSIONS_MAX);
        stale.saved(id(0));
        assert_eq!((stale.pending(id(0)), stale.pending(id(SESSIONS_MAX))), (2, 0));
    }
}
