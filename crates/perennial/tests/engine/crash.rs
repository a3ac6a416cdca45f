//! Engines that die between the intent and the commit, and what the next one makes of it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use perennial::provider::RefreshClass;
use perennial::store::{EmbeddedStore, SessionStore};
use perennial::{AuthBuilder, RenewalPolicy};

use crate::support::{Browser, DEAD, DUE, Engine, Flaky, World};

const OVERLAP: Duration = Duration::from_secs(120);

/// The classes in which a lost answer need not cost the session.
const FORGIVING: [RefreshClass; 4] = [
    RefreshClass::Reusable,
    RefreshClass::Acknowledged,
    RefreshClass::Overlap(OVERLAP),
    RefreshClass::Idempotent(OVERLAP),
];

fn impatient(auth: AuthBuilder) -> AuthBuilder {
    let wait_max = Duration::from_secs(2);
    // The lease is 20 s by the clock that the test turns.
    auth.renewal(RenewalPolicy { wait_max, ..Default::default() })
}

/// Where an answer is expected, however slow the disk is.
fn patient(auth: AuthBuilder) -> AuthBuilder {
    auth
}

fn open(path: &Path) -> Arc<dyn SessionStore> {
    Arc::new(EmbeddedStore::open(path).expect("the store opens"))
}

/// Signs in, has the engine die when the provider has redeemed the refresh token and the answer is on its way, and
/// starts the next one on the same store.
async fn die_in_flight(
    class: RefreshClass,
    age: Duration,
    store: impl Fn() -> Arc<dyn SessionStore>,
    next: fn(AuthBuilder) -> AuthBuilder,
) -> (World, Engine, Browser) {
    // The first engine is patient: its caller is to be cut off, not put off.
    let mut world = World::on(store(), class, |auth| auth).await;
    let browser = world.alice().await;
    world.clock.advance(age);
    world.wire.hold();
    let caller = tokio::spawn({
        let browser = browser.copy();
        // The connection breaks with the engine.
        async move { tokio::time::timeout(Duration::from_secs(20), browser.get("/data")).await }
    });
    world.wire.answered(1).await;
    world.crash().await;
    assert!(caller.await.is_err_and(|error| error.is_panic()), "there was no answer");
    world.wire.release();
    let next = world.another_engine(store(), next);
    let browser = browser.reaching(&next);
    (world, next, browser)
}

#[tokio::test]
async fn among_replicas_nobody_calls_while_the_lease_lives_then_the_doubt_is_resolved_without_a_sign_in() {
    for class in FORGIVING {
        let shared = Flaky::new();
        let (world, next, browser) = die_in_flight(class, DEAD, || shared.clone(), impatient).await;
        assert_eq!(world.redemptions(), 1, "{class:?}");
        world.clock.advance(Duration::from_secs(19));
        let waiting = browser.get("/data").await;
        assert_eq!(waiting.status, 503, "{class:?}: the lease lives: {}", waiting.text());
        assert_eq!(browser.get("/auth/session").await.json()["user"]["name"], "Alice Archer", "{class:?}");
        assert_eq!(world.provider.counters().token_requests, 2, "{class:?}: nobody called");

        // The lease is over, and by as much as the clocks of two replicas may be apart.
        world.clock.advance(Duration::from_secs(7));
        // Whoever has waited for the lease sees that it is over.
        next.auth.drain().await;
        let recovered = browser.get("/data").await;
        assert_eq!(recovered.status, 200, "{class:?}: {}", recovered.text());
        assert!(world.accepts(&recovered.bearer()).await, "{class:?}");
        assert!(world.family_alive(), "{class:?}");
    }
}

#[tokio::test]
async fn a_process_that_owns_its_store_resolves_the_doubt_of_its_former_life_at_once() {
    for class in FORGIVING {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("sessions");
        let (world, _next, browser) = die_in_flight(class, DEAD, || open(&path), patient).await;
        let recovered = browser.get("/data").await;
        assert_eq!(recovered.status, 200, "{class:?}: {}", recovered.text());
        assert!(world.accepts(&recovered.bearer()).await, "{class:?}");
        assert!(world.family_alive(), "{class:?}");
    }
}

#[tokio::test]
async fn after_a_crash_a_live_token_serves_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sessions");
    let (world, _next, browser) = die_in_flight(RefreshClass::Family, DUE, || open(&path), patient).await;
    let token = browser.get("/data").await.bearer();
    assert!(world.accepts(&token).await);
    world.clock.advance(Duration::from_secs(24));
    assert_eq!(browser.get("/data").await.bearer(), token);
    assert_eq!(world.provider.counters().token_requests, 2, "the spent token stays home while there is one to lose");
    assert!(world.family_alive());
}

#[tokio::test]
async fn a_crash_before_the_provider_was_reached_costs_nothing_even_where_reuse_kills() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s");
    let mut world = World::on(open(&path), RefreshClass::Family, impatient).await;
    let browser = world.alice().await;
    world.clock.advance(DEAD);
    // The answer is a drop before the commit: the provider has spent nothing, but nobody can know.
    world.provider.script("drop_before_commit=1,grant=refresh_token,delay_ms=60000").expect("a script");
    let caller = tokio::spawn({
        let browser = browser.copy();
        async move { browser.get("/me").await.status.as_u16() }
    });
    assert_eq!(caller.await.expect("answered"), 200, "signed in, without a token");
    world.crash().await;
    world.provider.clear_faults();
    let next = world.another_engine(open(&path), patient);
    world.clock.advance(Duration::from_secs(60));
    let browser = browser.reaching(&next);
    assert!(world.accepts(&browser.get("/data").await.bearer()).await);
    assert!(world.family_alive());
}
