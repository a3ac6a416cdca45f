//! What is true of sessions that lie in the store, and of none that its cookie carries.

use std::time::Duration;

use perennial::cookie::{KeyRing, join};
use perennial::provider::RefreshClass;
use perennial::secret::CookieSecret;
use perennial::{AuthBuilder, Clock, Event, SessionStrategy};

use crate::support::{Browser, DEAD, DUE, Flaky, SECRET, World, alarmed, eventually};

fn carried(auth: AuthBuilder) -> AuthBuilder {
    auth.strategy(SessionStrategy::Jwt)
}

/// The names in the claims of the session cookie, in order.
fn claims(world: &World, browser: &Browser) -> Vec<String> {
    let ring = KeyRing::new(&[CookieSecret::new(SECRET)], "authjs.session-token").expect("a secret");
    let cookies = browser.cookies();
    let pairs = cookies.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let joined = join("authjs.session-token", pairs).expect("a session cookie");
    let opened = joined.open(&ring, world.clock.now()).expect("ours");
    let mut names: Vec<_> = opened.claims.keys().cloned().collect();
    names.sort();
    names
}

const HANDLE: [&str; 4] = ["exp", "iat", "jti", "perennial"];

#[tokio::test]
async fn the_cookie_is_a_small_handle_that_renewals_leave_alone() {
    let world = World::start().await;
    let browser = world.alice().await;
    let handle = browser.session_cookie();
    assert_eq!(claims(&world, &browser), HANDLE);
    assert!(handle.len() < 600, "{} characters", handle.len());
    for generation in 1..=3 {
        world.clock.advance(DUE);
        assert_eq!(browser.generation().await, generation);
    }
    let updated = browser.post_json("/auth/session", &serde_json::json!({ "data": {} })).await;
    assert_eq!(updated.json()["user"]["name"], "Alice Archer");
    assert_eq!(claims(&world, &browser), HANDLE);
    let writes =
        browser.seen().into_iter().filter(|(path, answer)| path == "/me" && answer.headers.contains_key("set-cookie"));
    assert_eq!(writes.count(), 0);
}

#[tokio::test]
async fn a_sign_out_is_known_to_every_replica_at_once() {
    let world = World::on(Flaky::new(), RefreshClass::Family, |auth| auth).await;
    let other = world.another_engine(world.store.clone(), |auth| auth);
    let browser = world.alice().await;
    let copy = browser.copy().reaching(&other);
    assert_eq!(copy.get("/me").await.status, 200);
    browser.post("/auth/signout", &[]).await;
    assert_eq!(copy.get("/me").await.status, 401, "its access token lives, and yet");
}

#[tokio::test]
async fn while_the_store_fails_nobody_is_served_and_nobody_is_signed_out() {
    let store = Flaky::new();
    let world = World::on(store.clone(), RefreshClass::Family, |auth| auth).await;
    let browser = world.alice().await;
    let handle = browser.session_cookie();
    store.fail(true);
    for path in ["/data", "/me", "/", "/auth/session", "/members/page"] {
        let answer = browser.get(path).await;
        let told = answer.json()["error"].as_str().map(str::to_owned);
        assert_eq!((answer.status.as_u16(), told.as_deref()), (503, Some("session_unavailable")), "{path}");
        assert!(!answer.header("retry-after").is_empty(), "{path}");
    }
    assert_eq!(browser.post("/auth/refresh", &[]).await.status, 503);
    assert_eq!(browser.post_json("/auth/session", &serde_json::json!({ "data": {} })).await.status, 503);
    let page = browser.visit("/members/page").await;
    assert_eq!(page.status, 503);
    assert!(page.text().contains("cannot be looked up"), "{}", page.text());
    assert!(alarmed(world.engine.events()));
    // A stranger needs no store.
    assert_eq!(world.browser().get("/").await.text(), "stranger");

    store.fail(false);
    assert_eq!(browser.session_cookie(), handle);
    assert!(world.accepts(&browser.get("/data").await.bearer()).await);
    assert_eq!(world.redemptions(), 0);
}

#[tokio::test]
async fn a_sign_in_that_the_store_will_not_keep_begins_nothing_by_halves() {
    let store = Flaky::new();
    let world = World::on(store.clone(), RefreshClass::Family, |auth| auth).await;
    let browser = world.browser();
    let asked = browser.begin_sign_in("alice", "/me").await;
    let callback = browser.ask_provider(&asked).await;
    store.fail(true);
    let landed = browser.get(&callback).await;
    let to = landed.header("location").to_owned();
    assert!(to.ends_with("/auth/error?error=SessionStore"), "{to}");
    assert_eq!(browser.session_cookie(), "");
    assert!(!world.family_alive(), "what was issued is revoked");
    let page = browser.get(&to[to.find("/auth").expect("ours")..]).await;
    assert_eq!(page.status, 503);
    let signed_in = |events: Vec<Event>| events.iter().any(|event| matches!(event, Event::SignedIn { .. }));
    assert!(!signed_in(world.engine.events()));
    store.fail(false);
    browser.sign_in("alice").await;
    assert_eq!(browser.get("/me").await.status, 200);
}

