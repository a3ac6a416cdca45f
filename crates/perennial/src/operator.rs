//! What an operator ends: one session by its fingerprint, or all of a user at a provider, at every replica.

use std::time::Duration;

use perennial_core::names::ProviderId;
use perennial_core::record::{EndMark, EndReason, Entry, Phase, Record, Unreadable, What};
use perennial_core::session::MarkId;
use perennial_store::{Announcement, RecordKey, StoreError, StoreErrorKind, Swap, Versioned};

use crate::auth::Auth;
use crate::engine::Inner;
use crate::event::Event;
use crate::explain::{ExplainError, record_prefix};

/// Whose sessions are to end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionsOf {
    /// The one session of this fingerprint.
    Fingerprint(String),
    /// All there are now of the user whom the provider of this id calls `sub`.
    UserAt {
        /// The provider's id here.
        provider: String,
        /// The user, byte for byte.
        sub: String,
    },
    /// All there are now of the user whom this issuer calls `sub`, at every provider configured with it.
    UserOf {
        /// The issuer, byte for byte.
        issuer: String,
        /// The user, byte for byte.
        sub: String,
    },
}

/// Sessions could not be ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EndSessionsError {
    /// No session of that fingerprint is known, or what was given is no fingerprint.
    #[error("the store has no record of this session: it was never here, or was forgotten")]
    UnknownSession,
    /// No provider of that id or issuer is configured.
    #[error("no provider of this id or issuer is configured: `perennial check` lists them")]
    UnknownProvider,
    /// What was given is no fingerprint.
    #[error(transparent)]
    NoFingerprint(#[from] ExplainError),
    /// There is a record, and it cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The store failed. Of a user's sessions those are over that this process serves; ask again once the store is back.
    #[error("the store does not answer: {0}; ask again once it does")]
    Store(#[from] StoreError),
}

impl EndSessionsError {
    /// Its stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownSession => "unknown_session",
            Self::UnknownProvider => "unknown_provider",
            Self::NoFingerprint(error) => error.code(),
            Self::Unreadable(_) => "record_unreadable",
            Self::Store(error) => error.code(),
        }
    }
}

impl Auth {
    /// Ends sessions by an operator's word, here and at every replica that shares the store: at once where announcements arrive,
    /// elsewhere when the session comes due. Who is ended so may sign in again.
    ///
    /// Refresh tokens of a user's sessions are revoked when their cookies come next; that of a session ended by its fingerprint
    /// is not, because only its cookie could open it.
    ///
    /// # Errors
    /// [`EndSessionsError`].
    pub async fn end_sessions(&self, whose: &SessionsOf) -> Result<(), EndSessionsError> {
        let inner = &self.inner;
        let (sub, of): (&str, Vec<&ProviderId>) = match whose {
            SessionsOf::Fingerprint(fingerprint) => return inner.end_by_fingerprint(fingerprint).await,
            SessionsOf::UserAt { provider, sub } => {
                (sub, self.providers().filter(|id| id.as_str() == provider).collect())
            }
            SessionsOf::UserOf { issuer, sub } => {
                let all = inner.issuers.iter().map(|issuer| issuer.provider());
                let of = all.filter(|each| each.issuer.as_ref().is_some_and(|known| known.as_str() == issuer));
                (sub, of.map(|provider| &provider.id).collect())
            }
        };
        if of.is_empty() {
            return Err(EndSessionsError::UnknownProvider);
        }
        for provider in of {
            inner.mark(MarkId::of_user(provider, sub), EndMark::by_operator(inner.now())).await?;
            tracing::info!(provider = provider.as_str(), "an operator ended all sessions of a user");
        }
        Ok(())
    }
}

impl Inner {
    /// Writes the tombstone of a session that nobody here can open, so that no renewal brings it back. One that is over stays as
    /// it is.
    async fn end_by_fingerprint(&self, fingerprint: &str) -> Result<(), EndSessionsError> {
        let found = self.store.find(record_prefix(fingerprint)?, self.now()).await?;
        let (key, mut stored) = found.into_iter().next().ok_or(EndSessionsError::UnknownSession)?;
        for _ in 0..SWAPS_MAX {
            let record = Record::decode(&stored.bytes)?;
            if matches!(record.phase, Phase::Ended { .. }) {
                return Ok(());
            }
            match self.bury_unopened(key, &stored, &record).await? {
                Swap::Stored(_) => {
                    let (reason, provider) = (EndReason::OperatorEnded, String::new());
                    let session = fingerprint.to_owned();
                    tracing::info!(session, "an operator ended a session");
                    self.emit(Event::Ended { at: self.now(), session, reason, provider, loss: None });
                    return Ok(());
                }
                Swap::Conflict(newer) => stored = newer.ok_or(EndSessionsError::UnknownSession)?,
            }
        }
        Err(StoreError::new(StoreErrorKind::Unavailable, "the session was being written by others all the time").into())
    }

    async fn bury_unopened(&self, key: RecordKey, stored: &Versioned, record: &Record) -> Result<Swap, StoreError> {
        let (now, reason) = (self.now(), EndReason::OperatorEnded);
        let (generation, what) = (record.generation, What::Ended(reason));
        let entry = Entry { at: now, generation, expires_at: None, stale_cookies: 0, fork: None, what };
        let tombstone = Record::ended(Some(record), generation, reason, now).noting(entry);
        let until = now + self.settings.max_age + Duration::from_secs(3600);
        // Before the record, as at every end: should this process die in between, no copy of the cookie passes elsewhere.
        self.store.announce(Announcement { key, until }, now).await?;
        let swapped = self.store.compare_and_swap(key, Some(stored.version), tombstone.encode(), until, now).await?;
        if matches!(swapped, Swap::Stored(_)) {
            self.tombstones.insert(key, reason, until, now);
        }
        Ok(swapped)
    }
}

/// Writes lost to a session's own renewals before giving up.
const SWAPS_MAX: usize = 16;
