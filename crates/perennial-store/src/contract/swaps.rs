//! Compare-and-swap and removal.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::task::JoinSet;

use super::{Handles, in_an_hour, key, load, now, store, swap};
use crate::{RecordKey, Removal, SessionStore, StoreErrorKind, Swap, limits};

const TASKS: usize = 64;

pub(super) async fn what_was_stored_is_read_back(keeper: &Arc<dyn SessionStore>) {
    assert_eq!(load(keeper, key(0)).await, None, "a new store holds a record");
    let expires = in_an_hour();
    let mut version = None;
    for bytes in [&b"first"[..], b"", b"\0\xff\0third"] {
        version = Some(store(keeper, key(0), version, bytes, expires).await);
        let read = load(keeper, key(0)).await.expect("an acknowledged record is there");
        assert_eq!(&read.bytes[..], bytes, "other bytes were read than stored");
        assert_eq!((Some(read.version), read.expires), (version, expires));
    }
}

pub(super) async fn a_conflict_returns_the_current_record(keeper: &Arc<dyn SessionStore>) {
    let first = store(keeper, key(0), None, b"first", in_an_hour()).await;
    let second = store(keeper, key(0), Some(first), b"second", in_an_hour()).await;
    for outdated in [None, Some(first)] {
        match swap(keeper, key(0), outdated, b"lost").await {
            Swap::Conflict(Some(current)) => {
                assert_eq!((current.version, &current.bytes[..]), (second, &b"second"[..]))
            }
            other => panic!("a swap from {outdated:?} over {second:?} gave {other:?}"),
        }
    }
    let absent = swap(keeper, key(1), Some(second), b"lost").await;
    assert_eq!(absent, Swap::Conflict(None), "a swap of an absent record was not refused");
    assert_eq!(load(keeper, key(1)).await, None);
}

pub(super) async fn a_removal_needs_the_right_version(keeper: &Arc<dyn SessionStore>) {
    let remove = async |version| keeper.remove(key(0), version).await.expect("a healthy store removes");
    let first = store(keeper, key(0), None, b"first", in_an_hour()).await;
    let second = store(keeper, key(0), Some(first), b"second", in_an_hour()).await;
    assert_eq!(remove(first).await, Removal::NoSuchVersion, "an outdated version removed the record");
    assert!(load(keeper, key(0)).await.is_some(), "a refused removal took the record away");
    assert_eq!(remove(second).await, Removal::Removed);
    assert_eq!(load(keeper, key(0)).await, None, "a removed record is still there");
    assert_eq!(remove(second).await, Removal::NoSuchVersion, "a record was removed twice");
    let resurrected = swap(keeper, key(0), Some(second), b"third").await;
    assert_eq!(resurrected, Swap::Conflict(None), "a swap brought a removed record back");
}

pub(super) async fn one_task_wins_each_version(handles: &Handles) {
    let mut expected = None;
    for round in 0..12 {
        let mut tasks = JoinSet::new();
        for task in 0..TASKS {
            let keeper = handles.of_task(task);
            tasks.spawn(async move { swap(&keeper, key(0), expected, format!("{round}/{task}").as_bytes()).await });
        }
        let (mut winners, mut seen) = (Vec::new(), Vec::new());
        for swapped in tasks.join_all().await {
            match swapped {
                Swap::Stored(version) => winners.push(version),
                Swap::Conflict(current) => seen.extend(current.map(|record| record.version)),
            }
        }
        assert_eq!(winners.len(), 1, "{} of {TASKS} tasks won the same version", winners.len());
        assert_eq!(seen, vec![winners[0]; TASKS - 1], "a loser was not shown the winner's record");
        expected = Some(winners[0]);
    }
}

