//! Renewal as it should go: ahead of time, once, and without anybody noticing.

use std::time::Duration;

use perennial::provider::RefreshClass;
use perennial::{Door, RenewalOutcome, RenewalPolicy, SessionStrategy};

use crate::STRATEGY;
use crate::support::{DEAD, DUE, Flaky, World, eventually};

#[tokio::test]
async fn nothing_is_renewed_before_its_time() {
    let world = World::start().await;
    let browser = world.alice().await;
    world.clock.advance(Duration::from_secs(239));
    let token = browser.get("/data").await.bearer();
    assert!(world.accepts(&token).await);
    assert_eq!((browser.generation().await, world.redemptions()), (0, 0));
}

#[tokio::test]
async fn a_session_renews_ahead_of_its_tokens_end() {
    let world = World::start().await;
    let browser = world.alice().await;
    for generation in 1..=5 {
        world.clock.advance(DUE);
        let answer = browser.get("/data").await;
        assert!(world.accepts(&answer.bearer()).await);
        let sets_cookie = answer.headers.contains_key("set-cookie");
        assert_eq!(sets_cookie, STRATEGY == SessionStrategy::Jwt, "a handle stays what it is: {:?}", answer.headers);
        assert_eq!(answer.header("cache-control").contains("no-store"), sets_cookie, "{:?}", answer.headers);
        assert_eq!((browser.generation().await, world.redemptions()), (generation, generation));
    }
    assert_eq!(world.engine.renewals(), vec![RenewalOutcome::Renewed; 5]);
    assert!(world.family_alive());
}

#[tokio::test]
async fn a_request_with_a_dead_token_waits_and_goes_on_with_a_new_one() {
    let world = World::start().await;
    let browser = world.alice().await;
    let old = browser.get("/data").await.bearer();
    world.clock.advance(Duration::from_secs(7 * 24 * 3600));
    let new = browser.get("/data").await.bearer();
    assert_ne!(old, new);
    assert!(world.accepts(&new).await);
    assert_eq!(world.redemptions(), 1);
}

#[tokio::test]
async fn fifty_requests_at_expiry_are_fifty_good_answers_and_one_redemption() {
    let world = World::start().await;
    let browser = world.alice().await;
    for (step, round) in [(DEAD, 1), (DUE, 2)] {
        world.clock.advance(step);
        let requests: Vec<_> = (0..50)
            .map(|_| {
                let browser = browser.copy();
                tokio::spawn(async move { browser.get("/data").await.bearer() })
            })
            .collect();
        for request in requests {
            assert!(world.accepts(&request.await.expect("answered")).await);
        }
        // Whoever came in the window went on with the old token: the next sees the new one.
        world.engine.auth.drain().await;
        assert_eq!((browser.generation().await, world.redemptions()), (round, round));
    }
    assert_eq!(world.provider.counters().max_in_flight_per_token, 1);
    assert!(world.family_alive());
}

#[tokio::test]
async fn inside_the_window_one_waits_and_the_others_go_on() {
    let world = World::start().await;
    let browser = world.alice().await;
    let old = browser.get("/data").await.bearer();
    world.clock.advance(DUE);
    world.wire.hold();
    let first = tokio::spawn({
        let browser = browser.copy();
        async move { browser.generation().await }
    });
    world.wire.answered(1).await;
    // The provider's answer is still on its way, and none of these waits for it.
    for _ in 0..5 {
        assert_eq!(browser.copy().get("/data").await.bearer(), old);
    }
    assert!(!first.is_finished());
    world.wire.release();
    assert_eq!(first.await.expect("answered"), 1);
    assert_eq!(world.redemptions(), 1);
}

#[tokio::test]
async fn a_slow_provider_costs_a_request_in_the_window_no_more_than_its_patience() {
    let world = World::of(RefreshClass::Family, |auth| {
        let patience = Duration::from_millis(50);
        auth.renewal(RenewalPolicy { patience, ..Default::default() })
    })
    .await;
    let browser = world.alice().await;
    let old = browser.get("/data").await.bearer();
    world.clock.advance(DUE);
    world.wire.hold();
    assert_eq!(browser.get("/data").await.bearer(), old);
    world.wire.release();
    world.engine.auth.drain().await;
    assert_eq!((browser.generation().await, world.redemptions()), (1, 1));
}

