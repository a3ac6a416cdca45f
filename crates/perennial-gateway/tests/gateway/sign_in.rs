//! Who is sent where to sign in, and what a signed-in user's request looks like to the upstream.

use http::header::SET_COOKIE;
use http::{Method, StatusCode};

use crate::harness::{Browser, Stage};

#[tokio::test]
async fn a_page_load_without_a_session_goes_straight_to_the_only_provider() {
    let stage = Stage::quick().await;
    let mut browser = stage.browser();
    let answer = browser.page("/inbox?folder=1").await;
    assert_eq!(answer.status, StatusCode::FOUND);
    let authorize = answer.location();
    assert!(authorize.as_str().starts_with(stage.provider.issuer()), "{authorize}");
    let query: std::collections::HashMap<_, _> = authorize.query_pairs().collect();
    assert_eq!(query["redirect_uri"], format!("http://{}/auth/callback/oidc", stage.gateway.address));
    assert_eq!((&*query["code_challenge_method"], &*query["prompt"]), ("S256", "consent"));
    let lines: Vec<_> = answer.headers.get_all(SET_COOKIE).iter().collect();
    assert_eq!(lines.len(), 1, "one flow cookie and nothing else: {lines:?}");
    assert!(lines[0].to_str().unwrap().starts_with("perennial.flow."), "{lines:?}");
    assert_eq!(answer.header("cache-control"), "private, no-store");
    assert_eq!(stage.upstream.hits(), 0);

    let back = browser.follow_sign_in(authorize).await;
    assert_eq!(back.header("location"), format!("http://{}/inbox?folder=1", stage.gateway.address));
}

#[tokio::test]
async fn whoever_loads_no_page_is_told_401_instead_of_being_sent_away() {
    let stage = Stage::quick().await;
    let get = Method::GET;
    let html = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
    type Row<'a> = (Method, &'a [(&'a str, &'a str)], u16);
    let table: &[Row<'_>] = &[
        (get.clone(), &[], 401),
        (get.clone(), &[("accept", "application/json")], 401),
        (get.clone(), &[html], 302),
        (get.clone(), &[html, ("x-requested-with", "XMLHttpRequest")], 401),
        (get.clone(), &[html, ("sec-fetch-mode", "cors")], 401),
        (get.clone(), &[html, ("sec-fetch-mode", "no-cors")], 401),
        (get, &[("sec-fetch-mode", "navigate")], 302),
        (Method::HEAD, &[html], 302),
        (Method::POST, &[html, ("sec-fetch-mode", "navigate")], 401),
        (Method::DELETE, &[html], 401),
    ];
    for (method, headers, status) in table {
        let answer = stage.browser().send(method.clone(), "/", headers, "").await;
        assert_eq!(answer.status.as_u16(), *status, "{method} {headers:?}");
        if *status == 401 {
            assert_eq!(answer.verdict().1, "not_signed_in", "{method} {headers:?}");
            assert_eq!(answer.header("content-type"), "application/json");
            assert!(answer.cookies_set().is_empty(), "a fetch starts no sign-in");
        }
    }
    assert_eq!(stage.upstream.hits(), 0);
}

#[tokio::test]
async fn a_signed_in_request_carries_bearer_and_identity_and_none_of_our_cookies() {
    let stage = Stage::quick().await;
    let mut browser = stage.signed_in().await;
    browser.cookies.insert("theme".into(), "dark".into());
    browser.cookies.insert("authjs.csrf-token".into(), "ours".into());
    browser.cookies.insert("__Secure-authjs.session-token.0".into(), "ours on https".into());
    let answer = browser.fetch("/a/b?c=d%20e&f").await;
    assert_eq!(answer.json()["target"], "/a/b?c=d%20e&f");
    assert_eq!(answer.seen("x-forwarded-user"), ["alice"]);
    assert_eq!(answer.seen("x-forwarded-email"), ["alice@example.test"]);
    assert_eq!(answer.seen("x-forwarded-preferred-username"), ["Alice Archer"]);
    assert_eq!(answer.seen("x-perennial-session").len(), 1);
    let bearer = &answer.seen("authorization")[0];
    assert!(bearer.starts_with("Bearer ") && bearer.len() > 20);
    assert_eq!(answer.seen("cookie"), ["theme=dark"]);
    assert_eq!(answer.seen("x-forwarded-host"), [stage.gateway.address.to_string()]);
    assert_eq!(answer.seen("host"), [stage.gateway.address.to_string()]);
    assert_eq!(answer.seen("x-forwarded-proto"), ["http"]);
    assert_eq!(answer.seen("x-forwarded-for"), ["127.0.0.1"]);
    assert!(answer.cookies_set().is_empty(), "nothing moved, nothing is set");
    assert_eq!(answer.header("cache-control"), "", "and the upstream's caching is left alone");
    let bearer = bearer.trim_start_matches("Bearer ").to_owned();
    assert!(!answer.headers.values().any(|value| value.to_str().unwrap_or_default().contains(&bearer)));
}