pub(super) async fn no_update_is_lost(handles: &Handles) {
    const EACH: usize = 6;
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let keeper = handles.of_task(task);
        tasks.spawn(async move {
            let mut versions = Vec::new();
            let mut current = load(&keeper, key(0)).await;
            while versions.len() < EACH {
                let count = current.as_ref().map_or(0, |record| count(&record.bytes));
                let expected = current.as_ref().map(|record| record.version);
                match swap(&keeper, key(0), expected, &(count + 1).to_be_bytes()).await {
                    Swap::Stored(version) => {
                        versions.push(version);
                        current = load(&keeper, key(0)).await;
                    }
                    Swap::Conflict(newer) => current = newer,
                }
            }
            versions
        });
    }
    let versions = tasks.join_all().await.concat();
    let last = load(&handles.there, key(0)).await.expect("the counter is there");
    assert_eq!(count(&last.bytes), (TASKS * EACH) as u64, "updates were lost");
    assert_eq!(versions.iter().collect::<HashSet<_>>().len(), TASKS * EACH, "a version was given twice");
}

fn count(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes.try_into().expect("a counter of 8 bytes"))
}

/// Among them are the ends of the key space and keys that differ in one bit.
pub(super) async fn keys_are_independent(keeper: &Arc<dyn SessionStore>) {
    let ends = [[0; 32], [0xff; 32]].map(RecordKey::from_digest);
    let keys: Vec<RecordKey> = (0..254).map(key).chain(ends).collect();
    let mut tasks = JoinSet::new();
    for key in keys.clone() {
        let keeper = keeper.clone();
        tasks.spawn(async move {
            let first = store(&keeper, key, None, key.as_bytes(), in_an_hour()).await;
            store(&keeper, key, Some(first), &[key.as_bytes().as_slice(), b"2"].concat(), in_an_hour()).await
        });
    }
    tasks.join_all().await;
    for (number, key) in keys.iter().enumerate() {
        let record = load(keeper, *key).await.expect("each key has its record");
        assert_eq!(&record.bytes[..32], key.as_bytes(), "a record lies under another's key");
        if number % 2 == 0 {
            keeper.remove(*key, record.version).await.expect("a healthy store removes");
        }
    }
    for (number, key) in keys.iter().enumerate() {
        assert_eq!(load(keeper, *key).await.is_some(), number % 2 == 1, "a neighbour's removal touched {key:?}");
    }
}

pub(super) async fn a_record_at_the_limit_is_kept_and_one_above_is_refused(keeper: &Arc<dyn SessionStore>) {
    let largest: Vec<u8> = (0..limits::RECORD_BYTES).map(|at| (at * 31 % 251) as u8).collect();
    let version = store(keeper, key(0), None, &largest, in_an_hour()).await;
    let above = vec![0; limits::RECORD_BYTES + 1];
    let refused = keeper.compare_and_swap(key(0), Some(version), above, in_an_hour(), now()).await;
    let error = refused.expect_err("a record above the limit was accepted");
    assert_eq!(error.kind(), StoreErrorKind::TooLarge);
    assert!(error.wrote_nothing() && !error.is_retryable());
    let kept = load(keeper, key(0)).await.expect("the record at the limit is there");
    assert!(kept.version == version && kept.bytes[..] == largest, "the largest record was changed");
}

pub(super) async fn an_abandoned_swap_is_whole_or_absent(keeper: &Arc<dyn SessionStore>) {
    let bytes = vec![0xa5; 20_000];
    for number in 0..32 {
        // Polled once, then dropped: the caller has hung up.
        let swapped = keeper.compare_and_swap(key(number), None, bytes.clone(), in_an_hour(), now());
        let answered = swapped.now_or_never();
        let expected = match load(keeper, key(number)).await {
            None => {
                assert!(answered.is_none(), "an acknowledged swap is absent");
                None
            }
            Some(record) => {
                assert!(record.bytes[..] == bytes, "an abandoned swap is torn");
                Some(record.version)
            }
        };
        // Whatever became of it, the key can be used on.
        let mut attempt = swap(keeper, key(number), expected, b"next").await;
        if let Swap::Conflict(Some(late)) = attempt {
            attempt = swap(keeper, key(number), Some(late.version), b"next").await;
        }
        assert!(matches!(attempt, Swap::Stored(_)), "an abandoned swap blocks its key: {attempt:?}");
    }
}
