//! Access tokens for several audiences, bought with one refresh token.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use perennial::provider::RefreshClass;
use perennial::{Event, RenewalOutcome, RenewalReason};

use crate::support::{Answer, DEAD, DUE, Flaky, World};

const ORDERS: &str = "/for?name=https://orders.example&scope=openid";
const STOCK: &str = "/for?name=https://stock.example";

#[tokio::test]
async fn each_audience_has_a_token_of_its_own_that_is_bought_once() {
    let world = World::start().await;
    let browser = world.alice().await;
    let own = browser.get("/data").await.bearer();
    let orders = browser.get(ORDERS).await.bearer();
    assert_eq!(world.introspected(&orders).await, ("https://orders.example".to_owned(), "openid".to_owned()));
    let (audience, scope) = world.introspected(&browser.get(STOCK).await.bearer()).await;
    assert!(audience == "https://stock.example" && scope.contains("offline_access"), "{audience} {scope}");
    assert_eq!((world.redemptions(), browser.generation().await), (2, 2));

    // Bought, they are there: for this process, for another one, and for a cookie from before.
    assert_eq!(browser.get(ORDERS).await.bearer(), orders);
    assert_eq!(browser.get("/data").await.bearer(), own, "the session's own token is as it was");
    let other = world.another_engine(world.store.clone(), |auth| auth);
    assert_eq!(browser.reaching(&other).get(ORDERS).await.bearer(), orders);
    assert_eq!((world.redemptions(), world.family_alive()), (2, true));
}

#[tokio::test]
async fn a_crowd_for_three_audiences_queues_up_and_nobody_gets_anothers_token() {
    let world = World::start().await;
    let browser = world.alice().await;
    world.clock.advance(DEAD);
    let paths = [ORDERS, STOCK, "/data", "/for?scope=openid"];
    let crowd = (0..40).map(|index| {
        let tab = browser.copy();
        async move { (paths[index % paths.len()], tab.get(paths[index % paths.len()]).await.bearer()) }
    });
    let mut tokens = BTreeSet::new();
    for (path, token) in join_all(crowd).await {
        let (audience, scope) = world.introspected(&token).await;
        let expected = match path {
            ORDERS => "https://orders.example",
            STOCK => "https://stock.example",
            // The session's own token, or a narrower one: whom it is for, the provider does not say.
            _ => "",
        };
        assert_eq!(audience, expected, "{path}");
        assert_eq!(scope == "openid", path.contains("scope"), "{path}: {scope}");
        tokens.insert(token);
    }
    assert_eq!((tokens.len(), world.redemptions(), world.family_alive()), (4, 4, true));
}

#[tokio::test]
async fn two_replicas_buy_one_token_for_an_audience() {
    let store = Flaky::new();
    let world = World::on(store.clone(), RefreshClass::Family, |auth| auth).await;
    let other = world.another_engine(store, |auth| auth);
    let browser = world.alice().await;
    let (here, there) = (browser.copy(), browser.copy().reaching(&other));
    let (one, two) = tokio::join!(here.get(ORDERS), there.get(ORDERS));
    assert_eq!(one.bearer(), two.bearer());
    assert_eq!((world.redemptions(), world.family_alive()), (1, true));
}

#[tokio::test]
async fn a_token_for_an_audience_renews_ahead_of_time_and_serves_on_while_the_provider_is_away() {
    let world = World::start().await;
    let browser = world.alice().await;
    let first = browser.get(ORDERS).await.bearer();
    world.clock.advance(DUE);
    let second = browser.get(ORDERS).await.bearer();
    assert!(second != first && world.accepts(&first).await && world.accepts(&second).await);

    world.clock.advance(DUE);
    world.wire.unplug(true);
    assert_eq!(browser.get(ORDERS).await.bearer(), second, "it lives");
    world.clock.advance(DEAD - DUE);
    let refused = browser.get(ORDERS).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after").is_empty()), (503, false), "{}", refused.text());
    assert_eq!(browser.get("/auth/session").await.json()["user"]["name"], "Alice Archer");

    world.wire.unplug(false);
    world.clock.advance(std::time::Duration::from_secs(60));
    assert!(world.accepts(&browser.get(ORDERS).await.bearer()).await);
}