#[tokio::test]
async fn a_caller_who_hangs_up_does_not_cut_the_renewal_short() {
    let world = World::start().await;
    let browser = world.alice().await;
    world.clock.advance(DEAD);
    world.wire.hold();
    let caller = tokio::spawn({
        let browser = browser.copy();
        async move { browser.get("/data").await }
    });
    world.wire.answered(1).await;
    caller.abort();
    assert!(caller.await.expect_err("hung up").is_cancelled());
    world.wire.release();
    world.engine.auth.drain().await;
    // The cookie never arrived, and yet nobody has to redeem again.
    assert!(world.accepts(&browser.get("/data").await.bearer()).await);
    assert_eq!((browser.generation().await, world.redemptions()), (1, 1));
    assert!(world.family_alive());
}

#[tokio::test]
async fn two_tabs_that_press_refresh_at_once_cost_one_redemption() {
    let world = World::start().await;
    let browser = world.alice().await;
    world.clock.advance(Duration::from_secs(10));
    world.wire.hold();
    let press =
        |browser: crate::support::Browser| tokio::spawn(async move { browser.post("/auth/refresh", &[]).await });
    let one = press(browser.copy());
    world.wire.answered(1).await;
    let two = press(browser.copy());
    world.wire.release();
    for answer in [one.await.expect("answered"), two.await.expect("answered")] {
        assert_eq!((answer.status.as_u16(), answer.json()["generation"].as_u64()), (200, Some(1)), "{}", answer.text());
    }
    // A tab that has not seen the newest generation is given that, without a redemption.
    let late = browser.copy().post("/auth/refresh", &[]).await.json();
    assert_eq!((late["generation"].as_u64(), late["renewed"].as_bool()), (Some(1), Some(false)));
    assert_eq!(world.redemptions(), 1);
}

#[tokio::test]
async fn pressing_refresh_again_and_again_is_held_to_the_shortest_interval() {
    let world = World::start().await;
    let browser = world.alice().await;
    world.clock.advance(Duration::from_secs(2));
    for _ in 0..10 {
        assert_eq!(browser.post("/auth/refresh", &[]).await.json()["generation"], 1);
    }
    world.clock.advance(Duration::from_secs(2));
    assert_eq!(browser.post("/auth/refresh", &[]).await.json()["renewed"], true);
    assert_eq!(world.redemptions(), 2);
}

#[tokio::test]
async fn two_replicas_with_one_store_redeem_once() {
    let world = World::on(Flaky::new(), RefreshClass::Family, |auth| auth).await;
    let browser = world.alice().await;
    let other = world.another_engine(world.store.clone(), |auth| auth);
    world.clock.advance(DEAD);
    world.wire.hold();
    let here = tokio::spawn({
        let browser = browser.copy();
        async move { browser.get("/data").await.bearer() }
    });
    world.wire.answered(1).await;
    let there = tokio::spawn({
        let browser = browser.copy().reaching(&other);
        async move { browser.get("/data").await.bearer() }
    });
    eventually("the other replica waits for the first", || async { !there.is_finished() }).await;
    world.wire.release();
    assert_eq!(here.await.expect("answered"), there.await.expect("answered"));
    assert_eq!(world.redemptions(), 1);
}

#[tokio::test]
async fn a_token_that_an_upstream_refuses_is_renewed_once_and_only_if_nobody_has_yet() {
    let world = World::start().await;
    let browser = world.alice().await;
    world.clock.advance(Duration::from_secs(10));
    let mut headers = http::HeaderMap::new();
    let cookie = format!("authjs.session-token={}", browser.session_cookie());
    headers.insert(http::header::COOKIE, cookie.parse().expect("ASCII"));
    let auth = &world.engine.auth;
    let refused =
        auth.enter(&http::Method::GET, &headers, Door::Ordinary).await.session.expect("signed in").generation();
    for _ in 0..3 {
        let entry = auth.enter(&http::Method::GET, &headers, Door::Unauthorized(refused)).await;
        let session = entry.session.expect("signed in");
        assert_eq!(session.generation().0, 1);
    }
    assert_eq!(world.redemptions(), 1);
}
