//! Renewal: rotation, reuse, the classes, and fifty at once.

use std::sync::Arc;

use perennial_provider::{Family, Outcome, RefreshClass, RefreshTokenState, RevocationReason};
use serde_json::json;
use tokio::task::JoinSet;

use crate::browser::Browser;
use crate::harness::{Idp, SECRET, basic, claims};

fn states(family: &Family) -> Vec<RefreshTokenState> {
    family.refresh_tokens.iter().map(|token| token.state).collect()
}

#[tokio::test]
async fn rotation_keeps_the_person_and_makes_everything_else_anew() {
    let idp = Idp::start().await;
    let first = idp.tokens().await;
    idp.time.forward(5);
    let second = idp.refresh(&first.token("refresh_token")).await;
    assert_eq!(second.status, 200, "{second:?}");
    for name in ["access_token", "refresh_token", "id_token"] {
        assert_ne!(first.token(name), second.token(name), "{name}");
    }
    let (before, after) = (claims(&first.token("id_token")), claims(&second.token("id_token")));
    for name in ["iss", "sub", "aud", "auth_time", "sid"] {
        assert_eq!(before[name], after[name], "{name}: OIDC Core §12.2");
    }
    assert_eq!(after["iat"], idp.time.seconds());
    assert!(after.get("nonce").is_none());
    assert!(idp.lets_in(&first.token("access_token")).await, "no AT-KILL by default");
    assert!(idp.lets_in(&second.token("access_token")).await);

    let families = idp.control.families();
    assert_eq!(states(&families[0]), [RefreshTokenState::Spent, RefreshTokenState::Live]);
    let [spent, live] = &families[0].refresh_tokens[..] else { panic!("{families:?}") };
    assert_eq!((spent.serial, live.serial, live.replaces, spent.presented), (1, 2, Some(1), 1));
    assert_eq!(spent.redeemed_at_ms, Some(live.issued_at_ms));
    assert_ne!(spent.fingerprint, live.fingerprint);
    assert_eq!(live.fingerprint.len(), 4);
    let shown = format!("{families:?}");
    assert!(!shown.contains(&second.token("refresh_token")), "tokens are never shown");
}

#[tokio::test]
async fn a_spent_token_revokes_the_family_with_its_access_tokens() {
    let idp = Idp::start().await;
    let other = idp.tokens().await;
    let first = idp.tokens().await;
    let second = idp.refresh(&first.token("refresh_token")).await;
    let replay = idp.refresh(&first.token("refresh_token")).await;
    assert_eq!(replay.verdict(), (400, "invalid_grant".to_owned()));
    assert_eq!(idp.refresh(&second.token("refresh_token")).await.verdict(), (400, "invalid_grant".to_owned()));
    assert!(!idp.lets_in(&second.token("access_token")).await);
    assert_eq!(idp.refresh(&other.token("refresh_token")).await.status, 200, "another sign-in lives on");

    let family = idp.control.families().pop().unwrap();
    assert!(!family.alive);
    assert_eq!(family.revoked, Some(RevocationReason::RefreshTokenReused));
    assert_eq!(states(&family), [RefreshTokenState::Spent, RefreshTokenState::Revoked]);
    let counters = idp.control.counters();
    let seen = [Outcome::Rotated, Outcome::ReuseDetectedFamilyRevoked, Outcome::RejectedRevoked]
        .map(|outcome| counters.of(outcome));
    assert_eq!(seen, [2, 1, 1]);
    assert_eq!(counters.token_requests, counters.outcomes.values().sum::<u64>());
}

/// What the second presentation of the first token says, whether it gives the same successor, and whether the successor lives on.
#[tokio::test]
async fn every_class_has_its_price() {
    use RefreshClass::*;
    for (class, wait, second_status, same_successor, successor_lives) in [
        (Rotating, 0, 400, false, false),
        (SingleUse, 0, 400, false, true),
        (Reusable, 0, 200, true, true),
        (Overlap { seconds: 10 }, 9, 200, false, true),
        (Overlap { seconds: 10 }, 10, 400, false, false),
        (Idempotent { seconds: 3 }, 2, 200, true, true),
        (Idempotent { seconds: 3 }, 3, 400, false, true),
        (Acknowledged, 99, 200, false, true),
    ] {
        let idp = Idp::start().await;
        idp.control.set_class(class);
        let first = idp.tokens().await.token("refresh_token");
        let successor = idp.refresh(&first).await.token("refresh_token");
        assert_eq!(successor == first, class == Reusable, "{class}");
        idp.time.forward(wait);
        let again = idp.refresh(&first).await;
        assert_eq!(again.status, second_status, "{class} after {wait} s");
        if second_status == 200 {
            assert_eq!(again.token("refresh_token") == successor, same_successor, "{class}");
            assert!(idp.lets_in(&again.token("access_token")).await, "{class}");
        }
        assert_eq!(idp.refresh(&successor).await.status == 200, successor_lives, "{class} after {wait} s");
    }
}

