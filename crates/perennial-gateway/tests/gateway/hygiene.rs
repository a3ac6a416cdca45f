//! What a connection may carry, and what is refused before anybody looks at it.

use crate::harness::{Stage, Wire, raw, verdict};

const PUBLIC: &str = "[[routes]]\npath = \"/\"\nupstream = \"UPSTREAM\"\naccess = \"public\"\n";

#[tokio::test]
async fn a_request_names_exactly_one_host() {
    let stage = Stage::with(PUBLIC).await;
    let own = stage.gateway.address;
    for (head, expected) in [
        ("GET / HTTP/1.1\r\nHost: app.example\r\n", 200),
        ("GET / HTTP/1.1\r\nHost: app.example:4200\r\n", 200),
        ("GET / HTTP/1.1\r\nHost: [::1]:4200\r\n", 200),
        ("GET / HTTP/1.0\r\nHost: app.example\r\n", 200),
        ("GET http://app.example/ HTTP/1.1\r\nHost: app.example\r\n", 200),
        ("GET http://APP.example/ HTTP/1.1\r\nHost: app.example\r\n", 200),
        ("GET / HTTP/1.1\r\n", 400),
        ("GET / HTTP/1.0\r\n", 400),
        ("GET / HTTP/1.1\r\nHost:\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a, b\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a b\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: user@a\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a?b\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a:port\r\n", 400),
        ("GET http://other.example/ HTTP/1.1\r\nHost: app.example\r\n", 400),
        ("GET http://app.example:81/ HTTP/1.1\r\nHost: app.example\r\n", 400),
        ("GET http://user@app.example/ HTTP/1.1\r\nHost: user@app.example\r\n", 400),
        ("GET http://app.example/ HTTP/1.1\r\n", 400),
    ] {
        let before = stage.upstream.hits();
        let answer = raw(own, format!("{head}Connection: close\r\n\r\n")).await;
        let code = if expected == 400 { "bad_host" } else { "" };
        assert_eq!(verdict(&answer), (expected, code.to_owned()), "{head}");
        assert_eq!(stage.upstream.hits() - before, usize::from(expected == 200), "{head}");
    }
}

#[tokio::test]
async fn methods_that_would_turn_the_gateway_into_something_else_are_refused() {
    let stage = Stage::with(PUBLIC).await;
    for head in [
        "CONNECT app.example:443 HTTP/1.1\r\nHost: app.example:443\r\n",
        "TRACE / HTTP/1.1\r\nHost: app.example\r\nCookie: secret=1\r\n",
    ] {
        let answer = raw(stage.gateway.address, format!("{head}Connection: close\r\n\r\n")).await;
        assert_eq!(verdict(&answer), (501, "method_not_served".into()), "{head}");
        assert!(!answer.contains("secret"), "{answer}");
    }
    assert_eq!(stage.upstream.hits(), 0);
}

#[tokio::test]
async fn headers_beyond_the_limits_are_refused_and_the_honest_session_lives() {
    let stage = Stage::quick().await;
    let mut alice = stage.signed_in().await;
    let cookie = alice.cookie_line();
    let head = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";
    let bytes = |count: usize| format!("X-Padding: {}\r\n", "x".repeat(count));
    let lines = |count: usize| "X-Line: 1\r\n".repeat(count);
    for (what, headers, status) in [
        ("room for much", format!("{cookie}{}", bytes(40 << 10)), 200),
        ("too many bytes", format!("{cookie}{}", bytes(70 << 10)), 431),
        ("a great many bytes", format!("{cookie}{}", bytes(1 << 20)), 431),
        ("many lines", format!("{cookie}{}", lines(80)), 200),
        ("too many lines", format!("{cookie}{}", lines(200)), 431),
        ("a chunk bomb", format!("Cookie: {}\r\n", "authjs.session-token.0=x; ".repeat(4000)), 431),
    ] {
        let answer = raw(stage.gateway.address, format!("{head}{headers}\r\n")).await;
        assert_eq!(verdict(&answer).0, status, "{what}: {}", &answer[..answer.len().min(300)]);
    }
    assert_eq!(alice.fetch("/").await.seen("x-forwarded-user"), ["alice"]);
}

