//! How sessions end: by the user, by the provider's word about somebody else, by age. And nothing brings them back.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use perennial::provider::RefreshClass;
use perennial::{Event, SessionStrategy, record::EndReason};
use perennial_provider::RevocationReason;
use serde_json::Value;

use crate::support::{DEAD, DUE, Flaky, World, eventually};

fn ended(events: &[Event], expected: EndReason) -> bool {
    events.iter().any(|event| matches!(event, Event::Ended { reason, .. } if *reason == expected))
}

#[tokio::test]
async fn signing_out_ends_the_session_everywhere_and_revokes_its_refresh_token() {
    let world = World::start().await;
    let browser = world.alice().await;
    let stolen = browser.copy();
    let out = browser.post("/auth/signout", &[("callbackUrl", "/bye")]).await;
    assert_eq!((out.status.as_u16(), out.header("location").ends_with("/bye")), (302, true), "{:?}", out.headers);
    assert_eq!(browser.session_cookie(), "");
    assert_eq!(browser.get("/me").await.status, 401);
    assert_eq!(stolen.get("/me").await.status, 401, "a copy of the cookie opens nothing");
    eventually("the provider revokes", || async { !world.family_alive() }).await;
    assert_eq!(world.provider.families()[0].revoked, Some(RevocationReason::RevokedByClient));

    // Nor after a restart with the same store, once anything is due.
    let other = world.another_engine(world.store.clone(), |auth| auth);
    world.clock.advance(DEAD);
    assert_eq!(stolen.reaching(&other).get("/me").await.status, 401);
    assert_eq!(world.redemptions(), 0);
}

#[tokio::test]
async fn signing_out_wins_over_a_renewal_in_flight_and_its_late_refresh_token_is_revoked() {
    for salvaged in [false, true] {
        let world = World::of(RefreshClass::SingleUse, |auth| auth).await;
        let browser = world.alice().await;
        let tab = browser.copy();
        world.clock.advance(DEAD);
        if salvaged {
            // An answer of no other use that brings a refresh token.
            world.wire.tamper(Some(|mut answer| {
                answer.as_object_mut().expect("tokens").remove("access_token");
                answer
            }));
        }
        world.wire.hold();
        let late = tokio::spawn({
            let tab = tab.clone();
            async move { tab.get("/data").await.status.as_u16() }
        });
        world.wire.answered(1).await;
        browser.post("/auth/signout", &[]).await;
        eventually("the old refresh token is revoked", || async { !world.family_alive() }).await;
        let received = world.wire.secrets().into_iter().rfind(|secret| secret.starts_with("rt_")).expect("a new one");
        world.wire.release();
        assert_eq!(late.await.expect("answered"), 401, "salvaged: {salvaged}");
        world.engine.auth.drain().await;
        assert_eq!(tab.get("/me").await.status, 401);
        assert_eq!(world.wire.revoked().get(1), Some(&received), "the late one too, salvaged: {salvaged}");
    }
}

#[tokio::test]
async fn signing_out_with_a_stale_cookie_revokes_the_newest_refresh_token() {
    let world = World::of(RefreshClass::SingleUse, |auth| auth).await;
    let browser = world.alice().await;
    let stale = browser.copy();
    world.clock.advance(DUE);
    browser.get("/data").await;
    let newest = world.wire.secrets().into_iter().rfind(|secret| secret.starts_with("rt_"));
    stale.post("/auth/signout", &[]).await;
    eventually("a token is revoked", || async { world.wire.revoked().len() == 1 }).await;
    assert_eq!(world.wire.revoked().pop(), newest);
    assert_eq!(browser.get("/me").await.status, 401);
}

/// The provider was down when somebody signed out: nobody told it later, and the refresh token lived on there.
#[tokio::test]
async fn a_revocation_is_made_up_for_when_the_provider_is_back() {
    let world = World::start().await;
    let browser = world.alice().await;
    world.wire.unplug(true);
    assert_eq!(browser.post("/auth/signout", &[]).await.status, 302, "nobody waits for the provider");
    eventually("it is tried again", || async { world.wire.revoked().len() > 1 }).await;
    assert!(world.family_alive());
    world.wire.unplug(false);
    eventually("the provider has revoked it", || async { !world.family_alive() }).await;
}

#[tokio::test]
async fn a_shutdown_tries_a_revocation_once_more_and_waits_for_it() {
    for back in [true, false] {
        let world = World::start().await;
        let browser = world.alice().await;
        world.wire.unplug(true);
        browser.post("/auth/signout", &[]).await;
        eventually("it was tried", || async { !world.wire.revoked().is_empty() }).await;
        world.wire.unplug(!back);
        let drained = tokio::time::timeout(Duration::from_secs(20), world.engine.auth.drain()).await;
        assert!(drained.is_ok(), "a provider that stays down holds no shutdown up");
        assert_eq!(world.family_alive(), !back);
    }
}

