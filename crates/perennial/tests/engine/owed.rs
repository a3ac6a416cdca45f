//! What a session owed its provider when the process died: a revocation that somebody else makes up for.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use perennial::cookie::RecordKeys;
use perennial::names::ProviderId;
use perennial::provider::RefreshClass;
use perennial::record::{OwedRevocation, OwedRevocations};
use perennial::secret::{CookieSecret, RefreshToken};
use perennial::store::{self, Announcement, KeyPrefix, RecordKey, SessionStore, Swap};
use perennial::{Clock, SecureRandom};
use perennial_testservers::{PostgresServer, RedisServer};

use crate::support::{DEAD, Flaky, SECRET, World, eventually};

/// Longer than any claim that a dead process can have left: its last pause, and two minutes.
const UNCLAIMED: Duration = Duration::from_secs(180);

/// Opens one store, as often as a process starts.
type Opening<'a> = &'a dyn Fn() -> Arc<dyn SessionStore>;

/// Signs Alice in and out on `store` while the provider is down, and has the engine die.
async fn die_owing(store: Arc<dyn SessionStore>) -> World {
    let mut world = World::on(store, RefreshClass::Family, |auth| auth).await;
    let browser = world.alice().await;
    world.wire.unplug(true);
    assert_eq!(browser.post("/auth/signout", &[]).await.status, 302);
    eventually("it was tried", || async { !world.wire.revoked().is_empty() }).await;
    world.crash().await;
    world.wire.unplug(false);
    assert!(world.family_alive(), "nobody has told the provider");
    world
}

/// How many sessions owe something, as the store has it.
async fn owing(world: &World, store: &dyn SessionStore) -> usize {
    let names = KeyPrefix::new(b"owed\0rev").expect("long enough");
    store.find(names, world.clock.now()).await.expect("the store answers").len()
}

#[tokio::test]
async fn what_a_dead_process_owed_is_revoked_by_the_next_in_every_store() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("sessions.redb").display().to_string();
    let (redis, postgres) = (RedisServer::start(), PostgresServer::start());
    let flaky = Flaky::new();
    let opened = |name: &str| store::open(name).expect("it opens");
    let stores: [(&str, Opening<'_>); 4] = [
        ("memory", &|| flaky.clone()),
        ("the file", &|| opened(&file)),
        ("Redis", &|| opened(&redis.url())),
        ("PostgreSQL", &|| opened(&postgres.url())),
    ];
    for (name, store) in stores {
        let world = die_owing(store()).await;
        let store = store();
        assert_eq!(owing(&world, &*store).await, 1, "{name}");
        world.clock.advance(UNCLAIMED);
        let next = world.another_engine(store.clone(), |auth| auth);
        next.auth.sweep().await.expect("the store answers");
        eventually("the provider has revoked it", || async { !world.family_alive() }).await;
        eventually("nothing is owed", || async { owing(&world, &*store).await == 0 }).await;
    }
}

#[tokio::test]
async fn nobody_else_is_at_it_while_the_claim_lives_and_of_two_replicas_one_takes_it_up() {
    let shared = Flaky::new();
    let mut world = World::on(shared.clone(), RefreshClass::Family, |auth| auth).await;
    let (other, third) =
        (world.another_engine(shared.clone(), |auth| auth), world.another_engine(shared.clone(), |auth| auth));
    for replica in [&other, &third] {
        replica.auth.catch_up().await;
    }
    let browser = world.alice().await;
    world.wire.unplug(true);
    browser.post("/auth/signout", &[]).await;
    eventually("it was tried", || async { !world.wire.revoked().is_empty() }).await;
    world.crash().await;
    world.wire.unplug(false);
    let tries = world.wire.revoked().len();
    for replica in [&other, &third] {
        let loads = shared.loads.load(Ordering::SeqCst);
        replica.auth.sweep().await.expect("the store answers");
        eventually("it has looked", || async { shared.loads.load(Ordering::SeqCst) > loads }).await;
    }
    assert_eq!((world.wire.revoked().len(), world.family_alive()), (tries, true), "the claim lives");
    world.clock.advance(UNCLAIMED);
    let (one, two) = tokio::join!(other.auth.sweep(), third.auth.sweep());
    one.and(two).expect("the store answers");
    eventually("the provider has revoked it", || async { !world.family_alive() }).await;
    eventually("nothing is owed", || async { owing(&world, &*shared).await == 0 }).await;
    assert_eq!(world.wire.revoked().len(), tries + 1, "once");
}

