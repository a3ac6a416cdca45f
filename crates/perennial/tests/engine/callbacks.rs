//! Callbacks: when they are asked, with what, and that their failures end nothing.

use std::sync::{Arc, Mutex};

use perennial::provider::RefreshClass;
use perennial::{AuthBuilder, CallbackError, Claims, JwtCallback, JwtTrigger, SignInVerdict};
use serde_json::{Value, json};

use crate::support::{DEAD, DUE, Rules, World, eventually};

type Trace = Arc<Mutex<Vec<String>>>;

/// Writes down each call and counts generations into the claims.
fn traced(trace: Trace) -> impl FnOnce(AuthBuilder) -> AuthBuilder {
    move |auth| {
        auth.jwt(move |mut jwt: JwtCallback| {
            let trigger = jwt.trigger.map_or("read".into(), |trigger| format!("{trigger:?}"));
            let given = [
                (jwt.user.is_some(), "user"),
                (jwt.account.is_some(), "account"),
                (jwt.profile.is_some(), "profile"),
                (jwt.session.is_some(), "session"),
            ];
            let given: Vec<_> = given.into_iter().filter_map(|(there, what)| there.then_some(what)).collect();
            trace.lock().expect("no panic").push(format!("{trigger} {}", given.join("+")));
            if jwt.trigger == Some(JwtTrigger::Renewal) {
                let renewals = jwt.token.get("renewals").and_then(Value::as_u64).unwrap_or(0);
                jwt.token.insert("renewals".into(), (renewals + 1).into());
            }
            if let Some(Value::Object(update)) = jwt.session {
                jwt.token.extend(update);
            }
            async move { Ok(Some(jwt.token)) }
        })
    }
}

#[tokio::test]
async fn jwt_is_asked_at_sign_in_read_renewal_and_update_with_what_belongs_to_each() {
    let trace = Trace::default();
    let world = World::of(RefreshClass::Family, traced(trace.clone())).await;
    let take = || std::mem::take(&mut *trace.lock().expect("no panic"));
    let browser = world.alice().await;
    assert_eq!(take(), ["SignIn user+account+profile"]);
    browser.get("/").await;
    assert_eq!(take(), ["read "]);
    world.clock.advance(DUE);
    browser.get("/").await;
    assert_eq!(take(), ["Renewal account", "read "]);
    browser.post_json("/auth/session", &json!({ "data": { "theme": "dark" } })).await;
    assert_eq!(take().last().map(String::as_str), Some("Update session"));
    let me = browser.get("/me").await.json();
    assert_eq!((&me["claims"]["renewals"], &me["claims"]["theme"]), (&1.into(), &"dark".into()));
}

#[tokio::test]
async fn what_jwt_keeps_at_renewal_is_there_for_stale_cookies_too() {
    let world = World::of(RefreshClass::Family, traced(Trace::default())).await;
    let browser = world.alice().await;
    let stale = browser.copy();
    for _ in 0..3 {
        world.clock.advance(DUE);
        browser.get("/").await;
    }
    world.clock.advance(std::time::Duration::from_secs(100));
    assert_eq!(stale.get("/me").await.json()["claims"]["renewals"], 3);
}

/// A read's change went into the cookie alone: the next renewal took the record's claims and lost it.
#[tokio::test]
async fn what_jwt_keeps_at_a_read_outlives_renewals() {
    let told = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let world = World::of(RefreshClass::Family, |auth| {
        let told = told.clone();
        auth.jwt(move |mut jwt| {
            if jwt.trigger.is_none() && !told.swap(true, std::sync::atomic::Ordering::SeqCst) {
                jwt.token.insert("welcomed".into(), true.into());
            }
            async move { Ok(Some(jwt.token)) }
        })
    })
    .await;
    let browser = world.alice().await;
    let stale = browser.copy();
    browser.get("/").await;
    // The record has it as soon as a cookie from before the read is shown it after a renewal.
    eventually("the change is kept", || async {
        world.clock.advance(DUE);
        stale.get("/me").await.json()["claims"]["welcomed"] == true
    })
    .await;
    world.clock.advance(DUE);
    assert_eq!(browser.get("/me").await.json()["claims"]["welcomed"], true);
}

