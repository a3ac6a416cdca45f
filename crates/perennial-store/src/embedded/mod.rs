//! The keeper on disk: one file, one writing thread, as many readers as there are callers.

mod file;
mod place;
mod request;
mod tables;
mod writer;

#[cfg(test)]
mod faults;

use std::fmt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::BoxStream;
use perennial_core::Timestamp;
use redb::Database;
use tokio::sync::mpsc;

use crate::bells::Bells;
use crate::board::Board;
use crate::{
    Announcement, Durability, KeyPrefix, News, OpenError, RecordKey, Removal, SessionStore, StoreError, Swap, Version,
    Versioned, limits,
};
use place::{Opener, Place};
use request::{AnnounceRequest, CheckRequest, ForgetRequest, Job, RemoveRequest, SwapRequest, SweepRequest, ask};

/// Keeps records in one file, for one process; an acknowledged write was synced to the disk before.
///
/// Writes that arrive together share one transaction and one fsync; reads see the last commit and wait for no writer.
/// Its futures need a Tokio runtime, because reads run on its blocking threads. After an I/O error (a full disk, say) the
/// file is opened again by itself, as soon as it can be. Dropping the store answers what was queued and closes the
/// file; it waits for that, which takes one commit.
///
/// ```
/// use perennial_store::{EmbeddedStore, OpenError};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("sessions.redb");
/// let store = EmbeddedStore::open(&path)?;
/// // A second process would share sessions behind the first one's back.
/// assert!(matches!(EmbeddedStore::open(&path), Err(OpenError::InUse { .. })));
/// # drop(store);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct EmbeddedStore {
    place: Arc<Place>,
    bells: Arc<Bells>,
    board: Arc<Board>,
    /// Both are there until the store is dropped.
    jobs: Option<mpsc::Sender<Box<dyn Job>>>,
    writer: Option<JoinHandle<()>>,
}

impl EmbeddedStore {
    /// Opens the store in the file at `path`, which is created, for its owner alone, when there is none.
    ///
    /// It blocks while the whole file is read and checked, and repaired after a crash.
    ///
    /// # Errors
    /// [`OpenError`] when the file is in use by another process, damaged, not a store, of a later version of Perennial,
    /// or cannot be read and written.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path: PathBuf = path.as_ref().to_owned();
        Self::start(Box::new(move || file::open(&path)), limits::REOPEN_PAUSE)
    }

    fn start(opener: Opener, pause: Duration) -> Result<Self, OpenError> {
        let place = Arc::new(Place::new(opener()?));
        let board = Board::in_touch();
        board.post(place.with(tables::announcements).map_err(file::unread)?);
        let bells = Arc::new(Bells::new());
        let (jobs, queue) = mpsc::channel(limits::QUEUED_WRITES);
        let writer = writer::spawn(queue, place.clone(), bells.clone(), opener, pause).map_err(OpenError::NoThread)?;
        Ok(Self { place, bells, board, jobs: Some(jobs), writer: Some(writer) })
    }

    fn jobs(&self) -> &mpsc::Sender<Box<dyn Job>> {
        self.jobs.as_ref().expect("only drop takes the sender")
    }

    /// Reads, once more if the writer has to open the file again first.
    async fn read<T: Send + 'static>(
        &self,
        look: impl Fn(&Database) -> Result<T, redb::Error> + Clone + Send + 'static,
    ) -> Result<T, StoreError> {
        match self.read_once(look.clone()).await {
            Ok(read) => Ok(read),
            // After an I/O error of the writer nothing can be read until it has opened the file again.
            Err(_) => {
                self.check().await?;
                self.read_once(look).await
            }
        }
    }

    /// Reads on a blocking thread: a cold page of a busy disk must not hold up every other task.
    async fn read_once<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Database) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let place = self.place.clone();
        tokio::task::spawn_blocking(move || place.with(look)).await.unwrap_or_else(|_| Err(request::stopped()))
    }
}

impl SessionStore for EmbeddedStore {
    fn load(&self, key: RecordKey, now: Timestamp) -> BoxFuture<'_, Result<Option<Versioned>, StoreError>> {
        self.read(move |db| tables::load(db, &key, now)).boxed()
    }

    fn compare_and_swap(
        &self,
        key: RecordKey,
        expected: Option<Version>,
        bytes: Vec<u8>,
        expires: Timestamp,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Swap, StoreError>> {
        async move {
            if bytes.len() > limits::RECORD_BYTES {
                return Err(StoreError::too_large(bytes.len()));
            }
            let request = SwapRequest { key, expected, bytes, expires, now };
            ask(self.jobs(), request).await
        }
        .boxed()
    }

    fn remove(&self, key: RecordKey, expected: Version) -> BoxFuture<'_, Result<Removal, StoreError>> {
        ask(self.jobs(), RemoveRequest { key, expected }).boxed()
    }

    fn changed(&self, key: RecordKey, since: Option<Version>, now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            loop {
                let mut rung = pin!(self.bells.of(&key).notified());
                rung.as_mut().enable();
                if self.load(key, now).await?.map(|record| record.version) != since {
                    return Ok(());
                }
                rung.await;
            }
        }
        .boxed()
    }

    fn find(
        &self,
        prefix: KeyPrefix,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Vec<(RecordKey, Versioned)>, StoreError>> {
        self.read(move |db| tables::find(db, prefix, now)).boxed()
    }

    fn announce(&self, announcement: Announcement, now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            if announcement.until <= now {
                return Ok(());
            }
            // All listeners are in this process: they are told even if the disk is not, or the caller hangs up.
            self.board.post([announcement]);
            ask(self.jobs(), AnnounceRequest { announcement }).await
        }
        .boxed()
    }

    fn announcements(&self, now: Timestamp) -> BoxStream<'static, News> {
        self.board.listen(now)
    }

    fn sweep(&self, now: Timestamp) -> BoxFuture<'_, Result<usize, StoreError>> {
        async move {
            let mut swept = 0;
            loop {
                // One step per request, so that the writes which wait go between.
                let step = ask(self.jobs(), SweepRequest { now }).await?;
                swept += step;
                if step < limits::SWEEP_STEP {
                    break;
                }
            }
            while ask(self.jobs(), ForgetRequest { now }).await? == limits::SWEEP_STEP {}
            self.board.take_down_until(now);
            Ok(swept)
        }
        .boxed()
    }

    fn check(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        ask(self.jobs(), CheckRequest).boxed()
    }

    fn durability(&self) -> Durability {
        Durability::Disk
    }

    fn shared(&self) -> bool {
        false
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the session store's writer had panicked");
        }
    }
}

impl fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedStore").finish_non_exhaustive()
    }
}
