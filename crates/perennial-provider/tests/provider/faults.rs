//! Every fault does what its line in docs/provider.md says, as often as it says, and the books tell the truth afterwards.

use std::sync::Arc;
use std::time::{Duration, Instant};

use perennial_provider::{Counters, Faults, Outcome, RefreshClass, RefreshTokenState, Times};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{Idp, SECRET, basic, claims, encoded};

/// Sends a refresh by hand and returns every byte that came back before the connection ended.
async fn raw_refresh(idp: &Idp, token: &str) -> Vec<u8> {
    let body = encoded(&[("grant_type", "refresh_token"), ("refresh_token", token)]);
    let request = format!(
        "POST /token HTTP/1.1\r\nHost: {}\r\nAuthorization: {}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        idp.authority(),
        basic("app", SECRET),
        body.len()
    );
    let mut stream = TcpStream::connect(idp.authority()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut received = Vec::new();
    // A reset is as good an end as a close.
    let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut received))
        .await
        .expect("the connection ends");
    received
}

#[tokio::test]
async fn a_lost_reply_leaves_the_rotation_committed_and_nothing_on_the_wire() {
    let idp = Idp::start().await;
    let token = idp.tokens().await.token("refresh_token");
    idp.control.update_faults(|faults| faults.lose_reply = 1.into());
    assert_eq!(raw_refresh(&idp, &token).await, b"", "not even a status line");

    let family = &idp.control.families()[0];
    let states: Vec<_> = family.refresh_tokens.iter().map(|token| token.state).collect();
    assert_eq!(states, [RefreshTokenState::Spent, RefreshTokenState::Lost]);
    let counters = idp.control.counters();
    assert_eq!(
        (counters.refreshes_committed, counters.of(Outcome::ReplyLost), counters.of(Outcome::Rotated)),
        (1, 1, 0)
    );
    assert_eq!(idp.control.faults().lose_reply, Times::Never, "it counted down");
    assert_eq!(idp.refresh(&token).await.verdict(), (400, "invalid_grant".to_owned()));
    assert!(!idp.control.families()[0].alive, "a retry looks like theft");
}

#[tokio::test]
async fn a_lost_code_reply_spends_the_code() {
    let idp = Idp::scripted("lose_reply=1").await;
    let code = idp.code().await;
    idp.try_redeem(&code).await.expect_err("the connection breaks");
    assert_eq!(idp.control.counters().codes_redeemed, 1);
    assert_eq!(idp.redeem(&code).await.verdict(), (400, "invalid_grant".to_owned()));
}

#[tokio::test]
async fn a_lost_reply_is_mended_by_the_kinder_classes() {
    for class in [
        RefreshClass::Reusable,
        RefreshClass::Overlap { seconds: 10 },
        RefreshClass::Idempotent { seconds: 10 },
        RefreshClass::Acknowledged,
    ] {
        let idp = Idp::start().await;
        let token = idp.tokens().await.token("refresh_token");
        idp.control.set_class(class);
        idp.control.update_faults(|faults| faults.lose_reply = 1.into());
        idp.try_refresh(&token).await.expect_err("the connection breaks");
        let retried = idp.refresh(&token).await;
        assert_eq!(retried.status, 200, "{class}");
        assert_eq!(idp.refresh(&retried.token("refresh_token")).await.status, 200, "{class}");
        assert!(idp.control.families()[0].alive, "{class}");
    }
}

#[tokio::test]
async fn a_cut_reply_breaks_off_half_way() {
    let idp = Idp::start().await;
    let token = idp.tokens().await.token("refresh_token");
    idp.control.update_faults(|faults| faults.cut_reply = 1.into());
    let received = String::from_utf8(raw_refresh(&idp, &token).await).unwrap();
    assert!(received.starts_with("HTTP/1.1 200 OK"), "{received}");
    assert!(received.contains("access_token") && !received.ends_with("0\r\n\r\n"), "{received}");
    assert_eq!(idp.control.counters().of(Outcome::ReplyLost), 1);
    assert_eq!(idp.control.counters().refreshes_committed, 1);
}

