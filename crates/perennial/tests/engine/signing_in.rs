//! Signing in, and what must not let anybody in.

use crate::support::{DUE, World};

#[tokio::test]
async fn a_stranger_signs_in_and_is_known_with_a_token_the_provider_takes() {
    let world = World::start().await;
    let browser = world.browser();
    assert_eq!(browser.get("/").await.text(), "stranger");
    let refused = browser.get("/me").await;
    assert_eq!((refused.status.as_u16(), refused.json()["error"].as_str()), (401, Some("not_signed_in")));
    assert_eq!(browser.get("/data").await.status, 401);
    assert_eq!(browser.get("/auth/session").await.text(), "null");

    browser.sign_in("alice").await;

    assert_eq!(browser.get("/").await.text(), "Alice Archer");
    let me = browser.get("/me").await.json();
    assert_eq!((&me["claims"]["sub"], &me["generation"]), (&"alice".into(), &0.into()));
    assert!(world.accepts(&browser.get("/data").await.bearer()).await);
    let session = browser.get("/auth/session").await.json();
    assert_eq!(session["user"]["email"], "alice@example.test");
    assert!(session["expires"].is_string() && session.get("access_token").is_none(), "{session}");
    assert_eq!(world.redemptions(), 0);
    assert!(browser.cookies().keys().all(|name| !name.contains("flow")), "{:?}", browser.cookies().keys());
}

#[tokio::test]
async fn two_tabs_sign_in_at_once_and_both_arrive() {
    let world = World::start().await;
    let browser = world.browser();
    let first = browser.begin_sign_in("alice", "/one").await;
    let second = browser.begin_sign_in("bob", "/two").await;
    let (first, second) = (browser.ask_provider(&first).await, browser.ask_provider(&second).await);
    // They come back in the other order.
    assert!(browser.get(&second).await.header("location").ends_with("/two"));
    assert_eq!(browser.get("/").await.text(), "Bob Baker");
    assert!(browser.get(&first).await.header("location").ends_with("/one"));
    assert_eq!(browser.get("/").await.text(), "Alice Archer");
}

#[tokio::test]
async fn a_callback_that_no_sign_in_of_this_browser_asked_for_lets_nobody_in() {
    let world = World::start().await;
    let (mallory, victim) = (world.browser(), world.browser());
    let asked = mallory.begin_sign_in("bob", "/").await;
    let callback = mallory.ask_provider(&asked).await;
    // Mallory has the victim's browser open Mallory's callback: login CSRF.
    let landed = victim.get(&callback).await;
    assert!(landed.header("location").contains("/auth/signin?error=Verification"), "{}", landed.header("location"));
    assert_eq!(victim.get("/").await.text(), "stranger");
    assert_eq!(world.provider.counters().codes_redeemed, 0);
}

#[tokio::test]
async fn a_callback_opened_twice_leaves_whoever_is_signed_in_alone() {
    let world = World::start().await;
    let browser = world.browser();
    let asked = browser.begin_sign_in("alice", "/me").await;
    let callback = browser.ask_provider(&asked).await;
    browser.get(&callback).await;
    let again = browser.get(&callback).await;
    assert_eq!(again.status, 302);
    assert!(!again.header("location").contains("error"), "{}", again.header("location"));
    assert_eq!(browser.get("/").await.text(), "Alice Archer");
    assert_eq!(world.provider.counters().token_requests, 1);
    assert!(world.family_alive());
}

#[tokio::test]
async fn what_the_provider_refuses_is_told_on_our_own_page() {
    let world = World::start().await;
    let browser = world.browser();
    for (script, answer, expected) in [
        ("", "error=access_denied", "/auth/signin?error=OAuthCallbackError"),
        ("", "code=made-up", "/auth/error?error=Configuration"),
        ("respond_status=503", "", "/auth/error?error=Configuration"),
        ("defect=sig", "", "/auth/error?error=Configuration"),
        ("defect=nonce", "", "/auth/error?error=Configuration"),
        ("defect=aud", "", "/auth/error?error=Configuration"),
        ("defect=alg_none", "", "/auth/error?error=Configuration"),
    ] {
        world.provider.clear_faults();
        world.provider.script(script).expect("a script");
        let asked = browser.begin_sign_in("alice", "/").await;
        let mut callback = browser.ask_provider(&asked).await;
        if !answer.is_empty() {
            // Same state and issuer, another answer.
            let kept: Vec<_> = callback.split(['?', '&']).filter(|pair| !pair.starts_with("code=")).collect();
            callback = format!("{}?{answer}&{}", kept[0], kept[1..].join("&"));
        }
        let landed = browser.get(&callback).await;
        let to = landed.header("location");
        assert!(to.ends_with(expected), "{script} {answer}: {to}");
        assert_eq!(browser.get("/").await.text(), "stranger", "{script} {answer}");
        let page = browser.get(&to[to.find("/auth").expect("ours")..]).await;
        assert!(page.header("content-type").starts_with("text/html"), "{script} {answer}");
    }
}

#[tokio::test]
async fn whoever_is_turned_away_leaves_no_refresh_token_behind() {
    let world = World::start().await;
    let browser = world.browser();
    world.provider.script("defect=sig").expect("a script");
    let asked = browser.begin_sign_in("alice", "/").await;
    let callback = browser.ask_provider(&asked).await;
    browser.get(&callback).await;
    assert!(!world.family_alive(), "tokens nobody will use are revoked");
}

#[tokio::test]
async fn a_callback_nobody_asked_for_keeps_the_renewal_it_saw() {
    let world = World::start().await;
    let browser = world.alice().await;
    world.clock.advance(DUE);
    assert_eq!(browser.get("/auth/callback/oidc?code=c&state=unknown").await.status, 302);
    assert_eq!(world.redemptions(), 1);
    assert_eq!((browser.generation().await, world.redemptions()), (1, 1), "it came with the answer");
}

#[tokio::test]
async fn signing_in_clears_away_a_session_that_no_longer_opens() {
    let world = World::start().await;
    let browser = world.browser();
    for leftover in ["authjs.session-token.0", "authjs.session-token.1"] {
        browser.set_cookie(leftover, "sealed-under-a-secret-that-is-gone");
    }
    browser.sign_in("alice").await;
    let session: Vec<_> = browser.cookies().into_keys().filter(|name| name.contains("session-token")).collect();
    assert_eq!(session, ["authjs.session-token"]);
}
