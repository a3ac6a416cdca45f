//! The access token has died and the provider is out of reach: nobody is signed out, and nobody is sent to sign in.

use http::{Method, StatusCode};

use crate::harness::{Browser, Stage};

#[tokio::test]
async fn whoever_fetches_is_told_when_to_come_back() {
    let stage = Stage::quick().await;
    let mut alice = stage.signed_in().await;
    stage.outage();
    let hits = stage.upstream.hits();
    for (method, headers) in [
        (Method::GET, [("accept", "application/json")]),
        (Method::POST, [("accept", "*/*")]),
        (Method::GET, [("sec-fetch-mode", "cors")]),
    ] {
        let answer = alice.send(method, "/api", &headers, "").await;
        assert_eq!(answer.verdict(), (503, "renewal_suspended".into()));
        let seconds: u64 = answer.header("retry-after").parse().expect("seconds");
        assert!((1..=300).contains(&seconds), "{seconds}");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("location"), "");
    }
    assert_eq!(stage.upstream.hits(), hits, "a dead token is not sent along");
    assert!(alice.has_session());
}

#[tokio::test]
async fn whoever_loads_a_page_gets_one_that_tries_again_by_itself() {
    let stage = Stage::quick().await;
    let mut alice = stage.signed_in().await;
    stage.outage();
    let answer = alice.page("/inbox").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    let [retry_after, refresh]: [u64; 2] =
        ["retry-after", "refresh"].map(|name| answer.header(name).parse().expect("seconds"));
    assert_eq!(refresh, retry_after.clamp(5, 60), "{answer:?}");
    assert!(answer.header("content-security-policy").contains("default-src 'none'"));
    assert!(answer.cookies_set().is_empty() && alice.has_session());

    stage.provider.clear_faults();
    stage.time.forward(60);
    assert_eq!(alice.page("/inbox").await.status, StatusCode::OK, "the outage is over, and so is the wait");
    assert_eq!(stage.refreshes(), 1);
}

#[tokio::test]
async fn before_expiry_an_outage_is_nobodys_business() {
    let stage = Stage::quick().await;
    let mut alice = stage.signed_in().await;
    let before = alice.fetch("/").await.seen("authorization");
    stage.provider.script("respond_status=500").unwrap();
    stage.time.forward(55);
    let answer = alice.fetch("/").await;
    assert_eq!(answer.seen("authorization"), before);
    assert!(stage.provider.counters().token_requests > 1, "a renewal was tried");
}

#[tokio::test]
async fn a_provider_that_hangs_up_or_answers_nonsense_is_an_outage_too() {
    for script in
        ["drop_before_commit", "html", "redirect", "respond_status=429,retry_after_seconds=7", "invalid_client"]
    {
        let stage = Stage::quick().await;
        let mut alice = stage.signed_in().await;
        stage.outage();
        stage.provider.clear_faults();
        stage.provider.script(script).unwrap();
        let answer = alice.fetch("/").await;
        assert_eq!(answer.verdict(), (503, "renewal_suspended".into()), "{script}");
        if script.contains("retry_after") {
            let seconds: u64 = answer.header("retry-after").parse().expect("seconds");
            assert!((6..=8).contains(&seconds), "what the provider asked for: {seconds}");
        }
        assert_eq!(alice.page("/").await.status, StatusCode::SERVICE_UNAVAILABLE, "{script}");
        assert!(alice.has_session(), "{script}");
    }
}

#[tokio::test]
async fn optional_routes_stay_open() {
    let stage = Stage::with("[[routes]]\npath = \"/\"\nupstream = \"UPSTREAM\"\naccess = \"optional\"\n").await;
    let mut alice = stage.signed_in().await;
    stage.outage();
    let told = alice.fetch("/").await;
    assert_eq!(told.seen("x-forwarded-user"), ["alice"]);
    assert!(told.seen("authorization").is_empty(), "a dead token is not sent along");
}

#[tokio::test]
async fn a_stranger_waits_on_a_page_while_the_provider_cannot_even_be_discovered() {
    let gateway = Stage::quick().await.end_provider().await;
    let mut stranger = Browser::new(gateway.address);
    let answer = stranger.page("/inbox").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    assert!(!answer.header("refresh").is_empty() && answer.cookies_set().is_empty());
    assert_eq!(stranger.fetch("/inbox").await.verdict(), (401, "not_signed_in".into()));
    assert_eq!(stranger.fetch("/readyz").await.status, StatusCode::OK, "the gateway itself is ready");
}

#[tokio::test]
async fn a_closed_port_is_an_outage_too() {
    let stage = Stage::quick().await;
    let mut alice = stage.signed_in().await;
    stage.time.forward(61);
    let _gateway = stage.end_provider().await;
    assert_eq!(alice.fetch("/").await.verdict(), (503, "renewal_suspended".into()));
    assert_eq!(alice.page("/").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(alice.has_session());
}

#[tokio::test]
async fn fifty_requests_at_expiry_are_one_redemption() {
    let stage = Stage::quick().await;
    let alice = stage.signed_in().await;
    stage.time.forward(61);
    let requests = (0..50).map(|_| {
        let mut alice = alice.clone();
        async move { alice.fetch("/").await.seen("authorization") }
    });
    let bearers = futures_util::future::join_all(requests).await;
    assert!(bearers.iter().all(|bearer| bearer == &bearers[0] && bearer.len() == 1));
    assert_eq!(stage.refreshes(), 1);
}