#[tokio::test]
async fn a_drop_before_the_commit_spends_nothing() {
    let idp = Idp::start().await;
    let token = idp.tokens().await.token("refresh_token");
    idp.control.update_faults(|faults| faults.drop_before_commit = 2.into());
    for _ in 0..2 {
        assert_eq!(raw_refresh(&idp, &token).await, b"");
    }
    assert_eq!(idp.refresh(&token).await.status, 200);
    let counters = idp.control.counters();
    assert_eq!((counters.of(Outcome::Dropped), counters.refreshes_committed), (2, 1));
}

/// Faults that answer something else: the status, the error, and that the same refresh token is good afterwards.
#[tokio::test]
async fn misleading_answers_spend_nothing() {
    for (script, status, error, outcome) in [
        (
            "respond_status=503,respond_times=1,retry_after_seconds=7",
            503,
            "temporarily_unavailable",
            Outcome::FaultedStatus,
        ),
        ("respond_status=429,respond_times=1", 429, "temporarily_unavailable", Outcome::FaultedStatus),
        ("respond_status=500,respond_for_ms=10000", 500, "temporarily_unavailable", Outcome::FaultedStatus),
        ("invalid_client=1", 401, "invalid_client", Outcome::InvalidClient),
        ("html=1", 200, "", Outcome::Misanswered),
        ("redirect=1", 307, "", Outcome::Misanswered),
    ] {
        let idp = Idp::start().await;
        let token = idp.tokens().await.token("refresh_token");
        idp.control.script(script).unwrap();
        let answer = idp.refresh(&token).await;
        assert_eq!(answer.verdict(), (status, error.to_owned()), "{script}");
        match status {
            503 => assert_eq!(answer.header("retry-after"), "7"),
            429 => assert!(!answer.headers.contains_key("retry-after")),
            200 => assert!(answer.header("content-type").starts_with("text/html"), "{answer:?}"),
            307 => assert_eq!(answer.header("location"), format!("{}/token/elsewhere", idp.issuer)),
            _ => {}
        }
        assert_eq!(idp.control.counters().of(outcome), 1, "{script}");
        idp.time.forward(10);
        assert_eq!(idp.refresh(&token).await.status, 200, "{script}: nothing was spent and the fault is over");
        assert!(!idp.control.faults().any(), "{script}: {:?}", idp.control.faults());
    }
}

/// Faults of form: what the JSON looks like the first time, and that it is whole the second time.
#[tokio::test]
async fn malformed_answers() {
    let text = |json: &Value, name: &str| json[name].is_string();
    for (script, spoilt) in [
        ("omit_expires_in=1", Box::new(|json: &Value| json.get("expires_in").is_none()) as Box<dyn Fn(&Value) -> bool>),
        ("expires_in_as_string=1", Box::new(|json: &Value| json["expires_in"] == "300")),
        (
            "omit_refresh_token=1",
            Box::new(move |json: &Value| !text(json, "refresh_token") && text(json, "access_token")),
        ),
        ("omit_id_token=1", Box::new(move |json: &Value| !text(json, "id_token") && text(json, "access_token"))),
        (
            "oversized=1",
            Box::new(|json: &Value| json["padding"].as_str().is_some_and(|padding| padding.len() >= 4 << 20)),
        ),
    ] {
        let idp = Idp::start().await;
        let first = idp.tokens().await;
        assert!(!spoilt(&first.json()), "{script}: not before");
        idp.control.script(script).unwrap();
        let second = idp.refresh(&first.token("refresh_token")).await;
        assert!(spoilt(&second.json()), "{script}: {second:?}");
        if script != "omit_refresh_token=1" {
            let third = idp.refresh(&second.token("refresh_token")).await;
            assert!(!spoilt(&third.json()), "{script}: once");
        }
    }
}

