//! An upstream that calls the access token invalid (RFC 6750 §3.1) is asked once more with the next one.

use http::Method;

use crate::harness::{Browser, Stage, raw};

/// Alice, whose present access token the upstream refuses.
async fn refused(stage: &Stage) -> (Browser, String) {
    let mut alice = stage.signed_in().await;
    let bearer = alice.fetch("/").await.seen("authorization")[0].clone();
    stage.upstream.refuse(&bearer);
    // Past the shortest time between two renewals of a session.
    stage.time.forward(2);
    (alice, bearer)
}

#[tokio::test]
async fn a_request_without_a_body_is_renewed_for_and_repeated_once() {
    for method in [Method::GET, Method::HEAD, Method::DELETE, Method::POST] {
        let stage = Stage::quick().await;
        let (mut alice, refused) = refused(&stage).await;
        let hits = stage.upstream.hits();
        let answer = alice.send(method.clone(), "/strict/401/invalid_token?a=b", &[("x-kept", "1")], "").await;
        assert_eq!(answer.status.as_u16(), 200, "{method}");
        assert_eq!((stage.upstream.hits() - hits, stage.refreshes()), (2, 1), "{method}");
        assert_eq!(answer.cookies_set().len(), 1, "{method}: the new generation reaches the browser");
        if method != Method::HEAD {
            assert_ne!(answer.seen("authorization")[0], refused, "{method}");
            assert_eq!(answer.seen("x-kept"), ["1"], "{method}");
            assert_eq!(answer.json()["target"], "/strict/401/invalid_token?a=b", "{method}");
        }
    }
}

/// The largest body that is kept, by default.
const REPLAY_MAX: usize = 64 << 10;

#[tokio::test]
async fn a_small_body_of_known_length_is_sent_again() {
    for (method, length) in [(Method::POST, 1), (Method::PUT, 5000), (Method::POST, REPLAY_MAX)] {
        let stage = Stage::quick().await;
        let (mut alice, refused) = refused(&stage).await;
        let hits = stage.upstream.hits();
        let answer = alice.send(method.clone(), "/strict/401/invalid_token?read", &[], vec![b'x'; length]).await;
        assert_eq!(answer.status.as_u16(), 200, "{method} {length}");
        assert_eq!((stage.upstream.hits() - hits, stage.refreshes()), (2, 1), "{method} {length}");
        assert_eq!(answer.json()["bytes"], length, "{method} {length}");
        assert_eq!(answer.seen("content-length"), [length.to_string()], "{method} {length}");
        assert_ne!(answer.seen("authorization")[0], refused, "{method} {length}");
    }
}

#[tokio::test]
async fn a_body_of_unknown_length_is_not_repeated() {
    let stage = Stage::quick().await;
    let (alice, _) = refused(&stage).await;
    let head = "POST /strict/401/invalid_token?read HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n";
    let answer = raw(stage.gateway.address, format!("{head}{}\r\n4\r\nbody\r\n0\r\n\r\n", alice.cookie_line())).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert_eq!(stage.refreshes(), 0);
}

#[tokio::test]
async fn nothing_is_repeated_that_may_not_be() {
    let large = "x".repeat(REPLAY_MAX + 1);
    // method, path, body: the upstream's answer stands, and the session is not renewed for it
    for (method, path, body, status) in [
        (Method::POST, "/strict/401/invalid_token", large.clone(), 401),
        (Method::PUT, "/strict/401/invalid_token", large, 401),
        (Method::GET, "/strict/403/invalid_token", String::new(), 403),
        (Method::GET, "/strict/403/insufficient_scope", String::new(), 403),
        (Method::GET, "/strict/401/invalid_request", String::new(), 401),
        (Method::GET, "/strict/500/invalid_token", String::new(), 500),
    ] {
        let stage = Stage::quick().await;
        let (mut alice, _) = refused(&stage).await;
        let hits = stage.upstream.hits();
        let answer = alice.send(method.clone(), path, &[], body).await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (status, "refused"), "{method} {path}");
        assert_eq!((stage.upstream.hits() - hits, stage.refreshes()), (1, 0), "{method} {path}");
        assert!(alice.has_session());
    }
}

#[tokio::test]
async fn one_retry_is_all_an_upstream_gets() {
    let stage = Stage::quick().await;
    let (mut alice, _) = refused(&stage).await;
    // Without a renewal there is no retry either: the provider is down.
    stage.provider.script("respond_status=503").unwrap();
    let hits = stage.upstream.hits();
    let answer = alice.fetch("/strict/401/invalid_token").await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (401, "refused"));
    assert_eq!((stage.upstream.hits() - hits, stage.refreshes()), (1, 0));
    assert!(alice.has_session(), "the session is kept");
}

/// The last request of an access token's life was answered 401 by the app while the provider was down, which looked like being signed out.
#[tokio::test]
async fn a_token_that_dies_on_its_way_in_an_outage_is_an_outage_and_no_sign_out() {
    let stage = Stage::quick().await;
    let (mut alice, _) = refused(&stage).await;
    let asking = tokio::spawn(async move {
        let answer = alice.fetch("/strict/401/invalid_token?hold").await;
        (alice, answer)
    });
    stage.upstream.told.until_reached().await;
    stage.outage();
    stage.upstream.told.go_on.notify_one();
    let (alice, answer) = asking.await.unwrap();
    assert_eq!(answer.verdict(), (503, "renewal_suspended".into()));
    assert!(alice.has_session(), "the session is kept");
}

#[tokio::test]
async fn the_browser_ends_up_with_the_newest_of_two_generations_made_by_one_request() {
    let stage = Stage::quick().await;
    let mut alice = stage.signed_in().await;
    let stale = alice.clone();
    // Generation 1, which the stale copy of Alice's cookie knows nothing of.
    stage.time.forward(55);
    let bearer = alice.fetch("/").await.seen("authorization")[0].clone();
    assert_eq!(stage.refreshes(), 1);
    stage.upstream.refuse(&bearer);
    stage.time.forward(2);
    // The stale cookie is joined to generation 1, which the upstream refuses: generation 2 is made.
    let mut alice = stale;
    stage.time.forward(15);
    let answer = alice.fetch("/strict/401/invalid_token").await;
    assert_eq!((answer.status.as_u16(), stage.refreshes()), (200, 2));
    let newest = answer.seen("authorization")[0].clone();
    let next = alice.fetch("/").await;
    assert_eq!(next.seen("authorization"), [newest]);
    assert!(next.cookies_set().is_empty(), "the browser holds the newest generation already");
    assert_eq!(answer.cookies_set().len(), 1, "and was not given the one between");
}

#[tokio::test]
async fn a_session_that_the_provider_ends_at_the_retry_is_cleared() {
    let stage = Stage::quick().await;
    let (mut alice, _) = refused(&stage).await;
    let family = stage.provider.families()[0].id;
    assert!(stage.provider.revoke_family(family));
    let answer = alice.fetch("/strict/401/invalid_token").await;
    assert_eq!(answer.status.as_u16(), 401);
    // The access token lives by its clock: the session goes on with it until it dies, then it is over.
    stage.time.forward(crate::harness::LIFETIME);
    assert_eq!(alice.fetch("/").await.verdict(), (401, "not_signed_in".into()));
    assert!(!alice.has_session(), "its cookie is cleared");
}
