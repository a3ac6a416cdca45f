//! Expiry, sweeping and restart.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use perennial_core::Timestamp;

use super::{Namespace, in_an_hour, key, load, now, store, swap};
use crate::{Durability, SessionStore, Swap, Version, limits};

/// Long enough for a slow machine to write and read before it, short enough to wait out a server's clock.
const SHORT: Duration = Duration::from_millis(1500);

pub(super) async fn a_record_is_absent_from_its_expiry_on(keeper: &Arc<dyn SessionStore>) {
    let expires = now() + SHORT;
    let version = store(keeper, key(0), None, b"brief", expires).await;
    let other = store(keeper, key(1), None, b"long", in_an_hour()).await;
    let just_before = expires - Duration::from_millis(1);
    if !keeper.shared() {
        let live = keeper.load(key(0), just_before).await.expect("a healthy store loads");
        assert_eq!(live.map(|record| record.version), Some(version), "a record expired too early");
    }
    let after = reached(keeper, expires).await;
    let expired = keeper.load(key(0), after).await.expect("a healthy store loads");
    assert_eq!(expired, None, "an expired record was loaded");
    let lives = keeper.load(key(1), after).await.expect("a healthy store loads");
    assert_eq!(lives.map(|record| record.version), Some(other), "a live record went with an expired one");

    let swapped = keeper.compare_and_swap(key(0), Some(version), b"late".to_vec(), in_an_hour(), after).await;
    assert_eq!(swapped.expect("a healthy store swaps"), Swap::Conflict(None), "a swap revived an expired record");
    let inserted = keeper.compare_and_swap(key(0), None, b"new".to_vec(), in_an_hour(), after).await;
    match inserted.expect("a healthy store swaps") {
        Swap::Stored(new) => {
            assert_ne!(new, version, "an expired record's version was given again")
        }
        conflict => panic!("an expired record stood in the way of a new one: {conflict:?}"),
    }
}

pub(super) async fn a_sweep_removes_the_expired_and_nothing_else(keeper: &Arc<dyn SessionStore>) {
    let expired = u16::try_from(limits::SWEEP_STEP * 2 + 3).expect("a small limit");
    let expires = now() + SHORT;
    let mut writes = tokio::task::JoinSet::new();
    for number in 0..expired {
        let keeper = keeper.clone();
        writes.spawn(async move { store(&keeper, key(number), None, b"brief", expires).await });
    }
    writes.join_all().await;
    let kept = store(keeper, key(expired), None, b"long", in_an_hour()).await;
    let early = load(keeper, key(0)).await;
    // Its expiry moved on, so the sweep must not go by the first one.
    let renewed = renewed(keeper, early.map(|record| record.version)).await;
    let after = reached(keeper, expires).await;
    let swept = keeper.sweep(after).await.expect("a healthy store sweeps");
    if !keeper.shared() {
        assert_eq!(swept, usize::from(expired) - 1, "the sweep's count is wrong");
        let again = keeper.sweep(after).await.expect("a healthy store sweeps");
        assert_eq!(again, 0, "a sweep left expired records behind");
        let under_an_older_clock = keeper.load(key(1), now()).await.expect("a healthy store loads");
        assert_eq!(under_an_older_clock, None, "a swept record is still there");
    }
    for (number, version) in [(0, renewed), (expired, kept)] {
        let record = load(keeper, key(number)).await.map(|record| record.version);
        assert_eq!(record, Some(version), "a sweep removed a live record");
    }
}

/// Writes record 0 anew; on a slow machine it expires just before that.
async fn renewed(keeper: &Arc<dyn SessionStore>, version: Option<Version>) -> Version {
    match swap(keeper, key(0), version, b"renewed").await {
        Swap::Stored(renewed) => renewed,
        Swap::Conflict(None) => store(keeper, key(0), None, b"renewed", in_an_hour()).await,
        conflict => panic!("nobody else writes, yet {conflict:?}"),
    }
}

