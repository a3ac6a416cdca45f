//! Bodies go through as they come, in both directions, and headers of one connection stay on it.

use http::Method;

use crate::harness::{Stage, Wire, raw};

#[tokio::test]
async fn the_first_chunk_of_an_answer_arrives_before_the_second_is_sent() {
    let stage = Stage::quick().await;
    let alice = stage.signed_in().await;
    let mut wire = Wire::open(stage.gateway.address).await;
    wire.write(format!("GET /drip HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{}\r\n", alice.cookie_line())).await;
    let head = wire.until("data: first\n\n").await;
    assert!(head.contains("content-type: text/event-stream"), "{head}");
    stage.upstream.told.go_on.notify_one();
    wire.until("data: second\n\n").await;
}

#[tokio::test]
async fn the_first_chunk_of_a_request_arrives_before_the_second_is_sent() {
    let stage = Stage::quick().await;
    let alice = stage.signed_in().await;
    let mut wire = Wire::open(stage.gateway.address).await;
    let head = "POST /upload HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n";
    wire.write(format!("{head}{}\r\n5\r\nfirst\r\n", alice.cookie_line())).await;
    stage.upstream.told.until_reached().await;
    wire.write("6\r\nsecond\r\n0\r\n\r\n").await;
    wire.until("bytes=11").await;
}

