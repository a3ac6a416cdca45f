//! What came of a call, written into the record whatever others wrote meanwhile: tokens first of all.

use std::sync::Arc;
use std::time::Duration;

use perennial_core::record::{
    Attempted, EndReason, Entry, Intent, Record, RenewalEntry, Settled, What, seal_state, settle,
};
use perennial_core::session::SessionState;
use perennial_store::{StoreError, Swap, Version};

use super::acquire::Begun;
use crate::alarm::AlarmCode;
use crate::engine::Inner;
use crate::event::RenewalOutcome;
use crate::outcome::Outcome;

pub(super) enum Landed {
    Written,
    Superseded,
    Ended(EndReason),
}

/// What is known of the record that an attempt is to be settled in.
#[derive(Clone, Copy)]
pub(super) enum Held<'a> {
    /// The record as it was written with the intent. Hardly ever has anybody written since, and then the store says so: those who
    /// wait for the tokens need not wait for a look as well.
    Known(&'a Begun),
    /// It has to be looked at.
    Unknown(&'a Intent),
}

impl Inner {
    /// Writes received tokens into the record. Claims that were changed there while the provider was asked go along.
    pub(super) async fn settle_tokens(
        &self,
        spent: &Arc<SessionState>,
        held: Held<'_>,
        next: &mut SessionState,
        entry: &RenewalEntry,
    ) -> Result<Landed, StoreError> {
        self.settle(spent, held, |record| {
            let kept = record.filter(|record| record.generation == spent.generation);
            if let Some(kept) = kept.and_then(|record| self.opened(record, spent)) {
                *next = next.with_claims(kept.claims);
            }
            let sealed = seal_state(&self.keys().record, next, self.random());
            let entry = self.entry(next, What::Renewal(entry.clone()), 0);
            (Attempted::Tokens { generation: next.generation, sealed }, entry)
        })
        .await
    }

    /// Writes the outcome of an attempt into the record, whatever others wrote meanwhile. `outcome` is told the record, unless it still
    /// is as it was written with the intent.
    pub(super) async fn settle(
        &self,
        spent: &SessionState,
        held: Held<'_>,
        mut outcome: impl FnMut(Option<&Record>) -> (Attempted, Entry),
    ) -> Result<Landed, StoreError> {
        let (intent, mut known) = match held {
            Held::Known(begun) => (&begun.intent, Some(begun)),
            Held::Unknown(intent) => (intent, None),
        };
        let mut failures = 0;
        loop {
            // Once: whatever this comes to, the next try looks.
            let known = known.take();
            let settled = async {
                let (version, record) = match known {
                    Some(begun) => (Some(begun.version), Some(begun.record.clone())),
                    None => self.looked_at(spent, intent).await?,
                };
                // What was written with the intent holds `spent`: nothing in it is news.
                let news = record.as_ref().filter(|record| known.is_none() && !record.sealed.is_empty());
                let (outcome, entry) = outcome(news);
                match settle(record.as_ref(), intent, spent.generation, outcome, self.now()) {
                    Settled::Superseded => Ok::<_, StoreError>(Some(Landed::Superseded)),
                    Settled::Ended(reason) => Ok(Some(Landed::Ended(reason))),
                    Settled::Write(record) => match self.swap(spent, version, &record.noting(entry)).await? {
                        Swap::Stored(_) => Ok(Some(Landed::Written)),
                        Swap::Conflict(_) => Ok(None),
                    },
                }
            };
            match settled.await {
                Ok(Some(landed)) => return Ok(landed),
                Ok(None) => {}
                Err(error) if failures < COMMIT_RETRIES && error.is_retryable() => {
                    failures += 1;
                    tokio::time::sleep(Duration::from_millis(50 << failures)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The record and its version, in which the intent should have left its mark.
    async fn looked_at(
        &self,
        spent: &SessionState,
        intent: &Intent,
    ) -> Result<(Option<Version>, Option<Record>), StoreError> {
        let stored = self.load(spent).await?;
        let record = self.readable(stored.as_ref())?;
        if Record::is_behind(record.as_ref(), intent) {
            self.alarm(AlarmCode::StoreLostAWrite, LOST_A_WRITE);
        }
        Ok((stored.map(|stored| stored.version), record))
    }

    /// Somebody else brought the session further: take that.
    pub(super) async fn superseded(&self, cookie: &Arc<SessionState>) -> (Outcome, RenewalOutcome) {
        match self.standing(cookie).await {
            Ok(Ok(standing)) => {
                (Outcome::Newest { state: standing.newest, renewed: false }, RenewalOutcome::Kept { why: "superseded" })
            }
            Ok(Err(reason)) => (Outcome::Ended(reason), RenewalOutcome::Ended),
            Err(error) => {
                (self.store_failed(cookie.clone(), &error), RenewalOutcome::Kept { why: "store_unavailable" })
            }
        }
    }

    /// Brings tokens into the record that the store would not take when they came.
    pub(super) async fn save_late(
        self: &Arc<Self>,
        spent: &Arc<SessionState>,
        intent: &Intent,
        mut next: SessionState,
        entry: &RenewalEntry,
    ) {
        for _ in 0..LATE_COMMITS {
            tokio::time::sleep(LATE_COMMIT_INTERVAL).await;
            match self.settle_tokens(spent, Held::Unknown(intent), &mut next, entry).await {
                Ok(Landed::Written | Landed::Superseded) => return,
                Ok(Landed::Ended(_)) => {
                    if let Some(issuer) = self.issuer(&next.provider) {
                        self.owe_and_revoke(issuer, &next).await;
                    }
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, session = next.id.fingerprint(), "received tokens are not in the store yet")
                }
            }
        }
        let message = "Received tokens never reached the store: only cookies hold them.";
        tracing::error!(session = next.id.fingerprint(), message);
        self.alarm(AlarmCode::TokensUnsaved, message);
    }
}

/// For an operator whose store is not as durable as it says.
const LOST_A_WRITE: &str = "The store has lost an intent that it had acknowledged, so that a refresh token could be sent twice: let writes reach disk or replicas before they are acknowledged (docs/stores.md).";

/// How often a commit of received tokens is tried again while the store fails, over 3 s.
const COMMIT_RETRIES: u32 = 5;

/// How often, after that, tokens are brought to a store that stays down, and how long lies between: some four minutes.
const LATE_COMMITS: u32 = 60;

/// See [`LATE_COMMITS`].
const LATE_COMMIT_INTERVAL: Duration = Duration::from_secs(1);
