//! Engines that die between the intent and the commit, and what the next one makes of it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use perennial::provider::RefreshClass;
use perennial::store::{EmbeddedStore, SessionStore};
use perennial::{AuthBuilder, RenewalOutcome, RenewalPolicy};

use crate::support::{Browser, DEAD, DUE, Engine, Flaky, Rules, World, eventually};

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
        let asking = async move {
            match age >= DUE {
                true => browser.get("/data").await,
                // Nothing is due: the button.
                false => browser.post("/auth/refresh", &[]).await,
            }
        };
        // The connection breaks with the engine.
        tokio::time::timeout(Duration::from_secs(20), asking)
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

/// Younger than this, no request looks at the record by itself.
const FRESH: Duration = Duration::from_secs(60);

/// The simulation found sessions lost so: the button was pressed long before anything was due, the process died with the answer,
/// and nobody looked at the record before the provider's window had closed.
#[tokio::test]
async fn a_crash_in_a_renewal_on_demand_is_made_up_for_although_the_access_token_is_fresh() {
    for class in [RefreshClass::Overlap(OVERLAP), RefreshClass::Idempotent(OVERLAP)] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("sessions");
        let (world, next, browser) = die_in_flight(class, FRESH, || open(&path), patient).await;
        let bob = world.browser().reaching(&next);
        bob.sign_in("bob").await;
        assert_eq!(browser.get("/data").await.status, 200, "{class:?}: nobody is kept waiting");
        eventually("the answer is fetched", || async { next.renewals().contains(&RenewalOutcome::Renewed) }).await;
        // Long after the window, when the token is due.
        world.clock.advance(DEAD);
        assert!(world.accepts(&browser.get("/data").await.bearer()).await, "{class:?}");
        assert!(world.family_alive(), "{class:?}");
    }
}

/// Another replica makes up for it once the lease is over; a request of somebody else's session looks at no record.
#[tokio::test]
async fn a_surviving_replica_looks_once_at_a_session_whose_renewal_on_demand_died_elsewhere() {
    let shared = Flaky::new();
    let class = RefreshClass::Idempotent(OVERLAP);
    let (world, next, browser) = die_in_flight(class, FRESH, || shared.clone(), impatient).await;
    let bob = world.browser().reaching(&next);
    bob.sign_in("bob").await;
    // Whoever comes first has the store asked since when the secret is known.
    assert_eq!(bob.get("/data").await.status, 200);
    next.auth.drain().await;
    world.clock.advance(Duration::from_secs(26));
    // A handle is looked up in the store by each request; no request does more.
    let lookup = usize::from(crate::STRATEGY == perennial::SessionStrategy::Database);
    let loads = shared.loads.load(Ordering::SeqCst);
    assert_eq!(bob.get("/data").await.status, 200);
    assert_eq!(
        shared.loads.load(Ordering::SeqCst),
        loads + lookup,
        "nothing is due, and nothing was announced about Bob"
    );
    assert_eq!(browser.get("/data").await.status, 200);
    eventually("the answer is fetched", || async { next.renewals().contains(&RenewalOutcome::Renewed) }).await;
    next.auth.drain().await;
    let loads = shared.loads.load(Ordering::SeqCst);
    assert_eq!(browser.get("/data").await.status, 200);
    assert_eq!(shared.loads.load(Ordering::SeqCst), loads + lookup, "one look is enough");
    world.clock.advance(DEAD);
    assert!(world.accepts(&browser.get("/data").await.bearer()).await);
    assert!(world.family_alive());
}

/// Where a renewal kills the access token before it, the request that looks waits for what it finds.
#[tokio::test]
async fn a_token_that_a_dead_process_had_killed_is_not_handed_out_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sessions");
    let rules: Rules = |provider| provider.at_kill(true);
    let mut world = World::with_rules(open(&path), RefreshClass::Idempotent(OVERLAP), rules, patient).await;
    world.provider.script("at_kill").expect("a script");
    let browser = world.alice().await;
    world.clock.advance(FRESH);
    world.wire.hold();
    let pressed = tokio::spawn({
        let browser = browser.copy();
        async move { tokio::time::timeout(Duration::from_secs(20), browser.post("/auth/refresh", &[])).await }
    });
    world.wire.answered(1).await;
    world.crash().await;
    assert!(pressed.await.is_err_and(|error| error.is_panic()), "there was no answer");
    world.wire.release();
    let next = world.another_engine(open(&path), |auth| {
        auth.renewal(RenewalPolicy { patience: Duration::from_secs(10), ..RenewalPolicy::default() })
    });
    let served = browser.reaching(&next).get("/data").await.bearer();
    assert!(world.accepts(&served).await, "a dead token was handed out");
}

#[tokio::test]
async fn no_word_of_a_renewal_on_demand_no_renewal_on_demand() {
    let shared = Flaky::new();
    let world = World::on(shared.clone(), RefreshClass::Idempotent(OVERLAP), patient).await;
    let browser = world.alice().await;
    world.clock.advance(FRESH);
    shared.no_announce.store(true, Ordering::SeqCst);
    assert_eq!(browser.post("/auth/refresh", &[]).await.json()["renewed"], false);
    assert_eq!(world.redemptions(), 0, "a crash now would have been found by nobody in time");
    shared.no_announce.store(false, Ordering::SeqCst);
    assert_eq!(browser.post("/auth/refresh", &[]).await.json()["renewed"], true);
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
