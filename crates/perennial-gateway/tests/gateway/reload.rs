//! A configuration that is put in force while the gateway serves: what has begun goes on, and sessions do not notice.

use std::time::Duration;

use perennial::{Event, RenewalOutcome};
use perennial_gateway::{Access, Config};

use crate::harness::{LIFETIME, PATIENCE, Stage, Wire};

/// The stage's configuration with every path open to everybody.
fn opened_up(stage: &Stage) -> Config {
    let mut config = stage.config();
    config.routes.iter_mut().for_each(|route| route.access = Access::Public);
    config
}

#[tokio::test]
async fn a_renewal_under_way_is_joined_by_those_who_come_after_a_reload() {
    let stage = Stage::quick().await;
    let alice = stage.signed_in().await;
    let mut events = stage.gateway.auth.subscribe();
    let mut provider = stage.provider.subscribe();
    stage.provider.script("delay_after_commit_ms=1000").expect("a script");
    stage.time.forward(LIFETIME + 1);
    let mut before = alice.clone();
    let waiting = tokio::spawn(async move { before.fetch("/").await });
    let heard = async {
        while stage.refreshes() == 0 {
            drop(tokio::time::timeout(Duration::from_millis(5), provider.recv()).await)
        }
    };
    tokio::time::timeout(PATIENCE, heard).await.expect("the provider was asked");

    stage.gateway.gateway.replace(stage.config()).await.expect("a good configuration");
    let mut after = alice.clone();
    let (waited, joined) = (waiting.await.expect("no panic"), after.fetch("/").await);
    assert_eq!((waited.status.as_u16(), joined.status.as_u16()), (200, 200));
    assert_eq!(waited.seen("authorization"), joined.seen("authorization"), "both have the new access token");
    assert_eq!(stage.refreshes(), 1, "the refresh token was redeemed once");
    // Whoever subscribed to the old engine hears of it, too.
    let renewed = std::iter::from_fn(|| events.try_recv().ok())
        .any(|event| matches!(event, Event::Renewal(renewal) if renewal.outcome == RenewalOutcome::Renewed));
    assert!(renewed);
    let metrics = stage.gateway.gateway.auth().metrics();
    assert!(metrics.contains("perennial_sign_ins_total{provider=\"oidc\"} 1"), "the counters go on: {metrics}");
}

#[tokio::test]
async fn who_signed_out_before_a_reload_stays_out_and_who_signed_in_stays_in() {
    let stage = Stage::quick().await;
    let (mut alice, mut bob) = (stage.signed_in().await, stage.signed_in().await);
    let kept = bob.clone();
    let button = [("origin", &*stage.origin()), ("sec-fetch-site", "same-origin")];
    bob.send(http::Method::POST, "/auth/signout", &button, "").await;
    stage.gateway.gateway.replace(stage.config()).await.expect("a good configuration");
    assert_eq!(alice.fetch("/").await.status, 200);
    assert_eq!(kept.clone().fetch("/").await.status, 401, "an old cookie of a session that was ended");
    // And an end that comes after it reaches what began before: the old engine listens on.
    let mut wire = Wire::open(stage.gateway.address).await;
    wire.write(format!("GET /drip HTTP/1.1\r\nHost: a\r\n{}\r\n", alice.cookie_line())).await;
    wire.until("data: first\n\n").await;
    stage.gateway.gateway.replace(stage.config()).await.expect("a good configuration");
    alice.clone().send(http::Method::POST, "/auth/signout", &button, "").await;
    // The stream of events ends with its session; the connection stays.
    wire.until("\r\n0\r\n\r\n").await;
}

#[tokio::test]
async fn a_stream_and_a_connection_go_on_while_routes_change() {
    let stage = Stage::quick().await;
    let alice = stage.signed_in().await;
    let mut stream = Wire::open(stage.gateway.address).await;
    stream.write(format!("GET /drip HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{}\r\n", alice.cookie_line())).await;
    stream.until("data: first\n\n").await;
    let mut kept = Wire::open(stage.gateway.address).await;
    kept.write("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n").await;
    kept.until("401 Unauthorized").await;
    kept.until("}").await;

    stage.gateway.gateway.replace(opened_up(&stage)).await.expect("a good configuration");
    kept.write("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n").await;
    kept.until("200 OK").await;
    stage.upstream.told.go_on.notify_one();
    stream.until("data: second\n\n").await;
}

#[tokio::test]
async fn a_configuration_with_faults_changes_nothing() {
    let stage = Stage::quick().await;
    let mut alice = stage.signed_in().await;
    let mut bad = opened_up(&stage);
    bad.auth = bad.auth.base_path("no slash");
    let error = stage.gateway.gateway.replace(bad).await.expect_err("a fault");
    assert_eq!(error.faults.iter().map(|fault| fault.key.as_str()).collect::<Vec<_>>(), ["base_path"]);
    assert_eq!(stage.browser().fetch("/").await.status, 401, "the routes are the old ones");
    assert_eq!(alice.fetch("/").await.status, 200);
}
