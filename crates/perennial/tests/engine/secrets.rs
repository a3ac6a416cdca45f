//! A new secret in front of the list, while some replicas know it and others do not.

use std::sync::Arc;
use std::time::Duration;

use perennial::Event;
use perennial::provider::RefreshClass;
use perennial::store::{self, SessionStore};
use perennial_testservers::RedisServer;

use crate::support::{Browser, DUE, Engine, Flaky, SECRET, World, eventually};

const NEWER: &str = "a-newer-secret-of-32-bytes-or-more";
const ROLLED_OUT: Duration = Duration::from_secs(600);

/// A world whose first replica has the old secret alone.
async fn world() -> World {
    World::on(Flaky::new(), RefreshClass::Family, |auth| auth).await
}

/// How often an answer changed the session's cookie.
fn sealings(browser: &Browser) -> usize {
    let sets = |line: &http::HeaderValue| line.to_str().is_ok_and(|line| line.contains("session-token"));
    browser
        .seen()
        .iter()
        .map(|(_, answer)| answer.headers.get_all("set-cookie").iter().filter(|line| sets(line)).count())
        .sum()
}

#[tokio::test]
async fn while_a_secret_is_rolled_out_every_replica_opens_what_any_other_sealed() {
    for first in [0, 1] {
        let world = world().await;
        let told = world.engine_with_secrets(&[NEWER, SECRET]);
        let replicas: [&Engine; 2] = [&world.engine, &told];
        let browser = world.alice().await.reaching(replicas[first]);
        for renewals in 1..=2 {
            let before = sealings(&browser);
            for replica in [replicas[first], replicas[1 - first], replicas[first]] {
                let answer = browser.reaching(replica).get("/data").await;
                assert!(world.accepts(&answer.bearer()).await, "from {first}, {renewals}");
            }
            assert_eq!(sealings(&browser), before, "nothing is sealed back and forth");
            // Twice is less than the ten minutes of a roll-out.
            world.clock.advance(DUE);
            let stale = browser.copy();
            browser.reaching(replicas[(first + renewals as usize) % 2]).get("/data").await.bearer();
            for replica in replicas {
                assert_eq!(browser.reaching(replica).generation().await, renewals);
                assert!(world.accepts(&stale.copy().reaching(replica).get("/data").await.bearer()).await);
            }
            assert_eq!((world.redemptions(), world.family_alive()), (renewals, true));
        }
    }
}

#[tokio::test]
async fn a_sign_in_that_begins_at_one_replica_ends_at_the_other() {
    let world = world().await;
    let told = world.engine_with_secrets(&[NEWER, SECRET]);
    for (here, there) in [(&told, &world.engine), (&world.engine, &told)] {
        let browser = world.browser();
        let asked = browser.reaching(here).begin_sign_in("alice", "/me").await;
        let callback = browser.ask_provider(&asked).await;
        browser.reaching(there).get(&callback).await;
        assert_eq!(browser.reaching(here).get("/me").await.status, 200);
        assert_eq!(browser.reaching(there).get("/me").await.status, 200);
        // A form of one replica is taken by the other.
        let token =
            browser.reaching(here).get("/auth/csrf").await.json()["csrfToken"].as_str().expect("one").to_owned();
        let out = browser.reaching(there).post("/auth/signout", &[("csrfToken", &token)]).await;
        assert_eq!(out.status, 302, "{}", out.text());
        assert_eq!(browser.reaching(here).get("/me").await.status, 401);
    }
}

