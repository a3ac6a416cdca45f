//! What the processes that share a store tell each other about records: "something is over, whatever you have cached".

use perennial_core::Timestamp;

use crate::RecordKey;

/// A word about one record to everybody who shares the store, who know what it means; the store never interprets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Announcement {
    /// The record it is about.
    pub key: RecordKey,
    /// From this moment on it matters no more, and is forgotten.
    pub until: Timestamp,
}

/// What a listener of [`announcements`](crate::SessionStore::announcements) is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Somebody announced this; perhaps it was told before.
    Announced(Announcement),
    /// All that was announced until now has been told, and what comes will be told as it is made.
    InTouch,
    /// The keeper may be behind: what others announce now is told once it has looked again.
    OutOfTouch,
}