fn failing() -> CallbackError {
    "told to fail".into()
}

#[tokio::test]
async fn no_error_or_panic_in_jwt_ends_a_session() {
    type Jwt = fn(JwtCallback) -> std::pin::Pin<Box<dyn Future<Output = Result<Option<Claims>, CallbackError>> + Send>>;
    let cases: [(&str, Jwt); 3] = [
        ("error", |_| Box::pin(async { Err(failing()) })),
        ("panic when polled", |_| Box::pin(async { panic!("told to panic") })),
        ("panic when called", |_| panic!("told to panic")),
    ];
    for (story, fail) in cases {
        let world = World::of(RefreshClass::Family, |auth| {
            auth.jwt(move |jwt| {
                if jwt.trigger == Some(JwtTrigger::SignIn) {
                    Box::pin(async { Ok(Some(jwt.token)) })
                } else {
                    fail(jwt)
                }
            })
        })
        .await;
        let browser = world.alice().await;
        assert_eq!(browser.get("/").await.text(), "Alice Archer", "{story} on a read");
        for (step, generation) in [(DUE, 1), (DEAD, 2)] {
            world.clock.advance(step);
            assert!(world.accepts(&browser.get("/data").await.bearer()).await, "{story} at renewal");
            assert_eq!((browser.generation().await, world.redemptions()), (generation, generation), "{story}");
        }
        let updated = browser.post_json("/auth/session", &json!({ "data": {} })).await;
        assert_eq!(updated.json()["user"]["name"], "Alice Archer", "{story} at an update");
        assert!(world.family_alive(), "{story}");
    }
}

#[tokio::test]
async fn jwt_that_keeps_nothing_ends_the_session_as_in_authjs() {
    for trigger in [None, Some(JwtTrigger::Renewal), Some(JwtTrigger::Update)] {
        let world = World::of(RefreshClass::Family, |auth| {
            auth.jwt(move |jwt| async move { Ok((jwt.trigger != trigger).then_some(jwt.token)) })
        })
        .await;
        let browser = world.alice().await;
        world.clock.advance(DUE);
        if trigger == Some(JwtTrigger::Update) {
            assert_eq!(browser.post_json("/auth/session", &json!({ "data": {} })).await.text(), "null");
        }
        assert_eq!(browser.get("/me").await.status, 401, "{trigger:?}");
        assert_eq!(browser.session_cookie(), "", "{trigger:?}");
        eventually("nobody can use the refresh token", || async { !world.family_alive() }).await;
    }
}

#[tokio::test]
async fn nobody_is_let_in_by_a_failing_sign_in_callback() {
    type SignIn = fn() -> Result<SignInVerdict, CallbackError>;
    let cases: [(&str, SignIn, &str); 4] = [
        ("deny", || Ok(SignInVerdict::Deny), "/auth/error?error=AccessDenied"),
        ("error", || Err(failing()), "/auth/error?error=AccessDenied"),
        ("panic", || panic!("told to panic"), "/auth/error?error=AccessDenied"),
        ("elsewhere", || Ok(SignInVerdict::Redirect("/waiting-list".into())), "/waiting-list"),
    ];
    for (story, answer, expected) in cases {
        let world = World::of(RefreshClass::Family, |auth| {
            auth.on_sign_in(move |_| {
                let answer = answer();
                async move { answer }
            })
        })
        .await;
        let browser = world.browser();
        let asked = browser.begin_sign_in("alice", "/").await;
        let callback = browser.ask_provider(&asked).await;
        let landed = browser.get(&callback).await;
        assert!(landed.header("location").ends_with(expected), "{story}: {}", landed.header("location"));
        assert_eq!(browser.get("/").await.text(), "stranger", "{story}");
        assert!(!world.family_alive(), "{story}: what was issued is revoked");
    }
}

