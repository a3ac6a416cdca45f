//! Sessions that end by a name, because nobody can list them: an end mark in the store, announced to every replica.
//!
//! A mark is heard of as the end of a session is, in `tombstones`. Only a session whose name was heard has its mark read, once;
//! all others pass without a look at the store. Whoever missed the announcement finds the mark when the session comes due.

use std::sync::Arc;
use std::time::Duration;

use perennial_core::Timestamp;
use perennial_core::record::{EndMark, EndReason};
use perennial_core::session::{MarkId, SessionState};
use perennial_store::{Announcement, RecordKey, StoreError, StoreErrorKind, Swap};

use crate::engine::Inner;

/// The marks that this process has read, each with the announcement by which it was heard of.
#[derive(Default)]
pub(crate) struct Marks {
    read: papaya::HashMap<RecordKey, (EndMark, Timestamp)>,
}

impl Marks {
    /// The mark under `key` as it stood when it was announced until `until`.
    fn known(&self, key: &RecordKey, until: Timestamp) -> Option<EndMark> {
        self.read.pin().get(key).filter(|(_, heard)| *heard >= until).map(|(mark, _)| *mark)
    }

    fn learn(&self, key: RecordKey, mark: EndMark, until: Timestamp, now: Timestamp) {
        let read = self.read.pin();
        read.insert(key, (mark, until));
        if read.len().is_multiple_of(SWEEP_EVERY) {
            read.retain(|_, (_, until)| *until > now);
        }
    }
}

impl Inner {
    /// Whether and why a session is over by a mark that this process has heard of. A store that fails ends nobody: then the next
    /// request asks again.
    pub(crate) async fn marked(&self, state: &SessionState) -> Option<EndReason> {
        let subject = state.subject.filter(|_| self.tombstones.len() > 0)?;
        for key in subject.marks().map(mark_key) {
            let Some(until) = self.tombstones.heard(key) else { continue };
            let mark = match self.marks.known(&key, until) {
                Some(mark) => Some(mark),
                None => match self.read_mark(key).await {
                    Ok(mark) => mark.inspect(|mark| self.marks.learn(key, *mark, until, self.now())),
                    Err(error) => {
                        let session = state.id.fingerprint();
                        tracing::warn!(%error, session, "an end mark could not be read; the session goes on for now");
                        None
                    }
                },
            };
            if let Some(reason) = mark.and_then(|mark| mark.ends(state)) {
                return Some(reason);
            }
        }
        None
    }

    /// The same by the marks that this process has read already, for those who cannot wait.
    pub(crate) fn marked_as_known(&self, state: &SessionState) -> Option<EndReason> {
        let subject = state.subject.filter(|_| self.tombstones.len() > 0)?;
        subject.marks().map(mark_key).find_map(|key| {
            let until = self.tombstones.heard(key)?;
            self.marks.known(&key, until)?.ends(state)
        })
    }

    /// The same by the marks in the store, however little this process has heard: asked before a session renews.
    ///
    /// # Errors
    /// The store's own.
    pub(crate) async fn marked_in_store(&self, state: &SessionState) -> Result<Option<EndReason>, StoreError> {
        // Who has the store alone wrote every mark itself, or was told all of them when it began.
        let Some(subject) = state.subject.filter(|_| self.store.shared()) else { return Ok(None) };
        let marks = futures_util::future::try_join_all(subject.marks().map(|id| self.read_mark(mark_key(id)))).await?;
        Ok(marks.into_iter().flatten().find_map(|mark| mark.ends(state)))
    }

    /// Marks every session as over that `id` names and of which `mark` says so, here and at every replica.
    ///
    /// # Errors
    /// The store's own; this process alone then remembers the mark.
    pub(crate) async fn mark(self: &Arc<Self>, id: MarkId, mark: EndMark) -> Result<(), StoreError> {
        let key = mark_key(id);
        let marked = self.write_mark(key, mark).await;
        let (mark, until) = match &marked {
            Ok(written) => *written,
            Err(error) => {
                tracing::error!(%error, "an end mark could not be written: sessions end at this process alone");
                (mark, self.now() + self.settings.max_age)
            }
        };
        let now = self.now();
        self.marks.learn(key, mark, until, now);
        self.tombstones.insert(key, EndReason::Elsewhere, until, now);
        marked?;
        self.store.announce(Announcement { key, until }, now).await
    }

    /// Brings `mark` into the store; answers with what stands there now, and until when.
    async fn write_mark(&self, key: RecordKey, mark: EndMark) -> Result<(EndMark, Timestamp), StoreError> {
        for _ in 0..SWAPS_MAX {
            let now = self.now();
            let before = self.read(key).await?;
            let known = before.as_ref().and_then(|before| EndMark::decode(&before.bytes));
            let mark = known.map_or(mark, |known| known.and(mark));
            // A session of before that was not seen by then has lost its cookie. Every mark is announced for longer than the one
            // before it, or it would not be told.
            let lives = now + self.settings.max_age + Duration::from_secs(3600);
            let until = before.as_ref().map_or(lives, |before| lives.max(before.expires + Duration::from_millis(1)));
            let version = before.as_ref().map(|before| before.version);
            if let Swap::Stored(_) = self.store.compare_and_swap(key, version, mark.encode(), until, now).await? {
                return Ok((mark, until));
            }
        }
        Err(StoreError::new(StoreErrorKind::Unavailable, "an end mark was written by too many at once"))
    }

    async fn read_mark(&self, key: RecordKey) -> Result<Option<EndMark>, StoreError> {
        Ok(self.read(key).await?.and_then(|stored| {
            let mark = EndMark::decode(&stored.bytes);
            if mark.is_none() {
                tracing::error!(
                    "an end mark cannot be read: a later version wrote it, or it is damaged; it ends nobody here"
                );
            }
            mark
        }))
    }
}

fn mark_key(id: MarkId) -> RecordKey {
    RecordKey::from_digest(id.record_key())
}

/// Writes lost to others before giving up: nobody signs the same user out so often at once.
const SWAPS_MAX: usize = 16;

/// Marks learnt between two sweeps of what has run out.
const SWEEP_EVERY: usize = 1024;
