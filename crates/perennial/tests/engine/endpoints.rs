//! The endpoints on the wire: shapes, refusals, and updates that survive renewals.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use perennial::provider::RefreshClass;
use perennial::{AuthBuilder, JwtCallback};
use serde_json::{Value, json};

use crate::support::{DEAD, DUE, SECRET, World};

/// Takes whatever the client sends into the claims: only for tests.
fn trusting(auth: AuthBuilder) -> AuthBuilder {
    auth.jwt(|mut jwt: JwtCallback| async move {
        if let Some(Value::Object(update)) = jwt.session {
            jwt.token.extend(update);
        }
        Ok(Some(jwt.token))
    })
}

#[tokio::test]
async fn an_update_survives_renewals_whichever_cookie_they_come_from() {
    // The old cookie holds the claims from before the update, and is the one that renews.
    let world = World::of(RefreshClass::Family, trusting).await;
    let browser = world.alice().await;
    let old = browser.copy();
    let answer = browser.post_json("/auth/session", &json!({ "data": { "theme": "dark" } })).await;
    assert_eq!(answer.status, 200);
    world.clock.advance(DUE);
    assert_eq!(old.get("/me").await.json()["claims"]["theme"], "dark");
    assert_eq!(browser.get("/me").await.json()["claims"]["theme"], "dark");
}

#[tokio::test]
async fn an_update_from_a_stale_cookie_reaches_the_newest_generation() {
    let world = World::of(RefreshClass::Family, trusting).await;
    let browser = world.alice().await;
    let stale = browser.copy();
    world.clock.advance(Duration::from_secs(5));
    browser.post("/auth/refresh", &[]).await;
    // The stale cookie's token is still good, so nothing has told this tab of the renewal.
    stale.post_json("/auth/session", &json!({ "data": { "theme": "dark" } })).await;
    assert_eq!(stale.generation().await, 1);
    world.clock.advance(DEAD);
    assert_eq!(browser.get("/me").await.json()["claims"]["theme"], "dark");
    assert_eq!((browser.generation().await, world.redemptions()), (2, 2));
}

#[tokio::test]
async fn an_update_during_a_renewal_in_flight_is_not_lost() {
    let world = World::of(RefreshClass::Family, trusting).await;
    let browser = world.alice().await;
    world.clock.advance(DUE);
    world.wire.hold();
    let renewing = tokio::spawn({
        let tab = browser.copy();
        async move { tab.get("/me").await.json() }
    });
    world.wire.answered(1).await;
    browser.copy().post_json("/auth/session", &json!({ "data": { "theme": "dark" } })).await;
    world.wire.release();
    let me = renewing.await.expect("answered");
    assert_eq!((&me["generation"], &me["claims"]["theme"]), (&1.into(), &"dark".into()));
    world.clock.advance(DEAD);
    assert_eq!(browser.get("/me").await.json()["claims"]["theme"], "dark");
    assert!(world.family_alive());
}

#[tokio::test]
async fn an_update_sets_no_reserved_claim() {
    let world = World::of(RefreshClass::Family, trusting).await;
    let browser = world.alice().await;
    let forged = json!({ "data": { "access_token": "forged", "perennial": {}, "exp": 1, "refresh_token": "forged" } });
    browser.post_json("/auth/session", &forged).await;
    assert!(world.accepts(&browser.get("/data").await.bearer()).await);
    world.clock.advance(DUE);
    assert!(world.accepts(&browser.get("/data").await.bearer()).await);
}

