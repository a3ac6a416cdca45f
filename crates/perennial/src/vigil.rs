//! Waiting for a session's end: for what outlives the request that opened it, such as a WebSocket.
//!
//! Nobody polls: whoever waits is woken when the end becomes known to this process, by a sign-out here or by the word of
//! another replica. While nobody waits, the ends of sessions cost what they cost without this.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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
        let inner = self.inner.clone();
        let (id, absolute) = (session.id(), session.absolute_until());
        let key = RecordKey::from_digest(id.record_key());
        async move {
            let mut vigil = Vigil::begin(inner.clone(), key);
            // Asked after the vigil began, so that no end can fall between the two.
            if inner.tombstones.find(id).is_some() {
                return;
            }
            loop {
                let left = absolute.map_or(LOOK_AGAIN, |until| until.since(inner.now()));
                if left.is_zero() {
                    return;
                }
                tokio::select! {
                    () = vigil.over() => return,
                    // The engine's clock may go otherwise than the timer's: it is asked again.
                    () = tokio::time::sleep(left.min(LOOK_AGAIN)) => {}
                }
            }
        }
    }
}

/// Those who wait for the end of a session, by its record's key.
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
