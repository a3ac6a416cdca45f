//! The contract that every keeper fulfils; `contract::run` is the same text as a test suite.

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use perennial_core::Timestamp;

use crate::{Announcement, KeyPrefix, News, RecordKey, StoreError, Version, Versioned};

/// A versioned, expiring map with compare-and-swap.
///
/// # Time
/// The caller hands in `now` wherever expiry matters, and a record is live while `now < expires`. A keeper on a server
/// of its own judges by that server's clock and ignores `now`, so that replicas with differing clocks agree; a caller
/// therefore never relies on a record being readable within its clock error of `expires`. A record that has expired is
/// absent: it is not loaded, conflicts with no insert, and matches no version in a swap.
///
/// # Order
/// All operations on one key are linearizable: once a swap is acknowledged, every load that starts later, in any
/// process that shares the store, sees it or a successor. Keys are independent of each other.
///
/// # Cancellation
/// Dropping a future does not undo what it asked for: a swap that was handed over may still be stored.
///
/// # Errors
/// A failed [`compare_and_swap`](Self::compare_and_swap) or [`remove`](Self::remove) means *unknown whether stored*, unless
/// [`StoreError::wrote_nothing`] says otherwise: load again before deciding anything.
pub trait SessionStore: Send + Sync + 'static {
    /// The live record under `key`, if there is one.
    fn load(&self, key: RecordKey, now: Timestamp) -> BoxFuture<'_, Result<Option<Versioned>, StoreError>>;

    /// Stores `bytes` until `expires` if the record is still the one the caller has seen.
    ///
    /// `expected` is the version that was loaded, or `None` when the record must be absent. An acknowledged swap is as
    /// durable as [`durability`](Self::durability) says. At most [`limits::RECORD_BYTES`](crate::limits::RECORD_BYTES)
    /// are accepted.
    fn compare_and_swap(
        &self,
        key: RecordKey,
        expected: Option<Version>,
        bytes: Vec<u8>,
        expires: Timestamp,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Swap, StoreError>>;

    /// Removes the record if it still has the version `expected`, expired or not.
    fn remove(&self, key: RecordKey, expected: Version) -> BoxFuture<'_, Result<Removal, StoreError>>;

    /// Resolves once the live record's version is no longer `since`; at once when it already is another.
    ///
    /// `None` stands for absence. It may resolve without a change, so load after it. A record that merely expires wakes
    /// nobody before it is swept or replaced: bound the wait. Nothing is missed between the load that gave `since` and
    /// this call.
    fn changed(&self, key: RecordKey, since: Option<Version>, now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>>;

    /// The live records whose keys begin with `prefix`, at most [`limits::FOUND_RECORDS`](crate::limits::FOUND_RECORDS) of
    /// them and in no order; for a person who asks about one session. It may read every key there is: nothing that
    /// serves a request calls it.
    fn find(&self, prefix: KeyPrefix, now: Timestamp)
    -> BoxFuture<'_, Result<Vec<(RecordKey, Versioned)>, StoreError>>;

    /// Tells every listener of every process that shares the store, and those who begin to listen before
    /// `announcement.until`; acknowledged, it is as durable as a record.
    ///
    /// For a key that was announced before, the later `until` counts. A failed call may have announced it all the same.
    fn announce(&self, announcement: Announcement, now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Every announcement that still matters at `now`, then each new one as it is made: each at least once, unless a later
    /// one for the same key takes its place. The stream ends with the store, which it does not keep alive.
    ///
    /// [`News::InTouch`] follows once all that was announced before has been told, as far as its word has come; what others
    /// announce then comes as fast as the connection carries it. A keeper that has lost its server says
    /// [`News::OutOfTouch`], asks for what it may have missed at least once a
    /// [`limits::LISTENING_PAUSE`](crate::limits::LISTENING_PAUSE), tells it, and is in touch again when it hears each
    /// announcement as it is made.
    fn announcements(&self, now: Timestamp) -> BoxStream<'static, News>;

    /// Removes the records that have expired, in steps small enough not to hold up others, and counts them. Announcements
    /// that no longer matter go as well, uncounted.
    fn sweep(&self, now: Timestamp) -> BoxFuture<'_, Result<usize, StoreError>>;

    /// Finds out whether the store could read and write at this moment, and mends what it can; for readiness.
    fn check(&self) -> BoxFuture<'_, Result<(), StoreError>>;

    /// What an acknowledged write survives.
    fn durability(&self) -> Durability;

    /// Whether several processes may use this store at the same time.
    fn shared(&self) -> bool;
}

/// How a compare-and-swap ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a swap may have met a conflict"]
pub enum Swap {
    /// The record was stored and has this version now.
    Stored(Version),
    /// The record was another one than expected; this is the live one, or `None` when there is none.
    Conflict(Option<Versioned>),
}

/// How a removal ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// This call removed the record.
    Removed,
    /// No record has that version: it was changed or removed before. Nothing happened.
    NoSuchVersion,
}

/// What an acknowledged write survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Nothing: the records end with the process.
    Process,
    /// The death of the process and of the machine, not of its disk.
    Disk,
    /// The loss of this machine, as far as the server behind the store is set up to.
    Replicated,
}