#[tokio::test]
async fn the_four_routes_of_the_recipe_do_what_it_meant() {
    let world = World::of(RefreshClass::Family, |auth| auth.compat_routes(true)).await;
    let stranger = world.browser();
    let refused = stranger.post("/api/renew-token", &[]).await;
    let message = json!({ "message": "User is not authorized to rotate access-token" });
    assert_eq!((refused.status.as_u16(), refused.json()), (401, message));
    let refused = stranger.post("/api/update-user-data?query=update-user-data", &[]).await;
    assert_eq!(
        (refused.status.as_u16(), refused.json()),
        (401, json!({ "data": "user is not authorized to update data" }))
    );
    for answer in [stranger.get("/api/get-session-status").await, stranger.post("/api/trigger-renew-token", &[]).await]
    {
        assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "status": 401 })));
    }

    let browser = world.alice().await;
    world.clock.advance(Duration::from_secs(10));
    assert_eq!(browser.get("/api/get-session-status").await.json(), json!({ "status": 200 }));
    assert_eq!(browser.post("/api/trigger-renew-token", &[]).await.json(), json!({ "status": 200 }));
    assert_eq!(world.redemptions(), 0);
    let asked = browser.post("/api/trigger-renew-token?query=update-token-data", &[]).await;
    assert_eq!((asked.json(), world.redemptions()), (json!({ "status": 200 }), 1));

    world.clock.advance(Duration::from_secs(10));
    let renewed = browser.post("/api/renew-token", &[]).await.json();
    let members: Vec<_> = renewed.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(members, ["access_token", "expires_in", "token_type"]);
    assert_eq!((&renewed["expires_in"], &renewed["token_type"]), (&300.into(), &"Bearer".into()));
    assert!(world.accepts(renewed["access_token"].as_str().expect("a token")).await);
    assert_eq!(world.redemptions(), 2);

    // The provider fails: the living token, counted down; then nothing to hand out.
    world.provider.script("respond_status=503,retry_after_seconds=2,grant=refresh_token").expect("a script");
    world.clock.advance(Duration::from_secs(100));
    let kept = browser.post("/api/renew-token", &[]).await.json();
    assert_eq!((&kept["access_token"], &kept["expires_in"]), (&renewed["access_token"], &200.into()));
    world.clock.advance(DEAD);
    let nothing = browser.post("/api/renew-token", &[]).await;
    assert_eq!((nothing.status.as_u16(), nothing.header("retry-after").is_empty()), (503, false));
    assert_eq!(browser.get("/api/get-session-status").await.json(), json!({ "status": 200 }));
    world.provider.clear_faults();
    world.clock.advance(Duration::from_secs(30));

    let update = json!({ "name": "Ada", "sub": "mallory", "access_token": "forged", "role": "admin" });
    let updated = browser.post_json("/api/update-user-data?query=update-user-data", &update).await.json();
    assert_eq!((&updated["data"]["name"], updated["data"].get("role")), (&"Ada".into(), None));
    world.clock.advance(DEAD);
    let claims = browser.get("/me").await.json()["claims"].clone();
    assert_eq!((&claims["name"], &claims["sub"], claims.get("role")), (&"Ada".into(), &"alice".into(), None));
}

#[tokio::test]
async fn the_routes_of_the_recipe_are_off_unless_asked_for() {
    let world = World::start().await;
    let browser = world.alice().await;
    assert_eq!(browser.post("/api/renew-token", &[]).await.status, 404);
    assert_eq!(browser.get("/api/get-session-status").await.status, 404);
}

#[tokio::test]
async fn other_sites_cannot_act_with_the_users_cookies() {
    let world = World::of(RefreshClass::Family, |auth| trusting(auth).compat_routes(true)).await;
    let browser = world.alice().await;
    world.clock.advance(Duration::from_secs(10));
    let form = ("content-type", "application/x-www-form-urlencoded");
    for path in [
        "/auth/signout",
        "/auth/refresh",
        "/auth/session",
        "/auth/signin/oidc",
        "/auth/signin",
        "/api/renew-token",
        "/api/trigger-renew-token?query=update-token-data",
        "/api/update-user-data?query=update-user-data",
    ] {
        for cross in [
            &[form, ("origin", "https://evil.example")][..],
            &[form, ("origin", "null")],
            &[form, ("sec-fetch-site", "cross-site")],
            &[form, ("sec-fetch-site", "same-site")],
            &[form, ("origin", "http://127.0.0.1.evil.example")],
        ] {
            let refused = browser.copy().send(Method::POST, path, cross, Bytes::from_static(b"name=Eve")).await;
            let expected = if path == "/auth/session" { 400 } else { 403 };
            assert_eq!(refused.status, expected, "{path} {cross:?}: {}", refused.text());
            assert!(refused.headers.get("set-cookie").is_none(), "{path} {cross:?}");
        }
    }
    assert_eq!(browser.get("/me").await.json()["claims"]["name"], "Alice Archer");
    assert_eq!(world.redemptions(), 0);
}

#[tokio::test]
async fn a_wrong_csrf_token_is_refused_and_the_right_one_taken() {
    let world = World::start().await;
    let browser = world.alice().await;
    let token = browser.get("/auth/csrf").await.json()["csrfToken"].as_str().expect("a token").to_owned();
    assert_eq!(browser.get("/auth/csrf").await.json()["csrfToken"], token.as_str(), "it stays");
    let other = world.browser().get("/auth/csrf").await.json()["csrfToken"].as_str().expect("a token").to_owned();
    let refused = browser.post("/auth/signout", &[("csrfToken", &other)]).await;
    assert_eq!((refused.status.as_u16(), refused.json()["error"].as_str()), (403, Some("csrf_mismatch")));
    assert_eq!(browser.get("/me").await.status, 200);
    assert_eq!(browser.post("/auth/signout", &[("csrfToken", &token)]).await.status, 302);
    assert_eq!(browser.get("/me").await.status, 401);
}

