//! What the harness has seen at the gateway and at the provider, free of how it got to know.

use std::time::Duration;

use super::view::Millis;

/// The clocks and sizes of a session, as its newest known cookie tells them.
#[derive(Clone, Debug, Default)]
pub(super) struct SessionSeen {
    pub(super) session: String,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) generation: u64,
    pub(super) token: String,
    pub(super) issued_at: Millis,
    pub(super) due_at: Millis,
    pub(super) expires_at: Millis,
    pub(super) started_at: Millis,
    pub(super) idle_until: Millis,
    pub(super) absolute_until: Millis,
    pub(super) cookie_bytes: usize,
    pub(super) chunks: usize,
}

/// One renewal, whatever became of it.
#[derive(Clone, Debug)]
pub(super) struct RenewalSeen {
    pub(super) at: Millis,
    pub(super) generation: u64,
    pub(super) reason: Reason,
    pub(super) ending: Ending,
    pub(super) provider_time: Duration,
    pub(super) waiters: u32,
}

/// What set a renewal off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// A request inside the renewal window.
    AheadOfTime,
    /// `POST /auth/refresh`.
    Manual,
    /// A request that found the access token expired.
    OnDemand,
    /// An upstream that answered 401.
    Unauthorized,
}

/// What became of a renewal.
#[derive(Clone, Debug)]
pub(super) enum Ending {
    Renewed(Minted),
    /// The provider failed and the session stays; the sentence says how.
    Kept(String),
    /// The refresh token is lost and the session is over; the sentence says why.
    Ended(String),
}

/// The access token that a renewal brought.
#[derive(Clone, Debug, Default)]
pub(super) struct Minted {
    pub(super) token: String,
    pub(super) issued_at: Millis,
    pub(super) due_at: Millis,
    pub(super) expires_at: Millis,
}