#[tokio::test]
async fn large_bodies_go_both_ways_whole() {
    const SIZE: usize = 12 << 20;
    let stage = Stage::quick().await;
    let mut alice = stage.signed_in().await;
    let body: Vec<u8> = (0..SIZE).map(|at| at as u8).collect();
    let up = alice.send(Method::PUT, "/echo", &[], body.clone()).await;
    assert_eq!(up.json()["bytes"], SIZE);
    assert_eq!(up.seen("content-length"), [SIZE.to_string()]);
    let down = alice.fetch(&format!("/large/{SIZE}")).await;
    assert!(down.body == body, "byte for byte");
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_is_told_to_go_on() {
    let stage = Stage::quick().await;
    let alice = stage.signed_in().await;
    let mut wire = Wire::open(stage.gateway.address).await;
    let head = "POST /upload HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4\r\nExpect: 100-continue\r\n";
    wire.write(format!("{head}{}\r\n", alice.cookie_line())).await;
    wire.until("HTTP/1.1 100 Continue\r\n\r\n").await;
    wire.write("body").await;
    wire.until("bytes=4").await;
}

#[tokio::test]
async fn a_stranger_is_refused_before_the_body_is_sent() {
    let stage = Stage::quick().await;
    let mut wire = Wire::open(stage.gateway.address).await;
    let head = "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n";
    wire.write(head).await;
    let answer = wire.until("\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert_eq!(stage.upstream.hits(), 0);
}

#[tokio::test]
async fn headers_of_one_connection_stay_on_it() {
    let stage = Stage::quick().await;
    let mut alice = stage.signed_in().await;
    let answer = alice.fetch("/hops").await;
    for name in ["x-hop", "keep-alive", "proxy-authenticate"] {
        assert_eq!(answer.header(name), "", "{name}");
    }
    assert_eq!((answer.header("x-end"), answer.header("server")), ("to end", "upstream"));

    let hops = [
        ("connection", "keep-alive, x-mine"),
        ("x-mine", "hop"),
        ("keep-alive", "timeout=9"),
        ("te", "gzip"),
        ("proxy-connection", "keep-alive"),
        ("proxy-authorization", "Basic x"),
        ("x-end", "to end"),
    ];
    let told = alice.fetch_with("/echo", &hops).await;
    for (name, _) in &hops[..6] {
        assert!(told.seen(name).is_empty(), "{name}: {told:?}");
    }
    assert_eq!(told.seen("x-end"), ["to end"]);
    assert_eq!(told.seen("via"), ["1.1 perennial"]);
    // What is said of trailers is as true of us.
    let told = alice.fetch_with("/echo", &[("te", "gzip;q=0.5, Trailers"), ("via", "1.1 first")]).await;
    assert_eq!((told.seen("te"), told.seen("connection")), (vec!["trailers".to_owned()], vec!["te".to_owned()]));
    assert_eq!(told.seen("via"), ["1.1 first", "1.1 perennial"]);
}

#[tokio::test]
async fn trailers_go_both_ways() {
    let stage = Stage::quick().await;
    let alice = stage.signed_in().await;
    let head = "POST /trailers HTTP/1.1\r\nHost: a\r\nConnection: close, te\r\nTE: trailers\r\nTrailer: x-came\r\n\
                Transfer-Encoding: chunked\r\n";
    let body = "4\r\nbody\r\n0\r\nx-came: yes\r\n\r\n";
    let answer = raw(stage.gateway.address, format!("{head}{}\r\n{body}", alice.cookie_line())).await.to_lowercase();
    assert!(answer.contains("came=some(\"yes\")"), "{answer}");
    assert!(answer.contains("trailer: x-sum") && answer.ends_with("0\r\nx-sum: 42\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn an_upstream_that_does_not_want_the_body_is_not_sent_it_and_the_client_is_not_asked_for_it() {
    let stage = Stage::quick().await;
    let alice = stage.signed_in().await;
    let mut wire = Wire::open(stage.gateway.address).await;
    let head = "POST /unread/413 HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n";
    wire.write(format!("{head}{}\r\n", alice.cookie_line())).await;
    let answer = wire.until("\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 413"), "its word comes through, and no `100 Continue` before it: {answer}");
}

#[tokio::test]
async fn the_client_is_asked_for_the_body_when_the_upstream_wants_it_and_not_before() {
    let stage = Stage::quick().await;
    let alice = stage.signed_in().await;
    let mut wire = Wire::open(stage.gateway.address).await;
    let head = "POST /late HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4\r\nExpect: 100-continue\r\n";
    wire.write(format!("{head}{}\r\n", alice.cookie_line())).await;
    stage.upstream.told.until_reached().await;
    assert!(wire.is_silent(), "the upstream has not asked for the body yet");
    stage.upstream.told.go_on.notify_one();
    wire.until("HTTP/1.1 100 Continue\r\n\r\n").await;
    wire.write("body").await;
    wire.until("bytes=4").await;
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_no_body() {
    let stage = Stage::quick().await;
    let mut alice = stage.signed_in().await;
    let answer = alice.send(Method::HEAD, "/large/1234", &[], "").await;
    assert_eq!((answer.status.as_u16(), answer.header("content-length"), answer.body.len()), (200, "1234", 0));
}

#[tokio::test]
async fn cookies_of_the_upstream_and_ours_both_arrive_and_no_cache_keeps_them() {
    let stage = Stage::quick().await;
    let mut alice = stage.signed_in().await;
    let answer = alice.fetch("/cookie").await;
    assert_eq!(answer.cookies_set(), ["theme", "cart"]);
    assert_eq!(answer.header("cache-control"), "public, max-age=60", "without a cookie of ours its word stands");
    // Inside the window: the session renews, and its cookie goes along.
    stage.time.forward(55);
    let answer = alice.fetch("/cookie").await;
    assert_eq!(answer.cookies_set(), ["theme", "cart", "authjs.session-token"]);
    assert_eq!(answer.header("cache-control"), "private, no-store");
    assert_eq!(alice.fetch("/").await.seen("cookie"), ["cart=1; theme=dark"]);
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let stage = Stage::quick().await;
    let alice = stage.signed_in().await;
    let mut wire = Wire::open(stage.gateway.address).await;
    for path in ["/one", "/two", "/three"] {
        wire.write(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{}\r\n", alice.cookie_line())).await;
        wire.until(&format!("\"target\":\"{path}\"")).await;
        wire.until("\"bytes\":0}").await;
    }
}
