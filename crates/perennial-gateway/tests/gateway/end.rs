//! An end that lets what has begun come to its end.

use std::time::{Duration, Instant};

use perennial::RenewalOutcome;

use crate::harness::{PATIENCE, Stage, Wire};

#[tokio::test]
async fn a_request_under_way_is_answered_and_nobody_new_is_let_in() {
    let stage = Stage::quick().await;
    let mut alice = stage.signed_in().await;
    let address = stage.gateway.address;
    let held = tokio::spawn(async move { alice.fetch("/hold").await });
    stage.upstream.told.until_reached().await;
    let ended = stage.gateway.end();
    // The listener goes at once: wait for that, not for a while.
    let refused = async { while tokio::net::TcpStream::connect(address).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, refused).await.expect("nobody new");
    assert!(!ended.is_finished(), "the gateway waits for the request");
    stage.upstream.told.go_on.notify_one();
    assert_eq!(held.await.expect("no panic").text(), "held");
    tokio::time::timeout(PATIENCE, ended).await.expect("ended").expect("no panic");
}

#[tokio::test]
async fn idle_and_silent_connections_do_not_hold_up_the_end() {
    let stage = Stage::quick().await;
    let alice = stage.signed_in().await;
    // One that has been used and is kept alive, one that a browser opened in advance, one in the middle of its headers.
    let mut idle = Wire::open(stage.gateway.address).await;
    idle.write(format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", alice.cookie_line())).await;
    idle.until("\"bytes\":0}").await;
    let mut silent = Wire::open(stage.gateway.address).await;
    // An answer on a later connection tells that the silent one was accepted.
    let mut later = Wire::open(stage.gateway.address).await;
    later.write("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").await;
    later.until("ok").await;
    let began = Instant::now();
    let ended = stage.gateway.end();
    tokio::time::timeout(PATIENCE, ended).await.expect("ended").expect("no panic");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!((idle.rest().await, silent.rest().await), (String::new(), String::new()));
}

/// A connection that was accepted right before the end, and whose request came right after it, was closed without an answer.
#[tokio::test]
async fn who_has_just_connected_may_still_ask() {
    let stage = Stage::quick().await;
    let mut early = Wire::open(stage.gateway.address).await;
    // An answer on a later connection tells that the early one was accepted.
    let mut later = Wire::open(stage.gateway.address).await;
    later.write("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").await;
    later.until("ok").await;
    let ended = stage.gateway.end();
    // The used one is closed, so the end has come to the connections.
    later.rest().await;
    early.write("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let answer = early.rest().await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{answer}");
    tokio::time::timeout(PATIENCE, ended).await.expect("ended").expect("no panic");
}

#[tokio::test]
async fn a_renewal_under_way_is_finished_though_its_caller_hung_up() {
    let stage = Stage::quick().await;
    let alice = stage.signed_in().await;
    let mut events = stage.gateway.auth.subscribe();
    let mut provider = stage.provider.subscribe();
    stage.provider.script("delay_after_commit_ms=300").unwrap();
    stage.time.forward(61);
    let mut wire = Wire::open(stage.gateway.address).await;
    wire.write(format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", alice.cookie_line())).await;
    // The provider has heard of it and takes its time to answer.
    let heard = async {
        while stage.provider.counters().refreshes_committed == 0 {
            drop(tokio::time::timeout(Duration::from_millis(5), provider.recv()).await)
        }
    };
    tokio::time::timeout(PATIENCE, heard).await.expect("the provider was asked");
    drop(wire);
    let ended = stage.gateway.end();
    tokio::time::timeout(PATIENCE, ended).await.expect("ended").expect("no panic");
    let renewed = std::iter::from_fn(|| events.try_recv().ok())
        .any(|event| matches!(event, perennial::Event::Renewal(renewal) if renewal.outcome == RenewalOutcome::Renewed));
    assert!(renewed, "the new tokens were kept before the gateway ended");
}
