//! Answers that got lost, row by row: what is asked, what is sent again and why, and what the user notices. The evidence is
//! what the provider saw.

use std::sync::Arc;
use std::time::Duration;

use perennial::provider::{Introspection, LastResort, Probe, RefreshClass};
use perennial::record::ResendReason;
use perennial::store::MemoryStore;
use perennial::{Condition, RenewalOutcome, RenewalPolicy};
use perennial_provider::Outcome;

use crate::support::{Browser, DEAD, DUE, Rules, World, eventually};

const DRAIN: Duration = Duration::from_secs(5);

const PAGE: [(&str, &str); 2] = [("sec-fetch-mode", "navigate"), ("accept", "text/html")];

async fn world(class: RefreshClass, rules: Rules) -> World {
    World::with_rules(Arc::new(MemoryStore::new()), class, rules, |auth| auth).await
}

/// Alice, whose renewal's answer has just got lost; her access token lives on for some 25 s.
async fn in_doubt(world: &World, fault: &str) -> (Browser, String) {
    let browser = world.alice().await;
    let old = browser.get("/data").await.bearer();
    world.provider.script(&format!("{fault},grant=refresh_token")).expect("a script");
    world.clock.advance(DUE);
    assert_eq!(browser.get("/data").await.bearer(), old, "the living token serves");
    let [lost] = &world.engine.told_renewals()[..] else { panic!("one renewal was tried") };
    assert_eq!((&lost.outcome, lost.resend), (&RenewalOutcome::Kept { why: "in_doubt" }, None));
    assert_eq!(lost.condition, Condition::Degraded);
    (browser, old)
}

fn resends(world: &World) -> Vec<ResendReason> {
    world.engine.told_renewals().into_iter().filter_map(|renewal| renewal.resend).collect()
}

/// Found by the simulation. The answer to a renewal by the button got lost while the access token was fresh. Requests with a fresh
/// token do not look at the record, so nobody asked again while the provider would still have forgiven it.
#[tokio::test]
async fn a_doubt_is_resolved_inside_its_window_although_the_access_token_is_fresh() {
    let world = World::of(RefreshClass::Idempotent(Duration::from_secs(120)), |auth| auth).await;
    let browser = world.alice().await;
    let copy = browser.copy();
    world.clock.advance(Duration::from_secs(10));
    world.provider.script("class=idempotent:120,lose_reply=1,grant=refresh_token").expect("a script");
    assert_eq!(browser.post("/auth/refresh", &[]).await.json()["renewed"], false);
    world.clock.advance(Duration::from_secs(1));
    eventually("the answer is fetched", || async { world.engine.renewals().contains(&RenewalOutcome::Renewed) }).await;
    world.clock.advance(DEAD);
    assert!(world.accepts(&copy.get("/data").await.bearer()).await);
    assert!(world.family_alive());
}

#[tokio::test]
async fn a_harmless_second_time_is_counted_with_its_reason() {
    let window = Duration::from_secs(10);
    for (class, reason) in [
        (RefreshClass::Reusable, ResendReason::Harmless),
        (RefreshClass::Acknowledged, ResendReason::Harmless),
        (RefreshClass::Overlap(window), ResendReason::Window),
        (RefreshClass::Idempotent(window), ResendReason::Window),
    ] {
        let world = world(class, |provider| provider).await;
        let (browser, old) = in_doubt(&world, "lose_reply=1").await;
        world.clock.advance(Duration::from_secs(2));
        let new = browser.get("/data").await.bearer();
        assert!(new != old && world.accepts(&new).await, "{class:?}");
        assert_eq!(resends(&world), [reason], "{class:?}");
    }
}

#[tokio::test]
async fn introspection_tells_that_the_token_is_unspent_and_it_is_sent_again_while_the_old_one_lives() {
    let rules: Rules = |provider| provider.introspection(Introspection::WithHint).drain(DRAIN);
    let world = world(RefreshClass::Family, rules).await;
    let (browser, old) = in_doubt(&world, "drop_before_commit=1").await;
    world.clock.advance(DRAIN - Duration::from_millis(1));
    assert_eq!(browser.get("/data").await.bearer(), old);
    assert_eq!(world.wire.asked("/introspect"), 0, "a lost request may still arrive: the answer would not last");
    world.clock.advance(Duration::from_millis(1));
    let new = browser.get("/data").await.bearer();
    assert!(new != old && world.accepts(&new).await && world.family_alive());
    assert_eq!((world.wire.asked("/introspect"), resends(&world)), (1, vec![ResendReason::Introspection]));
}

