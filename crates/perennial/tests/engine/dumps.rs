//! Whoever steals a store finds nothing in it that opens a session or spends a token.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use perennial::Clock;
use perennial::cookie::{KeyRing, open};
use perennial::provider::RefreshClass;
use perennial::secret::CookieSecret;
use perennial::store::{self, EmbeddedStore, SessionStore};
use perennial_testservers::{PostgresServer, RedisServer};

use crate::support::{Browser, CLIENT_SECRET, DUE, Flaky, SECRET, World};

/// Fills `store` through the engine, and answers with all that must not be in it.
async fn lived_in(store: Arc<dyn SessionStore>) -> Vec<Vec<u8>> {
    let world = World::on(store, RefreshClass::Reusable, |auth| auth).await;
    let (alice, gone) = (world.alice().await, world.alice().await);
    let mut secrets: Vec<Vec<u8>> = vec![SECRET.into(), CLIENT_SECRET.into()];
    for browser in [&alice, &gone] {
        secrets.extend(id_and_share(&world, browser));
        secrets.push(browser.session_cookie().into());
    }
    for _ in 0..2 {
        world.clock.advance(DUE);
        assert_eq!(alice.get("/me").await.status, 200);
        secrets.push(alice.session_cookie().into());
    }
    // One renewal is left half done: its intent is in the store.
    world.wire.unplug(true);
    world.clock.advance(DUE);
    alice.get("/me").await;
    gone.post("/auth/signout", &[]).await;
    world.engine.auth.drain().await;
    let heard = world.wire.secrets();
    assert!(heard.iter().any(|secret| secret.starts_with("rt_")), "the line was listened to");
    secrets.extend(heard.into_iter().map(String::into_bytes));
    secrets
}

/// The session's id and key share, in text and as bytes.
fn id_and_share(world: &World, browser: &Browser) -> Vec<Vec<u8>> {
    let ring = KeyRing::new(&[CookieSecret::new(SECRET)], "authjs.session-token").expect("a secret");
    let opened = open(&ring, &browser.session_cookie(), world.clock.now()).expect("our cookie");
    let texts = ["sid", "key"].map(|name| opened.claims["perennial"][name].as_str().expect("text").to_owned());
    texts.into_iter().flat_map(|text| [URL_SAFE_NO_PAD.decode(&text).expect("base64url"), text.into_bytes()]).collect()
}

fn holds_nothing(store: &str, dump: &[u8], secrets: &[Vec<u8>]) {
    let holds = |bytes: &[u8]| dump.windows(bytes.len()).any(|window| window == bytes);
    assert!(holds(b"\"phase\":{\"ended\""), "{store}: the dump lacks the records that were written");
    assert!(holds(b"\"claimed_until\":"), "{store}: the dump lacks the revocation that is owed");
    for secret in secrets {
        let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(secret.len() >= 16 && !holds(secret), "{store} holds {:?}", String::from_utf8_lossy(secret));
        assert!(!holds(hex.as_bytes()), "{store} holds the hexadecimal of {:?}", String::from_utf8_lossy(secret));
    }
}

#[tokio::test]
async fn no_store_holds_a_token_a_key_or_a_session_id() {
    let store = Flaky::new();
    let secrets = lived_in(store.clone()).await;
    holds_nothing("memory", &store.written.lock().expect("no panic"), &secrets);

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("sessions.redb");
    let secrets = lived_in(Arc::new(EmbeddedStore::open(&file).expect("a new file"))).await;
    holds_nothing("the file", &std::fs::read(&file).expect("a file"), &secrets);

    let redis = RedisServer::start();
    let secrets = lived_in(store::open(&redis.url()).expect("a URL")).await;
    holds_nothing("Redis", &redis.dump(), &secrets);

    let postgres = PostgresServer::start();
    let secrets = lived_in(store::open(&postgres.url()).expect("a URL")).await;
    let dump = [postgres.dump("perennial.records"), postgres.dump("perennial.announcements")].concat();
    holds_nothing("PostgreSQL", &dump, &secrets);
}