pub(super) async fn a_sweep_lets_writers_through(keeper: &Arc<dyn SessionStore>) {
    let past = now() - Duration::from_secs(1);
    let count = u16::try_from(limits::SWEEP_STEP * 3).expect("a small limit");
    let mut writes = tokio::task::JoinSet::new();
    for number in 1..=count {
        let keeper = keeper.clone();
        writes.spawn(async move { store(&keeper, key(number), None, b"past", past).await });
    }
    writes.join_all().await;
    let sweeping = tokio::spawn({
        let keeper = keeper.clone();
        async move { keeper.sweep(now()).await.expect("a healthy store sweeps") }
    });
    let mut version = None;
    let mut versions = HashSet::new();
    for _ in 0..32 {
        version = Some(store(keeper, key(0), version, b"written meanwhile", in_an_hour()).await);
        assert!(versions.insert(version), "a version was given twice during a sweep");
    }
    sweeping.await.expect("the sweep ends");
    assert_eq!(load(keeper, key(0)).await.map(|record| record.version), version, "a sweep lost a write");
}

pub(super) async fn a_version_is_never_given_twice(
    make: &impl AsyncFn(Namespace) -> Arc<dyn SessionStore>,
    namespace: Namespace,
) {
    let mut given = HashSet::new();
    let mut fresh =
        |version: Version, when: &str| assert!(given.insert(version), "a version was given twice, after {when}");
    for _ in 0..3 {
        let keeper = make(namespace).await;
        let before = load(&keeper, key(0)).await.map(|record| record.version);
        let first = store(&keeper, key(0), before, b"same bytes", in_an_hour()).await;
        fresh(first, "a restart");
        let second = store(&keeper, key(0), Some(first), b"same bytes", in_an_hour()).await;
        fresh(second, "a swap");
        keeper.remove(key(0), second).await.expect("a healthy store removes");
        let brief = store(&keeper, key(0), None, b"same bytes", now() - Duration::from_secs(1)).await;
        fresh(brief, "a removal");
        let anew = store(&keeper, key(0), None, b"same bytes", in_an_hour()).await;
        fresh(anew, "an expiry");
        keeper.remove(key(0), anew).await.expect("a healthy store removes");
        keeper.sweep(now()).await.expect("a healthy store sweeps");
        let swept = store(&keeper, key(0), None, b"same bytes", in_an_hour()).await;
        fresh(swept, "a sweep");
    }
}

pub(super) async fn what_was_acknowledged_outlives_the_store(
    make: &impl AsyncFn(Namespace) -> Arc<dyn SessionStore>,
    namespace: Namespace,
) {
    let keeper = make(namespace).await;
    let expires = in_an_hour();
    let version = store(&keeper, key(0), None, b"kept", expires).await;
    let removed = store(&keeper, key(1), None, b"removed", expires).await;
    keeper.remove(key(1), removed).await.expect("a healthy store removes");
    let durable = keeper.durability() != Durability::Process;
    drop(keeper);

    let keeper = make(namespace).await;
    let found = load(&keeper, key(0)).await;
    assert_eq!(found.is_some(), durable, "a restart kept {found:?}, against the stated durability");
    assert_eq!(load(&keeper, key(1)).await, None, "a restart brought a removed record back");
    if let Some(record) = found {
        assert_eq!((record.version, &record.bytes[..], record.expires), (version, &b"kept"[..], expires));
        let next = swap(&keeper, key(0), Some(version), b"next").await;
        assert!(matches!(next, Swap::Stored(_)), "a version from before the restart no longer matches: {next:?}");
    }
}

/// Brings the keeper's clock to `moment`: a caller's clock by handing it in, a server's by waiting for it.
pub(super) async fn reached(keeper: &Arc<dyn SessionStore>, moment: Timestamp) -> Timestamp {
    if keeper.shared() {
        tokio::time::sleep(moment.since(now()) + Duration::from_millis(200)).await;
    }
    moment
}
