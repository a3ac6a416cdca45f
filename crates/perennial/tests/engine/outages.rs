//! Providers that fail: nobody is signed out by it who could be kept.

use std::time::Duration;

use perennial::provider::RefreshClass;
use perennial::{Event, RenewalOutcome, RenewalPolicy};
use perennial_provider::Outcome;

use crate::support::{Browser, DEAD, DUE, World, eventually};

const STEP: Duration = Duration::from_secs(40);

fn impatient(auth: perennial::AuthBuilder) -> perennial::AuthBuilder {
    let policy =
        RenewalPolicy { call_deadline: Duration::from_secs(1), wait_max: Duration::from_secs(2), ..Default::default() };
    auth.renewal(policy)
}

/// What a browser with a dead token and no provider is told: try again, and that it is still signed in.
async fn assert_suspended(browser: &Browser, story: &str) {
    let refused = browser.get("/data").await;
    assert_eq!(refused.status, 503, "{story}: {}", refused.text());
    assert_eq!(refused.json()["error"], "renewal_suspended", "{story}");
    assert!(refused.header("retry-after").parse::<u64>().expect("seconds") >= 1, "{story}");
    let session = browser.get("/auth/session").await;
    assert_eq!((session.status.as_u16(), &session.json()["user"]["name"]), (200, &"Alice Archer".into()), "{story}");
    assert_eq!(browser.get("/me").await.json()["live"], false, "{story}");
    let button = browser.post("/auth/refresh", &[]).await;
    assert_eq!(button.status, 503, "{story}: {}", button.text());
}

#[tokio::test]
async fn an_outage_is_sat_out_with_the_old_token_then_with_503_and_ends_without_a_sign_in() {
    for script in [
        "respond_status=503",
        "respond_status=500",
        "respond_status=429,retry_after_seconds=3",
        "drop_before_commit",
        "delay_ms=1500",
        "html",
        "redirect",
        "unplugged",
        "invalid_client",
    ] {
        // Reusable: that the doubt of a dropped connection ends at once is not what this story is about.
        let world = World::of(RefreshClass::Reusable, impatient).await;
        let browser = world.alice().await;
        let old = browser.get("/data").await.bearer();
        match script {
            "unplugged" => world.wire.unplug(true),
            script => world.provider.script(&format!("{script},grant=refresh_token")).expect("a script"),
        }

        world.clock.advance(DUE);
        for _ in 0..3 {
            assert_eq!(browser.get("/data").await.bearer(), old, "{script}: the live token is good");
            world.clock.advance(Duration::from_secs(6));
        }
        assert!(world.accepts(&old).await, "{script}");
        world.clock.advance(DEAD);
        assert_suspended(&browser, script).await;

        world.wire.unplug(false);
        world.provider.clear_faults();
        world.clock.advance(STEP);
        let new = browser.get("/data").await.bearer();
        assert!(new != old && world.accepts(&new).await, "{script}");
        let renewals = world.engine.renewals();
        assert!(renewals.len() >= 2, "{script}: {renewals:?}");
        assert!(
            renewals.iter().all(|outcome| matches!(outcome, RenewalOutcome::Kept { .. } | RenewalOutcome::Renewed))
        );
    }
}

#[tokio::test]
async fn a_provider_in_trouble_is_not_flooded() {
    let world = World::start().await;
    let browser = world.alice().await;
    world.provider.script("respond_status=503,retry_after_seconds=3,grant=refresh_token").expect("a script");
    world.clock.advance(DEAD);
    for _ in 0..20 {
        assert_eq!(browser.get("/data").await.status, 503);
    }
    assert_eq!(world.provider.counters().of(Outcome::FaultedStatus), 1, "Retry-After holds");
    // All sessions are held back, not just this one; but signing in is not renewing.
    let bob = world.browser();
    world.provider.clear_faults();
    bob.sign_in("bob").await;
    assert_eq!(bob.get("/").await.text(), "Bob Baker");
}

