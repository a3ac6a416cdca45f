//! A store that lost what it had acknowledged: one refresh token is redeemed twice, and two successors have one generation.

use std::time::Duration;

use perennial::Event;
use perennial::provider::RefreshClass;
use perennial::record::Kept;
use serde_json::{Value, json};

use crate::support::{Browser, DEAD, DUE, Engine, Flaky, World};

/// A refresh token that comes again buys another successor.
const OVERLAP: RefreshClass = RefreshClass::Overlap(Duration::from_secs(120));

/// Alice with two browsers, whose cookies hold different successors at generation 1; and the record as it was with the first.
async fn forked(world: &World, store: &Flaky) -> (Browser, Browser, String) {
    let first = world.alice().await;
    let second = first.copy();
    let before = store.newest().await;
    world.clock.advance(DUE);
    assert_eq!(first.generation().await, 1);
    let with_first = store.newest().await;
    store.rewrite(|_| before.clone()).await;
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(second.generation().await, 1);
    assert_ne!(first.get("/data").await.bearer(), second.get("/data").await.bearer(), "two successors");
    (first, second, with_first)
}

fn met(engine: &Engine) -> Vec<Kept> {
    let kept = |event| if let Event::Forked { kept, .. } = event { Some(kept) } else { None };
    engine.events().into_iter().filter_map(kept).collect()
}

#[tokio::test]
async fn the_successor_that_was_asked_for_last_goes_on_and_nobody_is_signed_out() {
    for (lost_again, kept) in [(false, Kept::Record), (true, Kept::Cookie)] {
        let store = Flaky::new();
        let world = World::on(store.clone(), OVERLAP, |auth| auth).await;
        let (first, second, with_first) = forked(&world, &store).await;
        if lost_again {
            // The second commit is gone as well: the record holds the first, a cookie the later one.
            store.rewrite(|_| with_first.clone()).await;
        }
        let latest = second.get("/data").await.bearer();
        let comes = if lost_again { &second } else { &first };
        // Once it is due, the record is looked at.
        world.clock.advance(DUE);
        assert_eq!(comes.generation().await, 2, "{kept:?}");
        assert_eq!(met(&world.engine), [kept]);
        assert_ne!(comes.get("/data").await.bearer(), latest, "renewed");
        let metrics = world.engine.auth.metrics();
        let counted = format!("perennial_forks_total{{provider=\"oidc\",kept=\"{}\"}} 1", kept.code());
        assert!(metrics.contains(&counted), "{counted} in {metrics}");
        let record: Value = serde_json::from_str(&store.newest().await).expect("JSON");
        assert!(record["history"].to_string().contains(&format!("\"f\":\"{}\"", kept.code())), "{record}");
        for browser in [&first, &second] {
            assert!(world.accepts(&browser.get("/data").await.bearer()).await, "{kept:?}");
        }
    }
}

/// The record's successor was refused, the cookie's was not: it is tried before anybody has to sign in.
#[tokio::test]
async fn a_cookie_that_holds_the_other_successor_saves_a_session_whose_record_says_refused() {
    let store = Flaky::new();
    let world = World::on(store.clone(), OVERLAP, |auth| auth).await;
    let (first, second, _) = forked(&world, &store).await;
    world.clock.advance(DUE);
    world.wire.tamper(Some(|_| json!({ "error": "invalid_grant" })));
    assert_eq!(second.get("/me").await.status, 200, "the access token lives");
    world.wire.tamper(None);
    assert_eq!(first.generation().await, 2);
    assert_eq!(met(&world.engine), [Kept::Cookie]);
    world.clock.advance(DEAD);
    for browser in [first, second] {
        assert!(world.accepts(&browser.get("/data").await.bearer()).await);
    }
}
