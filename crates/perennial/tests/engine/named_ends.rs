//! Sessions that end by a name: by a provider's logout token (OIDC Back-Channel Logout), and by an operator.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::FutureExt;
use http::header::COOKIE;
use http::{HeaderMap, Method};
use perennial::provider::RefreshClass;
use perennial::record::EndReason;
use perennial::{Door, EndSessionsError, Event, SessionStrategy, SessionsOf};
use serde_json::Value;
use std::time::Duration;

use crate::support::{Answer, Browser, DEAD, DUE, Flaky, World, eventually};

const SECOND: Duration = Duration::from_secs(1);

/// The newest ID token, and its `sid`.
fn id_token(world: &World) -> (String, String) {
    let token = world.wire.secrets().into_iter().rfind(|secret| secret.starts_with("eyJ")).expect("an ID token");
    let claims = token.split('.').nth(1).expect("claims");
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).expect("base64url")).expect("JSON");
    (token, claims["sid"].as_str().expect("text").to_owned())
}

/// What a provider's server posts.
async fn told(at: &Browser, token: &str) -> Answer {
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    at.send(Method::POST, "/auth/backchannel-logout", &headers, Bytes::from(format!("logout_token={token}"))).await
}

fn ended(events: &[Event], expected: EndReason) -> usize {
    events.iter().filter(|event| matches!(event, Event::Ended { reason, .. } if *reason == expected)).count()
}

fn fingerprint(world: &World) -> String {
    let signed_in = |event| if let Event::SignedIn { session, .. } = event { Some(session) } else { None };
    world.engine.events().into_iter().rev().find_map(signed_in).expect("somebody has signed in")
}

#[tokio::test]
async fn a_provider_ends_one_session_or_all_of_a_user_and_nobody_elses() {
    let world = World::start().await;
    let first = world.alice().await;
    let (_, sid) = id_token(&world);
    let (second, bob) = (world.alice().await, world.browser());
    bob.sign_in("bob").await;
    let stolen = first.copy();

    let token = world.provider.logout_token("app", Some("alice"), Some(&sid)).expect("signed");
    let answer = told(&world.browser(), &token).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, ""));
    assert!(answer.header("cache-control").contains("no-store"), "{:?}", answer.headers);
    for (browser, status) in [(&first, 401), (&stolen, 401), (&second, 200), (&bob, 200)] {
        assert_eq!(browser.get("/me").await.status, status);
    }
    assert_eq!(first.session_cookie(), "", "the cookie goes");
    eventually("its refresh token is revoked", || async { !world.family_alive() }).await;
    assert_eq!(ended(&world.engine.events(), EndReason::ProviderSignedOut), 1);

    let token = world.provider.logout_token("app", Some("alice"), None).expect("signed");
    assert_eq!(told(&world.browser(), &token).await.status, 200);
    assert_eq!((second.get("/me").await.status.as_u16(), bob.get("/me").await.status.as_u16()), (401, 200));
    assert_eq!(told(&world.browser(), &token).await.status, 400, "once is enough");

    // Whoever signs in afterwards is there, and stays.
    world.clock.advance(SECOND);
    let back = world.alice().await;
    assert_eq!(back.get("/me").await.status, 200);
    world.clock.advance(DEAD);
    assert_eq!(back.get("/me").await.status, 200);
}

#[tokio::test]
async fn what_proves_nothing_ends_nobody() {
    let world = World::start().await;
    let alice = world.alice().await;
    let (id_token, _) = id_token(&world);
    let nobody = world.provider.logout_token("app", None, None).expect("signed");
    let of_another = world.provider.logout_token("another", Some("alice"), None).expect("signed");
    let expired = world.provider.logout_token("app", Some("alice"), None).expect("signed");
    world.clock.advance(Duration::from_secs(180));
    let good = world.provider.logout_token("app", Some("alice"), None).expect("signed");
    let (signed, _) = good.rsplit_once('.').expect("a signature");
    let claims = good.split('.').nth(1).expect("claims");
    let unsigned = format!("{}.{claims}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#));
    let forged = format!("{signed}.{}", URL_SAFE_NO_PAD.encode([7; 64]));
    for token in ["", "nonsense", &id_token, &nobody, &of_another, &expired, &unsigned, &forged] {
        let answer = told(&world.browser(), token).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]), (400, &"logout_token_refused".into()), "{token}");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    let empty = world.browser().send(Method::POST, "/auth/backchannel-logout", &[], Bytes::new()).await;
    assert_eq!((empty.status.as_u16(), &empty.json()["error"]), (400, &"bad_body".into()));
    assert_eq!(world.browser().get("/auth/backchannel-logout").await.status, 405);
    assert_eq!(alice.get("/me").await.status, 200);
}

