//! Sessions that Auth.js and next-auth began, and cookies that are left as they are.

use std::time::Duration;

use http::header::SET_COOKIE;
use perennial::cookie::{KeyRing, open, seal};
use perennial::secret::CookieSecret;
use perennial::{Clock, CookieFormat, SystemRandom};

use crate::support::{SECRET, World};

const NEXT_AUTH: &str = "next-auth.session-token";

fn next_auth_keys() -> KeyRing {
    KeyRing::next_auth_v4(&[CookieSecret::new(SECRET)]).expect("a secret")
}

#[tokio::test]
async fn a_cookie_of_next_auth_4_is_adopted_and_leaves_the_browser() {
    let world = World::start().await;
    world.alice().await.get("/me").await;
    let refresh_token =
        world.wire.secrets().into_iter().find(|secret| secret.starts_with("rt_")).expect("one was issued");
    let now = world.clock.now();
    let claims = serde_json::json!({
        "name": "Alice Archer", "sub": "alice", "accessToken": "of-another-life", "refreshToken": refresh_token,
        "accessTokenExpires": (now.unix_seconds() - 5) * 1000,
    });
    let claims = claims.as_object().expect("an object");
    let browser = world.browser();
    browser.set_cookie(NEXT_AUTH, &seal(&next_auth_keys(), claims, now, Duration::from_secs(3600), &SystemRandom));
    assert!(world.accepts(&browser.get("/data").await.bearer()).await);
    assert_eq!((world.redemptions(), world.family_alive()), (1, true));
    let names: Vec<String> = browser.cookies().into_keys().collect();
    assert!(names.iter().any(|name| name.starts_with("authjs.session-token")), "{names:?}");
    assert!(!names.iter().any(|name| name.starts_with(NEXT_AUTH)), "{names:?}");
}

#[tokio::test]
async fn told_to_write_the_cookie_of_next_auth_4_a_session_of_auth_js_changes_over() {
    let world = World::start().await;
    let browser = world.alice().await;
    let other = world.another_engine(world.store.clone(), |auth| auth.cookie_format(CookieFormat::NextAuth4));
    let there = browser.reaching(&other);
    assert!(world.accepts(&there.get("/data").await.bearer()).await);
    let cookies = browser.cookies();
    assert!(!cookies.keys().any(|name| name.starts_with("authjs.session-token")), "{:?}", cookies.keys());
    let sealed = cookies.get(NEXT_AUTH).expect("the session, in one cookie");
    let opened = open(&next_auth_keys(), sealed, world.clock.now()).expect("it opens");
    assert_eq!(opened.claims["sub"], "alice");
}

#[tokio::test]
async fn a_read_that_changes_nothing_sets_no_cookie() {
    let world = World::start().await;
    let browser = world.alice().await;
    for path in ["/auth/session", "/data", "/auth/session"] {
        world.clock.advance(Duration::from_secs(30));
        let answer = browser.get(path).await;
        assert_eq!(answer.headers.get_all(SET_COOKIE).iter().count(), 0, "{path}: {:?}", answer.headers);
    }
}