#[tokio::test]
async fn who_shuts_down_in_order_leaves_no_claim() {
    let shared = Flaky::new();
    let world = World::on(shared.clone(), RefreshClass::Family, |auth| auth).await;
    let browser = world.alice().await;
    world.wire.unplug(true);
    browser.post("/auth/signout", &[]).await;
    eventually("it was tried", || async { !world.wire.revoked().is_empty() }).await;
    world.engine.auth.drain().await;
    world.wire.unplug(false);
    let next = world.another_engine(shared.clone(), |auth| auth);
    next.auth.sweep().await.expect("the store answers");
    eventually("the provider has revoked it", || async { !world.family_alive() }).await;
}

#[tokio::test]
async fn a_token_that_arrived_after_the_end_is_owed_too() {
    let shared = Flaky::new();
    let mut world = World::on(shared.clone(), RefreshClass::SingleUse, |auth| auth).await;
    let browser = world.alice().await;
    world.clock.advance(DEAD);
    world.wire.hold();
    let late = tokio::spawn({
        let tab = browser.copy();
        async move { tab.get("/data").await.status.as_u16() }
    });
    world.wire.answered(1).await;
    browser.post("/auth/signout", &[]).await;
    eventually("the old one is revoked", || async { owing(&world, &*shared).await == 0 }).await;
    let received = world.wire.secrets().into_iter().rfind(|secret| secret.starts_with("rt_")).expect("a new one");
    world.wire.unplug(true);
    world.wire.release();
    assert_eq!(late.await.expect("answered"), 401);
    let tries = || world.wire.revoked().iter().filter(|token| **token == received).count();
    eventually("it was tried", || async { tries() > 0 }).await;
    world.crash().await;
    world.wire.unplug(false);
    world.clock.advance(UNCLAIMED);
    let tries = || world.wire.revoked().iter().filter(|token| **token == received).count();
    let (before, next) = (tries(), world.another_engine(shared.clone(), |auth| auth));
    next.auth.sweep().await.expect("the store answers");
    eventually("it is revoked", || async { tries() > before && owing(&world, &*shared).await == 0 }).await;
}

#[tokio::test]
async fn a_secret_that_was_put_in_front_meanwhile_changes_nothing_and_one_that_was_taken_out_does() {
    let newer = "a-newer-secret-of-32-bytes-or-more";
    for (secrets, expected) in [(&[newer, SECRET][..], true), (&[newer], false)] {
        let shared = Flaky::new();
        let mut world = die_owing(shared.clone()).await;
        world.store = shared.clone();
        world.clock.advance(UNCLAIMED);
        let next = world.engine_with_secrets(secrets);
        let (tries, loads) = (world.wire.revoked().len(), shared.loads.load(Ordering::SeqCst));
        next.auth.sweep().await.expect("the store answers");
        if expected {
            eventually("the provider has revoked it", || async { !world.family_alive() }).await;
        } else {
            eventually("it has looked at debt and record", || async {
                shared.loads.load(Ordering::SeqCst) >= loads + 2
            })
            .await;
            next.auth.drain().await;
            assert_eq!((world.wire.revoked().len(), world.family_alive()), (tries, true));
        }
    }
}

struct Sevens;

impl SecureRandom for Sevens {
    fn fill(&self, out: &mut [u8]) {
        out.fill(7);
    }
}

/// The process died when it had written down what would be owed, and before the record said that the session is over.
#[tokio::test]
async fn nothing_is_revoked_of_a_session_that_is_not_over() {
    let shared = Flaky::new();
    let world = World::on(shared.clone(), RefreshClass::Family, |auth| auth).await;
    let browser = world.alice().await;
    let refresh_token = world.wire.secrets().into_iter().rfind(|secret| secret.starts_with("rt_")).expect("issued");
    let (session, now) = (*shared.last().await.0.as_bytes(), world.clock.now());
    let owed = OwedRevocation { provider: ProviderId::new("oidc"), refresh_token: RefreshToken::new(refresh_token) };
    let keys = RecordKeys::new(&[CookieSecret::new(SECRET)]).expect("a secret");
    let bytes = OwedRevocations::of(&session, now).with(&owed, &keys, &Sevens).encode();
    let key = RecordKey::from_digest(OwedRevocations::name(&session));
    let until = now + Duration::from_secs(3600);
    let written = shared.compare_and_swap(key, None, bytes, until, now).await;
    assert!(matches!(written, Ok(Swap::Stored(_))), "{written:?}");
    shared.announce(Announcement { key, until }, now).await.expect("told");
    let next = world.another_engine(shared.clone(), |auth| auth);
    next.auth.sweep().await.expect("the store answers");
    eventually("it is forgotten", || async { owing(&world, &*shared).await == 0 }).await;
    next.auth.drain().await;
    assert_eq!((world.wire.revoked().len(), world.family_alive()), (0, true));
    world.clock.advance(DEAD);
    assert!(world.accepts(&browser.get("/data").await.bearer()).await, "the session goes on");
}
