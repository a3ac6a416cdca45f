//! What a cookie that carries its session can do and one that is a handle cannot: it knows when its record does not.

use std::sync::Arc;

use perennial::cookie::{KeyRing, join};
use perennial::provider::RefreshClass;
use perennial::secret::CookieSecret;
use perennial::{Clock, JwtTrigger};

use crate::support::{DEAD, DUE, Flaky, SECRET, World, alarmed};

/// At the edge of what cookies hold, a session goes without its ID token before it goes without a cookie.
#[tokio::test]
async fn a_session_too_large_for_its_cookies_gives_up_its_id_token_first() {
    let size = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let world = World::of(RefreshClass::Family, |auth| {
        let size = size.clone();
        auth.jwt(move |mut jwt| {
            let padding = "x".repeat(size.load(std::sync::atomic::Ordering::SeqCst));
            if jwt.trigger == Some(JwtTrigger::SignIn) {
                jwt.token.insert("padding".into(), padding.into());
            }
            async move { Ok(Some(jwt.token)) }
        })
    })
    .await;
    let ring = KeyRing::new(&[CookieSecret::new(SECRET)], "authjs.session-token").expect("a secret");
    let mut seen = Vec::new();
    for padding in (12_000..15_000).step_by(100) {
        size.store(padding, std::sync::atomic::Ordering::SeqCst);
        let browser = world.browser();
        browser.sign_in("alice").await;
        let cookies = browser.cookies();
        let pairs = cookies.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let kept = join("authjs.session-token", pairs).map(|joined| {
            let opened = joined.open(&ring, world.clock.now()).expect("our cookie");
            opened.claims.contains_key("id_token")
        });
        if seen.last() != Some(&kept) {
            seen.push(kept);
        }
    }
    assert_eq!(seen, [Some(true), Some(false), None], "whole, then without its ID token, then no cookie");
}

/// An update of the claims wrote the stale cookie's generation over the newer one that could not be read.
#[tokio::test]
async fn a_generation_that_cannot_be_read_is_not_written_over() {
    let world = World::start().await;
    let browser = world.alice().await;
    let newer = "a-newer-secret-of-32-bytes-or-more";
    let both = world.engine_with_secrets(&[newer, SECRET]);
    let stale = browser.copy().reaching(&both);
    assert_eq!(stale.generation().await, 0, "sealed anew, not renewed");
    let missed = browser.copy();
    world.clock.advance(DUE);
    browser.get("/data").await;
    let last = world.engine_with_secrets(&[newer]);
    let updated = stale.reaching(&last).post_json("/auth/session", &serde_json::json!({ "data": {} })).await;
    assert_eq!(updated.json()["user"]["name"], "Alice Archer", "{}", updated.text());
    assert_eq!(missed.generation().await, 1, "the record still holds it");
    assert_eq!((world.redemptions(), world.family_alive()), (1, true));
}

#[tokio::test]
async fn without_the_record_a_stale_cookie_would_have_killed_the_family() {
    // The counter-proof: what the record in the tests above is for.
    let world = World::start().await;
    let browser = world.alice().await;
    let stale = browser.copy();
    world.clock.advance(DUE);
    browser.get("/data").await;
    let forgetful = world.another_engine(Arc::new(perennial::store::MemoryStore::new()), |auth| auth);
    world.clock.advance(DEAD);
    assert_eq!(stale.reaching(&forgetful).get("/data").await.status, 401);
    assert!(!world.family_alive());
}

#[tokio::test]
async fn without_its_store_a_session_lives_on_its_token_and_renewal_waits() {
    let store = Flaky::new();
    let world = World::on(store.clone(), RefreshClass::Family, |auth| auth).await;
    let browser = world.alice().await;
    let old = browser.get("/data").await.bearer();
    store.fail(true);
    world.clock.advance(DUE);
    for _ in 0..3 {
        assert_eq!(browser.get("/data").await.bearer(), old);
    }
    assert!(alarmed(world.engine.events()));
    world.clock.advance(DEAD);
    let refused = browser.get("/data").await;
    assert_eq!((refused.status.as_u16(), refused.json()["error"].as_str()), (503, Some("renewal_suspended")));
    assert_eq!(browser.get("/auth/session").await.json()["user"]["name"], "Alice Archer");
    assert_eq!(world.redemptions(), 0, "no refresh token leaves without an intent");

    store.fail(false);
    assert!(world.accepts(&browser.get("/data").await.bearer()).await);
    assert_eq!((browser.generation().await, world.redemptions()), (1, 1));
}

#[tokio::test]
async fn a_sign_in_succeeds_while_the_store_fails() {
    let store = Flaky::new();
    let world = World::on(store.clone(), RefreshClass::Family, |auth| auth).await;
    store.fail(true);
    let browser = world.alice().await;
    assert!(world.accepts(&browser.get("/data").await.bearer()).await);
    assert!(alarmed(world.engine.events()));
    store.fail(false);
    world.clock.advance(DUE);
    assert!(world.accepts(&browser.get("/data").await.bearer()).await);
    assert_eq!(world.redemptions(), 1);
}

#[tokio::test]
async fn signing_out_while_the_store_fails_holds_in_this_process_and_revokes() {
    let store = Flaky::new();
    let world = World::on(store.clone(), RefreshClass::Family, |auth| auth).await;
    let browser = world.alice().await;
    let copy = browser.copy();
    store.fail(true);
    let out = browser.post("/auth/signout", &[]).await;
    assert_eq!((out.status.as_u16(), browser.session_cookie().as_str()), (503, ""), "it claims no more than this");
    assert_eq!(copy.get("/me").await.status, 401);
    crate::support::eventually("the provider revokes", || async { !world.family_alive() }).await;
}

/// The record held the successor under a secret that was taken off the list: the old cookie's refresh token was sent instead,
/// which the provider took for theft.
#[tokio::test]
async fn a_spent_refresh_token_is_not_sent_because_its_successor_cannot_be_read() {
    let world = World::start().await;
    let browser = world.alice().await;
    let newer = "a-newer-secret-of-32-bytes-or-more";
    let both = world.engine_with_secrets(&[newer, SECRET]);
    let stale = browser.copy().reaching(&both);
    assert_eq!(stale.generation().await, 0, "sealed anew, not renewed");
    world.clock.advance(DUE);
    browser.get("/data").await;
    assert_eq!(world.redemptions(), 1, "the newest generation lies in the record, under the older secret");
    let last = world.engine_with_secrets(&[newer]);
    world.clock.advance(DUE);
    stale.reaching(&last).get("/data").await;
    assert!(world.family_alive(), "a spent refresh token was sent");
    assert_eq!(browser.generation().await, 2);
}