#[tokio::test]
async fn introspection_tells_that_the_token_is_spent_and_the_old_one_is_used_up() {
    let rules: Rules = |provider| provider.introspection(Introspection::WithoutHint).drain(DRAIN);
    let world = world(RefreshClass::Family, rules).await;
    let (browser, old) = in_doubt(&world, "lose_reply=1").await;
    world.clock.advance(DRAIN);
    for _ in 0..3 {
        assert_eq!(browser.get("/data").await.bearer(), old);
        world.clock.advance(Duration::from_secs(5));
    }
    assert_eq!(world.wire.asked("/introspect"), 1, "what was told is remembered");
    assert_eq!(world.provider.counters().token_requests, 2, "the sign-in and the lost one");
    // Providers err about refresh tokens: the last try is made all the same.
    world.clock.advance(Duration::from_secs(10));
    assert_eq!(browser.get("/data").await.status, 401);
    assert_eq!(resends(&world), [ResendReason::LastResort]);
    assert_eq!(world.provider.counters().of(Outcome::ReuseDetectedFamilyRevoked), 1);
}

#[tokio::test]
async fn introspection_without_an_answer_falls_through_and_is_asked_again_later() {
    let rules: Rules = |provider| {
        let nowhere = "http://127.0.0.1:9/introspect";
        provider.introspection(Introspection::WithHint).introspection_endpoint(nowhere).drain(DRAIN)
    };
    let world = world(RefreshClass::Family, rules).await;
    let (browser, old) = in_doubt(&world, "drop_before_commit=1").await;
    world.clock.advance(DRAIN);
    for _ in 0..3 {
        assert_eq!(browser.get("/data").await.bearer(), old);
    }
    assert_eq!(world.wire.asked("/introspect"), 1, "not at every request");
    world.clock.advance(Duration::from_secs(5));
    assert_eq!(browser.get("/data").await.bearer(), old);
    assert_eq!(world.wire.asked("/introspect"), 2, "but again after a while");
    world.clock.advance(Duration::from_secs(30));
    assert!(world.accepts(&browser.get("/data").await.bearer()).await, "the last try finds it unspent");
    assert_eq!(resends(&world), [ResendReason::LastResort]);
}

#[tokio::test]
async fn a_living_access_token_proves_its_refresh_token_unspent_where_renewal_kills_it() {
    let rules: Rules = |provider| provider.at_kill(true).probe(Probe::UserInfo).drain(DRAIN);
    let world = world(RefreshClass::SingleUse, rules).await;
    world.provider.script("at_kill").expect("a script");
    let (browser, old) = in_doubt(&world, "drop_before_commit=1").await;
    let probed = world.wire.asked("/userinfo");
    world.clock.advance(DRAIN);
    let new = browser.get("/data").await.bearer();
    assert!(new != old && world.accepts(&new).await);
    assert_eq!((world.wire.asked("/userinfo") - probed, resends(&world)), (1, vec![ResendReason::Probe]));
}

