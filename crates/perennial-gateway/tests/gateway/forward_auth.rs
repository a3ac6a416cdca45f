//! Forward-auth: what each kind of proxy is answered, asked as its documentation says that it asks. Real ones: `e2e/tests/forward-auth-*`.

use std::net::SocketAddr;

use http::{Method, StatusCode};
use perennial_gateway::{Expression, ForwardAuth, ForwardAuthSettings, HeaderTemplate, PathPattern, Route};

use crate::harness::{Answer, Browser, LIFETIME, Stage, bind, route_to};

const FILE: &str = r#"
[[routes]]
path = "/"
upstream = "UPSTREAM"
[[routes]]
path = "/open"
upstream = "UPSTREAM"
access = "optional"
[[routes]]
path = "/public"
upstream = "UPSTREAM"
access = "public"
[[routes]]
path = "/signed"
upstream = "UPSTREAM"
identity = "jwt"
"#;

/// A stage whose gateway other proxies may ask, and where.
async fn stage() -> (Stage, SocketAddr) {
    let stage = Stage::with(FILE).await;
    let asked = listening(&stage, |_| {}).await;
    (stage, asked)
}

async fn listening(stage: &Stage, change: impl FnOnce(&mut ForwardAuthSettings)) -> SocketAddr {
    let listener = bind().await;
    let address = listener.local_addr().expect("an address");
    let mut settings = ForwardAuthSettings::new(address);
    change(&mut settings);
    let face = ForwardAuth::new(stage.gateway.gateway.clone(), &settings);
    tokio::spawn(face.serve(listener, std::future::pending()));
    address
}

/// A request of a browser, about which proxies ask.
struct Original<'a> {
    method: Method,
    target: &'a str,
    headers: &'a [(&'a str, &'a str)],
}

