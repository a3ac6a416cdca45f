//! The admin listener: what it answers, to whom, and that the public one answers none of it.

use std::net::SocketAddr;

use http::Method;
use perennial_gateway::Admin;

use crate::harness::{Browser, Stage, bind, raw, verdict};

/// The admin listener of a stage's gateway, until the test ends.
async fn admin_of(stage: &Stage) -> SocketAddr {
    let listener = bind().await;
    let address = listener.local_addr().expect("an address");
    tokio::spawn(Admin::new(stage.gateway.gateway.clone(), address).serve(listener, std::future::pending()));
    address
}

#[tokio::test]
async fn it_answers_metrics_stories_and_health() {
    let stage = Stage::quick().await;
    let mut alice = stage.signed_in().await;
    let session = alice.fetch("/echo").await.seen("x-perennial-session").pop().expect("the upstream is told");
    let mut operator = Browser::new(admin_of(&stage).await);

    assert_eq!(operator.fetch("/healthz").await.json()["status"], "ok");
    assert_eq!(operator.fetch("/readyz").await.json()["status"], "ready");
    let metrics = operator.fetch("/metrics").await;
    assert_eq!(metrics.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert_eq!(metrics.header("cache-control"), "no-store");
    assert!(metrics.text().contains("perennial_sign_ins_total{provider=\"oidc\"} 1\n"), "{}", metrics.text());
    assert!(metrics.text().ends_with("# EOF\n"));
    assert!(!metrics.text().contains(&session), "no session in a label");

    stage.time.forward(crate::harness::LIFETIME + 1);
    alice.fetch("/echo").await;
    let told = operator.fetch(&format!("/explain/{session}")).await;
    assert_eq!((told.status.as_u16(), told.header("cache-control")), (200, "no-store"));
    let told = told.json();
    assert_eq!(
        (&told["session"], &told["state"], &told["generation"]),
        (&session.into(), &"signed_in".into(), &1.into())
    );
    assert_eq!((&told["entries"][0]["outcome"], &told["entries"][0]["reason"]), (&"renewed".into(), &"expired".into()));
    assert_eq!(told["entries"][1]["what"], "signed_in");
    let renewed = r#"perennial_renewals_total{provider="oidc",reason="expired",outcome="renewed"} 1"#;
    assert!(operator.fetch("/metrics").await.text().contains(renewed));
}

#[tokio::test]
async fn what_it_does_not_answer_has_a_code() {
    let stage = Stage::quick().await;
    let mut operator = Browser::new(admin_of(&stage).await);
    for (method, path, expected) in [
        (Method::GET, "/explain/AAAAAAAAAAAA", (404, "unknown_session")),
        (Method::GET, "/explain/nonsense", (400, "no_fingerprint")),
        (Method::GET, "/explain/", (400, "no_fingerprint")),
        (Method::GET, "/", (404, "not_found")),
        (Method::GET, "/auth/session", (404, "not_found")),
        (Method::POST, "/metrics", (405, "method_not_allowed")),
        (Method::DELETE, "/explain/AAAAAAAAAAAA", (405, "method_not_allowed")),
    ] {
        let answer = operator.send(method.clone(), path, &[], "").await;
        assert_eq!(answer.verdict(), (expected.0, expected.1.to_owned()), "{method} {path}");
    }
}

/// The word of an operator, who sends JSON with a program.
async fn end(operator: &mut Browser, body: &str) -> (u16, String) {
    operator
        .send(Method::POST, "/sessions/end", &[("content-type", "application/json")], body.to_owned())
        .await
        .verdict()
}

#[tokio::test]
async fn an_operator_ends_a_session_or_all_of_a_user() {
    let stage = Stage::quick().await;
    let (mut first, mut second) = (stage.signed_in().await, stage.signed_in().await);
    let session = first.fetch("/echo").await.seen("x-perennial-session").pop().expect("the upstream is told");
    let mut operator = Browser::new(admin_of(&stage).await);

    assert_eq!(end(&mut operator, &format!(r#"{{"fingerprint":"{session}"}}"#)).await, (200, String::new()));
    assert_eq!((first.fetch("/echo").await.status.as_u16(), second.fetch("/echo").await.status.as_u16()), (401, 200));
    let told = operator.fetch(&format!("/explain/{session}")).await.json();
    assert_eq!((&told["state"], &told["entries"][0]["outcome"]), (&"ended".into(), &"operator_ended".into()));

    assert_eq!(end(&mut operator, r#"{"provider":"oidc","sub":"alice"}"#).await, (200, String::new()));
    assert_eq!(second.fetch("/echo").await.status, 401);
    stage.time.forward(1);
    let mut back = stage.signed_in().await;
    assert_eq!(back.fetch("/echo").await.status, 200, "who was ended may sign in again");
    let body = format!(r#"{{"issuer":"{}","sub":"alice"}}"#, stage.provider.issuer());
    stage.time.forward(1);
    assert_eq!(end(&mut operator, &body).await, (200, String::new()));
    assert_eq!(back.fetch("/echo").await.status, 401);
    let metrics = operator.fetch("/metrics").await.text();
    assert!(metrics.contains(r#"perennial_sessions_ended_total{reason="operator_ended"} "#), "{metrics}");
}

#[tokio::test]
async fn nobody_but_a_program_that_asks_for_one_thing_ends_sessions() {
    let stage = Stage::quick().await;
    let mut alice = stage.signed_in().await;
    let mut operator = Browser::new(admin_of(&stage).await);
    let good = r#"{"provider":"oidc","sub":"alice"}"#;
    let large = format!(r#"{{"provider":"oidc","sub":"{}"}}"#, "x".repeat(8 << 10));
    let json = ("content-type", "application/json");
    for (headers, body, expected) in [
        (&[][..], good, (403, "programs_only")),
        (&[("content-type", "text/plain")], good, (403, "programs_only")),
        (&[("content-type", "application/x-www-form-urlencoded")], good, (403, "programs_only")),
        (&[json, ("origin", "https://evil.example")], good, (403, "programs_only")),
        (&[json, ("sec-fetch-site", "same-origin")], good, (403, "programs_only")),
        (&[json], "", (400, "bad_body")),
        (&[json], "{}", (400, "bad_body")),
        (&[json], r#"{"sub":"alice"}"#, (400, "bad_body")),
        (&[json], r#"{"provider":"oidc"}"#, (400, "bad_body")),
        (&[json], r#"{"provider":"oidc","issuer":"https://id.example","sub":"alice"}"#, (400, "bad_body")),
        (&[json], r#"{"provider":"oidc","sub":"alice","all":true}"#, (400, "bad_body")),
        (&[json], &large, (400, "bad_body")),
        (&[json], r#"{"provider":"other","sub":"alice"}"#, (404, "unknown_provider")),
        (&[json], r#"{"fingerprint":"AAAAAAAAAAAA"}"#, (404, "unknown_session")),
        (&[json], r#"{"fingerprint":"nonsense"}"#, (400, "no_fingerprint")),
    ] {
        let answer = operator.send(Method::POST, "/sessions/end", headers, body.to_owned()).await;
        assert_eq!(answer.verdict(), (expected.0, expected.1.to_owned()), "{headers:?} {body:.80}");
    }
    let asked = operator.fetch("/sessions/end").await;
    assert_eq!((asked.status.as_u16(), asked.header("allow")), (405, "POST"));
    assert_eq!(alice.fetch("/echo").await.status, 200);
    let public = alice.send(Method::POST, "/sessions/end", &[json], good).await;
    assert!(!public.text().contains("ended"), "the public listener passes it on: {}", public.text());
    assert_eq!(alice.fetch("/echo").await.status, 200);
}

/// A page on a name of its own that was made to point to 127.0.0.1 would be of the same origin as the listener.
#[tokio::test]
async fn a_web_page_cannot_reach_it_under_its_own_name() {
    let stage = Stage::quick().await;
    let admin = admin_of(&stage).await;
    for (host, status) in [("evil.example", 400), ("localhost", 200), ("127.0.0.1:9420", 200)] {
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        assert_eq!(verdict(&raw(admin, request).await).0, status, "{host}");
    }
}

#[tokio::test]
async fn the_public_listener_has_none_of_it() {
    let stage = Stage::quick().await;
    let mut alice = stage.signed_in().await;
    for path in ["/metrics", "/explain/AAAAAAAAAAAA"] {
        let answer = alice.fetch(path).await;
        assert!(!answer.text().contains("perennial_build_info") && !answer.text().contains("unknown_session"));
    }
}

#[tokio::test]
async fn a_public_one_is_reached_by_any_name() {
    let stage = Stage::quick().await;
    let address = SocketAddr::from(([0, 0, 0, 0], 0));
    let listener = bind().await;
    let public = listener.local_addr().expect("an address");
    // Public on purpose: any name is answered there.
    tokio::spawn(Admin::new(stage.gateway.gateway.clone(), address).serve(listener, std::future::pending()));
    let request = "GET /healthz HTTP/1.1\r\nHost: gateway.internal\r\nConnection: close\r\n\r\n";
    assert_eq!(verdict(&raw(public, request).await).0, 200);
}
