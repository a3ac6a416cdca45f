//! The hall every request goes through: open the cookie, decide, renew if due, say who is there.
//!
//! `opening` reads the cookie, `boarding` waits for a renewal, `leaving` writes the cookie; here is what lies between them.
//! The fast path, an authentic cookie with nothing due, touches no store and takes no lock.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use perennial_core::Timestamp;
use perennial_core::condition::{Condition, Progress};
use perennial_core::record::EndReason;
use perennial_core::renewal::{Verdict, decide, due_at};
use perennial_core::session::{Generation, SessionState};

use crate::auth::Auth;
use crate::engine::Inner;
use crate::event::RenewalReason;
use crate::outcome::Ask;
use crate::session::Session;

mod audience;
mod boarding;
mod leaving;
mod opening;

pub(crate) use opening::Opened;

/// Why a request enters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// To be served.
    Ordinary,
    /// To renew now: a person pressed the button, or a program asked.
    Refresh,
    /// Again, because the upstream refused the access token of this generation (RFC 6750 §3.1 `invalid_token`).
    Unauthorized(Generation),
}

/// What a request leaves the hall with.
#[derive(Debug)]
pub struct Entry {
    /// Who is there; `None` for a stranger.
    pub session: Option<Session>,
    /// `Set-Cookie` lines for the answer. An answer that carries them must not be cached.
    pub set_cookies: Vec<HeaderValue>,
    /// Whether this very request saw a renewal come to a good end.
    pub renewed: bool,
    /// What the provider wants of the next sign-in, where it refused to renew this session; put it into the request's
    /// extensions for [`Auth::require`]. Later requests bring it in a cookie.
    pub challenge: Option<Challenge>,
}

/// What a provider wants of the next sign-in: a `claims` parameter (OIDC Core §5.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge(pub(crate) String);

/// A look at a session that changes nothing: see [`Auth::peek`].
#[derive(Clone, Debug)]
pub struct Peek {
    /// The session as the cookie holds it.
    pub session: Session,
    /// When the session becomes due for renewal.
    pub due_at: Option<Timestamp>,
    /// When the cookie expires unless it is set anew.
    pub idle_until: Timestamp,
    /// When the session ends whatever happens.
    pub absolute_until: Option<Timestamp>,
    /// Bytes of cookie value.
    pub cookie_bytes: usize,
    /// Number of cookies the session is spread over.
    pub chunks: usize,
}

impl Auth {
    /// Takes a request's headers through the hall.
    ///
    /// Waits only when the access token has died, for at most `RenewalPolicy::wait_max`; the request that starts a renewal
    /// ahead of time waits for it up to `RenewalPolicy::patience`. The first requests of a process also wait, for at most 2 s,
    /// until the store has told which sessions ended before.
    pub async fn enter(&self, headers: &HeaderMap, door: Door) -> Entry {
        let Some(opened) = self.inner.open(headers) else { return Entry::stranger() };
        self.inner.hear_what_ended().await;
        let found = match self.inner.tombstones.find(opened.state.id) {
            Some(reason) => Found::Ended(reason),
            None => self.inner.find(&opened, door).await,
        };
        self.inner.leave(opened, found).await
    }

    /// What the cookie says, without a renewal, a store access or a callback. For pages that show a session's state.
    pub fn peek(&self, headers: &HeaderMap) -> Option<Peek> {
        let inner = &self.inner;
        let opened = inner.open(headers)?;
        if inner.tombstones.find(opened.state.id).is_some() {
            return None;
        }
        let state = opened.state;
        let tokens = state.tokens.as_ref();
        Some(Peek {
            due_at: tokens.and_then(|tokens| due_at(state.id, state.generation, tokens, &inner.settings.renewal)),
            idle_until: opened.expires,
            absolute_until: inner.settings.absolute_max_age.map(|age| state.started_at + age),
            cookie_bytes: opened.bytes,
            chunks: opened.names.len(),
            session: Session::new(state.clone(), inner.now(), inner.condition(&state, Progress::Quiet)),
        })
    }
}

impl Entry {
    fn stranger() -> Self {
        Self { session: None, set_cookies: Vec::new(), renewed: false, challenge: None }
    }
}

/// What the store and the provider made of an opened cookie.
enum Found {
    /// Serve with this generation.
    Serve { state: Arc<SessionState>, renewed: bool, condition: Condition },
    /// The access token has died and there is no other for now.
    Suspended { state: Arc<SessionState>, retry_after: Duration },
    /// The access token has died and there is no other before the provider has seen the user.
    Reauthenticate { state: Arc<SessionState> },
    /// The session is over.
    Ended(EndReason),
    /// The session is over because the provider refused to renew it; what it wants of the next sign-in, if it said so.
    Refused { claims: Option<String> },
}

impl Inner {
    /// How a session stands whose renewal has come so far.
    pub(crate) fn condition(&self, state: &SessionState, progress: Progress) -> Condition {
        Condition::of(decide(state, &self.settings.renewal, self.now()), progress)
    }

    /// Steps 3 to 5: decide, and ask the record and the provider only when something is due.
    async fn find(self: &Arc<Self>, opened: &Opened, door: Door) -> Found {
        let state = &opened.state;
        if let Some(over) = self.outlived(state) {
            return over;
        }
        let verdict = decide(state, &self.settings.renewal, self.now());
        match (door, verdict) {
            // Where a refresh kills the previous access token at once, an older generation is of no use to anybody.
            (Door::Ordinary, Verdict::Fresh) if !self.at_kill(&state.provider) => {
                Found::Serve { state: state.clone(), renewed: false, condition: Condition::Fresh }
            }
            (Door::Ordinary, Verdict::Due) if self.flights.under_way(state.id) => {
                Found::Serve { state: state.clone(), renewed: false, condition: Condition::Renewing }
            }
            (Door::Ordinary, Verdict::Fresh | Verdict::Due) => {
                self.fly(state, Ask::due(RenewalReason::AheadOfTime), self.settings.renewal.patience).await
            }
            (Door::Ordinary, Verdict::Expired | Verdict::Bare) => {
                self.fly(state, Ask::due(RenewalReason::Expired), self.settings.renewal.wait_max).await
            }
            (Door::Refresh, _) => {
                self.fly(state, Ask::now(RenewalReason::OnDemand, state.generation), self.settings.renewal.wait_max)
                    .await
            }
            (Door::Unauthorized(seen), _) => {
                self.fly(state, Ask::now(RenewalReason::Unauthorized, seen), self.settings.renewal.wait_max).await
            }
        }
    }

    /// The end of a session that has reached its absolute lifetime.
    fn outlived(self: &Arc<Self>, state: &Arc<SessionState>) -> Option<Found> {
        let age = self.settings.absolute_max_age?;
        (self.now() >= state.started_at + age).then(|| {
            self.end_in_background(state.clone(), EndReason::TooOld);
            Found::Ended(EndReason::TooOld)
        })
    }
}
