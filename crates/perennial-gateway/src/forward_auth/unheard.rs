//! Whether the cookies that we set come back. A proxy that asks for a verdict has to hand our `Set-Cookie` to the browser itself, and
//! one that was not told to does not: sessions then live on by their records, until the first cookie expires.
//!
//! Looked at only where a cookie is set, so that a request with nothing due costs nothing.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use perennial::{Generation, Timestamp};

/// What was set for the sessions seen last, and how often in a row it did not come back.
#[derive(Debug)]
pub(super) struct Cookies {
    hasher: RandomState,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// By the session's hash: another session that falls into the same slot takes it over.
    slots: Box<[Option<Slot>]>,
    unheard: u32,
}

/// The oldest cookie of a session that is waited for.
#[derive(Clone, Copy, Debug)]
struct Slot {
    session: u64,
    generation: Generation,
    set_at: Timestamp,
}

/// What a presented cookie tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing yet, or that cookies arrive.
    Well,
    /// That a cookie we set is not known to the browser, and neither were those before it.
    Never,
}

impl Default for Cookies {
    fn default() -> Self {
        let slots = vec![None; SESSIONS].into_boxed_slice();
        Self { hasher: RandomState::new(), inner: Mutex::new(Inner { slots, unheard: 0 }) }
    }
}

impl Cookies {
    /// A request of `session` brought a cookie of generation `presented`, and is being answered with one of generation `newest`.
    pub(super) fn set(&self, session: &str, presented: Generation, newest: Generation, now: Timestamp) -> Heard {
        let session = self.hasher.hash_one(session);
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let Inner { slots, unheard } = &mut *inner;
        // At most as many as there are slots.
        let slot = &mut slots[session as usize % SESSIONS];
        let anew = Some(Slot { session, generation: newest, set_at: now });
        match slot {
            Some(waiting) if waiting.session == session && presented >= waiting.generation => {
                *unheard = 0;
                *slot = anew;
            }
            Some(waiting) if waiting.session == session && now < waiting.set_at + ON_ITS_WAY => {}
            Some(waiting) if waiting.session == session => {
                *unheard = unheard.saturating_add(1);
                *slot = anew;
                if *unheard >= UNHEARD_MIN {
                    return Heard::Never;
                }
            }
            _ => *slot = anew,
        }
        Heard::Well
    }
}

/// Sessions remembered at once, 32 bytes each: more than enough to judge a proxy by.
const SESSIONS: usize = 1024;

/// So long a cookie may be on its way to the browser and back: twice what a request waits for a renewal, because others of the
/// same browser may have left before it.
const ON_ITS_WAY: Duration = Duration::from_secs(30);

/// One browser that lost its cookies proves nothing about the proxy; so many in a row, without one that kept them in between, do.
const UNHEARD_MIN: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    /// A request after so many seconds, with a cookie of one generation, answered with another.
    fn play(cookies: &Cookies, session: &str, script: &[(i64, u64, u64, Heard)]) {
        for &(second, presented, newest, expected) in script {
            let now = Timestamp::from_unix_seconds(second);
            let heard = cookies.set(session, Generation(presented), Generation(newest), now);
            assert_eq!(heard, expected, "{session} at {second}: {presented} → {newest}");
        }
    }

    #[test]
    fn cookies_that_come_back_are_no_reason_to_worry() {
        let script =
            [(0, 0, 1, Heard::Well), (60, 1, 2, Heard::Well), (120, 2, 3, Heard::Well), (900, 3, 4, Heard::Well)];
        play(&Cookies::default(), "a", &script);
    }

    #[test]
    fn a_storm_of_old_cookies_is_none_either() {
        let cookies = Cookies::default();
        for _ in 0..100 {
            play(&cookies, "a", &[(0, 0, 1, Heard::Well), (29, 0, 1, Heard::Well)]);
        }
    }

    #[test]
    fn cookies_that_never_come_back_are_told_after_three() {
        let script = [
            (0, 0, 1, Heard::Well),
            (30, 0, 1, Heard::Well),
            (59, 0, 1, Heard::Well),
            (60, 0, 2, Heard::Well),
            (90, 0, 3, Heard::Never),
            (91, 0, 3, Heard::Well),
            (120, 0, 3, Heard::Never),
        ];
        play(&Cookies::default(), "a", &script);
    }

    #[test]
    fn one_browser_that_keeps_them_clears_the_proxy() {
        let cookies = Cookies::default();
        play(&cookies, "lost", &[(0, 0, 1, Heard::Well), (30, 0, 1, Heard::Well), (60, 0, 1, Heard::Well)]);
        play(&cookies, "kept", &[(60, 0, 1, Heard::Well), (65, 1, 2, Heard::Well)]);
        play(&cookies, "lost", &[(90, 0, 1, Heard::Well), (120, 0, 1, Heard::Well), (150, 0, 1, Heard::Never)]);
    }

    #[test]
    fn the_memory_is_bounded() {
        let cookies = Cookies::default();
        for session in 0..SESSIONS * 3 {
            play(&cookies, &session.to_string(), &[(0, 0, 1, Heard::Well)]);
        }
        assert_eq!(cookies.inner.lock().expect("not poisoned").slots.len(), SESSIONS);
    }
}