#[tokio::test]
async fn when_it_is_rolled_out_everything_is_sealed_anew_once_and_the_old_secret_can_go() {
    let world = world().await;
    let browser = world.alice().await;
    let told = world.engine_with_secrets(&[NEWER, SECRET]);
    assert_eq!(browser.reaching(&told).get("/data").await.status, 200);
    // The first sight of both secrets is written down.
    told.auth.drain().await;
    let before = browser.session_cookie();
    world.clock.advance(ROLLED_OUT);
    // Now everybody knows it. Whoever has just started reads in the store how long it has been known.
    let late = world.engine_with_secrets(&[NEWER, SECRET]);
    eventually("the cookie is sealed anew", || async {
        browser.reaching(&late).get("/data").await.bearer();
        // The header names the key.
        let header = |cookie: String| cookie.split('.').next().map(str::to_owned);
        header(browser.session_cookie()) != header(before.clone())
    })
    .await;
    let sealed = sealings(&browser);
    for replica in [&told, &late, &told] {
        assert_eq!(browser.reaching(replica).get("/data").await.status, 200);
    }
    assert_eq!(sealings(&browser), sealed, "once");
    let last = world.engine_with_secrets(&[NEWER]);
    assert!(world.accepts(&browser.reaching(&last).get("/data").await.bearer()).await);
    world.clock.advance(DUE);
    assert!(world.accepts(&browser.reaching(&last).get("/data").await.bearer()).await);
    assert!(world.family_alive());
}

/// In the middle of a call: one replica has written the intent, the other, on the other list, waits for it.
#[tokio::test]
async fn a_renewal_in_flight_at_one_replica_is_waited_for_at_the_other() {
    for told_first in [true, false] {
        let world = world().await;
        let told = world.engine_with_secrets(&[NEWER, SECRET]);
        let browser = world.alice().await;
        let (here, there) = if told_first { (&told, &world.engine) } else { (&world.engine, &told) };
        world.clock.advance(crate::support::DEAD);
        world.wire.hold();
        let ask = |engine: &Engine| {
            let browser = browser.copy().reaching(engine);
            tokio::spawn(async move { browser.get("/data").await.bearer() })
        };
        let first = ask(here);
        world.wire.answered(1).await;
        let second = ask(there);
        world.wire.release();
        assert_eq!(first.await.expect("answered"), second.await.expect("answered"), "{told_first}");
        assert_eq!((world.redemptions(), world.family_alive()), (1, true), "{told_first}");
    }
}

/// Whether the engine has told that a secret stands behind one that is older; what it told before is gone then.
fn told_of_misplaced(engine: &Engine) -> bool {
    engine.events().iter().any(|event| matches!(event, Event::Alarm { code: "secret_misplaced", .. }))
}

/// Opens one store, as often as a process starts.
type Opening = Box<dyn Fn() -> Arc<dyn SessionStore>>;

/// Appended instead of put in front, the new secret sealed nothing and nobody noticed, until the old one was taken out.
#[tokio::test]
async fn a_new_secret_that_was_put_behind_is_noticed_and_one_in_front_or_taken_back_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("sessions.redb");
    let redis = RedisServer::start();
    let flaky = Flaky::new();
    let stores: [(&str, Opening); 3] = [
        ("memory", Box::new(move || flaky.clone())),
        ("the file", Box::new(move || store::open(&file.display().to_string()).expect("it opens"))),
        ("Redis", Box::new(move || store::open(&redis.url()).expect("a URL"))),
    ];
    for (name, open) in stores {
        let mut world = World::on(open(), RefreshClass::Family, |auth| auth).await;
        let browser = world.alice().await;
        let third = "a-third-secret-of-32-bytes-or-more";
        for (secrets, expected) in [
            (&[SECRET][..], false),
            (&[SECRET, NEWER], true),
            // Still, at another start; and no more once it is in front.
            (&[SECRET, NEWER], true),
            (&[NEWER, SECRET], false),
            // Taken back: it was in front once.
            (&[SECRET, NEWER], false),
            (&[SECRET], false),
            (&[NEWER, third, SECRET], true),
        ] {
            world.clock.advance(Duration::from_secs(61));
            world.crash().await;
            world.store = open();
            let engine = world.engine_with_secrets(secrets);
            assert_eq!(
                engine.auth.misplaced_secrets().await.expect("it says").is_empty(),
                !expected,
                "{name}: {secrets:?}"
            );
            assert!(!told_of_misplaced(&engine), "{name}: asking notes nothing");
            assert_eq!(browser.reaching(&engine).get("/").await.status, 200);
            engine.auth.drain().await;
            assert_eq!(told_of_misplaced(&engine), expected, "{name}: {secrets:?}");
            world.engine = engine;
        }
    }
}
