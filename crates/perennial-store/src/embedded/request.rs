//! What the writer is asked to do, and how its answers find their callers.

use perennial_core::Timestamp;
use tokio::sync::{mpsc, oneshot};

use super::tables::Tables;
use crate::{Announcement, RecordKey, Removal, StoreError, StoreErrorKind, Swap, Version};

/// Something to do in a write transaction.
pub(super) trait Request: Send + 'static {
    /// What the caller learns once it is durable.
    type Answer: Send + 'static;

    fn apply(&self, tables: &mut Tables<'_>) -> Result<Self::Answer, redb::Error>;
}

pub(super) struct SwapRequest {
    pub(super) key: RecordKey,
    pub(super) expected: Option<Version>,
    pub(super) bytes: Vec<u8>,
    pub(super) expires: Timestamp,
    pub(super) now: Timestamp,
}

impl Request for SwapRequest {
    type Answer = Swap;

    fn apply(&self, tables: &mut Tables<'_>) -> Result<Swap, redb::Error> {
        tables.swap(self.key, self.expected, &self.bytes, self.expires, self.now)
    }
}

pub(super) struct RemoveRequest {
    pub(super) key: RecordKey,
    pub(super) expected: Version,
}

impl Request for RemoveRequest {
    type Answer = Removal;

    fn apply(&self, tables: &mut Tables<'_>) -> Result<Removal, redb::Error> {
        tables.remove(self.key, self.expected)
    }
}

pub(super) struct AnnounceRequest {
    pub(super) announcement: Announcement,
}

impl Request for AnnounceRequest {
    type Answer = ();

    fn apply(&self, tables: &mut Tables<'_>) -> Result<(), redb::Error> {
        tables.announce(self.announcement)
    }
}

/// Forgets announcements that matter no more, as many as one step may.
pub(super) struct ForgetRequest {
    pub(super) now: Timestamp,
}

impl Request for ForgetRequest {
    type Answer = usize;

    fn apply(&self, tables: &mut Tables<'_>) -> Result<usize, redb::Error> {
        tables.forget_step(self.now)
    }
}

pub(super) struct SweepRequest {
    pub(super) now: Timestamp,
}

impl Request for SweepRequest {
    type Answer = usize;

    fn apply(&self, tables: &mut Tables<'_>) -> Result<usize, redb::Error> {
        tables.sweep_step(self.now)
    }
}

pub(super) struct CheckRequest;

impl Request for CheckRequest {
    type Answer = ();

    fn apply(&self, tables: &mut Tables<'_>) -> Result<(), redb::Error> {
        tables.prove();
        Ok(())
    }
}

/// A request in the queue, with its caller.
struct Pending<R: Request> {
    request: R,
    answer: Option<R::Answer>,
    caller: oneshot::Sender<Result<R::Answer, StoreError>>,
}

/// A [`Pending`] of any request.
pub(super) trait Job: Send {
    /// Does the work and keeps the answer until it is durable.
    fn apply(&mut self, tables: &mut Tables<'_>) -> Result<(), redb::Error>;

    /// Tells the caller, who may have gone.
    fn finish(self: Box<Self>, outcome: Result<(), StoreError>);
}

impl<R: Request> Job for Pending<R> {
    fn apply(&mut self, tables: &mut Tables<'_>) -> Result<(), redb::Error> {
        self.answer = Some(self.request.apply(tables)?);
        Ok(())
    }

    fn finish(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Pending { answer, caller, .. } = *self;
        let _gone = caller.send(outcome.and_then(|()| answer.ok_or_else(stopped)));
    }
}

/// Queues `request`, waiting for a place, and waits until it is durable.
pub(super) async fn ask<R: Request>(jobs: &mpsc::Sender<Box<dyn Job>>, request: R) -> Result<R::Answer, StoreError> {
    let (caller, answer) = oneshot::channel();
    let pending = Pending { request, answer: None, caller };
    let queued = jobs.send(Box::new(pending)).await;
    queued.map_err(|_| stopped().before_writing())?;
    answer.await.map_err(|_| stopped())?
}

/// The answer of a store that is closing, or whose writer is gone.
pub(super) fn stopped() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "the session store has stopped: restart the process")
}
