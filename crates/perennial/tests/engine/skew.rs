//! Replicas whose clocks differ: 30 s between any two is what is tolerated.

use std::time::Duration;

use perennial::RenewalPolicy;
use perennial::provider::RefreshClass;

use crate::support::{DEAD, DUE, Engine, Flaky, LIFETIME, Skew, World};

const APART: Duration = Duration::from_secs(30);

const EVERY_SKEW: [Skew; 2] = [Skew::Ahead(APART), Skew::Behind(APART)];

fn off(world: &World, skew: Skew) -> Engine {
    world.another_engine(world.store.clone(), |auth| auth.clock(world.clock.off_by(skew)))
}

#[tokio::test]
async fn replicas_half_a_minute_apart_redeem_once_per_generation_and_sign_nobody_out() {
    for skew in EVERY_SKEW {
        let world = World::on(Flaky::new(), RefreshClass::Family, |auth| auth).await;
        let other = off(&world, skew);
        let browser = world.alice().await;
        for generation in 1..=6 {
            world.clock.advance(if generation % 3 == 0 { DEAD } else { DUE });
            let (here, there) = (browser.copy(), browser.copy().reaching(&other));
            let (first, second) = tokio::join!(here.get("/data"), there.get("/data"));
            for answer in [first, second] {
                // To a clock that is ahead a lease is over early: it is told to wait, never to sign in.
                assert!(matches!(answer.status.as_u16(), 200 | 503), "{skew:?} {generation}: {}", answer.text());
            }
            for engine in [&world.engine, &other] {
                engine.auth.drain().await;
            }
            for answer in [browser.get("/data").await, browser.reaching(&other).get("/data").await] {
                assert!(world.accepts(&answer.bearer()).await, "{skew:?} {generation}");
            }
            assert_eq!((world.redemptions(), world.family_alive()), (generation, true), "{skew:?}");
        }
        assert_eq!(world.provider.counters().max_in_flight_per_token, 1, "{skew:?}");
    }
}

#[tokio::test]
async fn an_attempt_of_a_replica_with_another_clock_is_waited_for() {
    for skew in EVERY_SKEW {
        let world = World::on(Flaky::new(), RefreshClass::Family, |auth| auth).await;
        let other = world.another_engine(world.store.clone(), |auth| {
            let wait_max = Duration::from_millis(300);
            auth.clock(world.clock.off_by(skew)).renewal(RenewalPolicy { wait_max, ..Default::default() })
        });
        let browser = world.alice().await;
        // Dead by either clock.
        world.clock.advance(DEAD + APART);
        world.wire.hold();
        let calling = tokio::spawn({
            let browser = browser.copy();
            async move { browser.get("/data").await.bearer() }
        });
        world.wire.answered(1).await;
        // For a clock that is ahead the lease is over; the call is not, and what it sent may be on its way still.
        assert_eq!(browser.copy().reaching(&other).get("/data").await.status, 503, "{skew:?}");
        assert_eq!(world.provider.counters().token_requests, 2, "{skew:?}: the code and one refresh token");
        world.wire.release();
        let new = calling.await.expect("answered");
        other.auth.drain().await;
        assert_eq!(browser.copy().reaching(&other).get("/data").await.bearer(), new, "{skew:?}");
        assert_eq!((world.redemptions(), world.family_alive()), (1, true), "{skew:?}");
    }
}

#[tokio::test]
async fn a_token_asked_for_by_a_clock_that_is_ahead_is_renewed_before_it_dies_elsewhere() {
    let world = World::on(Flaky::new(), RefreshClass::Family, |auth| auth).await;
    let ahead = off(&world, Skew::Ahead(APART));
    let browser = world.alice().await;
    world.clock.advance(DUE);
    browser.reaching(&ahead).get("/data").await.bearer();
    // Its expiry is 30 s too late for everybody else, and all of the window lies before the true one.
    for second in [LIFETIME - Duration::from_secs(1), Duration::ZERO] {
        world.clock.advance(second);
        let answer = browser.get("/data").await;
        assert!(world.accepts(&answer.bearer()).await);
    }
}

#[tokio::test]
async fn a_cookie_sealed_by_a_clock_that_is_ahead_or_behind_opens() {
    for skew in EVERY_SKEW {
        let world = World::on(Flaky::new(), RefreshClass::Family, |auth| auth).await;
        let other = off(&world, skew);
        let browser = world.browser().reaching(&other);
        browser.sign_in("alice").await;
        assert_eq!(browser.reaching(&world.engine).get("/me").await.status, 200, "{skew:?}");
    }
}
