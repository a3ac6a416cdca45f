//! Which route a request takes, what becomes of its path, and how much it may carry.

use std::time::Duration;

use http::Method;
use perennial_gateway::{Access, HostPattern, PathPattern, Rewrite, Route};
use url::Url;

use crate::harness::{Stage, Wire, raw, route_to, verdict};

/// A public route.
fn open(path: &str, upstream: &Url) -> Route {
    let path = PathPattern::parse(path).expect("a pattern");
    Route { path, access: Access::Public, ..route_to(upstream) }
}

fn rewritten(path: &str, to: &str, upstream: &Url) -> Route {
    let route = open(path, upstream);
    Route { rewrite: Some(Rewrite::parse(to, &route.path).expect("a rewrite")), ..route }
}

#[tokio::test]
async fn hosts_and_methods_choose_the_route_as_paths_do() {
    let stage = Stage::routed(|upstream| {
        let below = |folder: &str| upstream.join(folder).expect("a URL");
        vec![
            Route { hosts: vec![HostPattern::parse("app.example").expect("a host")], ..open("/", &below("/app")) },
            Route { hosts: vec![HostPattern::parse("*.example").expect("a host")], ..open("/", &below("/family")) },
            Route { methods: vec![Method::GET, Method::PUT], ..open("/x", &below("/reads")) },
            Route { methods: vec![Method::POST], ..open("/x", &below("/writes")) },
        ]
    })
    .await;
    for (method, host, path, expected) in [
        ("GET", "app.example", "/x", "/app/x"),
        ("GET", "APP.EXAMPLE.:4200", "/x", "/app/x"),
        ("GET", "other.example", "/", "/family/"),
        ("GET", "a.b.example", "/", "/family/"),
        ("GET", "elsewhere", "/x/y", "/reads/x/y"),
        ("POST", "elsewhere", "/x", "/writes/x"),
        ("DELETE", "elsewhere", "/x", "405 method_not_allowed"),
        ("GET", "elsewhere", "/", "404 no_route"),
        ("GET", "example", "/", "404 no_route"),
    ] {
        let before = stage.upstream.hits();
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = raw(stage.gateway.address, request).await;
        let (status, code) = verdict(&answer);
        if status == 200 {
            assert!(answer.contains(&format!("\"target\":\"{expected}\"")), "{method} {host} {path}: {answer}");
        } else {
            assert_eq!(format!("{status} {code}"), expected, "{method} {host} {path}");
            assert_eq!(stage.upstream.hits(), before);
        }
        assert_eq!(answer.to_lowercase().contains("allow: get, put, post\r\n"), status == 405, "{answer}");
    }
}

#[tokio::test]
async fn the_path_that_was_judged_is_the_path_that_is_asked_for() {
    let stage = Stage::routed(|upstream| {
        vec![
            open("/", &upstream),
            rewritten("/api", "/", &upstream),
            rewritten("/users/{id}/files", "/f/{id}", &upstream),
            rewritten("/old", "/new/home", &upstream.join("/base").expect("a URL")),
        ]
    })
    .await;
    let mut browser = stage.browser();
    for (asked, target) in [
        ("/api?q=1", "/?q=1"),
        ("/api/x/y?q=%2e", "/x/y?q=%2e"),
        ("/%61pi/x", "/x"),
        ("/users/a%20b/files/c", "/f/a%20b/c"),
        ("/old/x", "/base/new/home/x"),
        ("/%7euser/%c3%a9", "/~user/%C3%A9"),
    ] {
        assert_eq!(browser.fetch(asked).await.json()["target"], target, "{asked}");
    }
    // What is taken away must not bring to light what was hidden behind it.
    for path in ["/api/../admin", "/api/%2e%2e/admin", "/api//evil.example", "/api/..%2fadmin", "/api/\\evil.example"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert_eq!(verdict(&raw(stage.gateway.address, request).await), (400, "ambiguous_path".into()), "{path}");
    }
}

#[tokio::test]
async fn a_body_is_counted_whatever_it_says_of_its_length() {
    const MAX: usize = 1000;
    let stage = Stage::routed(|upstream| {
        vec![open("/", &upstream), Route { body_max: Some(MAX as u64), ..open("/small", &upstream) }]
    })
    .await;
    let head = |path: &str, framing: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{framing}\r\n\r\n")
    };
    let announced =
        |path: &str, bytes: usize| format!("{}{}", head(path, &format!("Content-Length: {bytes}")), "x".repeat(bytes));
    let chunked = |path: &str, bytes: usize| {
        let half = bytes / 2;
        let chunk = |bytes: usize| format!("{bytes:x}\r\n{}\r\n", "x".repeat(bytes));
        format!("{}{}{}0\r\n\r\n", head(path, "Transfer-Encoding: chunked"), chunk(half), chunk(bytes - half))
    };
    for (what, request, expected) in [
        ("announced, at the edge", announced("/small", MAX), (200, "")),
        ("announced, beyond", announced("/small", MAX + 1), (413, "body_too_large")),
        ("chunked, at the edge", chunked("/small", MAX), (200, "")),
        ("chunked, beyond", chunked("/small", MAX + 1), (413, "body_too_large")),
        ("on another route", chunked("/large", 10 * MAX), (200, "")),
    ] {
        let answer = raw(stage.gateway.address, request).await;
        assert_eq!(verdict(&answer), (expected.0, expected.1.to_owned()), "{what}: {answer}");
    }
    // Whoever announces too much need not send it to learn so.
    let before = stage.upstream.hits();
    let mut wire = Wire::open(stage.gateway.address).await;
    wire.write(head("/small", "Content-Length: 1000000000")).await;
    assert!(wire.until("body_too_large").await.starts_with("HTTP/1.1 413"));
    assert_eq!(stage.upstream.hits(), before);
}

#[tokio::test]
async fn a_route_may_give_its_upstream_less_time() {
    let stage = Stage::routed(|upstream| {
        vec![
            open("/", &upstream),
            Route { timeout: Some(Duration::from_millis(50)), ..rewritten("/hasty", "/", &upstream) },
        ]
    })
    .await;
    let mut browser = stage.browser();
    assert_eq!(browser.fetch("/hasty/hold").await.verdict(), (504, "upstream_timeout".into()));
    stage.upstream.told.until_reached().await;
    let mut patient = stage.browser();
    let (answer, ()) = tokio::join!(patient.fetch("/hold"), async {
        stage.upstream.told.until_reached().await;
        stage.upstream.told.go_on.notify_one();
    });
    assert_eq!(answer.status.as_u16(), 200);
}
