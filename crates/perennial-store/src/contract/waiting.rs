//! Waiting for a change.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet};

use super::{Handles, in_an_hour, key, load, now, store};
use crate::{SessionStore, Version};

/// A waiter that is woken at all is woken long before; a store that never wakes fails here instead of hanging.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn a_waiter_with_an_old_version_is_answered_at_once(keeper: &Arc<dyn SessionStore>) {
    let first = store(keeper, key(0), None, b"first", in_an_hour()).await;
    store(keeper, key(0), Some(first), b"second", in_an_hour()).await;
    woken(wait(keeper, 0, None), "it took a present record for absent").await;
    woken(wait(keeper, 0, Some(first)), "it took an old version for current").await;
    woken(wait(keeper, 1, Some(first)), "it took an absent record for present").await;
}

pub(super) async fn waiters_wake_at_every_kind_of_change(handles: &Handles) {
    let Handles { here, there } = handles;
    let mut waiters = several(there, None).await;
    let first = store(here, key(0), None, b"first", in_an_hour()).await;
    all_woken(&mut waiters, "a record came").await;

    let mut waiters = several(there, Some(first)).await;
    let second = store(here, key(0), Some(first), b"second", in_an_hour()).await;
    all_woken(&mut waiters, "a record changed").await;

    let mut waiters = several(there, Some(second)).await;
    here.remove(key(0), second).await.expect("a healthy store removes");
    all_woken(&mut waiters, "a record was removed").await;

    let expires = now() + Duration::from_millis(400);
    let brief = store(here, key(0), None, b"brief", expires).await;
    let mut waiters = several(there, Some(brief)).await;
    let after = super::life::reached(here, expires).await;
    here.sweep(after).await.expect("a healthy store sweeps");
    all_woken(&mut waiters, "a record was swept").await;
}

/// A relay: each side waits for the other's turn, so that one missed change stops both.
pub(super) async fn a_change_between_load_and_wait_is_not_missed(handles: &Handles) {
    const TURNS: u32 = 200;
    let mut sides = JoinSet::new();
    for side in 0..2 {
        let keeper = handles.of_task(side as usize);
        sides.spawn(async move {
            loop {
                let record = load(&keeper, key(0)).await;
                let version = record.as_ref().map(|record| record.version);
                let turn = record.map_or(0, |record| u32::from_be_bytes(record.bytes[..].try_into().expect("4 bytes")));
                match (turn >= TURNS, turn % 2 == side) {
                    (true, _) => return,
                    (false, true) => {
                        store(&keeper, key(0), version, &(turn + 1).to_be_bytes(), in_an_hour()).await;
                    }
                    (false, false) => keeper.changed(key(0), version, now()).await.expect("a healthy store waits"),
                }
            }
        });
    }
    let played = tokio::time::timeout(PATIENCE * 3, sides.join_all()).await;
    assert!(played.is_ok(), "a change was missed: the relay stands still");
}

/// Else a caller that loads "absent" and waits for that to change would spin.
pub(super) async fn an_expired_record_counts_as_absent_to_waiters(keeper: &Arc<dyn SessionStore>) {
    let brief = store(keeper, key(0), None, b"past", now() - Duration::from_secs(1)).await;
    woken(wait(keeper, 0, Some(brief)), "it took an expired record for live").await;
    let mut waiter = wait(keeper, 0, None);
    let spurious = tokio::time::timeout(Duration::from_millis(100), &mut waiter).await;
    if spurious.is_err() {
        store(keeper, key(0), None, b"new", in_an_hour()).await;
        woken(waiter, "a record came in an expired one's place").await;
    } else {
        // It may wake for nothing once, but not each time.
        let waiting = async {
            for _ in 0..100 {
                keeper.changed(key(0), None, now()).await.expect("a healthy store waits");
            }
        };
        let spun = tokio::time::timeout(Duration::from_secs(1), waiting).await;
        assert!(spun.is_err(), "waiting for an expired record's successor spins");
    }
}

fn wait(keeper: &Arc<dyn SessionStore>, number: u16, since: Option<Version>) -> JoinHandle<()> {
    let keeper = keeper.clone();
    tokio::spawn(async move {
        keeper.changed(key(number), since, now()).await.expect("a healthy store waits");
    })
}

/// Many waiters on one record, all of them given the chance to begin waiting.
async fn several(keeper: &Arc<dyn SessionStore>, since: Option<Version>) -> Vec<JoinHandle<()>> {
    let waiters = (0..16).map(|_| wait(keeper, 0, since)).collect();
    tokio::time::sleep(Duration::from_millis(20)).await;
    waiters
}

async fn all_woken(waiters: &mut Vec<JoinHandle<()>>, when: &str) {
    for waiter in waiters.drain(..) {
        woken(waiter, when).await;
    }
}

async fn woken(waiter: JoinHandle<()>, when: &str) {
    match tokio::time::timeout(PATIENCE, waiter).await {
        Ok(joined) => joined.expect("the waiter ends well"),
        Err(_) => panic!("a waiter was not woken: {when}"),
    }
}
