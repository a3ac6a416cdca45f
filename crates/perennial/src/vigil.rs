//! Waiting for a session's end: for what outlives the request that opened it, such as a WebSocket.
//!
//! Nobody polls: whoever waits is woken when the end becomes known to this process, by a sign-out here or by the word of
//! another replica. While nobody waits, the ends of sessions cost what they cost without this.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::select_all;
use perennial_core::session::MarkId;
use perennial_store::RecordKey;
use tokio::sync::watch;

use crate::auth::Auth;
use crate::engine::Inner;
use crate::session::Session;

impl Auth {
    /// Resolves when `session` is over: signed out on any replica that shares the store, ended for another reason, or at the end of
    /// its absolute lifetime. At once, if it is over already.
    ///
    /// For connections that go on after the request that was let in, such as a WebSocket or a stream of events. An idle
    /// lifetime that runs out does not count: it ends what a browser brings, not what is in use.
    pub fn until_over(&self, session: &Session) -> impl Future<Output = ()> + Send + use<> {
        let (inner, state) = (self.inner.clone(), session.state().clone());
        let (own, absolute) = (state.id.record_key(), session.absolute_until());
        let marks = state.subject.into_iter().flat_map(|subject| subject.marks().map(MarkId::record_key));
        let keys: Vec<_> = std::iter::once(own).chain(marks).map(RecordKey::from_digest).collect();
        async move {
            loop {
                // Begun before anything is asked, so that no end can fall between the two.
                let mut vigils: Vec<_> = keys.iter().map(|key| Vigil::begin(inner.clone(), *key)).collect();
                if inner.tombstones.find(state.id).is_some() {
                    return;
                }
                if let Some(reason) = inner.marked(&state).await {
                    return inner.end_in_background(state, reason);
                }
                let left = absolute.map_or(LOOK_AGAIN, |until| until.since(inner.now()));
                if left.is_zero() {
                    return;
                }
                let told = select_all(vigils.iter_mut().map(|vigil| Box::pin(vigil.over())));
                tokio::select! {
                    // An end mark need not be about this session.
                    _ = told => {}
                    // The engine's clock may go otherwise than the timer's: it is asked again.
                    () = tokio::time::sleep(left.min(LOOK_AGAIN)) => {}
                }
            }
        }
    }
}

/// Those who wait for the end of a session, by the keys of its record and of the marks that may end it.
#[derive(Default)]
pub(crate) struct Vigils(Mutex<HashMap<RecordKey, watch::Sender<bool>>>);

impl Vigils {
    /// Wakes whoever waits for this end.
    pub(crate) fn over(&self, key: &RecordKey) {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        if let Some(waiting) = waiting {
            waiting.send_replace(true);
        }
    }
}

/// One who waits.
struct Vigil {
    engine: Arc<Inner>,
    key: RecordKey,
    told: watch::Receiver<bool>,
}

impl Vigil {
    fn begin(engine: Arc<Inner>, key: RecordKey) -> Self {
        let mut waiting = engine.tombstones.vigils.0.lock().unwrap_or_else(PoisonError::into_inner);
        let told = waiting.entry(key).or_insert_with(|| watch::channel(false).0).subscribe();
        drop(waiting);
        Self { engine, key, told }
    }

    async fn over(&mut self) {
        // The sender goes away only after it has told.
        let _ = self.told.wait_for(|over| *over).await;
    }
}

impl Drop for Vigil {
    fn drop(&mut self) {
        let mut waiting = self.engine.tombstones.vigils.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The last one takes the entry along; ours still counts.
        if waiting.get(&self.key).is_some_and(|told| told.receiver_count() <= 1 && !*self.told.borrow()) {
            waiting.remove(&self.key);
        }
    }
}

/// The longest sleep before the engine's clock is asked again: for clocks that were set meanwhile.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);
