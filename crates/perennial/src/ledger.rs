//! A session's record in the store: read and joined with the cookie, written by compare-and-swap, ended for good.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future;
use perennial_core::record::{
    EndReason, Joined, Kept, Phase, Record, Successor, Unreadable, What, fork, join, open_state, seal_state,
};
use perennial_core::renewal::fresh_until;
use perennial_core::session::{Carried, Handle, SessionId, SessionState};
use perennial_store::{Announcement, RecordKey, StoreError, StoreErrorKind, Swap, Version, Versioned};
use tokio::time::Instant;

use crate::alarm::AlarmCode;
use crate::engine::Inner;
use crate::event::Event;
use crate::outcome::Outcome;

/// A session's record as it was read, and the newest generation of cookie and record.
pub(crate) struct Standing {
    pub(crate) newest: Arc<SessionState>,
    /// The record's phase, if it is about the newest generation.
    pub(crate) phase: Option<Phase>,
    /// The record as it was read: what is written next follows it.
    pub(crate) record: Option<Record>,
    pub(crate) version: Option<Version>,
    /// Whose tokens go on, where cookie and record hold different ones at one generation.
    pub(crate) fork: Option<Kept>,
    /// `newest` as the record holds it sealed, if it does so under the secret that seals now.
    pub(crate) sealed: Option<Vec<u8>>,
    /// Whether the record holds a newer generation than `newest`, under a secret that is gone.
    behind: bool,
}

/// What a record says of its session.
pub(crate) enum Recorded {
    /// The newest generation.
    Open(Arc<SessionState>),
    /// The session is over.
    Over(EndReason),
    /// There is no record, or a damaged one.
    Missing,
    /// The newest generation lies sealed under a secret that is not configured here.
    SealedElsewhere,
}

/// What became of a change.
pub(crate) enum Amended {
    /// It is in the record.
    Written(Arc<SessionState>),
    /// The store would not take it; this is what it would have been.
    Unwritten(Arc<SessionState>),
    /// The session is over.
    Over(EndReason),
}

/// What became of an end.
pub(crate) enum Ending {
    /// It is in the record, and told. The newest generation, whose refresh token is of no more use.
    Written(Arc<SessionState>),
    /// The session was over already, or the refusal that was to end it has been overcome.
    Over,
    /// The store would not take it; the newest generation, if that could be read.
    Unwritten(Option<Arc<SessionState>>),
}

impl Inner {
    /// Joins cookie and record. `Ok(Err(_))`: the session is over.
    pub(crate) async fn standing(&self, cookie: &Arc<SessionState>) -> Result<Result<Standing, EndReason>, StoreError> {
        let stored = self.load(cookie).await?;
        let version = stored.as_ref().map(|stored| stored.version);
        let record = self.readable(stored.as_ref())?;
        let recorded = record.as_ref().map(|record| record.generation);
        let alive = cookie.tokens.as_ref().is_some_and(|tokens| tokens.alive_at(self.now()));
        let (mut fork, mut sealed) = (None, None);
        let (newest, phase) = match (join(cookie.generation, record.as_ref()), &record) {
            (Joined::Ended(reason), _) => {
                self.bury(cookie.id, reason);
                return Ok(Err(reason));
            }
            // The record's claims are at least as new as those of a cookie of the same generation.
            (_, Some(record)) if record.generation >= cookie.generation => match self.opened(record, cookie) {
                Some(state) => {
                    fork = self.forked(cookie, &state, &record.phase);
                    match fork {
                        Some(Kept::Cookie) => {
                            // What befell the record's tokens says nothing of these; a pause is the provider's.
                            let phase = Some(&record.phase).filter(|phase| matches!(phase, Phase::Idle { .. }));
                            (Arc::new(cookie.with_claims(state.claims)), phase.cloned())
                        }
                        Some(Kept::Record) | None => {
                            let active_at = state.active_at.max(cookie.active_at);
                            if active_at == state.active_at && self.keys().record.sealed_by_newest(&record.sealed) {
                                sealed = Some(record.sealed.clone());
                            }
                            (Arc::new(SessionState { active_at, ..state }), Some(record.phase.clone()))
                        }
                    }
                }
                None if record.generation == cookie.generation => (cookie.clone(), Some(record.phase.clone())),
                // The cookie's refresh token is spent and its successor cannot be read: it must not be sent again. Nothing is
                // written either, because a replica with the right secrets may be serving this session well.
                None if alive => (cookie.clone(), Some(Phase::Refused { at: self.now(), claims: None })),
                None => return Ok(Err(EndReason::SecretGone)),
            },
            _ => (cookie.clone(), None),
        };
        let behind = recorded.is_some_and(|recorded| recorded > newest.generation);
        Ok(Ok(Standing { newest, phase, record, version, fork, sealed, behind }))
    }

