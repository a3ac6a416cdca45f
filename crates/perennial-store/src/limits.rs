//! Every limit of the stores, each with its reason. Each has a test at its edge.

use std::time::Duration;

/// Bytes of one record: three times the largest session that fits in cookies, and small enough that a full batch stays
/// below 32 MiB of memory.
pub const RECORD_BYTES: usize = 64 << 10;

/// Records in a [`MemoryStore`](crate::MemoryStore) unless configured otherwise: at the usual 2 kB, 200 MB of memory.
pub const MEMORY_RECORDS: usize = 100_000;

/// Expired records removed in one step of a sweep: a step holds up other writers for about a millisecond in memory, and
/// for one commit on disk.
pub const SWEEP_STEP: usize = 512;

/// Writes that the [`EmbeddedStore`](crate::EmbeddedStore) makes durable with one fsync: with 64 writers at once, more were
/// never waiting, and a failed batch fails no more callers than this.
pub const BATCH_WRITES: usize = 512;

/// Writes waiting for the embedded store's writer; beyond it callers wait for a place instead of filling the memory.
pub const QUEUED_WRITES: usize = 4096;

/// Bytes of pages that the embedded store keeps in memory; the operating system caches the rest of the file.
pub const EMBEDDED_CACHE_BYTES: usize = 32 << 20;

/// After an I/O error the embedded store reopens its file, at most this often: each attempt reads the whole file.
pub const REOPEN_PAUSE: Duration = Duration::from_secs(1);
