//! Cookies that missed renewals: an answer that never arrived, a laptop that slept, a tab that was restored.

use std::sync::Arc;
use std::time::Duration;

use perennial::cookie::{KeyRing, seal};
use perennial::provider::RefreshClass;
use perennial::secret::CookieSecret;
use perennial::store::EmbeddedStore;
use perennial::{Clock, Event, SessionStrategy, SystemRandom};

use crate::STRATEGY;
use crate::support::{DEAD, DUE, SECRET, World};

#[tokio::test]
async fn a_stale_cookie_gets_the_newest_generation_and_the_family_lives() {
    for missed in [1, 5] {
        let world = World::start().await;
        let browser = world.alice().await;
        let stale = browser.copy();
        for _ in 0..missed {
            world.clock.advance(DUE);
            browser.get("/data").await;
        }
        let newest = browser.get("/data").await.bearer();
        world.clock.advance(Duration::from_secs(30));
        world.engine.events();

        assert_eq!(stale.get("/data").await.bearer(), newest, "{missed} generations missed");

        assert_eq!(stale.generation().await, missed);
        assert_eq!((world.redemptions(), world.family_alive()), (missed, true));
        if STRATEGY == SessionStrategy::Database {
            // A handle is never stale.
            continue;
        }
        let saved = world.engine.events().into_iter().any(|event| {
            matches!(event, Event::StaleCookieSaved { presented, newest, .. } if presented.0 == 0 && newest.0 == missed)
        });
        assert!(saved, "the operator can see it");
    }
}

#[tokio::test]
async fn a_stale_cookie_that_comes_back_after_days_renews_with_the_newest_refresh_token() {
    let world = World::start().await;
    let browser = world.alice().await;
    let stale = browser.copy();
    for _ in 0..5 {
        world.clock.advance(DUE);
        browser.get("/data").await;
    }
    world.clock.advance(Duration::from_secs(5 * 24 * 3600));
    assert!(world.accepts(&stale.get("/data").await.bearer()).await);
    assert_eq!((stale.generation().await, world.redemptions(), world.family_alive()), (6, 6, true));
}

#[tokio::test]
async fn the_record_on_disk_outlives_the_engine() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sessions");
    let open = || Arc::new(EmbeddedStore::open(&path).expect("the store opens"));
    let mut world = World::on(open(), RefreshClass::Family, |auth| auth).await;
    let browser = world.alice().await;
    let stale = browser.copy();
    for _ in 0..5 {
        world.clock.advance(DUE);
        browser.get("/data").await;
    }
    world.crash().await;

    let restarted = world.another_engine(open(), |auth| auth);
    world.clock.advance(DEAD);
    let stale = stale.reaching(&restarted);
    assert!(world.accepts(&stale.get("/data").await.bearer()).await);
    assert_eq!((stale.generation().await, world.redemptions(), world.family_alive()), (6, 6, true));
}

#[tokio::test]
async fn a_cookie_that_authjs_wrote_is_adopted_and_two_requests_with_it_redeem_once() {
    let world = World::start().await;
    let browser = world.alice().await;
    browser.get("/me").await;
    let refresh_token =
        world.wire.secrets().into_iter().find(|secret| secret.starts_with("rt_")).expect("one was issued");
    let now = world.clock.now();
    let claims = serde_json::json!({
        "name": "Alice Archer", "email": "alice@example.test", "sub": "alice", "access_token": "of-another-life",
        "refresh_token": refresh_token, "expires_at": now.unix_seconds() - 5,
    });
    let claims = claims.as_object().expect("an object");
    let ring = KeyRing::new(&[CookieSecret::new(SECRET)], "authjs.session-token").expect("a secret");
    let sealed = seal(&ring, claims, now, Duration::from_secs(3600), &SystemRandom);
    let visitors = [world.browser(), world.browser()];
    for visitor in &visitors {
        visitor.set_cookie("authjs.session-token", &sealed);
    }
    let (one, two) = tokio::join!(visitors[0].get("/data"), visitors[1].get("/data"));
    assert_eq!(one.bearer(), two.bearer());
    assert!(world.accepts(&one.bearer()).await);
    assert_eq!((world.redemptions(), world.family_alive()), (1, true));
    assert_eq!(visitors[0].get("/me").await.json()["claims"]["sub"], "alice");
}