#[tokio::test]
async fn a_refused_client_is_an_operators_matter_not_the_users() {
    let world = World::start().await;
    let browser = world.alice().await;
    world.provider.script("invalid_client,grant=refresh_token").expect("a script");
    world.clock.advance(DUE);
    browser.get("/data").await.bearer();
    let alarm = |event: &Event| matches!(event, Event::Alarm { code: "provider_refuses_client", .. });
    assert!(world.engine.events().iter().any(alarm));
    assert!(world.family_alive());
}

#[tokio::test]
async fn a_client_refused_at_sign_in_is_an_operators_matter_too() {
    let world = World::start().await;
    world.provider.script("invalid_client").expect("a script");
    let browser = world.browser();
    let asked = browser.begin_sign_in("alice", "/me").await;
    let answer = browser.get(&browser.ask_provider(&asked).await).await;
    assert!(answer.header("location").contains("error=Configuration"), "{}", answer.header("location"));
    let alarms = world.engine.events().into_iter().filter_map(|event| match event {
        Event::Alarm { code: "provider_refuses_client", message, .. } => Some(message),
        _ => None,
    });
    let alarms: Vec<_> = alarms.collect();
    assert!(alarms.len() == 1 && alarms[0].contains("check client id, secret"), "{alarms:?}");
}

#[tokio::test]
async fn a_refused_refresh_token_lasts_as_long_as_the_access_token_then_the_session_ends() {
    let world = World::start().await;
    let browser = world.alice().await;
    let old = browser.get("/data").await.bearer();
    assert!(world.provider.revoke_family(1));
    world.clock.advance(DUE);
    for _ in 0..3 {
        assert_eq!(browser.get("/data").await.bearer(), old);
    }
    assert_eq!(world.provider.counters().of(Outcome::RejectedRevoked), 1, "a refusal is not asked for twice");
    let other_tab = browser.copy();

    world.clock.advance(DEAD);
    let over = browser.get("/data").await;
    assert_eq!((over.status.as_u16(), over.json()["error"].as_str()), (401, Some("not_signed_in")));
    assert_eq!(browser.session_cookie(), "", "the cookie is gone");
    assert_eq!(other_tab.get("/auth/session").await.text(), "null");
    assert_eq!(world.provider.counters().of(Outcome::RejectedRevoked), 1);
}

#[tokio::test]
async fn an_ambiguous_refusal_is_asked_once_more() {
    let world = World::start().await;
    let browser = world.alice().await;
    world.provider.script("respond_status=400,respond_times=1,grant=refresh_token").expect("a script");
    world.clock.advance(DUE);
    browser.get("/data").await.bearer();
    world.clock.advance(DEAD);
    assert!(world.accepts(&browser.get("/data").await.bearer()).await);
}

/// Every earlier failure counted as the one more try that an unexplained refusal is given: a provider that came back from an
/// outage with a single odd answer signed its users out.
#[tokio::test]
async fn an_ambiguous_refusal_after_an_outage_is_asked_once_more_too() {
    let world = World::start().await;
    let browser = world.alice().await;
    world.clock.advance(DEAD);
    world.wire.unplug(true);
    assert_eq!(browser.get("/data").await.status, 503);
    world.wire.unplug(false);
    world.provider.script("respond_status=400,respond_times=1,grant=refresh_token").expect("a script");
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(browser.get("/data").await.status, 503, "it may mean: try again");
    world.clock.advance(Duration::from_secs(60));
    assert!(world.accepts(&browser.get("/data").await.bearer()).await);
}

#[tokio::test]
async fn a_lost_reply_is_recovered_inside_the_overlap() {
    for class in [
        RefreshClass::Overlap(Duration::from_secs(10)),
        RefreshClass::Idempotent(Duration::from_secs(10)),
        RefreshClass::Acknowledged,
        RefreshClass::Reusable,
    ] {
        for fault in ["lose_reply=1", "cut_reply=1"] {
            let world = World::of(class, |auth| auth).await;
            let browser = world.alice().await;
            let old = browser.get("/data").await.bearer();
            world.provider.script(fault).expect("a script");
            world.clock.advance(DUE);
            assert_eq!(browser.get("/data").await.bearer(), old, "{class:?} {fault}");
            world.clock.advance(Duration::from_secs(5));
            // Or at the next look: the engine may be at it already, and then nobody waits.
            eventually("the answer is fetched", || async { browser.get("/data").await.bearer() != old }).await;
            assert!(world.accepts(&browser.get("/data").await.bearer()).await, "{class:?} {fault}");
            assert!(world.family_alive(), "{class:?} {fault}");
            // And it goes on from there.
            world.clock.advance(DEAD);
            assert!(world.accepts(&browser.get("/data").await.bearer()).await, "{class:?} {fault}");
        }
    }
}

