//! The contract as a test suite: [`run`] it against a keeper, and what [`SessionStore`] says holds.
//!
//! ```
//! use perennial_store::contract::{self, Namespace};
//! use perennial_store::{MemoryStore, SessionStore};
//! use std::sync::Arc;
//!
//! # #[tokio::main]
//! # async fn main() {
//! contract::run(async |_: Namespace| Arc::new(MemoryStore::new()) as Arc<dyn SessionStore>).await;
//! # }
//! ```

mod announcing;
mod finding;
mod life;
mod swaps;
mod waiting;

#[cfg(test)]
mod sabotage;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use perennial_core::Timestamp;

use crate::{RecordKey, SessionStore, Swap, Version, Versioned};

/// A place for records, apart from every other: a file, a key prefix, a schema.
///
/// Opening the same one again, after the store before was dropped, finds what was acknowledged, unless the keeper's
/// durability is that of the process. A shared keeper may be asked for one that is still open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Namespace(u32);

impl fmt::Display for Namespace {
    /// Writes a number that can be part of a file's name or of a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Runs the whole suite; `make` opens the store of a namespace, which is empty the first time.
///
/// Run it on a multi-threaded Tokio runtime, or the races are none.
///
/// # Panics
/// When the keeper breaks the contract; the message says how.
pub async fn run(make: impl AsyncFn(Namespace) -> Arc<dyn SessionStore>) {
    swaps::what_was_stored_is_read_back(&make(Namespace(0)).await).await;
    swaps::a_conflict_returns_the_current_record(&make(Namespace(1)).await).await;
    swaps::a_removal_needs_the_right_version(&make(Namespace(2)).await).await;
    swaps::one_task_wins_each_version(&Handles::open(&make, Namespace(3)).await).await;
    swaps::no_update_is_lost(&Handles::open(&make, Namespace(4)).await).await;
    swaps::keys_are_independent(&make(Namespace(5)).await).await;
    swaps::a_record_at_the_limit_is_kept_and_one_above_is_refused(&make(Namespace(6)).await).await;
    swaps::an_abandoned_swap_is_whole_or_absent(&make(Namespace(7)).await).await;
    life::a_record_is_absent_from_its_expiry_on(&make(Namespace(8)).await).await;
    life::a_sweep_removes_the_expired_and_nothing_else(&make(Namespace(9)).await).await;
    life::a_sweep_lets_writers_through(&make(Namespace(10)).await).await;
    life::a_version_is_never_given_twice(&make, Namespace(11)).await;
    life::what_was_acknowledged_outlives_the_store(&make, Namespace(12)).await;
    waiting::a_waiter_with_an_old_version_is_answered_at_once(&make(Namespace(13)).await).await;
    waiting::waiters_wake_at_every_kind_of_change(&Handles::open(&make, Namespace(14)).await).await;
    waiting::a_change_between_load_and_wait_is_not_missed(&Handles::open(&make, Namespace(15)).await).await;
    waiting::an_expired_record_counts_as_absent_to_waiters(&make(Namespace(16)).await).await;
    finding::a_prefix_finds_the_live_records_it_begins_and_no_others(&make(Namespace(18)).await).await;
    finding::more_than_a_handful_is_cut(&make(Namespace(19)).await).await;
    announcing::a_new_listener_is_told_what_still_matters(&make(Namespace(20)).await).await;
    announcing::every_listener_is_told_what_is_announced_anywhere(&Handles::open(&make, Namespace(21)).await).await;
    announcing::whoever_begins_to_listen_meanwhile_misses_nothing(&Handles::open(&make, Namespace(22)).await).await;
    announcing::the_later_end_counts(&make(Namespace(23)).await).await;
    announcing::what_was_announced_outlives_the_store(&make, Namespace(24)).await;
    let ready = make(Namespace(17)).await.check().await;
    assert!(ready.is_ok(), "a healthy store is not ready: {ready:?}");
}

/// Two doors to the same records: two handles of a shared keeper, as two processes have, else one handle twice.
struct Handles {
    here: Arc<dyn SessionStore>,
    there: Arc<dyn SessionStore>,
}

impl Handles {
    async fn open(make: &impl AsyncFn(Namespace) -> Arc<dyn SessionStore>, namespace: Namespace) -> Self {
        let here = make(namespace).await;
        let there = match here.shared() {
            true => make(namespace).await,
            false => here.clone(),
        };
        Self { here, there }
    }

    fn of_task(&self, task: usize) -> Arc<dyn SessionStore> {
        match task % 2 {
            0 => self.here.clone(),
            _ => self.there.clone(),
        }
    }
}

/// The wall clock, because a keeper on a server has no other.
fn now() -> Timestamp {
    let millis = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_millis();
    Timestamp::from_unix_millis(i64::try_from(millis).expect("before the year 292 million"))
}

fn in_an_hour() -> Timestamp {
    now() + Duration::from_secs(3600)
}

fn key(number: u16) -> RecordKey {
    let mut digest = [0x5a; 32];
    digest[30..].copy_from_slice(&number.to_be_bytes());
    RecordKey::from_digest(digest)
}

async fn load(store: &Arc<dyn SessionStore>, key: RecordKey) -> Option<Versioned> {
    store.load(key, now()).await.expect("a healthy store loads")
}

async fn swap(store: &Arc<dyn SessionStore>, key: RecordKey, expected: Option<Version>, bytes: &[u8]) -> Swap {
    store.compare_and_swap(key, expected, bytes.to_vec(), in_an_hour(), now()).await.expect("a healthy store swaps")
}

/// Stores where nothing may stand in the way.
async fn store(
    store: &Arc<dyn SessionStore>,
    key: RecordKey,
    expected: Option<Version>,
    bytes: &[u8],
    expires: Timestamp,
) -> Version {
    let swap = store.compare_and_swap(key, expected, bytes.to_vec(), expires, now()).await;
    match swap.expect("a healthy store swaps") {
        Swap::Stored(version) => version,
        Swap::Conflict(current) => {
            panic!("a swap from {expected:?} met {current:?}, though nobody else writes")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EmbeddedStore, MemoryStore};

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn the_memory_store_keeps_the_contract() {
        run(async |_| Arc::new(MemoryStore::new()) as Arc<dyn SessionStore>).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn the_embedded_store_keeps_the_contract() {
        let folder = tempfile::tempdir().unwrap();
        run(async |namespace| {
            let path = folder.path().join(format!("{namespace}.redb"));
            Arc::new(EmbeddedStore::open(path).unwrap()) as Arc<dyn SessionStore>
        })
        .await;
    }
}
