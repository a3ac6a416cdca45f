//! A session's record in the store: read and joined with the cookie, written by compare-and-swap, ended for good.

use std::sync::Arc;
use std::time::Duration;

use perennial_core::record::{EndReason, Joined, Phase, Record, join, open_state, seal_state};
use perennial_core::session::SessionState;
use perennial_store::{RecordKey, StoreError, Swap, Version, Versioned};

use crate::engine::Inner;
use crate::event::Event;
use crate::outcome::Outcome;

/// A session's record as it was read, and the newest generation of cookie and record.
pub(crate) struct Standing {
    pub(crate) newest: Arc<SessionState>,
    /// The record's phase, if it is about the newest generation.
    pub(crate) phase: Option<Phase>,
    pub(crate) version: Option<Version>,
}

impl Inner {
    /// Joins cookie and record. `Ok(Err(_))`: the session is over.
    pub(crate) async fn standing(&self, cookie: &Arc<SessionState>) -> Result<Result<Standing, EndReason>, StoreError> {
        let stored = self.store.load(record_key(cookie), self.now()).await?;
        let version = stored.as_ref().map(|stored| stored.version);
        let record = stored.and_then(|stored| self.decoded(&stored));
        let newest = match (join(cookie.generation, record.as_ref()), &record) {
            (Joined::Ended(reason), _) => {
                self.bury(cookie, reason);
                return Ok(Err(reason));
            }
            // The record's claims are at least as new as those of a cookie of the same generation.
            (_, Some(record)) if record.generation >= cookie.generation => self.opened(record, cookie),
            _ => cookie.clone(),
        };
        let phase = record.filter(|record| record.generation == newest.generation).map(|record| record.phase);
        Ok(Ok(Standing { newest, phase, version }))
    }

    /// Puts other claims of the newest generation into the record; gives way to anything newer.
    pub(crate) async fn rewrite(&self, state: &SessionState) {
        for _ in 0..SWAPS_MAX {
            let Ok(stored) = self.store.load(record_key(state), self.now()).await else { return };
            let version = stored.as_ref().map(|stored| stored.version);
            let mut record = match stored.and_then(|stored| self.decoded(&stored)) {
                Some(record) if record.generation > state.generation || is_ended(&record) => return,
                Some(record) => record,
                None => Record::idle(state.generation, Vec::new()),
            };
            record.generation = state.generation;
            record.sealed = seal_state(&self.record_keys, state, self.random());
            match self.swap(state, version, &record).await {
                Ok(Swap::Conflict(_)) => {}
                Ok(Swap::Stored(_)) => return,
                Err(error) => return drop(self.store_failed(Arc::new(state.clone()), &error)),
            }
        }
    }

    /// Marks the session as over in the record, for good.
    pub(crate) async fn end(&self, state: &SessionState, reason: EndReason) {
        let now = self.now();
        self.bury(state, reason);
        for _ in 0..SWAPS_MAX {
            let ended = async {
                let stored = self.store.load(record_key(state), now).await?;
                let version = stored.as_ref().map(|stored| stored.version);
                let record = stored.and_then(|stored| self.decoded(&stored));
                let generation =
                    record.as_ref().map_or(state.generation, |record| record.generation.max(state.generation));
                if record.as_ref().is_some_and(is_ended) {
                    return Ok(None);
                }
                self.swap(state, version, &Record::ended(generation, reason, now)).await.map(Some)
            };
            match ended.await {
                Ok(None) => return,
                Ok(Some(Swap::Stored(_))) => {
                    return self.emit(Event::Ended { at: now, session: state.id.fingerprint(), reason });
                }
                Ok(Some(Swap::Conflict(_))) => {}
                Err(error) => return drop(self.store_failed(Arc::new(state.clone()), &error)),
            }
        }
    }

    /// Ends a session without keeping the request that noticed waiting.
    pub(crate) fn end_in_background(self: &Arc<Self>, state: Arc<SessionState>, reason: EndReason) {
        self.bury(&state, reason);
        let inner = self.clone();
        tokio::spawn(async move { inner.end(&state, reason).await });
    }

    /// The newest generation of a session, for whoever ends it: `None` when it is over already.
    pub(crate) async fn newest(&self, cookie: &Arc<SessionState>) -> Option<Arc<SessionState>> {
        match self.standing(cookie).await {
            Ok(Ok(standing)) => Some(standing.newest),
            Ok(Err(_)) => None,
            Err(_) => Some(cookie.clone()),
        }
    }

    pub(crate) async fn swap(
        &self,
        state: &SessionState,
        version: Option<Version>,
        record: &Record,
    ) -> Result<Swap, StoreError> {
        let now = self.now();
        // As long as any cookie of the session may come back.
        let expires = now + self.settings.max_age + Duration::from_secs(3600);
        self.store.compare_and_swap(record_key(state), version, record.encode(), expires, now).await
    }

    pub(crate) fn decoded(&self, stored: &Versioned) -> Option<Record> {
        let record = Record::decode(&stored.bytes).ok();
        if record.is_none() {
            self.alarm("record_unreadable", "A session's record in the store is damaged; the cookie's copy is used.");
        }
        record
    }

    /// The record's generation, or the cookie's if the record was sealed under a secret that is gone.
    fn opened(&self, record: &Record, cookie: &Arc<SessionState>) -> Arc<SessionState> {
        match open_state(&self.record_keys, record, cookie.id, &cookie.share, &self.default_provider) {
            Ok(state) => Arc::new(state),
            Err(_) => {
                self.alarm(
                    "record_sealed_elsewhere",
                    "A session's record opens under none of the configured secrets; the cookie's copy is used. Keep the old secret in the list until its sessions are over.",
                );
                cookie.clone()
            }
        }
    }

    pub(crate) fn store_failed(&self, state: Arc<SessionState>, error: &StoreError) -> Outcome {
        tracing::error!(%error, code = error.code(), "the session store failed; sessions go on with what their cookies hold");
        self.alarm(
            "store_unavailable",
            "The session store fails: renewals wait until it is back. See the log for its words.",
        );
        Outcome::Kept { state, retry_after: Duration::from_secs(1) }
    }

    fn bury(&self, state: &SessionState, reason: EndReason) {
        let now = self.now();
        self.tombstones.insert(state.id, reason, now + self.settings.max_age, now);
    }
}

pub(crate) fn record_key(state: &SessionState) -> RecordKey {
    RecordKey::from_digest(state.id.record_key())
}

fn is_ended(record: &Record) -> bool {
    matches!(record.phase, Phase::Ended { .. })
}

/// Writes lost to others before giving up on a change that is not worth more.
const SWAPS_MAX: usize = 16;