#[tokio::test]
async fn signing_out_while_the_store_fails_holds_in_this_process() {
    let store = Flaky::new();
    let world = World::on(store.clone(), RefreshClass::Family, |auth| auth).await;
    let browser = world.alice().await;
    let copy = browser.copy();
    store.fail(true);
    assert_eq!(browser.post("/auth/signout", &[]).await.status, 503, "it holds nowhere else yet");
    assert_eq!(browser.session_cookie(), "");
    assert_eq!(copy.get("/me").await.status, 401);
}

/// The record is the session, and it is gone: nobody is there. But the cookie stays, for the store may find it again.
#[tokio::test]
async fn a_session_that_the_store_lost_is_told_of_and_comes_back_with_its_record() {
    let store = Flaky::new();
    let world = World::on(store.clone(), RefreshClass::Family, |auth| auth).await;
    let browser = world.alice().await;
    let elsewhere = world.another_engine(Flaky::new(), |auth| auth);
    let lost = browser.reaching(&elsewhere);
    assert_eq!(lost.get("/me").await.status, 401);
    let told = elsewhere.events().into_iter().any(|event| matches!(event, Event::Alarm { code: "record_missing", .. }));
    assert!(told);
    assert_eq!(browser.get("/me").await.status, 200);
}

/// Tokens were received and the store would not take them: the cookie is the only other place that outlives the process.
#[tokio::test]
async fn tokens_that_the_store_would_not_take_go_with_the_cookie_until_it_does() {
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
    store.no_swap.store(true, std::sync::atomic::Ordering::SeqCst);
    world.wire.release();
    assert!(world.accepts(&renewing.await.expect("answered")).await);
    assert!(claims(&world, &browser).contains(&"refresh_token".to_owned()), "the cookie carries it");

    // The process dies with what it held, and the store comes back without it.
    let restarted = world.another_engine(store.clone(), |auth| auth);
    store.fail(false);
    let browser = browser.reaching(&restarted);
    assert_eq!(browser.generation().await, 1);
    assert_eq!(claims(&world, &browser), HANDLE, "a handle again");
    world.clock.advance(DUE);
    assert!(world.accepts(&browser.get("/data").await.bearer()).await);
    assert_eq!((world.redemptions(), world.family_alive()), (2, true));
}

#[tokio::test]
async fn changing_the_strategy_signs_nobody_out_in_either_direction() {
    let world = World::on(Flaky::new(), RefreshClass::Family, carried).await;
    let browser = world.alice().await;
    world.clock.advance(DUE);
    assert_eq!(browser.generation().await, 1);
    let stale = browser.copy();
    assert!(claims(&world, &browser).contains(&"refresh_token".to_owned()));

    let stored = world.another_engine(world.store.clone(), |auth| auth);
    let moved = browser.reaching(&stored);
    assert_eq!(moved.generation().await, 1);
    assert_eq!(claims(&world, &moved), HANDLE, "shrunk at its first visit");
    world.clock.advance(DUE);
    assert_eq!(moved.generation().await, 2);
    // A cookie from before that missed the renewal finds the record.
    assert_eq!(stale.copy().reaching(&stored).generation().await, 2);

    let back = moved.reaching(&world.engine);
    assert_eq!(back.generation().await, 2);
    assert!(claims(&world, &back).contains(&"refresh_token".to_owned()), "grown again");
    world.clock.advance(DEAD);
    assert_eq!(back.generation().await, 3);
    assert_eq!(stale.generation().await, 3);
    assert_eq!((world.redemptions(), world.family_alive()), (3, true));
}

/// A cookie that carries its session comes to a store that has never heard of it: another one, or one that was emptied.
#[tokio::test]
async fn a_session_moves_into_a_store_that_does_not_know_it() {
    let world = World::on(Flaky::new(), RefreshClass::Family, carried).await;
    let browser = world.alice().await;
    let empty = Flaky::new();
    let stored = world.another_engine(empty.clone(), |auth| auth);
    empty.fail(true);
    let moving = browser.reaching(&stored);
    let cookie = moving.session_cookie();
    assert_eq!(moving.get("/me").await.status, 503, "not while it fails");
    assert_eq!(moving.session_cookie(), cookie);
    empty.fail(false);
    assert!(world.accepts(&moving.get("/data").await.bearer()).await);
    assert_eq!(claims(&world, &moving), HANDLE);
    world.clock.advance(DUE + Duration::from_secs(1));
    assert_eq!((moving.generation().await, world.redemptions()), (1, 1));
    eventually("and is not asked for twice", || async { moving.get("/me").await.status == 200 }).await;
}