#[tokio::test]
async fn requests_that_two_servers_would_cut_apart_differently_are_refused() {
    let stage = Stage::with(PUBLIC).await;
    for (what, head) in [
        ("two lengths", "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"),
        ("a length list", "Content-Length: 5, 6\r\n\r\nhello!"),
        ("a signed length", "Content-Length: +5\r\n\r\nhello"),
        ("a coding that is not chunked at the end", "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
        ("a blank before the colon", "X-A : b\r\n\r\n"),
        ("a folded line", "X-A: b\r\n c\r\n\r\n"),
        ("a bare carriage return", "X-A: b\rX-B: c\r\n\r\n"),
        ("a control character", "X-A: \u{1}\r\n\r\n"),
    ] {
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{head}");
        let answer = raw(stage.gateway.address, request).await;
        assert_eq!(verdict(&answer).0, 400, "{what}: {answer}");
    }
    assert_eq!(stage.upstream.hits(), 0);
}

/// RFC 9112 §6.3: where both are there, the coding counts. The upstream must be told of one alone.
#[tokio::test]
async fn a_request_with_length_and_coding_cannot_hide_another_request() {
    let stage = Stage::with(PUBLIC).await;
    let request = "POST /first HTTP/1.1\r\nHost: a\r\nContent-Length: 44\r\nTransfer-Encoding: chunked\r\n\r\n\
                   0\r\n\r\nGET /second HTTP/1.1\r\nHost: a\r\nX-Forwarded-User: mallory\r\n\r\n";
    let answer = raw(stage.gateway.address, request).await;
    assert_eq!(verdict(&answer).0, 200, "{answer}");
    assert!(answer.contains("\"bytes\":0") && !answer.contains("[\"content-length"), "{answer}");
    assert!(!answer.contains("second"), "the connection is not trusted any further: {answer}");
    assert_eq!(stage.upstream.hits(), 1);
}

#[tokio::test]
async fn probes_need_no_session_and_reach_no_upstream() {
    let stage = Stage::quick().await;
    let mut prober = stage.browser();
    for (path, status) in [("/healthz", "ok"), ("/readyz", "ready")] {
        let answer = prober.fetch(path).await;
        assert_eq!((answer.status.as_u16(), answer.json()["status"].as_str()), (200, Some(status)), "{path}");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    assert_eq!(prober.fetch("/healthz/x").await.status.as_u16(), 401, "only these very paths");
    assert_eq!(stage.upstream.hits(), 0);
}

#[tokio::test]
async fn an_upstream_that_is_down_is_502_and_back_when_it_is_back() {
    let stage = Stage::with(
        "[[routes]]\npath = \"/\"\nupstream = \"UPSTREAM\"\n[[routes]]\npath = \"/down\"\nupstream = \"http://127.0.0.1:1\"\n",
    )
    .await;
    let mut alice = stage.signed_in().await;
    let answer = alice.fetch("/down").await;
    assert_eq!(answer.verdict(), (502, "upstream_unreachable".into()));
    assert_eq!(answer.header("content-type"), "application/json");
    assert!(!answer.text().contains("127.0.0.1"), "where it lies is nobody's business");
    assert_eq!(alice.fetch("/").await.status.as_u16(), 200);
}

#[tokio::test]
async fn an_answer_cut_short_is_not_passed_off_as_a_whole_one() {
    let stage = Stage::with(PUBLIC).await;
    let mut wire = Wire::open(stage.gateway.address).await;
    wire.write("GET /cut HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let head = wire.until("01234").await;
    assert!(head.contains("content-length: 10"), "{head}");
    stage.upstream.told.go_on.notify_one();
    assert_eq!(wire.rest().await, "", "the connection closes: five bytes are missing");
}

#[tokio::test]
async fn our_endpoints_are_ours_on_every_route_and_refuse_what_is_not_theirs() {
    let stage = Stage::with(PUBLIC).await;
    let mut browser = stage.browser();
    assert_eq!(browser.fetch("/auth/session").await.text(), "null");
    assert_eq!(browser.fetch("/auth/nothing").await.verdict(), (404, "unknown_endpoint".into()));
    assert_eq!(browser.fetch("/auth/refresh").await.verdict(), (405, "method_not_allowed".into()));
    assert_eq!(browser.fetch("/authentic").await.status.as_u16(), 200, "whole segments alone");
    assert_eq!(browser.fetch("/api/renew-token").await.status.as_u16(), 200, "off unless switched on: the app's own");
    assert_eq!(stage.upstream.hits(), 2);
}
