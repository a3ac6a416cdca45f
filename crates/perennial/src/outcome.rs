//! What a renewal is asked for, and what it leaves a session with.

use std::sync::Arc;
use std::time::Duration;

use perennial_core::record::EndReason;
use perennial_core::session::{Generation, SessionState};

use crate::event::RenewalReason;

/// What a renewal is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) reason: RenewalReason,
    /// Renew even if nothing is due, provided that this is still the newest generation.
    pub(crate) seen: Option<Generation>,
}

impl Ask {
    /// Renew if due.
    pub(crate) fn due(reason: RenewalReason) -> Self {
        Self { reason, seen: None }
    }

    /// Renew now, unless somebody has since the caller saw generation `seen`.
    pub(crate) fn now(reason: RenewalReason, seen: Generation) -> Self {
        Self { reason, seen: Some(seen) }
    }
}

/// What a renewal leaves a session with.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The newest generation there is, whether it was just made or found in the record.
    Newest { state: Arc<SessionState>, renewed: bool },
    /// The newest generation, just received, which the store would not take: cookies have to carry it.
    Unsaved { state: Arc<SessionState> },
    /// No news: the newest generation known, and when to try again.
    Kept { state: Arc<SessionState>, retry_after: Duration },
    /// The provider refused the refresh token of this generation, which is the newest.
    Refused { state: Arc<SessionState> },
    /// The session is over.
    Ended(EndReason),
}

impl Outcome {
    /// Whether somebody who asked for `ask` and came aboard late still has to fly.
    pub(crate) fn leaves_undone(&self, ask: Ask) -> bool {
        matches!((self, ask.seen), (Self::Newest { state, .. }, Some(seen)) if state.generation <= seen)
    }
}