#[tokio::test]
async fn the_session_callback_shapes_what_the_browser_sees_and_its_failure_hides_nothing_more() {
    type Shape = fn(Claims) -> Result<Option<Claims>, CallbackError>;
    let cases: [(&str, Shape, Value); 4] = [
        (
            "adds",
            |mut session| {
                session.insert("role".into(), "admin".into());
                Ok(Some(session))
            },
            json!("admin"),
        ),
        ("error", |_| Err(failing()), Value::Null),
        ("panic", |_| panic!("told to panic"), Value::Null),
        ("hides", |_| Ok(None), Value::Null),
    ];
    for (story, shape, role) in cases {
        let world = World::of(RefreshClass::Family, |auth| {
            auth.session(move |ask| {
                let shaped = shape(ask.session);
                async move { shaped }
            })
        })
        .await;
        let browser = world.alice().await;
        let session = browser.get("/auth/session").await;
        assert_eq!(session.status, 200, "{story}");
        assert_eq!(session.json()["role"], role, "{story}");
        let name = if story == "hides" { Value::Null } else { "Alice Archer".into() };
        assert_eq!(session.json()["user"]["name"], name, "{story}");
        assert_eq!(browser.get("/me").await.status, 200, "{story}: hidden from the page, not ended");
    }
}

#[tokio::test]
async fn the_redirect_callback_cannot_lead_off_the_site_and_its_panic_leads_home() {
    type Redirect = fn(&str, &str) -> String;
    let cases: [(&str, Redirect, &str); 4] = [
        ("elsewhere on the site", |_, base| format!("{base}/home"), "/home"),
        ("another site", |_, _| "https://evil.example/".into(), "/"),
        ("a script", |_, _| "javascript:alert(1)".into(), "/"),
        ("panic", |_, _| panic!("told to panic"), "/"),
    ];
    for (story, redirect, expected) in cases {
        let world = World::of(RefreshClass::Family, |auth| auth.redirect(redirect)).await;
        let browser = world.browser();
        let asked = browser.begin_sign_in("alice", "/me").await;
        let callback = browser.ask_provider(&asked).await;
        let landed = browser.get(&callback).await;
        let origin = callback_origin(&landed);
        assert_eq!(landed.header("location"), format!("{origin}{expected}"), "{story}");
        assert_eq!(browser.get("/").await.text(), "Alice Archer", "{story}");
    }
}

fn callback_origin(landed: &crate::support::Answer) -> String {
    let url: url::Url = landed.header("location").parse().expect("an absolute URL");
    assert_eq!(url.host_str(), Some("127.0.0.1"), "{url}");
    url.origin().ascii_serialization()
}

/// What a session keeps of the provider's word for rules, and what it knows without.
#[tokio::test]
async fn rules_know_the_id_token_and_what_is_to_be_kept_and_not_what_users_set() {
    let scoped: Rules = |provider| provider.scope("openid profile email groups");
    let store = || Arc::new(perennial::store::MemoryStore::new());
    for (kept, asked, keeps) in [(&[][..], 0, false), (&["groups"], 0, true), (&["groups", "department"], 1, true)] {
        let world = World::with_rules(store(), RefreshClass::Family, scoped, |auth| {
            auth.kept_claims(kept.iter().copied()).compat_routes(true).updatable_claims(["role", "name"])
        })
        .await;
        let browser = world.alice().await;
        assert_eq!(world.wire.asked("/userinfo"), asked, "{kept:?}: only for what the ID token lacks");
        let update = json!({ "role": "boss", "name": "Mallory" });
        browser.post_json("/api/update-user-data?query=update-user-data", &update).await;
        assert_eq!(browser.get("/me").await.json()["claims"]["role"], "boss", "{kept:?}");

        let mut headers = http::HeaderMap::new();
        let cookies: Vec<_> = browser.cookies().iter().map(|(name, value)| format!("{name}={value}")).collect();
        headers.insert("cookie", cookies.join("; ").parse().expect("a header value"));
        let entry = world.engine.auth.enter(&http::Method::GET, &headers, perennial::Door::Ordinary).await;
        let session = entry.session.expect("signed in");
        let known = world.engine.auth.known_claims(&session);
        assert_eq!(known["groups"], json!(["staff", "admins"]), "{kept:?}");
        assert_eq!((&known["sub"], &known["name"]), (&json!("alice"), &json!("Alice Archer")), "{kept:?}");
        for absent in ["role", "nonce", "at_hash", "exp", "department"] {
            assert!(!known.contains_key(absent), "{kept:?}: {absent}");
        }
        assert_eq!(session.claims().contains_key("groups"), keeps, "{kept:?}");
    }
}