#[tokio::test]
async fn a_killed_access_token_proves_its_refresh_token_spent() {
    let rules: Rules = |provider| provider.at_kill(true).probe(Probe::UserInfo).drain(DRAIN);
    let world = world(RefreshClass::Family, rules).await;
    world.provider.script("at_kill").expect("a script");
    let (browser, old) = in_doubt(&world, "lose_reply=1").await;
    let probed = world.wire.asked("/userinfo");
    world.clock.advance(DRAIN);
    for _ in 0..3 {
        assert_eq!(browser.get("/data").await.bearer(), old);
        world.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(world.wire.asked("/userinfo") - probed, 1, "what was told is remembered");
    assert!(world.family_alive() && resends(&world).is_empty(), "nothing was sent again");
}

#[tokio::test]
async fn nothing_known_of_a_provider_is_tried_once_early_after_a_reset_and_drained_after_a_timeout() {
    let world = world(RefreshClass::Unknown, |provider| provider).await;
    let (browser, old) = in_doubt(&world, "drop_before_commit=2").await;
    world.clock.advance(Duration::from_secs(2));
    assert_eq!(browser.get("/data").await.bearer(), old, "dropped again");
    assert_eq!(resends(&world), [ResendReason::EarlyRetry]);
    world.clock.advance(Duration::from_secs(2));
    assert_eq!(browser.get("/data").await.bearer(), old);
    assert_eq!(world.provider.counters().token_requests, 3, "once, not twice");
    world.clock.advance(Duration::from_secs(60));
    assert!(world.accepts(&browser.get("/data").await.bearer()).await);
    assert_eq!(resends(&world), [ResendReason::LastResort]);

    let (call_deadline, patience) = (Duration::from_secs(1), Duration::from_secs(5));
    let policy = RenewalPolicy { call_deadline, patience, ..Default::default() };
    let configure = |auth: perennial::AuthBuilder| auth.renewal(policy);
    let store = Arc::new(MemoryStore::new());
    let slow = World::with_rules(store, RefreshClass::Unknown, |provider| provider, configure).await;
    let (browser, old) = in_doubt(&slow, "delay_ms=2500").await;
    slow.provider.clear_faults();
    slow.clock.advance(Duration::from_secs(2));
    assert_eq!(browser.get("/data").await.bearer(), old);
    assert_eq!(resends(&slow), [], "a slow provider may be at it still");
}

#[tokio::test]
async fn a_refresh_token_that_must_not_be_tried_twice_sends_the_browser_to_the_provider_instead() {
    let rules: Rules = |provider| provider.last_resort(LastResort::Reauthenticate).drain(DRAIN);
    let world = world(RefreshClass::Family, rules).await;
    let (browser, _) = in_doubt(&world, "lose_reply=1").await;
    world.clock.advance(DEAD);
    // Programs are told in so many words; nobody is signed out.
    let told = browser.get("/data").await;
    assert_eq!((told.status.as_u16(), told.json()["error"].as_str()), (401, Some("reauthentication_required")));
    let told = browser.get("/members/page").await;
    assert_eq!((told.status.as_u16(), told.json()["error"].as_str()), (401, Some("reauthentication_required")));
    let button = browser.post("/auth/refresh", &[]).await;
    assert_eq!((button.status.as_u16(), button.json()["error"].as_str()), (401, Some("reauthentication_required")));
    assert_eq!(browser.get("/auth/session").await.json()["user"]["name"], "Alice Archer");

    // A page goes to the provider, which is not to ask anything.
    let sent = browser.get_with("/members/page?tab=2", &PAGE).await;
    assert_eq!(sent.status, 302, "{}", sent.text());
    assert!(sent.header("location").contains("prompt=none"), "{}", sent.header("location"));
    // It does not know the browser any more and says so: then the user is asked after all.
    let silent = browser.ask_provider(sent.header("location")).await;
    assert!(silent.contains("error=login_required"), "{silent}");
    let again = browser.get(&silent).await;
    assert!(again.header("location").contains("/authorize?") && !again.header("location").contains("prompt="));
    let callback = browser.ask_provider(&format!("{}&login_hint=alice", again.header("location"))).await;
    let landed = browser.get(&callback).await;
    assert!(landed.header("location").ends_with("/members/page?tab=2"), "{}", landed.header("location"));
    assert!(world.accepts(&browser.get("/data").await.bearer()).await);

    assert_eq!(world.redemptions(), 1, "the lost one and no other");
    assert_eq!(world.provider.counters().of(Outcome::ReuseDetectedFamilyRevoked), 0);
}

#[tokio::test]
async fn a_refresh_token_that_must_not_be_tried_twice_is_sent_when_the_provider_says_that_it_is_unspent() {
    let rules: Rules =
        |provider| provider.last_resort(LastResort::Reauthenticate).introspection(Introspection::WithHint).drain(DRAIN);
    let world = world(RefreshClass::Family, rules).await;
    let (browser, _) = in_doubt(&world, "drop_before_commit=1").await;
    world.clock.advance(DEAD);
    assert!(world.accepts(&browser.get("/data").await.bearer()).await);
    assert_eq!(resends(&world), [ResendReason::Introspection]);
}