#[tokio::test]
async fn a_sign_out_at_the_provider_ends_the_session_here() {
    let world = World::start().await;
    let browser = world.alice().await;
    let (hint, _) = id_token(&world);
    let provider = world.at_provider();
    assert_eq!(provider.get(&format!("/end-session?id_token_hint={hint}")).await.status, 200);
    eventually("the session is over", || async { browser.get("/me").await.status == 401 }).await;
    let told = || async { ended(&world.engine.events(), EndReason::ProviderSignedOut) == 1 };
    eventually("its end is told with its reason", told).await;
}

/// A WebSocket goes on after its request: it is told of marks as it is told of a sign-out.
#[tokio::test]
async fn whoever_waits_for_a_sessions_end_is_woken_by_a_mark_that_is_about_it() {
    let world = World::start().await;
    let (first, second) = (world.alice().await, world.alice().await);
    let (_, sid) = id_token(&world);
    let auth = &world.engine.auth;
    let mut waiting = Vec::new();
    for browser in [&first, &second] {
        let cookies: Vec<_> = browser.cookies().iter().map(|(name, value)| format!("{name}={value}")).collect();
        let headers = HeaderMap::from_iter([(COOKIE, cookies.join("; ").parse().expect("a header"))]);
        let entry = auth.enter(&Method::GET, &headers, Door::Ordinary).await;
        waiting.push(Box::pin(auth.until_over(&entry.session.expect("signed in"))));
    }
    let [first, second] = &mut waiting[..] else { panic!("two") };
    // They wait before anything happens.
    assert!(first.as_mut().now_or_never().is_none() && second.as_mut().now_or_never().is_none());
    let token = world.provider.logout_token("app", Some("alice"), Some(&sid)).expect("signed");
    assert_eq!(told(&world.browser(), &token).await.status, 200);
    tokio::time::timeout(Duration::from_secs(10), second).await.expect("woken");
    assert!(first.as_mut().now_or_never().is_none(), "another session");
    auth.end_sessions(&SessionsOf::UserAt { provider: "oidc".into(), sub: "alice".into() }).await.expect("ours");
    tokio::time::timeout(Duration::from_secs(10), first).await.expect("woken");
}

#[tokio::test]
async fn every_replica_hears_of_it_and_one_that_begins_later_knows() {
    let store = Flaky::new();
    let world = World::on(store.clone(), RefreshClass::Family, |auth| auth).await;
    let other = world.another_engine(store.clone(), |auth| auth);
    let browser = world.alice().await;
    let there = browser.copy().reaching(&other);
    assert_eq!(there.get("/me").await.status, 200);
    let token = world.provider.logout_token("app", Some("alice"), None).expect("signed");
    assert_eq!(told(&world.browser(), &token).await.status, 200);
    let late = world.another_engine(store, |auth| auth);
    assert_eq!(browser.copy().reaching(&late).get("/me").await.status, 401, "it passed after a restart");
    eventually("the other replica knows", || async { there.get("/me").await.status == 401 }).await;
    assert_eq!(world.redemptions(), 0);
}

/// A replica that was out of touch: it serves on until the session comes due, and sends no refresh token then.
#[tokio::test]
async fn a_replica_that_missed_the_word_finds_the_mark_before_it_renews() {
    let store = Flaky::new();
    let world = World::on(store.clone(), RefreshClass::Family, |auth| auth).await;
    let browser = world.alice().await;
    assert_eq!(browser.get("/me").await.status, 200);
    store.deafen();
    let deaf = world.another_engine(store, |auth| auth);
    let there = browser.copy().reaching(&deaf);
    assert_eq!(there.get("/me").await.status, 200);
    let token = world.provider.logout_token("app", Some("alice"), None).expect("signed");
    assert_eq!(told(&world.browser(), &token).await.status, 200);
    assert_eq!(there.get("/me").await.status, 200, "nothing was heard");
    world.clock.advance(DUE);
    assert_eq!(there.get("/me").await.status, 401);
    assert_eq!(world.redemptions(), 0);
}

