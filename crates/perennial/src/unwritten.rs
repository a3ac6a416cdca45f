//! Ends of sessions that the store would not take when they came: written as soon as it does.
//!
//! Until then this process serves no copy of the cookie, others may, and nobody is told that the session is over everywhere.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderMap;
use perennial_core::record::EndReason;
use perennial_core::renewal::backoff;
use perennial_core::session::{Carried, Generation, SessionId};

use crate::auth::Auth;
use crate::engine::Inner;
use crate::errands::{ERRANDS_MAX, Errand, Pause};
use crate::ledger::{Ending, Recorded};

/// How far the end of a session reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Every process that shares the store knows of it.
    Everywhere,
    /// This process alone knows, because the store fails; it tells the store as soon as it can.
    ThisProcess,
}

/// The sessions whose end is not in the store yet.
#[derive(Default)]
pub(crate) struct UnwrittenEnds {
    ids: Mutex<HashSet<SessionId>>,
}

impl UnwrittenEnds {
    /// Whether the end of `id` is not written yet; true of all sessions once there are more of them than can be remembered.
    fn may_hold(&self, id: SessionId) -> bool {
        let ids = self.ids();
        ids.contains(&id) || ids.len() >= ERRANDS_MAX
    }

    fn ids(&self) -> MutexGuard<'_, HashSet<SessionId>> {
        // Entries come and go in one step, so that a panic elsewhere leaves the set whole.
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Auth {
    /// How far the sign-out of the session that these headers carry has come by now.
    pub fn sign_out_reach(&self, headers: &HeaderMap) -> Reach {
        let inner = &self.inner;
        match inner.open(headers).is_some_and(|opened| inner.unwritten_ends.may_hold(opened.id())) {
            true => Reach::ThisProcess,
            false => Reach::Everywhere,
        }
    }
}

impl Inner {
    /// Writes the end of a session as soon as the store takes it. `revoked`: the generation whose refresh token is revoked
    /// already.
    pub(crate) fn end_later(self: &Arc<Self>, carried: Carried, reason: EndReason, revoked: Option<Generation>) {
        let id = match &carried {
            Carried::Whole(state) => state.id,
            Carried::Handle(handle) => handle.id,
        };
        let Some(errand) = self.errands.begin() else {
            tracing::error!(
                session = id.fingerprint(),
                ?reason,
                "too many ends wait for the store; this one is not written later"
            );
            return;
        };
        if !self.unwritten_ends.ids().insert(id) {
            return;
        }
        let inner = self.clone();
        tokio::spawn(async move {
            if !inner.end_at_last(&carried, reason, revoked, &errand).await {
                tracing::error!(session = id.fingerprint(), ?reason, "the end of a session never reached the store");
            }
            inner.unwritten_ends.ids().remove(&id);
        });
    }

    /// Whether the end was written, or proved to be there already.
    async fn end_at_last(
        self: &Arc<Self>,
        carried: &Carried,
        reason: EndReason,
        revoked: Option<Generation>,
        errand: &Errand,
    ) -> bool {
        for tries in 1..=END_TRIES {
            let pause = errand.pause(backoff(tries.min(BACKOFF_STEPS), None, self.edges.roll())).await;
            let ending = match carried {
                Carried::Whole(state) => self.try_to_end(state, reason).await,
                Carried::Handle(handle) => match self.recorded(handle).await {
                    Ok(Recorded::Open(state)) => self.try_to_end(&state, reason).await,
                    Ok(Recorded::Over(_) | Recorded::Missing | Recorded::SealedElsewhere) => Ending::Over,
                    Err(_) => Ending::Unwritten(None),
                },
            };
            match ending {
                Ending::Written(newest) => {
                    // Renewed by somebody who did not know.
                    if revoked != Some(newest.generation) {
                        self.revoke_in_background(newest);
                    }
                    return true;
                }
                Ending::Over => return true,
                Ending::Unwritten(_) if pause == Pause::CutShort => return false,
                Ending::Unwritten(_) => {}
            }
        }
        false
    }
}

/// How often an end is brought to a store that fails: with pauses of up to 4 s, for some ten minutes.
const END_TRIES: u32 = 300;

/// Doublings of the pause, so that a store that is back is told within seconds.
const BACKOFF_STEPS: u32 = 4;