#[tokio::test]
async fn links_start_and_end_nothing_and_lead_nowhere_else() {
    let world = World::start().await;
    let browser = world.alice().await;
    for path in ["/auth/signout", "/auth/signin/oidc", "/auth/signin"] {
        let page = browser.get(path).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(page.header("content-security-policy").contains("default-src 'none'"), "{path}");
    }
    assert_eq!(browser.get("/auth/refresh").await.status, 405);
    for evil in
        ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "http://127.0.0.1:1/"]
    {
        let path = format!(
            "/auth/signin?callbackUrl={}",
            url::form_urlencoded::byte_serialize(evil.as_bytes()).collect::<String>()
        );
        assert!(!browser.get(&path).await.text().contains("evil"), "{evil}");
        let out = browser.copy().post("/auth/signin/oidc", &[("callbackUrl", evil)]).await;
        let to: url::Url = out.header("location").parse().expect("the provider");
        assert_eq!(to.path(), "/authorize", "{evil}");
    }
    let out = browser.post("/auth/signout", &[("callbackUrl", "https://evil.example/")]).await;
    assert!(out.header("location").starts_with("http://127.0.0.1:"), "{}", out.header("location"));
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_refused_by_code() {
    let world = World::start().await;
    let browser = world.alice().await;
    let own = browser.get("/auth/providers").await.json()["oidc"]["signinUrl"].as_str().expect("a URL").to_owned();
    let origin = own.strip_suffix("/auth/signin/oidc").expect("ours").to_owned();
    let large = "a".repeat(70_000);
    for (kind, body, status, code) in [
        ("application/json", "{", 400, "bad_body"),
        ("application/json", "[1]", 400, "bad_body"),
        ("text/plain", "a=b", 400, "bad_body"),
        ("application/x-www-form-urlencoded", "\u{fffd}", 302, ""),
        ("application/json", large.as_str(), 413, "body_too_large"),
    ] {
        let headers = [("content-type", kind), ("origin", origin.as_str())];
        let tab = browser.copy();
        let answer = tab.send(Method::POST, "/auth/signout", &headers, Bytes::from(body.to_owned())).await;
        assert_eq!(answer.status, status, "{kind} {}", answer.text());
        if !code.is_empty() {
            assert_eq!(answer.json()["error"], code, "{kind}");
        }
    }
}

#[tokio::test]
async fn authjs_clients_are_told_where_to_go_in_json() {
    let world = World::start().await;
    let browser = world.browser();
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("x-auth-return-redirect", "1")];
    let answer = browser.send(Method::POST, "/auth/signin/oidc", &headers, Bytes::new()).await;
    assert_eq!(answer.status, 200);
    assert!(answer.json()["url"].as_str().expect("a URL").contains("/authorize?"), "{}", answer.text());
    let out = browser.send(Method::POST, "/auth/signout", &headers, Bytes::new()).await;
    assert!(out.json()["url"].is_string());
}

#[tokio::test]
async fn the_refresh_button_works_as_a_form_without_script() {
    let world = World::start().await;
    let browser = world.alice().await;
    world.clock.advance(Duration::from_secs(10));
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-mode", "navigate"),
    ];
    let body = Bytes::from_static(b"callbackUrl=/me");
    let answer = browser.send(Method::POST, "/auth/refresh", &headers, body).await;
    assert_eq!((answer.status.as_u16(), answer.header("location").ends_with("/me")), (303, true));
    assert_eq!((browser.generation().await, world.redemptions()), (1, 1));
}

#[tokio::test]
async fn a_new_secret_in_front_signs_nobody_out() {
    let world = World::start().await;
    let browser = world.alice().await;
    world.clock.advance(DUE);
    browser.get("/data").await;
    let newer = "a-newer-secret-of-32-bytes-or-more";
    let rotated = world.engine_with_secrets(&[newer, SECRET]);
    let stale = browser.copy().reaching(&rotated);
    let browser = browser.reaching(&rotated);
    let before = browser.session_cookie();
    assert_eq!(browser.generation().await, 1);
    assert_ne!(browser.session_cookie(), before, "sealed anew");
    world.clock.advance(DUE);
    assert_eq!((browser.generation().await, stale.generation().await, world.redemptions()), (2, 2, 2));

    // Once the old secret is gone, what was sealed anew still opens; what was not is a stranger, and nothing breaks.
    let last = world.engine_with_secrets(&[newer]);
    let leftover = world.browser();
    leftover.set_cookie("authjs.session-token", &before);
    assert_eq!(browser.reaching(&last).generation().await, 2);
    assert_eq!(leftover.reaching(&last).get("/").await.text(), "stranger");
}