#[tokio::test]
async fn an_upstreams_401_buys_one_more_and_only_for_those_who_saw_the_old_one() {
    let world = World::start().await;
    let browser = world.alice().await;
    let first = browser.get(ORDERS).await.bearer();
    let stock = browser.get(STOCK).await.bearer();
    world.clock.advance(std::time::Duration::from_secs(2));
    let again = format!("{ORDERS}&refused_at=1");
    let (one, two) = (browser.copy(), browser.copy());
    let (one, two) = tokio::join!(one.get(&again), two.get(&again));
    assert_eq!(one.bearer(), two.bearer());
    assert_ne!(one.bearer(), first);
    assert_eq!(browser.get(STOCK).await.bearer(), stock, "the other audience's token was not refused by anybody");
    assert_eq!(world.redemptions(), 3);
}

/// What the provider says of an audience is no word about the session (S7).
#[tokio::test]
async fn an_audience_that_the_provider_refuses_costs_neither_the_session_nor_a_request_each_time() {
    let world = World::start().await;
    let browser = world.alice().await;
    for path in ["/for?name=no-uri", "/for?name=https://orders.example&scope=admin"] {
        let before = world.provider.counters().token_requests;
        let refused = |answer: Answer| (answer.status.as_u16(), answer.json()["error"].as_str().map(str::to_owned));
        for _ in 0..3 {
            assert_eq!(refused(browser.get(path).await), (403, Some("audience_refused".to_owned())), "{path}");
        }
        assert_eq!(world.provider.counters().token_requests, before + 1, "{path}");
        // The next alarm of the same kind is told in the next minute.
        world.clock.advance(std::time::Duration::from_secs(60));
    }
    let alarms = |event: &Event| matches!(event, Event::Alarm { code: "audience_refused", .. });
    assert_eq!(world.engine.events().iter().filter(|event| alarms(event)).count(), 2);
    assert!(world.accepts(&browser.get(ORDERS).await.bearer()).await, "other audiences are not held back");
    world.clock.advance(DUE);
    assert!(world.accepts(&browser.get("/data").await.bearer()).await);
    assert_eq!((world.redemptions(), world.family_alive()), (2, true));
}

#[tokio::test]
async fn a_lost_answer_about_an_audience_is_a_doubt_like_any_other() {
    let world = World::of(RefreshClass::Acknowledged, |auth| auth).await;
    let browser = world.alice().await;
    world.provider.script("class=acknowledged,lose_reply=1,grant=refresh_token").expect("a script");
    assert_eq!(browser.get(ORDERS).await.status, 503);
    world.clock.advance(std::time::Duration::from_secs(31));
    let found = browser.get(ORDERS).await.bearer();
    assert_eq!(world.introspected(&found).await.0, "https://orders.example");
    assert!(world.family_alive());
    let told: Vec<_> = world
        .engine
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::Renewal(renewal) => Some((renewal.reason, renewal.outcome)),
            _ => None,
        })
        .collect();
    assert_eq!(
        told,
        [
            (RenewalReason::Audience, RenewalOutcome::Kept { why: "in_doubt" }),
            (RenewalReason::Audience, RenewalOutcome::Renewed),
        ]
    );
}

#[tokio::test]
async fn sign_out_ends_the_tokens_of_all_audiences() {
    let world = World::start().await;
    let browser = world.alice().await;
    browser.get(ORDERS).await.bearer();
    let copy = browser.copy();
    assert_eq!(browser.post("/auth/signout", &[]).await.status, 302);
    assert_eq!(copy.get(ORDERS).await.status, 401);
    assert_eq!(browser.get(ORDERS).await.status, 401);
}
