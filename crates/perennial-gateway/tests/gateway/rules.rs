//! Who may pass by the rule of a route and by the page they come from, and what the upstream is told of them.

use http::{Method, StatusCode};
use perennial_gateway::{Access, CsrfGuard, Expression, HeaderTemplate, PathPattern, Route};
use url::Url;

use crate::harness::{LIFETIME, Stage, route_to};

fn at(path: &str, upstream: &Url) -> Route {
    Route { path: PathPattern::parse(path).expect("a pattern"), ..route_to(upstream) }
}

fn ruled(path: &str, rule: &str, upstream: &Url) -> Route {
    Route { rule: Some(Expression::parse(rule).expect("a rule")), ..at(path, upstream) }
}

async fn stage() -> Stage {
    Stage::routed(|upstream| {
        vec![
            at("/", &upstream),
            // Of the ID token alone: the session does not keep this claim.
            ruled("/alices", r#"claims.preferred_username == "alice" && claims.email_verified"#, &upstream),
            ruled("/missing", r#""planted-group" in claims.planted_claim"#, &upstream),
            ruled("/text", "claims.sub", &upstream),
            ruled("/users/{id}", "params.id == claims.sub || request.method == 'HEAD'", &upstream),
            ruled("/asked", r#""1" in request.query.a && request.headers["x-tenant"] == "t""#, &upstream),
            Route { access: Access::Optional, ..ruled("/members", "session.signed_in", &upstream) },
            Route {
                access: Access::Optional,
                ..ruled("/half", "!session.signed_in || claims.sub == 'alice'", &upstream)
            },
        ]
    })
    .await
}

#[tokio::test]
async fn a_rule_decides_on_the_claims_of_the_newest_id_token() {
    let stage = stage().await;
    let (mut alice, mut bob) = (stage.signed_in().await, stage.signed_in_as("bob").await);
    for (path, for_alice, for_bob) in [
        ("/", 200, 200),
        ("/alices", 200, 403),
        ("/alices/deeper?x", 200, 403),
        ("/missing", 403, 403),
        ("/text", 403, 403),
        ("/users/alice", 200, 403),
        ("/users/bob/files", 403, 200),
        ("/users/%62ob", 403, 200),
        ("/asked?a=0&a=1", 200, 200),
        ("/asked?a=2", 403, 403),
        ("/asked", 403, 403),
        ("/members", 200, 200),
        ("/half", 200, 403),
    ] {
        for (who, browser, expected) in [("alice", &mut alice, for_alice), ("bob", &mut bob, for_bob)] {
            let before = stage.upstream.hits();
            let answer = browser.fetch_with(path, &[("x-tenant", "t")]).await;
            let code = if expected == 403 { "rule_denied" } else { "" };
            assert_eq!(answer.verdict(), (expected, code.into()), "{who} {path}");
            assert_eq!(stage.upstream.hits() - before, usize::from(expected == 200), "{who} {path}");
            assert!(!answer.text().contains("planted"), "why is for the log: {answer:?}");
        }
    }
    // It still does after a renewal, and a denial is no reason not to renew.
    stage.time.forward(LIFETIME + 1);
    assert_eq!(bob.fetch("/alices").await.verdict(), (403, "rule_denied".into()));
    assert_eq!(alice.fetch("/alices").await.status, StatusCode::OK);
    assert_eq!(stage.refreshes(), 2);
}

#[tokio::test]
async fn whoever_is_denied_a_page_gets_a_page_and_stays_signed_in() {
    let stage = stage().await;
    let mut bob = stage.signed_in_as("bob").await;
    let answer = bob.page("/alices").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(answer.header("content-type").starts_with("text/html"), "{answer:?}");
    let text = answer.text();
    assert!(text.contains("rule_denied") && text.contains("You may not open this"), "{text}");
    assert!(text.contains("/auth/signout"), "who has another account needs a way to it: {text}");
    assert!(answer.header("cache-control").contains("no-store"), "{answer:?}");
    let german = [("accept", "text/html"), ("sec-fetch-mode", "navigate"), ("accept-language", "de")];
    assert!(bob.fetch_with("/alices", &german).await.text().contains("lang=\"de\""));
    assert_eq!(bob.fetch("/").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_stranger_whom_a_rule_denies_may_sign_in_first() {
    let stage = stage().await;
    let mut stranger = stage.browser();
    assert_eq!(stranger.fetch("/members").await.verdict(), (401, "not_signed_in".into()));
    let sent = stranger.page("/members?x=1").await;
    assert_eq!(sent.status, StatusCode::FOUND);
    let back = stranger.follow_sign_in(sent.location()).await;
    assert_eq!(back.header("location"), format!("{}/members?x=1", stage.origin()));
    assert_eq!(stranger.fetch("/members?x=1").await.status, StatusCode::OK);
    assert_eq!(stage.browser().fetch("/half").await.status, StatusCode::OK, "a rule may let strangers pass");
}

#[tokio::test]
async fn headers_of_the_operators_choice_say_what_they_are_to_and_nobody_else_does() {
    let header = |name: &str, value: &str| HeaderTemplate::parse(name, value).expect("a header");
    let stage = Stage::routed(|upstream| {
        let told = vec![
            header("X-Login", "claims.preferred_username"),
            header("X-Asked-For", "request.method + ' ' + request.path"),
            header("X-Missing", "claims.planted_claim"),
            header("X-Fixed", "'gateway'"),
            header("X-Forwarded-User", "'user:' + claims.sub"),
        ];
        vec![
            Route { request_headers: told.clone(), ..at("/", &upstream) },
            Route { request_headers: told, access: Access::Optional, ..at("/optional", &upstream) },
            Route { access: Access::Public, ..at("/public", &upstream) },
        ]
    })
    .await;
    let mut alice = stage.signed_in().await;
    let forged = [
        ("x-login", "mallory"),
        ("X_Login", "mallory"),
        ("x.asked.for", "mallory"),
        ("X-Missing", "mallory"),
        ("x_missing", "mallory"),
        ("x-fixed", "mallory"),
        ("x-forwarded-user", "mallory"),
    ];
    let answer = alice.fetch_with("/a%20b", &forged).await;
    assert_eq!(answer.seen("x-login"), ["alice"]);
    assert_eq!(answer.seen("x-asked-for"), ["GET /a%20b"]);
    assert_eq!((answer.seen("x-missing").len(), answer.seen("x-fixed")), (0, vec!["gateway".to_owned()]));
    assert_eq!(answer.seen("x-forwarded-user"), ["user:alice"]);
    assert!(!answer.text().contains("mallory"), "{answer:?}");
    for path in ["/public", "/optional"] {
        let answer = stage.browser().fetch_with(path, &forged).await;
        assert!(!answer.text().contains("mallory"), "no route lets a forgery through to the upstream: {answer:?}");
    }
    let answer = stage.browser().fetch_with("/optional", &[]).await;
    assert!(answer.seen("x-login").is_empty() && answer.seen("x-fixed") == ["gateway"], "{answer:?}");
}

#[tokio::test]
async fn only_pages_of_the_site_write_with_a_session() {
    let stage = Stage::routed(|upstream| {
        vec![
            at("/", &upstream),
            Route { csrf: CsrfGuard::Origin, ..at("/strict", &upstream) },
            Route { csrf: CsrfGuard::Off, ..at("/off", &upstream) },
            Route { access: Access::Optional, ..at("/optional", &upstream) },
        ]
    })
    .await;
    let (mut alice, origin) = (stage.signed_in().await, stage.origin());
    let (evil, own) = (("origin", "https://evil.example"), ("origin", origin.as_str()));
    let site = |value: &'static str| ("sec-fetch-site", value);
    for (method, path, headers, allowed) in [
        (Method::POST, "/", &[site("same-origin")][..], true),
        (Method::POST, "/", &[site("same-site"), evil], true),
        (Method::POST, "/", &[site("cross-site"), evil], false),
        (Method::DELETE, "/", &[site("cross-site")], false),
        (Method::POST, "/", &[evil], false),
        (Method::POST, "/", &[own], true),
        (Method::POST, "/", &[], true),
        (Method::GET, "/", &[site("cross-site"), evil], true),
        (Method::POST, "/strict", &[site("same-site")], false),
        (Method::POST, "/strict", &[site("same-origin")], true),
        (Method::POST, "/off", &[site("cross-site"), evil], true),
        (Method::POST, "/optional", &[site("cross-site")], false),
    ] {
        let answer = alice.send(method.clone(), path, headers, "").await;
        let expected = if allowed { (200, String::new()) } else { (403, "cross_site_write".to_owned()) };
        assert_eq!(answer.verdict(), expected, "{method} {path} {headers:?}");
    }
    let stranger = stage.browser().send(Method::POST, "/optional", &[site("cross-site")], "").await;
    assert_eq!(stranger.status, StatusCode::OK, "who brings no session has nothing that could be misused");
}