const PAGE: &[(&str, &str)] =
    &[("accept", "text/html"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
const FETCH: &[(&str, &str)] = &[("accept", "application/json"), ("sec-fetch-mode", "cors")];

fn get<'a>(target: &'a str, headers: &'a [(&'a str, &'a str)]) -> Original<'a> {
    Original { method: Method::GET, target, headers }
}

/// Asks as `proxy` does about a request that `browser` sent to the stage's public URL, and leaves the browser's cookies alone: what
/// comes of an answer's `Set-Cookie` is the proxy's business.
async fn ask(stage: &Stage, asked: SocketAddr, browser: &Browser, proxy: &str, original: Original<'_>) -> Answer {
    let host = stage.gateway.address.to_string();
    let mut asking = browser.at(asked);
    let Original { method, target, headers } = original;
    if proxy == "/envoy" {
        let mut headers = headers.to_vec();
        headers.push(("host", &host));
        return asking.send(method, &format!("/envoy{target}"), &headers, "").await;
    }
    let mut headers = headers.to_vec();
    headers.extend([
        ("x-forwarded-method", method.as_str()),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", &host),
        ("x-forwarded-uri", target),
    ]);
    asking.send(Method::GET, proxy, &headers, "").await
}

const PROXIES: [&str; 4] = ["/nginx", "/caddy", "/traefik", "/envoy"];

#[tokio::test]
async fn whoever_is_signed_in_may_go_on_and_the_application_is_told() {
    let (stage, asked) = stage().await;
    let mut alice = stage.signed_in().await;
    let bearer = alice.fetch("/").await.seen("authorization");
    alice.cookies.insert("theme".into(), "dark".into());
    for proxy in PROXIES {
        let answer = ask(&stage, asked, &alice, proxy, get("/a/b?c=d", FETCH)).await;
        assert_eq!(answer.status, StatusCode::OK, "{proxy} {answer:?}");
        assert_eq!(answer.header("x-forwarded-user"), "alice", "{proxy}");
        assert_eq!(answer.header("authorization"), bearer[0], "{proxy}");
        assert_eq!(answer.header("cookie"), "theme=dark", "{proxy}: ours are no application's business");
        assert_eq!(answer.header("cache-control"), "private, no-store", "{proxy}");
        assert!(answer.body.is_empty() && answer.cookies_set().is_empty(), "{proxy} {answer:?}");
    }
}

#[tokio::test]
async fn a_strangers_page_load_leads_to_the_sign_in_and_back() {
    let (stage, asked) = stage().await;
    let stranger = stage.browser();
    for proxy in ["/caddy", "/traefik", "/envoy", "/nginx/answer"] {
        let answer = ask(&stage, asked, &stranger, proxy, get("/deep?x=1&y=%2F", PAGE)).await;
        assert_eq!(answer.status, StatusCode::FOUND, "{proxy} {answer:?}");
        let mut browser = stage.browser();
        for line in answer.headers.get_all("set-cookie") {
            let (pair, _) = line.to_str().expect("ASCII").split_once(';').expect("attributes");
            let (name, value) = pair.split_once('=').expect("a cookie");
            browser.cookies.insert(name.into(), value.into());
        }
        let back = browser.follow_sign_in(answer.location()).await;
        assert_eq!(back.header("location"), format!("{}/deep?x=1&y=%2F", stage.origin()), "{proxy}");
    }
    let verdict = ask(&stage, asked, &stranger, "/nginx", get("/deep", PAGE)).await;
    assert_eq!((verdict.status.as_u16(), verdict.cookies_set().len()), (401, 0));
}

#[tokio::test]
async fn what_is_refused_is_refused_as_the_gateway_itself_would() {
    let (stage, asked) = stage().await;
    let stranger = stage.browser();
    for (original, expected, code) in [
        (get("/", FETCH), 401, "not_signed_in"),
        (Original { method: Method::POST, target: "/", headers: PAGE }, 401, "not_signed_in"),
        (get("/public/..%2fprivate", FETCH), 400, "ambiguous_path"),
        (get("/auth/session", FETCH), 403, "own_endpoint"),
    ] {
        for proxy in PROXIES {
            let Original { ref method, target, headers } = original;
            let original = Original { method: method.clone(), target, headers };
            let answer = ask(&stage, asked, &stranger, proxy, original).await;
            assert_eq!(answer.status.as_u16(), expected, "{proxy} {target}");
            if proxy != "/nginx" {
                assert_eq!(answer.verdict().1, code, "{proxy} {target}");
            }
        }
    }
}

#[tokio::test]
async fn open_routes_stay_open_and_an_application_keeps_its_own_authorization() {
    let (stage, asked) = stage().await;
    let headers = [("authorization", "Basic theirs"), ("x-forwarded-user", "mallory"), ("accept", "*/*")];
    let stranger = stage.browser();
    let alice = stage.signed_in().await;
    for proxy in PROXIES {
        for path in ["/open", "/public"] {
            let answer = ask(&stage, asked, &stranger, proxy, get(path, &headers)).await;
            assert_eq!(answer.status, StatusCode::OK, "{proxy} {path}");
            assert_eq!(answer.header("authorization"), "Basic theirs", "{proxy} {path}");
            assert_eq!(answer.header("x-forwarded-user"), "", "{proxy} {path}");
        }
        let told = ask(&stage, asked, &alice, proxy, get("/open", &headers)).await;
        assert_eq!(told.header("x-forwarded-user"), "alice", "{proxy}");
        let signed = ask(&stage, asked, &alice, proxy, get("/signed/x", &headers)).await;
        assert_eq!(signed.header("x-perennial-identity").split('.').count(), 3, "{proxy}");
        assert_eq!(signed.header("x-forwarded-user"), "", "{proxy}");
    }
}

#[tokio::test]
async fn a_renewed_session_is_handed_on_and_kept_in_the_record_where_it_is_not() {
    let (stage, asked) = stage().await;
    let alice = stage.signed_in().await;
    stage.time.forward(LIFETIME + 1);
    let mut bearers = Vec::new();
    for proxy in PROXIES {
        let answer = ask(&stage, asked, &alice, proxy, get("/", FETCH)).await;
        assert_eq!(answer.status, StatusCode::OK, "{proxy} {answer:?}");
        bearers.push(answer.header("authorization").to_owned());
        let line = if proxy == "/nginx" { "x-perennial-set-cookie-1" } else { "set-cookie" };
        assert!(answer.header(line).starts_with("authjs.session-token"), "{proxy} {answer:?}");
    }
    assert!(bearers.iter().all(|bearer| bearer == &bearers[0]), "all of the same generation");
    assert_eq!(stage.refreshes(), 1, "the old cookie finds it");
}

#[tokio::test]
async fn an_outage_is_503_and_nobodys_end() {
    let (stage, asked) = stage().await;
    let alice = stage.signed_in().await;
    stage.outage();
    for proxy in PROXIES {
        let answer = ask(&stage, asked, &alice, proxy, get("/", FETCH)).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{proxy}");
        let page = if proxy == "/nginx" { "/nginx/answer" } else { proxy };
        let page = ask(&stage, asked, &alice, page, get("/", PAGE)).await;
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{proxy}");
        assert!(!page.header("retry-after").is_empty() && !page.header("refresh").is_empty(), "{proxy} {page:?}");
        assert!(page.cookies_set().is_empty(), "{proxy}");
    }
}

#[tokio::test]
async fn an_answer_that_is_good_by_now_has_the_browser_ask_again() {
    let (stage, asked) = stage().await;
    let alice = stage.signed_in().await;
    let page = ask(&stage, asked, &alice, "/nginx/answer", get("/a?b=c", PAGE)).await;
    assert_eq!((page.status, page.header("location")), (StatusCode::FOUND, "/a?b=c"));
    assert_eq!(page.header("authorization"), "", "a browser reads this answer");
    let data = ask(&stage, asked, &alice, "/nginx/answer", get("/a?b=c", FETCH)).await;
    assert_eq!(data.verdict(), (503, "ask_again".into()));
    assert_eq!((data.header("retry-after"), data.header("authorization")), ("1", ""));
}

#[tokio::test]
async fn only_trusted_callers_are_answered() {
    let (stage, _) = stage().await;
    let asked = listening(&stage, |settings| settings.trusted = vec!["10.0.0.0/8".parse().expect("a network")]).await;
    let alice = stage.signed_in().await;
    for proxy in PROXIES {
        let answer = ask(&stage, asked, &alice, proxy, get("/", FETCH)).await;
        assert_eq!(answer.verdict(), (403, "untrusted_caller".into()), "{proxy}");
        assert_eq!(answer.header("authorization"), "");
    }
}

#[tokio::test]
async fn a_question_says_once_what_it_is_about() {
    let (stage, asked) = stage().await;
    let alice = stage.signed_in().await;
    let host = stage.gateway.address.to_string();
    let good = [("x-forwarded-method", "GET"), ("x-forwarded-host", &*host), ("x-forwarded-uri", "/")];
    let with = |name: &'static str, value: &'static str| {
        let mut headers: Vec<(&str, &str)> = good.iter().filter(|(each, _)| *each != name).copied().collect();
        headers.extend((!value.is_empty()).then_some((name, value)));
        headers
    };
    let twice = [&good[..], &[("x-forwarded-uri", "/public")]].concat();
    for (headers, expected, code) in [
        (good.to_vec(), 200, ""),
        (with("x-forwarded-method", ""), 400, "bad_original"),
        (with("x-forwarded-method", "G T"), 400, "bad_original"),
        (with("x-forwarded-method", "TRACE"), 501, "method_not_served"),
        (with("x-forwarded-host", ""), 400, "bad_original"),
        (with("x-forwarded-host", "a b"), 400, "bad_original"),
        (with("x-forwarded-host", "evil.example"), 421, "foreign_host"),
        (with("x-forwarded-uri", ""), 400, "bad_original"),
        (with("x-forwarded-uri", "http://evil.example/"), 400, "bad_original"),
        (with("x-forwarded-uri", "public"), 400, "bad_original"),
        (twice, 400, "bad_original"),
    ] {
        let mut asking = alice.at(asked);
        let answer = asking.fetch_with("/caddy", &headers).await;
        assert_eq!(answer.verdict(), (expected, code.to_owned()), "{headers:?}");
    }
    let mut asking = alice.at(asked);
    assert_eq!(asking.fetch_with("/", &good).await.verdict(), (404, "unknown_dialect".into()));
    assert_eq!(asking.fetch_with("/auth/session", &good).await.verdict(), (404, "unknown_dialect".into()));
}

#[tokio::test]
async fn a_proxy_that_drops_set_cookie_is_told_of() {
    let (stage, asked) = stage().await;
    let counted = |count: u32| format!("perennial_alarms_total{{code=\"set_cookie_dropped\"}} {count}\n");
    let mut alice = stage.signed_in().await;
    let first = alice.clone();
    for _ in 0..4 {
        assert!(stage.gateway.auth.metrics().contains(&counted(0)));
        stage.time.forward(LIFETIME + 1);
        ask(&stage, asked, &first, "/caddy", get("/", FETCH)).await;
    }
    assert!(stage.gateway.auth.metrics().contains(&counted(1)), "{}", stage.gateway.auth.metrics());

    // The same with a browser that gets them.
    let (stage, asked) = self::stage().await;
    alice = stage.signed_in().await;
    for _ in 0..6 {
        stage.time.forward(LIFETIME + 1);
        ask(&stage, asked, &alice, "/caddy", get("/", FETCH)).await;
        alice.fetch("/").await;
    }
    assert!(stage.gateway.auth.metrics().contains(&counted(0)), "{}", stage.gateway.auth.metrics());
}

#[tokio::test]
async fn the_original_request_feeds_the_idle_clock_and_not_the_question() {
    let stage = Stage::with(&format!("[session]\nupdate_age = \"10s\"\n{FILE}")).await;
    let asked = listening(&stage, |_| {}).await;
    let alice = stage.signed_in().await;
    stage.time.forward(12);
    for proxy in ["/caddy", "/traefik", "/envoy"] {
        for (original, noted) in [
            (get("/", PAGE), true),
            (get("/", FETCH), false),
            (Original { method: Method::POST, target: "/", headers: FETCH }, true),
        ] {
            let (method, target) = (original.method.clone(), original.target);
            let answer = ask(&stage, asked, &alice, proxy, original).await;
            assert_eq!(answer.status, StatusCode::OK, "{proxy} {method} {target}");
            assert_eq!(!answer.cookies_set().is_empty(), noted, "{proxy} {method} {target}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn rules_and_the_headers_of_a_route_hold_for_other_proxies_too() {
    let stage = Stage::routed(|upstream| {
        let at = |path: &str| Route { path: PathPattern::parse(path).expect("a pattern"), ..route_to(&upstream) };
        let rule = Expression::parse("has(claims.groups) && 'admins' in claims.groups").expect("a rule");
        let role = HeaderTemplate::parse("X-Role", "claims.email").expect("a template");
        vec![at("/"), Route { rule: Some(rule), ..at("/admin") }, Route { request_headers: vec![role], ..at("/told") }]
    })
    .await;
    let asked = listening(&stage, |_| {}).await;
    let alice = stage.signed_in().await;
    for proxy in PROXIES {
        let denied = ask(&stage, asked, &alice, proxy, get("/admin/x", FETCH)).await;
        assert_eq!(denied.status, StatusCode::FORBIDDEN, "{proxy} {denied:?}");
        let told = ask(&stage, asked, &alice, proxy, get("/told", FETCH)).await;
        assert_eq!(told.header("x-role"), "alice@example.test", "{proxy} {told:?}");
    }
    let page = ask(&stage, asked, &alice, "/nginx/answer", get("/admin/x", PAGE)).await;
    assert_eq!((page.status, page.header("content-type")), (StatusCode::FORBIDDEN, "text/html; charset=utf-8"));
    // A browser's own copy of a route's header stays out, also where the route is another.
    let elsewhere = ask(&stage, asked, &alice, "/caddy", get("/", FETCH)).await;
    assert_eq!(elsewhere.headers.get("x-role").expect("told of"), "");
    let elsewhere = ask(&stage, asked, &alice, "/envoy", get("/", FETCH)).await;
    assert!(elsewhere.header("x-envoy-auth-headers-to-remove").split(',').any(|name| name == "x-role"));
}

#[tokio::test]
async fn fifty_questions_at_expiry_are_one_redemption() {
    let (stage, asked) = stage().await;
    let alice = stage.signed_in().await;
    stage.time.forward(LIFETIME + 1);
    let answers = (0..50).map(|_| ask(&stage, asked, &alice, "/nginx", get("/", FETCH)));
    let answers = futures_util::future::join_all(answers).await;
    assert!(answers.iter().all(|answer| answer.status == StatusCode::OK));
    assert!(answers.iter().all(|answer| answer.header("authorization") == answers[0].header("authorization")));
    assert_eq!(stage.refreshes(), 1);
}
