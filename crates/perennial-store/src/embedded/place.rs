//! The database of a store, which an I/O error may take away and the writer brings back.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use redb::Database;

use super::{file, request};
use crate::{OpenError, StoreError};

/// Opens the file, at the start and again after an I/O error.
pub(super) type Opener = Box<dyn Fn() -> Result<Database, OpenError> + Send>;

/// Where the database is, while it is there.
#[derive(Debug)]
pub(super) struct Place(RwLock<Presence>);

#[derive(Debug)]
enum Presence {
    Open(Box<Database>),
    /// Lost to this error; the writer opens it again.
    Lost(StoreError),
    Closed,
}

impl Place {
    pub(super) fn new(db: Database) -> Self {
        Self(RwLock::new(Presence::Open(Box::new(db))))
    }

    /// Runs `work` on the database; a panic in there means that the file holds what redb never wrote.
    pub(super) fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        match &*self.presence() {
            Presence::Open(db) => match catch_unwind(AssertUnwindSafe(|| work(db))) {
                Ok(done) => done.map_err(file::failure),
                Err(_panic) => Err(file::damaged()),
            },
            Presence::Lost(error) => Err(error.clone().before_writing()),
            Presence::Closed => Err(request::stopped().before_writing()),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(&*self.presence(), Presence::Open(_))
    }

    /// Closes the database after `error`, which frees the file's lock.
    pub(super) fn lose(&self, error: StoreError) {
        *self.presence_mut() = Presence::Lost(error);
    }

    /// Opens a lost database again, while readers wait.
    pub(super) fn mend(&self, opener: &Opener) {
        let mut presence = self.presence_mut();
        if let Presence::Lost(_) = &*presence {
            *presence = match opener() {
                Ok(db) => Presence::Open(Box::new(db)),
                Err(error) => Presence::Lost(file::reopen_failure(error)),
            };
        }
    }

    pub(super) fn close(&self) {
        *self.presence_mut() = Presence::Closed;
    }

    /// No panic happens while the lock is held for writing, so a poisoned one guards nothing broken.
    fn presence(&self) -> RwLockReadGuard<'_, Presence> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn presence_mut(&self) -> RwLockWriteGuard<'_, Presence> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
