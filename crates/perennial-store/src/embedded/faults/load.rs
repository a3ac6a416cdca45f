//! More writers than there are places, and a store that is dropped under them.

use futures_util::FutureExt;

use super::*;

fn insert(store: &EmbeddedStore, number: u64) -> BoxFuture<'_, Result<Swap, StoreError>> {
    store.compare_and_swap(blob_key(number), None, number.to_be_bytes().to_vec(), LATER, NOW)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_overflows_makes_writers_wait_and_refuses_none() {
    let disk = laid_out();
    let store = open(&disk).unwrap();
    let before = disk.syncs();
    let writes = u64::try_from(limits::QUEUED_WRITES + limits::BATCH_WRITES + 1).unwrap();
    for swapped in join_all((0..writes).map(|number| insert(&store, number))).await {
        assert!(matches!(swapped, Ok(Swap::Stored(_))), "{swapped:?}");
    }
    let syncs = disk.syncs() - before;
    assert!(syncs * 20 < writes, "{writes} writes that came together took {syncs} syncs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_store_writes_what_was_queued_and_frees_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions.redb");
    let store = EmbeddedStore::open(&path).unwrap();
    for number in 0..200 {
        // Queued at the first poll, which Tokio's budget must not put off; then the caller hangs up.
        let _unheard = tokio::task::unconstrained(insert(&store, number)).now_or_never();
    }
    drop(store);
    let store = EmbeddedStore::open(&path).unwrap();
    for number in 0..200 {
        assert!(store.load(blob_key(number), NOW).await.unwrap().is_some(), "write {number} was dropped");
    }
}