    /// Whether cookie and record hold different successors at one generation, and whose go on.
    fn forked(&self, cookie: &SessionState, record: &SessionState, phase: &Phase) -> Option<Kept> {
        if cookie.generation != record.generation {
            return None;
        }
        let ours = cookie.tokens.as_ref().and_then(Successor::of)?;
        let theirs = record.tokens.as_ref().and_then(Successor::of)?;
        let kept = fork(&ours, &theirs, phase)?;
        self.met_fork(cookie, kept);
        Some(kept)
    }

    /// What the record alone says of a session whose cookie is a handle.
    pub(crate) async fn recorded(&self, handle: &Handle) -> Result<Recorded, StoreError> {
        let stored = self.read(RecordKey::from_digest(handle.id.record_key())).await?;
        Ok(match self.readable(stored.as_ref())? {
            None => Recorded::Missing,
            Some(Record { phase: Phase::Ended { reason, .. }, .. }) => {
                self.bury(handle.id, reason);
                Recorded::Over(reason)
            }
            Some(record) => match self.opened_with(&record, handle) {
                Some(state) => Recorded::Open(Arc::new(state)),
                None => Recorded::SealedElsewhere,
            },
        })
    }

    /// Changes the newest generation, whichever that is by then, and answers with it. `Err`: the session is over. What the
    /// store would not take the cookie alone carries.
    pub(crate) async fn amend(
        &self,
        cookie: &Arc<SessionState>,
        change: impl Fn(&SessionState) -> SessionState,
    ) -> Result<Arc<SessionState>, EndReason> {
        match self.amended(cookie, change).await {
            Amended::Written(state) | Amended::Unwritten(state) => Ok(state),
            Amended::Over(reason) => Err(reason),
        }
    }

    /// Changes the newest generation, whichever that is by then, and says whether the store took it.
    pub(crate) async fn amended(
        &self,
        cookie: &Arc<SessionState>,
        change: impl Fn(&SessionState) -> SessionState,
    ) -> Amended {
        for _ in 0..SWAPS_MAX {
            let standing = match self.standing(cookie).await {
                Ok(Ok(standing)) => standing,
                Ok(Err(reason)) => return Amended::Over(reason),
                Err(error) => {
                    self.store_failed(cookie.clone(), &error);
                    break;
                }
            };
            if standing.behind {
                break;
            }
            let changed = change(&standing.newest);
            let sealed = seal_state(&self.keys().record, &changed, self.random());
            let phase = standing.phase.unwrap_or(Phase::IDLE);
            let record = Record::following(standing.record.as_ref(), changed.generation, sealed, phase);
            match self.swap(&changed, standing.version, &record).await {
                Ok(Swap::Stored(_)) => return Amended::Written(Arc::new(changed)),
                Ok(Swap::Conflict(_)) => {}
                Err(error) => {
                    self.store_failed(cookie.clone(), &error);
                    break;
                }
            }
        }
        Amended::Unwritten(Arc::new(change(cookie)))
    }

    /// Marks the session as over in the record, for good. Answers with the newest generation, whose refresh token is to
    /// be revoked; `None` when the session was over already, or the refusal that was to end it has been overcome. What the
    /// store would not take is written later; a refusal is found again by whoever comes next.
    pub(crate) async fn end(
        self: &Arc<Self>,
        state: &Arc<SessionState>,
        reason: EndReason,
    ) -> Option<Arc<SessionState>> {
        match self.try_to_end(state, reason).await {
            Ending::Written(newest) => Some(newest),
            Ending::Over => None,
            Ending::Unwritten(newest) => {
                let newest = newest.unwrap_or_else(|| state.clone());
                if reason != EndReason::Refused {
                    self.end_later(Carried::Whole(state.clone()), reason, Some(newest.generation));
                }
                Some(newest)
            }
        }
    }

