//! Stores that fail: sessions go on with what their cookies hold.

use std::sync::atomic::Ordering;

use perennial::provider::RefreshClass;

use crate::support::{DEAD, DUE, Flaky, World, alarmed};

#[tokio::test]
async fn when_the_commit_fails_the_cookie_carries_the_new_generation() {
    let store = Flaky::new();
    let world = World::on(store.clone(), RefreshClass::Family, |auth| auth).await;
    let browser = world.alice().await;
    world.clock.advance(DEAD);
    world.wire.hold();
    let renewing = tokio::spawn({
        let browser = browser.clone();
        async move { browser.get("/data").await.bearer() }
    });
    world.wire.answered(1).await;
    store.no_swap.store(true, Ordering::SeqCst);
    world.wire.release();
    let new = renewing.await.expect("answered");
    assert!(world.accepts(&new).await);
    assert_eq!((browser.generation().await, world.redemptions()), (1, 1));
    assert!(alarmed(world.engine.events()));

    // The store is back and behind; the cookie is ahead and right.
    store.fail(false);
    world.engine.auth.drain().await;
    world.clock.advance(DUE);
    assert!(world.accepts(&browser.get("/data").await.bearer()).await);
    assert_eq!((browser.generation().await, world.redemptions(), world.family_alive()), (2, 2, true));
}

/// The one who waited for the renewal hung up, and the store came back a little too late: the only copy of the successor was
/// dropped, and the next request sent the spent refresh token.
#[tokio::test]
async fn tokens_that_the_store_would_not_take_are_not_lost_with_the_caller() {
    let store = Flaky::new();
    let world = World::on(store.clone(), RefreshClass::Family, |auth| auth).await;
    let browser = world.alice().await;
    world.clock.advance(DEAD);
    world.wire.hold();
    let hung_up = tokio::spawn({
        let copy = browser.copy();
        async move { copy.get("/data").await }
    });
    world.wire.answered(1).await;
    hung_up.abort();
    store.no_swap.store(true, Ordering::SeqCst);
    world.wire.release();
    crate::support::eventually("the commit fails", || async { alarmed(world.engine.events()) }).await;

    // While the store is down the tokens come from this process, afterwards from the record.
    let stale = browser.copy();
    assert!(world.accepts(&stale.get("/data").await.bearer()).await);
    store.fail(false);
    world.engine.auth.drain().await;
    assert!(world.accepts(&browser.get("/data").await.bearer()).await);
    assert_eq!((browser.generation().await, world.redemptions(), world.family_alive()), (1, 1, true));
}