#[tokio::test]
async fn an_acknowledged_successor_ends_the_old_token() {
    let idp = Idp::start().await;
    idp.control.set_class(RefreshClass::Acknowledged);
    let first = idp.tokens().await.token("refresh_token");
    idp.refresh(&first).await;
    let received = idp.refresh(&first).await;
    assert!(idp.lets_in(&received.token("access_token")).await, "the use that acknowledges");
    assert_eq!(idp.refresh(&first).await.verdict(), (400, "invalid_grant".to_owned()));
    assert_eq!(idp.refresh(&received.token("refresh_token")).await.status, 200, "nothing else dies");
}

#[tokio::test]
async fn at_kill_ends_the_older_access_tokens_at_once() {
    let idp = Idp::scripted("at_kill").await;
    let first = idp.tokens().await;
    let second = idp.refresh(&first.token("refresh_token")).await;
    assert!(!idp.lets_in(&first.token("access_token")).await);
    assert!(idp.lets_in(&second.token("access_token")).await);
}

#[tokio::test]
async fn fifty_at_once_have_one_winner() {
    let idp = Arc::new(Idp::scripted("delay_ms=150").await);
    let token = Arc::new(idp.tokens().await.token("refresh_token"));
    let mut requests = JoinSet::new();
    for _ in 0..50 {
        let (idp, token) = (idp.clone(), token.clone());
        requests.spawn(async move { idp.refresh(&token).await.status.as_u16() });
    }
    let mut statuses = requests.join_all().await;
    statuses.sort_unstable();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 400).count(), 49, "{statuses:?}");
    let counters = idp.control.counters();
    let seen = [Outcome::Rotated, Outcome::ReuseDetectedFamilyRevoked, Outcome::RejectedRevoked]
        .map(|outcome| counters.of(outcome));
    assert_eq!(seen, [1, 1, 48]);
    assert_eq!(counters.refreshes_committed, 1);
    assert!(counters.max_in_flight_per_token > 1, "{counters:?}");
    assert_eq!(counters.max_in_flight_per_token, idp.control.families()[0].refresh_tokens[0].max_in_flight);
    assert_eq!(counters.requests_per_second.iter().sum::<u32>(), 51);
}

#[tokio::test]
async fn tokens_expire_are_narrowed_and_belong_to_one_client() {
    let idp = Idp::with(|builder| builder.refresh_token_lifetime(std::time::Duration::from_secs(60))).await;
    let token = idp.tokens().await.token("refresh_token");
    let stranger = idp
        .post("/token", &[], &[("grant_type", "refresh_token"), ("client_id", "spa"), ("refresh_token", &token)])
        .await
        .unwrap();
    assert_eq!(stranger.verdict(), (400, "invalid_grant".to_owned()));
    let form = |scope| [("grant_type", "refresh_token"), ("refresh_token", token.as_str()), ("scope", scope)];
    assert_eq!(idp.token(&form("openid admin")).await.verdict(), (400, "invalid_scope".to_owned()));
    let narrowed = idp.token(&form("openid email")).await;
    assert_eq!(narrowed.json()["scope"], "openid email");
    let next = narrowed.token("refresh_token");
    assert_eq!(idp.token(&[("grant_type", "refresh_token")]).await.verdict(), (400, "invalid_request".to_owned()));
    assert_eq!(idp.refresh("rt_unknown").await.verdict(), (400, "invalid_grant".to_owned()));
    idp.time.forward(60);
    assert_eq!(idp.refresh(&next).await.verdict(), (400, "invalid_grant".to_owned()));
    assert_eq!(idp.control.families()[0].refresh_tokens[1].state, RefreshTokenState::Expired);
    let counters = idp.control.counters();
    let seen = [Outcome::RejectedUnknown, Outcome::RejectedExpired, Outcome::InvalidRequest]
        .map(|outcome| counters.of(outcome));
    assert_eq!(seen, [2, 1, 2]);
}

