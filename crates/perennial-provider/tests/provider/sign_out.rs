//! Sign-out at the provider.

use perennial_provider::RevocationReason;

use crate::browser::Browser;
use crate::harness::{Idp, encoded};

const BYE: &str = "http://localhost:4200/bye";

#[tokio::test]
async fn with_a_hint_it_is_done_at_once() {
    let idp = Idp::start().await;
    let mut browser = Browser::default();
    let back = browser.sign_in(&idp, &[]).await;
    let tokens = idp.redeem(&back.returned("code").unwrap()).await;
    idp.time.forward(24 * 3600);
    let hint = tokens.token("id_token");
    let query = encoded(&[("id_token_hint", &hint), ("post_logout_redirect_uri", BYE), ("state", "s&1")]);
    let answer = browser.go(&idp, &format!("/end-session?{query}")).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "http://localhost:4200/bye?state=s%261"));
    assert_eq!(idp.control.families()[0].revoked, Some(RevocationReason::SignedOut));
    assert_eq!(idp.refresh(&tokens.token("refresh_token")).await.verdict(), (400, "invalid_grant".to_owned()));
    let silent = browser.authorize(&idp, &[("prompt", "none")]).await;
    assert_eq!(silent.returned("error").as_deref(), Some("login_required"));
}

#[tokio::test]
async fn without_a_hint_the_person_is_asked() {
    let idp = Idp::start().await;
    let mut browser = Browser::default();
    browser.sign_in(&idp, &[]).await;
    let page = browser
        .go(&idp, &format!("/end-session?{}", encoded(&[("client_id", "app"), ("post_logout_redirect_uri", BYE)])))
        .await;
    assert_eq!(page.status, 200);
    assert_eq!(browser.authorize(&idp, &[("prompt", "none")]).await.returned("error"), None, "still signed in");
    let stranger = Browser::default().click(&idp, &page, "/end-session/confirm", ("ok", "1")).await;
    assert_eq!(stranger.status, 400);
    let done = browser.click(&idp, &page, "/end-session/confirm", ("ok", "1")).await;
    assert_eq!((done.status.as_u16(), done.header("location")), (303, BYE));
    assert_eq!(
        browser.authorize(&idp, &[("prompt", "none")]).await.returned("error").as_deref(),
        Some("login_required")
    );
}

#[tokio::test]
async fn nobody_is_sent_where_no_client_registered() {
    let idp = Idp::start().await;
    let hint = idp.tokens().await.token("id_token");
    for form in [
        &[("post_logout_redirect_uri", BYE)][..],
        &[("client_id", "app"), ("post_logout_redirect_uri", "https://evil.test/")],
        &[("client_id", "spa"), ("post_logout_redirect_uri", BYE)],
        &[("id_token_hint", hint.as_str()), ("client_id", "spa")],
        &[("id_token_hint", hint.as_str()), ("post_logout_redirect_uri", "http://localhost:4200/bye/")],
    ] {
        let answer = idp.post("/end-session", &[], form).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.header("location")), (400, ""), "{form:?}");
    }
    assert!(idp.control.families()[0].alive);
    let answer = idp.post("/end-session", &[], &[("id_token_hint", &hint)]).await.unwrap();
    assert!(answer.text().contains("Signed out"), "{answer:?}");
    assert!(!idp.control.families()[0].alive);
}
