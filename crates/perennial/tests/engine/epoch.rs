//! After the store was restored from a backup: what it has forgotten, the provider still knows.

use std::sync::Arc;
use std::time::Duration;

use perennial::provider::RefreshClass;
use perennial::{AuthBuilder, Event, RenewalReason, record::EndReason};

use crate::support::{DEAD, Flaky, World, eventually};

fn second_epoch(auth: AuthBuilder) -> AuthBuilder {
    auth.epoch(1)
}

#[tokio::test]
async fn every_session_of_an_older_epoch_is_renewed_once_before_it_is_served() {
    let world = World::on(Flaky::new(), RefreshClass::Family, |auth| auth).await;
    let browser = world.alice().await;
    let old = browser.get("/data").await.bearer();
    let raised = world.another_engine(world.store.clone(), second_epoch);
    let (one, two) = (browser.copy().reaching(&raised), browser.copy().reaching(&raised));
    // The access token lives, and is not used all the same.
    let (first, second) = tokio::join!(one.get("/data"), two.get("/data"));
    assert_eq!(first.bearer(), second.bearer());
    assert_ne!(first.bearer(), old);
    assert_eq!((world.redemptions(), world.family_alive()), (1, true));
    for _ in 0..3 {
        assert_eq!(one.get("/data").await.bearer(), first.bearer());
        assert_eq!(browser.copy().reaching(&raised).get("/data").await.bearer(), first.bearer(), "a stale cookie");
    }
    assert_eq!(world.redemptions(), 1, "once proven is proven");
    let reasons: Vec<_> = raised
        .events()
        .into_iter()
        .filter_map(|event| if let Event::Renewal(renewal) = event { Some(renewal.reason) } else { None })
        .collect();
    assert_eq!(reasons, [RenewalReason::Epoch]);

    // A replica that has not been told yet leaves it at that, and so does one for which the epoch is old hat.
    world.clock.advance(DEAD);
    one.reaching(&world.engine).get("/data").await.bearer();
    assert_eq!(world.redemptions(), 2);
    one.reaching(&raised).get("/data").await.bearer();
    assert_eq!(world.redemptions(), 2);
}

/// A session that was signed out after the backup was made: its record says nothing of it any more.
#[tokio::test]
async fn a_sign_out_that_the_store_forgot_holds_because_the_provider_remembers() {
    let store = Flaky::new();
    let world = World::on(store.clone(), RefreshClass::Family, |auth| auth).await;
    let browser = world.alice().await;
    let backup = store.newest().await;
    let stolen = browser.copy();
    browser.post("/auth/signout", &[]).await;
    eventually("the provider revokes", || async { !world.family_alive() }).await;
    // What replicas told each other about the end is gone as well.
    let restored = store.restored(backup).await;

    // The counter-proof: without a new epoch the copy is served while its access token lives.
    let forgetful = world.another_engine(restored.clone(), |auth| auth);
    assert_eq!(stolen.copy().reaching(&forgetful).get("/me").await.status, 200);

    let raised = world.another_engine(restored, second_epoch);
    let refused = stolen.reaching(&raised);
    assert_eq!(refused.get("/data").await.status, 401);
    assert_eq!(refused.session_cookie(), "", "over for good");
    eventually("the record says so", || async {
        raised.events().iter().any(|event| matches!(event, Event::Ended { reason: EndReason::Refused, .. }))
    })
    .await;
}

#[tokio::test]
async fn while_the_provider_is_out_of_reach_nothing_of_an_unproven_session_is_served_and_nobody_is_signed_out() {
    let world = World::on(Flaky::new(), RefreshClass::Reusable, |auth| auth).await;
    let browser = world.alice().await;
    let raised = world.another_engine(world.store.clone(), second_epoch);
    let browser = browser.reaching(&raised);
    let cookie = browser.session_cookie();
    world.wire.unplug(true);
    for path in ["/data", "/me", "/", "/auth/session", "/members/page"] {
        let answer = browser.get(path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()["error"].as_str()),
            (503, Some("renewal_suspended")),
            "{path}"
        );
        assert!(!answer.header("retry-after").is_empty(), "{path}");
        assert!(!answer.text().contains("Alice"), "{path}: {}", answer.text());
    }
    let page = browser.visit("/members/page").await;
    assert_eq!(page.status, 503);
    assert!(page.text().contains("you still are"), "{}", page.text());
    assert_eq!(browser.session_cookie(), cookie, "kept");
    world.wire.unplug(false);
    world.clock.advance(Duration::from_secs(40));
    assert!(world.accepts(&browser.get("/data").await.bearer()).await);
}

#[tokio::test]
async fn a_session_that_no_provider_can_vouch_for_ends() {
    let world = World::on(Arc::new(perennial::store::MemoryStore::new()), RefreshClass::Reusable, |auth| auth).await;
    world.provider.script("omit_refresh_token").expect("a script");
    let browser = world.alice().await;
    assert_eq!(browser.get("/me").await.status, 200);
    let raised = world.another_engine(world.store.clone(), second_epoch);
    let browser = browser.reaching(&raised);
    assert_eq!(browser.get("/me").await.status, 401);
    eventually("it is told", || async {
        raised.events().iter().any(|event| matches!(event, Event::Ended { reason: EndReason::Unproven, .. }))
    })
    .await;
    // Whoever signs in now belongs to the epoch.
    world.provider.clear_faults();
    browser.sign_in("alice").await;
    assert_eq!((browser.get("/me").await.status.as_u16(), world.redemptions()), (200, 0));
}
