//! What outlives the request that opened it ends with the session: WebSocket, streams of events, answers without a length.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use perennial::store::MemoryStore;
use perennial_gateway::Upstream;

use crate::harness::{Browser, Running, Stage, Wire};

const ASK: &str = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A frame of `text` as a client writes it, under a mask of zeros.
fn masked(text: &str) -> Vec<u8> {
    [&[0x81, 0x80 | u8::try_from(text.len()).expect("short"), 0, 0, 0, 0], text.as_bytes()].concat()
}

/// A stage, and a second gateway on its store.
async fn with_replica() -> (Stage, Running) {
    let store = Arc::new(MemoryStore::new());
    let stage = Stage::on(store.clone()).await;
    let replica = stage.replica(store).await;
    (stage, replica)
}

async fn signs_out(browser: &mut Browser, origin: &str) {
    let button = [("origin", origin), ("sec-fetch-site", "same-origin")];
    let answer = browser.send(Method::POST, "/auth/signout", &button, "").await;
    assert!(answer.status.is_redirection(), "{answer:?}");
    assert!(!browser.has_session());
}

async fn opened(stage: &Stage, browser: &Browser, path: &str, headers: &str) -> Wire {
    let mut wire = Wire::open(stage.gateway.address).await;
    wire.write(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{headers}{}\r\n", browser.cookie_line())).await;
    wire
}

async fn socket(stage: &Stage, browser: &Browser) -> Wire {
    let mut wire = opened(stage, browser, "/socket/websocket", ASK).await;
    assert!(wire.until("\r\n\r\n").await.starts_with("HTTP/1.1 101"));
    wire.write(masked("hello")).await;
    wire.until("HELLO").await;
    wire
}

#[tokio::test]
async fn a_websocket_is_told_to_close_when_its_session_is_signed_out_at_another_replica_and_others_go_on() {
    let (stage, replica) = with_replica().await;
    let (mut alice, bob) = (stage.signed_in().await, stage.signed_in().await);
    let (mut hers, mut his) = (socket(&stage, &alice).await, socket(&stage, &bob).await);
    signs_out(alice.reaching(replica.address), &stage.origin()).await;
    // Close, 15 bytes: 1008, which is no text, and the reason.
    assert_eq!(hers.until("session ended").await, "\u{fffd}\u{f}\u{3}\u{fffd}session ended");
    // The client answers as RFC 6455 §5.5.1 wants it, and the connection is closed.
    hers.write([0x88, 0x82, 0, 0, 0, 0, 3, 0xf0]).await;
    assert_eq!(hers.rest().await, "");
    his.write(masked("still")).await;
    his.until("STILL").await;
}

#[tokio::test]
async fn a_websocket_that_does_not_close_is_closed_in_the_time_stated() {
    let stage = Stage::changed(|mut config, _| {
        let mut settings = config.routes[0].upstream.settings().clone();
        settings.close_grace = Duration::from_millis(50);
        config.routes[0].upstream = Upstream::new(settings).expect("good settings");
        config
    })
    .await;
    let mut alice = stage.signed_in().await;
    let mut hers = socket(&stage, &alice).await;
    signs_out(&mut alice, &stage.origin()).await;
    hers.until("session ended").await;
    assert_eq!(hers.rest().await, "");
}

#[tokio::test]
async fn a_stream_of_events_ends_and_other_answers_break_off_when_the_session_is_over() {
    let (stage, replica) = with_replica().await;
    // kind of stream, how it ends: with the last chunk, with the status of gRPC, or broken off
    for (kind, headers, end) in [
        ("text_event-stream", "", "0\r\n\r\n"),
        ("application_grpc", "TE: trailers\r\n", "0\r\n\r\n"),
        ("text_html", "", ""),
    ] {
        let mut alice = stage.signed_in().await;
        let headers = format!("Connection: close\r\n{headers}");
        let mut wire = opened(&stage, &alice, &format!("/endless/{kind}"), &headers).await;
        wire.until("data: first\n\n\r\n").await;
        assert!(wire.is_silent(), "{kind}");
        signs_out(alice.reaching(replica.address), &stage.origin()).await;
        assert_eq!(wire.rest().await, end, "{kind}");
    }
}

#[tokio::test]
async fn a_stream_ends_with_the_absolute_lifetime_of_its_session() {
    const ABSOLUTE: u64 = 600;
    let stage = Stage::changed(|mut config, _| {
        config.auth = config.auth.absolute_max_age(Duration::from_secs(ABSOLUTE));
        config
    })
    .await;
    let mut alice = stage.signed_in().await;
    // One second is left, which passes for real.
    stage.time.forward(ABSOLUTE - 1);
    assert_eq!(alice.fetch("/").await.status.as_u16(), 200);
    let mut wire = opened(&stage, &alice, "/endless/text_event-stream", "").await;
    wire.until("data: first\n\n\r\n").await;
    wire.until("0\r\n\r\n").await;
}

#[tokio::test]
async fn what_nobody_signed_in_for_has_no_end_but_its_own() {
    let stage = Stage::with("[[routes]]\npath = \"/\"\nupstream = \"UPSTREAM\"\naccess = \"public\"\n").await;
    let mut alice = stage.signed_in().await;
    let mut wire = opened(&stage, &alice, "/drip", "Connection: close\r\n").await;
    wire.until("data: first\n\n").await;
    signs_out(&mut alice, &stage.origin()).await;
    stage.upstream.told.go_on.notify_one();
    wire.until("data: second\n\n").await;
}