#[tokio::test]
async fn while_the_store_fails_the_provider_is_told_to_come_again_and_no_other_session_suffers() {
    let store = Flaky::new();
    let world = World::on(store.clone(), RefreshClass::Family, |auth| auth).await;
    let (alice, bob) = (world.alice().await, world.browser());
    bob.sign_in("bob").await;
    assert_eq!(alice.get("/me").await.status, 200);
    store.fail(true);
    let token = world.provider.logout_token("app", Some("alice"), None).expect("signed");
    let answer = told(&world.browser(), &token).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["error"]), (503, &"session_unavailable".into()));
    if crate::STRATEGY == SessionStrategy::Jwt {
        assert_eq!((alice.get("/me").await.status.as_u16(), bob.get("/me").await.status.as_u16()), (401, 200));
    }
    store.fail(false);
    assert_eq!(told(&world.browser(), &token).await.status, 200, "the same token, whose first coming was in vain");
    assert_eq!((alice.get("/me").await.status.as_u16(), bob.get("/me").await.status.as_u16()), (401, 200));
}

#[tokio::test]
async fn an_operator_ends_one_session_by_its_fingerprint_even_during_its_renewal() {
    let world = World::of(RefreshClass::SingleUse, |auth| auth).await;
    let (other, browser) = (world.alice().await, world.alice().await);
    let session = fingerprint(&world);
    world.clock.advance(DEAD);
    world.wire.hold();
    let renewing = tokio::spawn({
        let browser = browser.copy();
        async move { browser.get("/data").await.status.as_u16() }
    });
    world.wire.answered(1).await;
    let whose = SessionsOf::Fingerprint(session.clone());
    world.engine.auth.end_sessions(&whose).await.expect("there is such a session");
    let received = world.wire.secrets().into_iter().rfind(|secret| secret.starts_with("rt_")).expect("a new one");
    world.wire.release();
    assert_eq!(renewing.await.expect("answered"), 401);
    world.engine.auth.drain().await;
    assert_eq!(world.wire.revoked(), [received], "what came late is of no use to anybody");
    assert_eq!((browser.get("/me").await.status.as_u16(), other.get("/me").await.status.as_u16()), (401, 200));
    assert_eq!(ended(&world.engine.events(), EndReason::OperatorEnded), 1);
    let explained = world.engine.auth.explain(&session).await.expect("a record").expect("it is remembered");
    assert!(explained.story[0].ends_with("by an operator."), "{:?}", explained.story);
    assert_eq!((explained.entries[0].outcome.as_str(), explained.advice), ("operator_ended", None));
    world.engine.auth.end_sessions(&whose).await.expect("over is over");
}

#[tokio::test]
async fn an_operator_ends_all_sessions_of_a_user_who_may_sign_in_again() {
    let world = World::start().await;
    let issuer = world.provider.issuer().to_owned();
    let user = |provider: &str, sub: &str| SessionsOf::UserAt { provider: provider.into(), sub: sub.into() };
    let bob = world.browser();
    bob.sign_in("bob").await;
    for whose in [user("oidc", "alice"), SessionsOf::UserOf { issuer, sub: "alice".into() }] {
        let (first, second) = (world.alice().await, world.alice().await);
        world.clock.advance(SECOND);
        world.engine.auth.end_sessions(&whose).await.expect("a provider of ours");
        for (browser, status) in [(first, 401), (second, 401), (bob.clone(), 200)] {
            assert_eq!(browser.get("/me").await.status, status, "{whose:?}");
        }
        world.clock.advance(SECOND);
    }
    assert_eq!(world.alice().await.get("/me").await.status, 200);
    for (whose, code) in [
        (user("other", "alice"), "unknown_provider"),
        (SessionsOf::UserOf { issuer: "https://other.example".into(), sub: "alice".into() }, "unknown_provider"),
        (SessionsOf::Fingerprint("AAAAAAAAAAAA".into()), "unknown_session"),
        (SessionsOf::Fingerprint("nonsense".into()), "no_fingerprint"),
    ] {
        let refused = world.engine.auth.end_sessions(&whose).await;
        assert_eq!(refused.as_ref().map_err(EndSessionsError::code), Err(code), "{whose:?}");
    }
}
