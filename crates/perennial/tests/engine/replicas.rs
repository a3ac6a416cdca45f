//! Several engines on one store.

use std::sync::atomic::Ordering;
use std::time::Duration;

use perennial::provider::RefreshClass;
use perennial::{AuthBuilder, Event, RenewalPolicy, SessionStrategy};

use crate::support::{DEAD, Flaky, World, eventually};

/// A lease of 5.3 s by the clock that the test turns, prolonged every third of that by the clock on the wall.
fn brief_lease(auth: AuthBuilder) -> AuthBuilder {
    let (call_deadline, wait_max) = (Duration::from_millis(300), Duration::from_millis(200));
    auth.renewal(RenewalPolicy { call_deadline, wait_max, ..Default::default() })
}

const NEARLY_A_LEASE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn while_its_provider_or_its_store_is_slow_an_attempt_keeps_its_lease() {
    let store = Flaky::new();
    let world = World::on(store.clone(), RefreshClass::Family, brief_lease).await;
    let other = world.another_engine(store.clone(), brief_lease);
    let browser = world.alice().await;
    world.clock.advance(DEAD);
    world.wire.hold();
    let renewing = tokio::spawn({
        let browser = browser.copy();
        async move { browser.get("/data").await }
    });
    world.wire.answered(1).await;
    let before = store.swaps.load(Ordering::SeqCst);
    world.clock.advance(NEARLY_A_LEASE);
    eventually("the lease is prolonged", || async { store.swaps.load(Ordering::SeqCst) > before }).await;

    // The first lease is over, the attempt is not: nobody takes it for lost.
    world.clock.advance(NEARLY_A_LEASE);
    assert_eq!(browser.copy().reaching(&other).get("/data").await.status, 503);
    assert_eq!(world.provider.counters().token_requests, 2, "the code, and one refresh token");

    world.wire.release();
    renewing.await.expect("answered");
    world.engine.auth.drain().await;
    let found = browser.reaching(&other).get("/data").await;
    assert!(world.accepts(&found.bearer()).await);
    assert_eq!((world.redemptions(), world.family_alive()), (1, true));
}

#[tokio::test]
async fn a_record_of_a_later_version_is_left_alone_and_nobody_is_signed_out() {
    let store = Flaky::new();
    let world = World::on(store.clone(), RefreshClass::Family, brief_lease).await;
    let browser = world.alice().await;
    let old = browser.get("/data").await.bearer();
    store.rewrite(|record| record.replacen("\"v\":1", "\"v\":2", 1)).await;
    let newer = store.newest().await;

    world.clock.advance(DEAD);
    assert_eq!(browser.get("/data").await.status, 503);
    let session = browser.get("/auth/session").await;
    match crate::STRATEGY {
        SessionStrategy::Jwt => assert_eq!(session.json()["user"]["name"], "Alice Archer"),
        SessionStrategy::Database => assert_eq!(session.status, 503),
    }
    assert_eq!((world.redemptions(), store.newest().await), (0, newer), "no refresh token left, nothing was written");

    // The replicas of the later version, or all of this one, go on.
    store.rewrite(|record| record.replacen("\"v\":2", "\"v\":1", 1)).await;
    let new = browser.get("/data").await.bearer();
    assert!(new != old && world.accepts(&new).await);
}

/// A store that acknowledges before it is safe may forget an intent while its call is under way.
#[tokio::test]
async fn a_store_that_forgets_an_acknowledged_intent_is_told_of_and_the_tokens_are_kept() {
    let store = Flaky::new();
    let world = World::on(store.clone(), RefreshClass::Family, |auth| auth).await;
    let browser = world.alice().await;
    let before = store.newest().await;
    world.clock.advance(DEAD);
    world.wire.hold();
    let renewing = tokio::spawn({
        let browser = browser.copy();
        async move { browser.get("/data").await.bearer() }
    });
    world.wire.answered(1).await;
    store.rewrite(move |_| before.clone()).await;
    world.wire.release();
    assert!(world.accepts(&renewing.await.expect("answered")).await);
    let told = world.engine.events().into_iter();
    let codes: Vec<_> =
        told.filter_map(|event| if let Event::Alarm { code, .. } = event { Some(code) } else { None }).collect();
    assert_eq!(codes, ["store_lost_a_write"]);
    assert_eq!((browser.generation().await, world.redemptions()), (1, 1));
}