#[tokio::test]
async fn two_providers_lead_to_the_choice() {
    let stage = Stage::with(
        r#"
        [[providers]]
        preset = "oidc"
        id = "second"
        issuer = "ISSUER"
        client_id = "app"
        client_secret_env = "AUTH_OIDC_SECRET"
        [[routes]]
        path = "/"
        upstream = "UPSTREAM"
        "#,
    )
    .await;
    let mut browser = stage.browser();
    let answer = browser.page("/inbox?a=b&c=d").await;
    assert_eq!(answer.status, StatusCode::FOUND);
    let location = answer.header("location");
    let query = location.strip_prefix("/auth/signin?").unwrap_or_else(|| panic!("{location}"));
    let pairs: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).collect();
    assert_eq!(pairs.len(), 1);
    assert_eq!(pairs[0].0, "callbackUrl");
    assert_eq!(pairs[0].1, format!("http://{}/inbox?a=b&c=d", stage.gateway.address));
    assert!(answer.cookies_set().is_empty(), "nothing is begun before the choice");
    let choice = browser.page(location).await;
    assert_eq!(choice.status, StatusCode::OK);
    assert!(choice.text().contains("signin/oidc") && choice.text().contains("signin/second"));
}

#[tokio::test]
async fn routes_are_public_optional_or_required_by_path() {
    let stage = Stage::with(
        r#"
        [[routes]]
        path = "/"
        upstream = "UPSTREAM"
        [[routes]]
        path = "/public"
        upstream = "UPSTREAM"
        access = "public"
        [[routes]]
        path = "/optional"
        upstream = "UPSTREAM/base/"
        access = "optional"
        [[routes]]
        path = "/no-token"
        upstream = "UPSTREAM"
        bearer = false
        "#,
    )
    .await;
    let (mut stranger, mut alice) = (stage.browser(), stage.signed_in().await);
    // path, the stranger's status, whom the upstream sees for Alice, whether it gets her token, the target it sees
    for (path, status, user, token, target) in [
        ("/", 401, Some("alice"), true, "/"),
        ("/public", 200, None, false, "/public"),
        ("/public/x.css?v=1", 200, None, false, "/public/x.css?v=1"),
        ("/publicity", 401, Some("alice"), true, "/publicity"),
        ("/optional/x", 200, Some("alice"), true, "/base/optional/x"),
        ("/no-token", 401, Some("alice"), false, "/no-token"),
    ] {
        let told = stranger.fetch(path).await;
        assert_eq!(told.status.as_u16(), status, "{path}");
        if status == 200 {
            let announced = ["x-forwarded-user", "x-forwarded-email", "x-perennial-session", "authorization"];
            assert!(announced.iter().all(|name| told.seen(name).is_empty()), "{path}: {told:?}");
        }
        let told = alice.fetch(path).await;
        assert_eq!(told.seen("x-forwarded-user").first().map(String::as_str), user, "{path}");
        assert_eq!(!told.seen("authorization").is_empty(), token, "{path}");
        assert_eq!(told.json()["target"], target);
        assert!(told.seen("cookie").is_empty(), "{path}");
    }

    // A public path never touches the session, however due that is.
    stage.time.forward(3600);
    let told = alice.fetch("/public").await;
    assert!(told.cookies_set().is_empty());
    assert_eq!(stage.refreshes(), 0);
    assert_eq!(alice.fetch("/optional").await.seen("x-forwarded-user"), ["alice"]);
    assert_eq!(stage.refreshes(), 1);
}

#[tokio::test]
async fn a_cookie_that_does_not_open_is_a_stranger_on_every_kind_of_route() {
    let stage = Stage::quick().await;
    for junk in ["", "junk", "eyJhbGciOiJkaXIifQ..a.b.c", "\u{7f}"] {
        let mut browser = stage.browser();
        browser.cookies.insert("authjs.session-token".into(), junk.replace('\u{7f}', "~"));
        assert_eq!(browser.fetch("/").await.verdict(), (401, "not_signed_in".into()), "{junk:?}");
        assert_eq!(browser.page("/").await.status, StatusCode::FOUND, "{junk:?}");
    }
}

#[tokio::test]
async fn replicas_share_a_secret_and_open_each_others_cookies() {
    let stage = Stage::quick().await;
    let mut browser = stage.signed_in().await;
    let listener = crate::harness::bind().await;
    let start = perennial_gateway::QuickStart {
        listen: listener.local_addr().ok(),
        admin: None,
        public_url: Some(format!("http://{}", stage.gateway.address)),
        upstream: format!("http://{}", stage.upstream.address),
        store: Some("memory:".into()),
        compat_routes: false,
        dangerous_allow_http: false,
    };
    let variables = [
        ("AUTH_SECRET", "a secret for tests, long enough".to_owned()),
        ("AUTH_OIDC_ISSUER", stage.provider.issuer().to_owned()),
        ("AUTH_OIDC_ID", "app".to_owned()),
        ("AUTH_OIDC_SECRET", "client secret".to_owned()),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value));
    let config = perennial_gateway::Config::quick(start, variables).expect("a good quick start");
    let second = crate::harness::Running::start(config, listener).await;
    let mut elsewhere = Browser::new(second.address);
    elsewhere.cookies = browser.cookies.clone();
    let (here, there) = (browser.fetch("/").await, elsewhere.fetch("/").await);
    assert_eq!(here.seen("x-perennial-session"), there.seen("x-perennial-session"));
}
