//! A session as its cookie tells it, in the page's terms.

use perennial::Peek;
use perennial::Timestamp;

use super::view::Millis;

/// Where a session without an end of its own ends: nowhere near.
const NEVER: Millis = 0;

/// The clocks and sizes of a session at some generation.
#[derive(Clone, Debug, Default)]
pub(super) struct SessionSeen {
    pub(super) session: String,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) generation: u64,
    pub(super) token: String,
    /// The fingerprint of the refresh token.
    pub(super) refresh_token: String,
    pub(super) issued_at: Millis,
    pub(super) due_at: Millis,
    pub(super) expires_at: Millis,
    pub(super) started_at: Millis,
    pub(super) idle_until: Millis,
    pub(super) absolute_until: Millis,
    pub(super) cookie_bytes: usize,
    pub(super) chunks: usize,
}

impl SessionSeen {
    /// What a look at the cookie tells.
    pub(super) fn of(peek: &Peek) -> Self {
        let (session, user) = (&peek.session, peek.session.user());
        let tokens = session.tokens();
        let expires_at = tokens.and_then(|tokens| tokens.expires_at).map_or(NEVER, Timestamp::unix_millis);
        Self {
            session: session.fingerprint(),
            name: user.name.unwrap_or(user.id),
            email: user.email.unwrap_or_default(),
            generation: session.generation().0,
            token: tokens.map(|tokens| tokens.access_token.fingerprint()).unwrap_or_default(),
            refresh_token: tokens
                .and_then(|tokens| tokens.refresh_token.as_ref())
                .map(|token| token.fingerprint())
                .unwrap_or_default(),
            issued_at: tokens.map_or(NEVER, |tokens| tokens.issued_at.unix_millis()),
            due_at: peek.due_at.map_or(expires_at, Timestamp::unix_millis),
            expires_at,
            started_at: session.started_at().unix_millis(),
            idle_until: peek.idle_until.unix_millis(),
            absolute_until: peek.absolute_until.map_or(NEVER, Timestamp::unix_millis),
            cookie_bytes: peek.cookie_bytes,
            chunks: peek.chunks,
        }
    }
}
