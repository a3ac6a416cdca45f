//! Sessions that end at one replica and are over at all of them, on the fast path too, and after a restart.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue, Method};
use perennial::provider::RefreshClass;
use perennial::store::{self, EmbeddedStore, SessionStore};
use perennial::{Door, Event, Session};
use perennial_testservers::{PostgresServer, RedisServer};

use crate::support::{Browser, Engine, Flaky, World, eventually};

/// Alice signs out at one of two replicas; a copy of her cookie, whose access token lives, is tried at the other.
async fn signs_out_at_one_of_two(here: Arc<dyn SessionStore>, there: Arc<dyn SessionStore>) {
    let world = World::on(here, RefreshClass::Family, |auth| auth).await;
    let other = world.another_engine(there.clone(), |auth| auth);
    let (browser, bob) = (world.alice().await, world.alice().await);
    let stolen = browser.copy().reaching(&other);
    assert_eq!(stolen.get("/me").await.status, 200, "nothing has ended yet");
    browser.post("/auth/signout", &[]).await;
    eventually("the other replica knows", || async { stolen.get("/me").await.status == 401 }).await;
    assert_eq!(bob.reaching(&other).get("/me").await.status, 200, "somebody else's session went with it");

    // A replica that begins now is told before it serves anybody.
    let late = world.another_engine(there, |auth| auth);
    assert_eq!(stolen.reaching(&late).get("/me").await.status, 401, "a copied cookie passed after a restart");
    assert_eq!(bob.reaching(&late).get("/me").await.status, 200);
}

#[tokio::test]
async fn a_sign_out_is_known_at_every_replica_at_once() {
    let store = Flaky::new();
    signs_out_at_one_of_two(store.clone(), store).await;
}

#[tokio::test]
async fn a_sign_out_is_known_at_every_replica_on_redis() {
    let server = RedisServer::start();
    let open = || store::open(&server.url()).expect("a URL");
    signs_out_at_one_of_two(open(), open()).await;
}

#[tokio::test]
async fn a_sign_out_is_known_at_every_replica_on_postgres() {
    let server = PostgresServer::start();
    let open = || store::open(&server.url()).expect("a URL");
    signs_out_at_one_of_two(open(), open()).await;
}

/// The record remembered, but nobody asked it while the access token lived.
#[tokio::test]
async fn a_copied_cookie_of_a_signed_out_session_does_not_pass_after_a_restart_with_the_same_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sessions.redb");
    let mut world =
        World::on(Arc::new(EmbeddedStore::open(&path).expect("a new file")), RefreshClass::Family, |auth| auth).await;
    let browser = world.alice().await;
    let stolen = browser.copy();
    browser.post("/auth/signout", &[]).await;
    world.engine.auth.drain().await;
    world.crash().await;
    let restarted = loop {
        // The old process lets go of the file when its last task is gone.
        match EmbeddedStore::open(&path) {
            Ok(store) => break world.another_engine(Arc::new(store), |auth| auth),
            Err(error) => assert_eq!(error.code(), "store_in_use", "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(stolen.reaching(&restarted).get("/me").await.status, 401);
}

#[tokio::test]
async fn a_store_that_tells_nothing_delays_the_first_request_by_two_seconds_and_signs_nobody_out() {
    let store = Flaky::new();
    let world = World::on(store.clone(), RefreshClass::Family, |auth| auth).await;
    let browser = world.alice().await;
    store.fail(true);
    let other = world.another_engine(store.clone(), |auth| auth);
    let browser = browser.reaching(&other);
    let begun = Instant::now();
    assert_eq!(browser.get("/me").await.status, 200);
    assert!(begun.elapsed() < Duration::from_secs(4), "it took {:?}", begun.elapsed());
    let told =
        |events: &[Event]| events.iter().any(|event| matches!(event, Event::Alarm { code: "store_out_of_touch", .. }));
    assert!(told(&other.events()), "nobody was told that ends elsewhere go unheard");
    let begun = Instant::now();
    assert_eq!(browser.get("/me").await.status, 200);
    assert!(begun.elapsed() < Duration::from_secs(1), "the second request waited, too: {:?}", begun.elapsed());
}

/// The session of `browser` as `engine` sees it.
async fn session(engine: &Engine, browser: &Browser) -> Session {
    let cookies = browser.cookies().into_iter().map(|(name, value)| format!("{name}={value}"));
    let cookies = cookies.collect::<Vec<_>>().join("; ");
    let headers = HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(&cookies).expect("a header"))]);
    engine.auth.enter(&Method::GET, &headers, Door::Ordinary).await.session.expect("a session")
}

/// What a connection that outlives its request waits for.
#[tokio::test]
async fn whoever_waits_for_the_end_of_a_session_is_woken_at_every_replica_and_nobody_else_is() {
    let store = Flaky::new();
    let world = World::on(store.clone(), RefreshClass::Family, |auth| auth).await;
    let other = world.another_engine(store, |auth| auth);
    let (alice, bob) = (world.alice().await, world.alice().await);
    let (hers, his) = (session(&other, &alice).await, session(&other, &bob).await);
    // Two wait for her session, and one who waited no longer does.
    let waiting = [other.auth.until_over(&hers), other.auth.until_over(&hers)].map(tokio::spawn);
    let gave_up = tokio::spawn(other.auth.until_over(&hers));
    let bobs = tokio::spawn(other.auth.until_over(&his));
    tokio::task::yield_now().await;
    gave_up.abort();
    alice.post("/auth/signout", &[]).await;
    for woken in waiting {
        tokio::time::timeout(PATIENCE, woken).await.expect("woken").expect("no panic");
    }
    assert!(!bobs.is_finished(), "somebody else's session went with it");
    tokio::time::timeout(PATIENCE, other.auth.until_over(&hers)).await.expect("over already");
    bob.post("/auth/signout", &[]).await;
    tokio::time::timeout(PATIENCE, bobs).await.expect("woken").expect("no panic");
}

/// Long enough for anything on one machine.
const PATIENCE: Duration = Duration::from_secs(20);
