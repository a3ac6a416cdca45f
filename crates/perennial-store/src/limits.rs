//! Every limit of the stores, each with its reason. Each has a test at its edge.

use std::time::Duration;

/// Bytes of one record: three times the largest session that fits in cookies, and small enough that a full batch stays
/// below 32 MiB of memory.
pub const RECORD_BYTES: usize = 64 << 10;

/// Records in a [`MemoryStore`](crate::MemoryStore) unless configured otherwise: at 2 kB each, 200 MB of memory.
pub const MEMORY_RECORDS: usize = 100_000;

/// Expired records removed in one step of a sweep: other writers wait for one step at most, on disk for one commit.
pub const SWEEP_STEP: usize = 512;

/// Writes that the [`EmbeddedStore`](crate::EmbeddedStore) makes durable with one fsync: enough that the fsync is no longer
/// what limits it, and a failed batch fails no more callers than this.
pub const BATCH_WRITES: usize = 512;

/// Writes waiting for the embedded store's writer; beyond it callers wait for a place instead of filling the memory.
pub const QUEUED_WRITES: usize = 4096;

/// Bytes of pages that the embedded store keeps in memory; the operating system caches the rest of the file.
pub const EMBEDDED_CACHE_BYTES: usize = 32 << 20;

/// After a failed write the embedded store refuses others for this long, with the same error: each attempt on a full disk
/// costs a reopening of the file, which reads all of it while nobody else reads.
pub const REOPEN_PAUSE: Duration = Duration::from_secs(1);

/// Records that one [`find`](crate::SessionStore::find) answers with: a fingerprint names one session, and more than a
/// handful means that the question was too short.
pub const FOUND_RECORDS: usize = 8;

/// A keeper that has lost its server asks for missed announcements, and wakes its waiters to look for themselves, at least
/// this often.
pub const LISTENING_PAUSE: Duration = Duration::from_secs(1);

/// One call to a store's server, connecting included, unless the URL says otherwise: a person waits for it.
pub const SERVER_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection on which a server tells of changes is asked for a sign of life this often, and has as long to
/// give it: a dead one looks like a quiet one, and what is announced meanwhile goes unheard.
pub const HEARTBEAT: Duration = Duration::from_secs(1);

/// How far the clocks of a store's server and of this process may lie apart without harm to announcements.
pub const SERVER_CLOCK_ERROR: Duration = Duration::from_secs(3 * 3600);

/// Connections to PostgreSQL per process unless the URL says otherwise: enough for thousands of renewals a second, and
/// little of a server's usual hundred.
pub const POSTGRES_CONNECTIONS: usize = 8;

/// An idle connection is tested this often by the system, so that firewalls do not forget it.
pub const KEEPALIVE: Duration = Duration::from_secs(60);
