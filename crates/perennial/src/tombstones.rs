//! The sessions this process knows to be over: asked on every request, so without a lock.

use std::sync::atomic::{AtomicUsize, Ordering};

use perennial_core::Timestamp;
use perennial_core::record::EndReason;
use perennial_core::session::SessionId;

/// Ended sessions, each kept until no cookie of it can open without asking the store.
#[derive(Default)]
pub(crate) struct Tombstones {
    ended: papaya::HashMap<SessionId, (EndReason, Timestamp)>,
    inserts: AtomicUsize,
}

impl Tombstones {
    /// Whether and why `id` is over.
    pub(crate) fn find(&self, id: SessionId) -> Option<EndReason> {
        if self.ended.is_empty() {
            return None;
        }
        self.ended.pin().get(&id).map(|(reason, _)| *reason)
    }

    /// How many are remembered.
    pub(crate) fn len(&self) -> usize {
        self.ended.len()
    }

    /// Notes that `id` is over; forgotten after `until`, when the last cookie that could pass unasked has expired.
    pub(crate) fn insert(&self, id: SessionId, reason: EndReason, until: Timestamp, now: Timestamp) {
        let ended = self.ended.pin();
        ended.insert(id, (reason, until));
        if self.inserts.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            ended.retain(|_, (_, until)| *until > now);
        }
    }
}

/// Inserts between two sweeps of what has run out.
const SWEEP_EVERY: usize = 1024;