#[tokio::test]
async fn defects_of_id_tokens() {
    let idp = Idp::start().await;
    let mut token = idp.tokens().await.token("refresh_token");
    for (defect, spoilt) in [
        (
            "iss",
            Box::new(|idp: &Idp, _: &Value, claims: &Value| claims["iss"] == format!("{}/another", idp.issuer))
                as Box<dyn Fn(&Idp, &Value, &Value) -> bool>,
        ),
        ("aud", Box::new(|_, _, claims| claims["aud"] == "another-client")),
        ("sub", Box::new(|_, _, claims| claims["sub"] == "alice-another")),
        ("nonce", Box::new(|_, _, claims| claims["nonce"] == "another-nonce")),
        ("exp", Box::new(|idp, _, claims| claims["exp"].as_u64() < Some(idp.time.seconds()))),
        ("alg_none", Box::new(|_, header, _| header["alg"] == "none")),
        ("kid", Box::new(|_, header, _| header["kid"] == "no-such-key")),
    ] {
        idp.control.script(&format!("defect={defect},defect_times=1")).unwrap();
        let bad = idp.refresh(&token).await;
        let good = idp.refresh(&bad.token("refresh_token")).await;
        token = good.token("refresh_token");
        for (answer, expected) in [(bad, true), (good, false)] {
            let jwt = answer.token("id_token");
            // `claims` reads the second part; a dot before shifts it to the header.
            let header = claims(&format!(".{jwt}"));
            assert_eq!(spoilt(&idp, &header, &claims(&jwt)), expected, "{defect} {jwt}");
        }
    }
    idp.control.script("defect=sig,defect_times=1,id_token_skew_seconds=-600").unwrap();
    let bad = idp.refresh(&token).await;
    assert_eq!(claims(&bad.token("id_token"))["iat"], idp.time.seconds() - 600);
    let hinted = idp.visit(&format!("/end-session?id_token_hint={}", bad.token("id_token")), &[]).await;
    assert!(hinted.text().contains("Sign out?"), "the provider itself does not believe the signature");
}

#[tokio::test]
async fn delays_before_and_after_the_commit() {
    type Reached = fn(&Counters) -> bool;
    for (script, reached, committed_meanwhile) in [
        ("delay_ms=400", (|counters| counters.max_in_flight_per_token == 1) as Reached, 0),
        ("delay_after_commit_ms=400", |counters| counters.refreshes_committed == 1, 1),
    ] {
        let idp = Arc::new(Idp::start().await);
        let token = idp.tokens().await.token("refresh_token");
        idp.control.script(script).unwrap();
        let mut events = idp.control.subscribe();
        let began = Instant::now();
        let caller = tokio::spawn({
            let idp = idp.clone();
            async move { idp.try_refresh(&token).await }
        });
        while !reached(&idp.control.counters()) {
            assert!(began.elapsed() < Duration::from_secs(10), "{script}: never arrived");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(idp.control.counters().refreshes_committed, committed_meanwhile, "{script}");
        // The caller gives up; the provider goes on.
        caller.abort();
        let event =
            tokio::time::timeout(Duration::from_secs(10), events.recv()).await.expect("the request ends").unwrap();
        assert_eq!(event.outcome, Some(Outcome::Rotated), "{script}");
        assert!(event.duration_ms >= 400, "{event:?}");
        assert_eq!(idp.control.counters().refreshes_committed, 1, "{script}: a hang-up cancels nothing");
    }
}

#[tokio::test]
async fn faults_can_be_one_clients_or_one_grants() {
    let idp = Idp::start().await;
    idp.control.set_client_faults("app", Faults { html: Times::Always, ..Faults::default() });
    assert_eq!(
        idp.token(&[("grant_type", "client_credentials")]).await.header("content-type"),
        "text/html; charset=utf-8"
    );
    let post = [("grant_type", "client_credentials"), ("client_id", "post"), ("client_secret", "posted")];
    assert_eq!(idp.post("/token", &[], &post).await.unwrap().header("content-type"), "application/json");

    idp.control.set_client_behaviour("app", None);
    idp.control.script("grant=refresh_token,respond_status=503").unwrap();
    let token = idp.tokens().await.token("refresh_token");
    assert_eq!(idp.refresh(&token).await.status, 503);
    idp.control.clear_faults();
    assert_eq!(idp.refresh(&token).await.status, 200);
}