#[tokio::test]
async fn a_machine_gets_a_token_for_its_audience_and_no_refresh_token() {
    let idp = Idp::with(|builder| builder.jwt_access_tokens(true)).await;
    let tokens =
        idp.token(&[("grant_type", "client_credentials"), ("audience", "https://api.test"), ("scope", "read")]).await;
    let json = tokens.json();
    assert_eq!(
        (&json["scope"], &json["refresh_token"], &json["id_token"]),
        (&json!("read"), &json!(null), &json!(null))
    );
    let access = claims(&tokens.token("access_token"));
    assert_eq!((&access["aud"], &access["sub"]), (&json!("https://api.test"), &json!("app")));
    assert!(idp.lets_in(&tokens.token("access_token")).await);
    let public = idp.post("/token", &[], &[("grant_type", "client_credentials"), ("client_id", "spa")]).await.unwrap();
    assert_eq!(public.verdict(), (400, "unauthorized_client".to_owned()));
}

#[tokio::test]
async fn introspection_and_revocation() {
    let idp = Idp::start().await;
    let app = [("authorization", basic("app", SECRET))];
    let app: Vec<(&str, &str)> = app.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let first = idp.tokens().await;
    let second = idp.refresh(&first.token("refresh_token")).await;
    let active = async |token: String| idp.post("/introspect", &app, &[("token", &token)]).await.unwrap().json();

    let access = active(second.token("access_token")).await;
    assert_eq!(
        (&access["active"], &access["sub"], &access["client_id"]),
        (&json!(true), &json!("alice"), &json!("app"))
    );
    assert_eq!(active(second.token("refresh_token")).await["active"], true);
    assert_eq!(active(first.token("refresh_token")).await, json!({"active": false}), "spent");
    assert_eq!(active("nonsense".to_owned()).await, json!({"active": false}));
    let public = idp.post("/introspect", &[], &[("client_id", "spa"), ("token", "x")]).await.unwrap();
    assert_eq!(public.verdict(), (401, "invalid_client".to_owned()));

    let stranger =
        idp.post("/revoke", &[], &[("client_id", "spa"), ("token", &second.token("refresh_token"))]).await.unwrap();
    assert_eq!(stranger.verdict(), (400, "unauthorized_client".to_owned()));
    for (form, expected) in [
        (&[][..], (400, "invalid_request")),
        (&[("token", "nonsense")], (200, "")),
        (&[("token", &second.token("access_token"))], (200, "")),
    ] {
        let answer = idp.post("/revoke", &app, form).await.unwrap();
        let (status, error) = answer.verdict();
        assert_eq!((status, error.as_str()), expected, "{form:?}");
    }
    assert!(!idp.lets_in(&second.token("access_token")).await);
    assert!(idp.lets_in(&first.token("access_token")).await, "only the one access token");
    let third = idp.refresh(&second.token("refresh_token")).await;
    idp.post("/revoke", &app, &[("token", &third.token("refresh_token"))]).await.unwrap();
    assert!(!idp.lets_in(&third.token("access_token")).await, "with the refresh token goes the family");
    assert_eq!(idp.control.families()[0].revoked, Some(RevocationReason::RevokedByClient));
    assert_eq!(idp.refresh(&third.token("refresh_token")).await.verdict(), (400, "invalid_grant".to_owned()));
}

#[tokio::test]
async fn a_thief_is_noticed_whichever_token_he_has() {
    for (serial, of_thief, of_victim) in [
        (None, Outcome::ReuseDetectedFamilyRevoked, Outcome::RejectedRevoked),
        (Some(2), Outcome::Rotated, Outcome::ReuseDetectedFamilyRevoked),
    ] {
        let idp = Idp::start().await;
        let first = idp.tokens().await;
        let second = idp.refresh(&first.token("refresh_token")).await;
        assert_eq!(idp.control.replay(1, serial), Some(of_thief));
        idp.refresh(&second.token("refresh_token")).await;
        assert_eq!(idp.control.counters().of(of_victim), 1);
        assert!(!idp.control.families()[0].alive);
        assert_eq!(idp.control.replay(1, Some(9)), None);
        assert_eq!(idp.control.replay(7, None), None);
    }
}

#[tokio::test]
async fn two_browsers_have_two_families() {
    let idp = Idp::start().await;
    for account in ["alice", "bob"] {
        let mut browser = Browser::default();
        let page = browser.authorize(&idp, &[]).await;
        let back = browser.choose(&idp, &page, account).await;
        idp.redeem(&back.returned("code").unwrap()).await;
    }
    let families: Vec<(u64, String)> =
        idp.control.families().into_iter().map(|family| (family.id, family.account)).collect();
    assert_eq!(families, [(1, "alice".to_owned()), (2, "bob".to_owned())]);
}