#[tokio::test]
async fn a_lost_reply_where_reuse_kills_the_family_uses_up_the_access_token_first() {
    let world = World::start().await;
    let browser = world.alice().await;
    let old = browser.get("/data").await.bearer();
    world.provider.script("lose_reply=1").expect("a script");
    world.clock.advance(DUE);
    for _ in 0..4 {
        assert_eq!(browser.get("/data").await.bearer(), old);
        world.clock.advance(Duration::from_secs(6));
    }
    assert!(world.accepts(&old).await, "the family was left alone");
    assert_eq!(world.provider.counters().token_requests, 2, "the sign-in and the lost one");

    // Nothing is left to lose: one last try, which this provider takes for a theft.
    world.clock.advance(STEP);
    assert_eq!(browser.get("/data").await.status, 401);
    assert_eq!(world.provider.counters().of(Outcome::ReuseDetectedFamilyRevoked), 1);
    assert_eq!(browser.get("/auth/session").await.text(), "null");
}

#[tokio::test]
async fn a_dropped_connection_where_reuse_kills_the_family_costs_nothing_in_the_end() {
    let world = World::start().await;
    let browser = world.alice().await;
    world.provider.script("drop_before_commit=1,grant=refresh_token").expect("a script");
    world.clock.advance(DUE);
    browser.get("/data").await.bearer();
    world.clock.advance(STEP);
    let new = browser.get("/data").await.bearer();
    assert!(world.accepts(&new).await, "the last try found the refresh token unspent");
    assert!(world.family_alive());
}

#[tokio::test]
async fn a_refresh_token_that_is_not_replaced_is_kept() {
    let world = World::of(RefreshClass::Reusable, |auth| auth).await;
    let browser = world.alice().await;
    world.provider.script("omit_refresh_token=1,grant=refresh_token").expect("a script");
    for generation in 1..=3 {
        world.clock.advance(DUE);
        assert!(world.accepts(&browser.get("/data").await.bearer()).await);
        assert_eq!(browser.generation().await, generation);
    }
}

/// Nobody was told, and every request spent another refresh token.
#[tokio::test]
async fn a_provider_whose_access_tokens_are_of_no_use_is_told_about() {
    let world = World::start().await;
    let browser = world.alice().await;
    world.clock.advance(DUE);
    world.wire.tamper(Some(|mut answer| {
        answer["token_type"] = "DPoP".into();
        answer
    }));
    browser.get("/data").await;
    let told = world.engine.events().into_iter().any(
        |event| matches!(event, Event::Alarm { code: "provider_refuses_client", message, .. } if message.contains("unsupported_token_type")),
    );
    assert!(told, "an operator must act");
    world.wire.tamper(None);
    world.clock.advance(DEAD);
    assert!(world.accepts(&browser.get("/data").await.bearer()).await);
    assert!(world.family_alive());
}

/// Once an hour the metadata are fetched anew, and whoever came meanwhile queued behind it, although stale ones would have done.
#[tokio::test]
async fn a_discovery_that_hangs_holds_up_nobody_but_the_one_who_asks() {
    let world = World::start().await;
    let (first, second) = (world.alice().await, world.alice().await);
    world.clock.advance(Duration::from_secs(3601));
    world.wire.hold_discovery(true);
    let asking = tokio::spawn({
        let first = first.copy();
        async move { first.get("/data").await.status }
    });
    world.wire.discovery_held().await;
    let answer = tokio::time::timeout(Duration::from_secs(5), second.get("/data")).await;
    assert_eq!(answer.expect("not behind the one who asks").status, 200);
    world.wire.hold_discovery(false);
    assert_eq!(asking.await.expect("no panic"), 200);
}