/// The store was down when somebody signed out: they were told that they had, and the other replicas never heard of it.
#[tokio::test]
async fn a_sign_out_that_the_store_does_not_take_claims_no_more_than_it_did_and_is_made_up_for() {
    let store = Flaky::new();
    let world = World::on(store.clone(), RefreshClass::Family, |auth| auth).await;
    let other = world.another_engine(store.clone(), |auth| auth);
    let browser = world.alice().await;
    let (stolen, again, elsewhere) = (browser.copy(), browser.copy(), browser.copy().reaching(&other));
    assert_eq!(elsewhere.get("/me").await.status, 200);
    store.fail(true);
    let out = browser.post("/auth/signout", &[("callbackUrl", "/bye")]).await;
    let told = out.json();
    assert_eq!((out.status.as_u16(), told["error"].as_str()), (503, Some("sign_out_unfinished")), "{}", out.text());
    assert!(told["url"].as_str().is_some_and(|url| url.ends_with("/bye")), "Auth.js's clients go on from here: {told}");
    assert_eq!(browser.session_cookie(), "", "this browser is signed out");
    assert_eq!(stolen.get("/me").await.status, 401, "and so is this process");
    let unheard = match crate::STRATEGY {
        SessionStrategy::Jwt => 200,
        // Without the store nobody can say who this is.
        SessionStrategy::Database => 503,
    };
    assert_eq!(elsewhere.get("/me").await.status, unheard, "the other has not heard of it");
    let page =
        [("content-type", "application/x-www-form-urlencoded"), ("origin", &*world.origin()), ("accept", "text/html")];
    let page = again.copy().send(http::Method::POST, "/auth/signout", &page, Default::default()).await;
    assert_eq!(page.status, 503);
    assert!(page.text().contains("sign_out_unfinished") && page.text().contains("<html"), "{}", page.text());
    store.fail(false);
    eventually("the other knows", || async { elsewhere.get("/me").await.status == 401 }).await;
    assert!(!world.family_alive());
    eventually("no word about it is left", || async { again.copy().post("/auth/signout", &[]).await.status == 302 })
        .await;
}

#[tokio::test]
async fn a_renewed_id_token_about_somebody_else_ends_the_session_and_revokes() {
    let world = World::start().await;
    let browser = world.alice().await;
    world.provider.script("defect=sub,grant=refresh_token").expect("a script");
    world.clock.advance(DUE);
    assert_eq!(browser.get("/me").await.status, 401);
    assert!(ended(&world.engine.events(), EndReason::IdentityChanged));
    assert!(!world.family_alive());
    world.provider.clear_faults();
    world.clock.advance(DEAD);
    assert_eq!(browser.get("/auth/session").await.text(), "null");
}

#[tokio::test]
async fn a_renewed_id_token_that_proves_nothing_is_left_aside() {
    for defect in ["sig", "alg_none", "kid", "exp", "iss", "aud"] {
        let world = World::start().await;
        let browser = world.alice().await;
        world.provider.script(&format!("defect={defect},grant=refresh_token")).expect("a script");
        world.clock.advance(DUE);
        assert!(world.accepts(&browser.get("/data").await.bearer()).await, "{defect}");
        assert_eq!(browser.generation().await, 1, "{defect}");
        // The next, genuine one is compared with the last that was proven.
        world.provider.clear_faults();
        world.clock.advance(DUE);
        assert!(world.accepts(&browser.get("/data").await.bearer()).await, "{defect}");
        assert_eq!(browser.generation().await, 2, "{defect}");
    }
}

/// An ID token about Mallory that nobody signed.
fn forged(mut answer: Value) -> Value {
    let claims = answer["id_token"].as_str().expect("there is one").split('.').nth(1).expect("claims");
    let mut claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).expect("base64url")).expect("JSON");
    claims["sub"] = "mallory".into();
    let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
    answer["id_token"] = format!("{}.{claims}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#)).into();
    answer
}

#[tokio::test]
async fn a_forged_id_token_does_not_become_the_measure_of_the_genuine_ones() {
    let world = World::start().await;
    let browser = world.alice().await;
    world.wire.tamper(Some(forged));
    world.clock.advance(DUE);
    assert!(world.accepts(&browser.get("/data").await.bearer()).await);
    world.wire.tamper(None);
    world.clock.advance(DUE);
    assert_eq!(browser.generation().await, 2, "Alice is still Alice");
    assert!(world.family_alive());
}

#[tokio::test]
async fn a_renewal_without_an_id_token_is_fine() {
    let world = World::start().await;
    let browser = world.alice().await;
    world.provider.script("omit_id_token,grant=refresh_token").expect("a script");
    for generation in 1..=2 {
        world.clock.advance(DUE);
        assert_eq!(browser.generation().await, generation);
    }
}

#[tokio::test]
async fn the_absolute_lifetime_ends_a_session_however_busy_it_is() {
    let hour = Duration::from_secs(3600);
    let world = World::of(RefreshClass::Family, |auth| auth.absolute_max_age(hour)).await;
    let browser = world.alice().await;
    for generation in 1..=13 {
        world.clock.advance(DUE);
        assert_eq!(browser.generation().await, generation);
    }
    world.clock.advance(hour - DUE * 13 - Duration::from_secs(1));
    let last = browser.copy();
    assert_eq!(browser.get("/me").await.status, 200);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(browser.get("/me").await.status, 401);
    eventually("the record says so", || async { ended(&world.engine.events(), EndReason::TooOld) }).await;
    eventually("nobody can use the refresh token", || async { !world.family_alive() }).await;
    assert_eq!(last.get("/data").await.status, 401);
}

#[tokio::test]
async fn an_idle_session_ends_and_visits_keep_it() {
    let day = Duration::from_secs(24 * 3600);
    let world = World::of(RefreshClass::Reusable, |auth| auth.max_age(day * 2).update_age(day / 2)).await;
    let browser = world.alice().await;
    let forgotten = browser.copy();
    for _ in 0..3 {
        world.clock.advance(day);
        assert_eq!(browser.visit("/me").await.status, 200);
    }
    assert_eq!(forgotten.get("/me").await.status, 401, "a cookie unused for three days");
    world.clock.advance(day * 2 + Duration::from_secs(60));
    assert_eq!(browser.get("/me").await.status, 401);
}