    /// Marks the session as over in the record, if the store takes it.
    pub(crate) async fn try_to_end(&self, state: &Arc<SessionState>, reason: EndReason) -> Ending {
        // A refusal may prove out of date, so that only the written one counts.
        if reason != EndReason::Refused {
            self.bury(state.id, reason);
        }
        for _ in 0..SWAPS_MAX {
            let standing = match self.standing(state).await {
                Ok(Ok(standing)) => standing,
                Ok(Err(_)) => return Ending::Over,
                Err(error) => {
                    self.store_failed(state.clone(), &error);
                    break;
                }
            };
            // Between the refusal and now a cookie may have brought a newer generation, or a late answer its tokens.
            if reason == EndReason::Refused && !matches!(standing.phase, Some(Phase::Refused { .. })) {
                return Ending::Over;
            }
            let (now, newest) = (self.now(), standing.newest);
            let history = standing.record.as_ref().map(|record| &record.history);
            let loss = history.and_then(|history| history.loss(reason, newest.generation));
            let stale_cookies = self.stale_cookies.pending(state.id);
            let entry = self.entry(&newest, What::Ended(reason), stale_cookies);
            let tombstone = Record::ended(standing.record.as_ref(), newest.generation, reason, now).noting(entry);
            // Before the record: should this process die in between, no copy of the cookie passes elsewhere; should it die
            // later, somebody else has the refresh token revoked.
            let announced = match reason {
                EndReason::Refused => false,
                _ => future::join(self.announce_end(&newest), self.owe(&newest)).await.0,
            };
            match self.swap(state, standing.version, &tombstone).await {
                Ok(Swap::Stored(_)) => {
                    self.bury(state.id, reason);
                    if !announced {
                        self.announce_end(&newest).await;
                    }
                    self.stale_cookies.told(state.id, stale_cookies);
                    let (session, provider) = (state.id.fingerprint(), newest.provider.to_string());
                    self.emit(Event::Ended { at: now, session, reason, provider, loss });
                    return Ending::Written(newest);
                }
                Ok(Swap::Conflict(_)) => {}
                Err(error) => {
                    self.store_failed(state.clone(), &error);
                    return Ending::Unwritten(Some(newest));
                }
            }
        }
        Ending::Unwritten(None)
    }

    /// The same for a session whose cookie is a handle.
    pub(crate) async fn end_recorded(
        self: &Arc<Self>,
        handle: &Handle,
        reason: EndReason,
    ) -> Option<Arc<SessionState>> {
        match self.recorded(handle).await {
            Ok(Recorded::Open(state)) => self.end(&state, reason).await,
            Ok(Recorded::Over(_) | Recorded::Missing) => None,
            Ok(Recorded::SealedElsewhere) => {
                self.bury(handle.id, reason);
                None
            }
            Err(error) => {
                tracing::error!(%error, session = handle.id.fingerprint(), "a session could not be ended in the store yet");
                self.bury(handle.id, reason);
                self.end_later(Carried::Handle(handle.clone()), reason, None);
                None
            }
        }
    }

    /// Ends a session and has the provider forget it.
    pub(crate) async fn end_and_revoke(self: &Arc<Self>, state: &Arc<SessionState>, reason: EndReason) {
        if let Some(newest) = self.end(state, reason).await
            && reason != EndReason::Refused
            && let Some(issuer) = self.issuer(&newest.provider)
        {
            self.revoke(issuer, &newest).await;
        }
    }

    /// Ends a session without keeping the request that noticed waiting.
    pub(crate) fn end_in_background(self: &Arc<Self>, state: Arc<SessionState>, reason: EndReason) {
        if reason != EndReason::Refused {
            self.bury(state.id, reason);
        }
        let (inner, errand) = (self.clone(), self.errands.begin());
        tokio::spawn(async move {
            inner.end_and_revoke(&state, reason).await;
            drop(errand);
        });
    }

