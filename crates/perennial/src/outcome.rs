//! What a renewal is asked for, and what it leaves a session with.

use std::sync::Arc;
use std::time::Duration;

use perennial_core::Timestamp;
use perennial_core::record::EndReason;
use perennial_core::session::{Audience, Generation, SessionState};

use crate::event::RenewalReason;

/// What a renewal is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) reason: RenewalReason,
    /// Renew even if nothing is due, provided that this is still the newest generation.
    pub(crate) seen: Option<Generation>,
    /// Not the session's own access token is wanted but one for this audience.
    pub(crate) audience: Option<Arc<Audience>>,
}

impl Ask {
    /// Renew if due.
    pub(crate) fn due(reason: RenewalReason) -> Self {
        Self { reason, seen: None, audience: None }
    }

    /// Renew now, unless somebody has since the caller saw generation `seen`.
    pub(crate) fn now(reason: RenewalReason, seen: Generation) -> Self {
        Self { reason, seen: Some(seen), audience: None }
    }

    /// The same for a token of `audience`.
    pub(crate) fn for_audience(self, audience: &Arc<Audience>) -> Self {
        Self { audience: Some(audience.clone()), ..self }
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
    /// The provider gives no access token for this audience; the session is as good as before.
    AudienceRefused { state: Arc<SessionState>, audience: Arc<Audience> },
    /// The access token has died, and the refresh token may be spent and must not be tried: the provider must see the user.
    Reauthenticate { state: Arc<SessionState> },
    /// The provider refused the refresh token of this generation, which is the newest. `claims` is what it wants of the next
    /// sign-in.
    Refused { state: Arc<SessionState>, claims: Option<String> },
    /// The session is over.
    Ended(EndReason),
}

impl Outcome {
    /// The newest generation known; `None` when the session is over.
    pub(crate) fn state(&self) -> Option<&Arc<SessionState>> {
        match self {
            Self::Newest { state, .. }
            | Self::Unsaved { state }
            | Self::Kept { state, .. }
            | Self::AudienceRefused { state, .. }
            | Self::Reauthenticate { state }
            | Self::Refused { state, .. } => Some(state),
            Self::Ended(_) => None,
        }
    }

    /// The same outcome when the store would not take what was received.
    pub(crate) fn unsaved(self) -> Self {
        match self {
            Self::Newest { state, .. } => Self::Unsaved { state },
            other => other,
        }
    }

    /// Whether somebody who asked for `ask` and came aboard late still has to fly: the flight was about another token, or began
    /// before anything was due.
    pub(crate) fn leaves_undone(&self, ask: &Ask, now: Timestamp) -> bool {
        let state = match self {
            Self::Newest { state, .. } | Self::Unsaved { state } => state,
            Self::AudienceRefused { state, audience } if ask.audience.as_ref() != Some(audience) => state,
            Self::AudienceRefused { .. }
            | Self::Kept { .. }
            | Self::Reauthenticate { .. }
            | Self::Refused { .. }
            | Self::Ended(_) => return false,
        };
        let (minted, alive) = match &ask.audience {
            None => (Some(state.generation), state.tokens.as_ref().is_none_or(|tokens| tokens.alive_at(now))),
            Some(audience) => {
                let token = state.audience_token(audience);
                (token.map(|token| token.generation), token.is_some_and(|token| token.alive_at(now)))
            }
        };
        let seen_before = ask.seen.is_some_and(|seen| minted.is_none_or(|minted| minted <= seen));
        let renewable = state.tokens.as_ref().is_some_and(|tokens| tokens.refresh_token.is_some());
        seen_before || !alive && renewable
    }
}
