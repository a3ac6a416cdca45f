//! Step 2, where the cookie is not the whole session: from a handle to its record, and from one strategy to the other.
//!
//! Both strategies know the cookies of both, so that a change of strategy signs nobody out: a session moves at its next
//! visit. Nothing is guessed while the store is out of reach: who is there is then unknown, and nobody is a stranger.

use std::sync::Arc;

use perennial_core::record::EndReason;
use perennial_core::session::{Carried, Handle, SessionState};
use perennial_store::{StoreError, StoreErrorKind};

use super::Opened;
use crate::alarm::AlarmCode;
use crate::engine::Inner;
use crate::ledger::{Amended, Recorded};
use crate::settings::SessionStrategy;

/// Who is there.
pub(super) enum Known {
    /// This session.
    Session { state: Arc<SessionState>, source: Source },
    /// A session that is over.
    Over(EndReason),
    /// Nobody the store knows of. The cookie is left alone: a store that lost records may find them again.
    Nobody,
    /// Somebody, but the store that knows who does not answer.
    Unreachable,
}

/// Where a session was found, and so what a cookie need not carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// In its cookie.
    Cookie,
    /// In the store, a moment ago.
    Record,
}

impl Inner {
    /// The session that an opened cookie stands for.
    pub(super) async fn recognise(&self, opened: &Opened) -> Known {
        match (&opened.carried, self.settings.strategy) {
            (Carried::Whole(state), SessionStrategy::Jwt) => {
                Known::Session { state: state.clone(), source: Source::Cookie }
            }
            (Carried::Whole(state), SessionStrategy::Database) => self.move_in(state).await,
            (Carried::Handle(handle), _) => match self.recorded_in_time(handle).await {
                Ok(Recorded::Open(state)) => Known::Session { state, source: Source::Record },
                Ok(Recorded::Over(reason)) => Known::Over(reason),
                Ok(Recorded::SealedElsewhere) => Known::Over(EndReason::SecretGone),
                Ok(Recorded::Missing) => {
                    self.alarm(AlarmCode::RecordMissing, "The session store has lost a session that lies in it alone.");
                    Known::Nobody
                }
                Err(error) => self.unreachable(&error),
            },
        }
    }

    /// A session that comes in its cookie and is to lie in the store from now on.
    async fn move_in(&self, state: &Arc<SessionState>) -> Known {
        match self.recorded_in_time(&state.handle()).await {
            Ok(Recorded::Open(recorded)) if recorded.generation >= state.generation => {
                Known::Session { state: Arc::new(recorded.active(state.active_at)), source: Source::Record }
            }
            Ok(Recorded::Over(reason)) => Known::Over(reason),
            Ok(_) => match self.amended(state, SessionState::clone).await {
                Amended::Written(state) => Known::Session { state, source: Source::Record },
                // It can be read and not written: the cookie goes on carrying it.
                Amended::Unwritten(state) => Known::Session { state, source: Source::Cookie },
                Amended::Over(reason) => Known::Over(reason),
            },
            Err(error) => self.unreachable(&error),
        }
    }

    async fn recorded_in_time(&self, handle: &Handle) -> Result<Recorded, StoreError> {
        match tokio::time::timeout(self.settings.renewal.wait_max, self.recorded(handle)).await {
            Ok(recorded) => recorded,
            Err(_) => Err(StoreError::new(StoreErrorKind::Unavailable, "the store took too long to answer")),
        }
    }

    fn unreachable(&self, error: &StoreError) -> Known {
        tracing::error!(%error, code = error.code(), "the session store failed; whose session it is cannot be said");
        self.alarm(
            AlarmCode::StoreUnavailable,
            "The session store fails: whoever is signed in is told to try again until it is back.",
        );
        Known::Unreachable
    }
}
