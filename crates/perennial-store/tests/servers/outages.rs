//! Servers that are killed, paused and started again, while somebody writes, waits and listens.

use std::sync::Mutex;
use std::time::Instant;

use perennial_testservers::{PostgresServer, RedisServer};

use super::*;

/// A server that can be taken away.
trait Killable: Send + 'static {
    fn url(&self) -> String;
    fn kill(&mut self);
    fn restart(&mut self);
}

impl Killable for RedisServer {
    fn url(&self) -> String {
        self.url()
    }
    fn kill(&mut self) {
        self.kill();
    }
    fn restart(&mut self) {
        self.restart();
    }
}

impl Killable for PostgresServer {
    fn url(&self) -> String {
        self.url()
    }
    fn kill(&mut self) {
        self.kill();
    }
    fn restart(&mut self) {
        self.restart();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_can_be_killed_and_started_again_under_everybody() {
    survives(RedisServer::start()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_can_be_killed_and_started_again_under_everybody() {
    survives(PostgresServer::start()).await;
}

/// Kills a server in the middle of writing, and looks at what everybody makes of it.
async fn survives(server: impl Killable) {
    let (here, there) = (open(&server.url()), open(&server.url()));
    let mut listener = there.announcements(now());
    hear(&mut listener, |news| news == News::InTouch).await;
    let version = stored(&here, 1, None, b"before").await;
    let acknowledged = Arc::new(Mutex::new((None, 0_u64)));
    let writer = tokio::spawn(write_on(here.clone(), acknowledged.clone()));
    within_patience("the writer is at it", async || (acknowledged.lock().unwrap().1 > 20).then_some(())).await;

    let server = blocking(server, |server| server.kill()).await;
    hear(&mut listener, |news| news == News::OutOfTouch).await;
    let unknown = writer.await.unwrap();
    assert!(unknown.is_retryable(), "{unknown}");
    // A server that is down is a fast answer, and the writer of a new session knows that nothing came of it.
    let begun = Instant::now();
    let refused = swap(&here, 3, None, b"meanwhile").await.expect_err("the server is down");
    assert!(refused.wrote_nothing() && begun.elapsed() < Duration::from_secs(5), "{refused}");
    assert!(here.load(key(1), now()).await.is_err() && here.check().await.is_err());

    let server = blocking(server, |server| server.restart()).await;
    let found = within_patience("the store is back", async || here.load(key(2), now()).await.ok()).await;
    let (last, count) = *acknowledged.lock().unwrap();
    let found = found.expect("an acknowledged record is there");
    let stored_count = u64::from_be_bytes(found.bytes[..].try_into().unwrap());
    assert!(
        (found.version == last.unwrap() && stored_count == count) || stored_count == count + 1,
        "{count} were acknowledged, {stored_count} are stored"
    );
    hear(&mut listener, |news| news == News::InTouch).await;

    // Wake-ups and announcements go on as if nothing had been.
    let waiting = tokio::spawn({
        let there = there.clone();
        async move { there.changed(key(1), Some(version), now()).await }
    });
    stored(&here, 1, Some(version), b"after").await;
    tokio::time::timeout(PATIENCE, waiting).await.expect("a waiter was not woken").unwrap().unwrap();
    here.announce(Announcement { key: key(9), until: in_an_hour() }, now()).await.unwrap();
    hear(&mut listener, is_about(9)).await;
    drop(server);
}

/// Counts up in record 2 until the store fails; answers with the failure.
async fn write_on(store: Arc<dyn SessionStore>, acknowledged: Arc<Mutex<(Option<Version>, u64)>>) -> StoreError {
    loop {
        let (version, count) = *acknowledged.lock().unwrap();
        match swap(&store, 2, version, &(count + 1).to_be_bytes()).await {
            Ok(Swap::Stored(version)) => *acknowledged.lock().unwrap() = (Some(version), count + 1),
            Ok(conflict) => panic!("nobody else writes here, yet {conflict:?}"),
            Err(error) => return error,
        }
    }
}

/// A connection that hangs is told from a quiet one: nothing is announced or changed without being heard in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_stands_still_is_noticed_and_nothing_is_missed() {
    let mut server = RedisServer::start();
    let url = format!("{}?timeout=300ms", server.url());
    let (here, there) = (open(&url), open(&url));
    let mut listener = there.announcements(now());
    hear(&mut listener, |news| news == News::InTouch).await;
    let version = stored(&here, 1, None, b"before").await;
    let waiting = tokio::spawn({
        let there = there.clone();
        async move { there.changed(key(1), Some(version), now()).await }
    });

    server.pause();
    let begun = Instant::now();
    let unknown = swap(&here, 1, Some(version), b"during").await.expect_err("it stands still");
    assert!(!unknown.wrote_nothing(), "a write without an answer is unknown: {unknown}");
    assert!(begun.elapsed() < Duration::from_secs(2), "a call took {:?}", begun.elapsed());
    hear(&mut listener, |news| news == News::OutOfTouch).await;
    server.resume();

    // A waiter may be told of the failure instead; it looks again.
    let _woken_or_told = tokio::time::timeout(PATIENCE, waiting).await.expect("a waiter sleeps on").unwrap();
    let current = within_patience("it goes on", async || there.load(key(1), now()).await.ok()).await.unwrap();
    if current.version == version {
        stored(&here, 1, Some(version), b"after").await;
    }
    there.changed(key(1), Some(version), now()).await.unwrap();
    hear(&mut listener, |news| news == News::InTouch).await;
    here.announce(Announcement { key: key(9), until: in_an_hour() }, now()).await.unwrap();
    hear(&mut listener, is_about(9)).await;
}

/// The subscription's connection alone is cut: what happens until it is back is found by looking.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_subscription_loses_no_wake_up() {
    let server = RedisServer::start();
    let (here, there) = (open(&server.url()), open(&server.url()));
    let mut listener = there.announcements(now());
    hear(&mut listener, |news| news == News::InTouch).await;
    let mut version = stored(&here, 1, None, b"0").await;
    for round in 1..=20_u8 {
        let waiting = tokio::spawn({
            let there = there.clone();
            async move { there.changed(key(1), Some(version), now()).await }
        });
        server.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]).unwrap();
        version = stored(&here, 1, Some(version), &[round]).await;
        here.announce(Announcement { key: key(100 + round), until: in_an_hour() }, now()).await.unwrap();
        tokio::time::timeout(PATIENCE, waiting).await.expect("a waiter was not woken").unwrap().unwrap();
        hear(&mut listener, is_about(100 + round)).await;
    }
}

async fn blocking<S: Send + 'static>(mut server: S, act: impl FnOnce(&mut S) + Send + 'static) -> S {
    let acted = tokio::task::spawn_blocking(move || {
        act(&mut server);
        server
    });
    acted.await.unwrap()
}