    /// The newest generation of a session: `None` when it is over. While the store fails, the cookie's.
    pub(crate) async fn newest(&self, cookie: &Arc<SessionState>) -> Option<Arc<SessionState>> {
        match self.standing(cookie).await {
            Ok(Ok(standing)) => Some(standing.newest),
            Ok(Err(_)) => None,
            Err(_) => Some(cookie.clone()),
        }
    }

    pub(crate) async fn load(&self, state: &SessionState) -> Result<Option<Versioned>, StoreError> {
        self.read(record_key(state)).await
    }

    pub(crate) async fn read(&self, key: RecordKey) -> Result<Option<Versioned>, StoreError> {
        let began = Instant::now();
        let loaded = self.store.load(key, self.now()).await;
        self.metrics.store_answered("load", began.elapsed(), loaded.as_ref().err());
        loaded
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
        let began = Instant::now();
        let swapped = self.store.compare_and_swap(record_key(state), version, record.encode(), expires, now).await;
        self.metrics.store_answered("swap", began.elapsed(), swapped.as_ref().err());
        swapped
    }

    /// The record as it was stored; one that is damaged counts as absent.
    ///
    /// # Errors
    /// A record of a later version must stay as it is, and nothing can be decided without it.
    pub(crate) fn readable(&self, stored: Option<&Versioned>) -> Result<Option<Record>, StoreError> {
        match stored.map(|stored| Record::decode(&stored.bytes)).transpose() {
            Ok(record) => Ok(record),
            Err(Unreadable::Damaged) => {
                let message = "A session's record in the store is damaged; the cookie's copy is used.";
                self.alarm(AlarmCode::RecordUnreadable, message);
                Ok(None)
            }
            Err(newer @ Unreadable::Newer) => {
                self.alarm(AlarmCode::RecordNewer, &newer.to_string());
                Err(StoreError::new(StoreErrorKind::Corrupt, newer.to_string()))
            }
        }
    }

    /// The record's generation; `None` if it was sealed under a secret that is gone.
    pub(crate) fn opened(&self, record: &Record, cookie: &SessionState) -> Option<SessionState> {
        self.opened_with(record, &cookie.handle())
    }

    fn opened_with(&self, record: &Record, handle: &Handle) -> Option<SessionState> {
        let opened = open_state(&self.keys().record, record, handle).ok();
        if opened.is_none() {
            self.alarm(
                AlarmCode::RecordSealedElsewhere,
                "A session's record opens under none of the configured secrets; what its cookie holds is used up.",
            );
        }
        opened
    }

    pub(crate) fn store_failed(&self, state: Arc<SessionState>, error: &StoreError) -> Outcome {
        tracing::error!(%error, code = error.code(), "the session store failed; sessions go on with what their cookies hold");
        self.alarm(AlarmCode::StoreUnavailable, "The session store fails: renewals wait until it is back.");
        Outcome::Kept { state, retry_after: Duration::from_secs(1) }
    }

    /// Tells all replicas that the session is over, for as long as one of them could serve it without asking the store.
    /// Whether it was told.
    async fn announce_end(&self, newest: &SessionState) -> bool {
        let now = self.now();
        let until = fresh_until(newest, &self.settings.renewal, self.settings.max_age, now);
        let told = self.store.announce(Announcement { key: record_key(newest), until }, now).await;
        if let Err(error) = &told {
            tracing::error!(%error, session = newest.id.fingerprint(), "the end of a session was not told to other replicas");
        }
        told.is_ok()
    }

    /// Notes in this process that a session is over.
    pub(crate) fn bury(&self, id: SessionId, reason: EndReason) {
        let now = self.now();
        self.audience_tokens.forget(id);
        self.tombstones.insert(RecordKey::from_digest(id.record_key()), reason, now + self.settings.max_age, now);
    }
}

pub(crate) fn record_key(state: &SessionState) -> RecordKey {
    RecordKey::from_digest(state.id.record_key())
}

/// Writes lost to others before giving up on a change that is not worth more.
const SWAPS_MAX: usize = 16;
