//! The page people see, when it is skipped, and who may answer it.

use crate::browser::{Browser, transaction};
use crate::harness::{Idp, claims};

#[tokio::test]
async fn the_page_is_skipped_only_as_prompt_allows() {
    let idp = Idp::start().await;
    let mut browser = Browser::default();
    browser.sign_in(&idp, &[]).await;
    for (changes, expected) in [
        (&[][..], "code"),
        (&[("prompt", "none")], "code"),
        (&[("prompt", "none"), ("login_hint", "alice@example.test")], "code"),
        (&[("prompt", "none"), ("login_hint", "bob")], "login_required"),
        (&[("prompt", "none"), ("max_age", "0")], "login_required"),
        (&[("login_hint", "bob")], "page"),
        (&[("login_hint", "nobody@example.test")], "code"),
        (&[("prompt", "login")], "page"),
        (&[("prompt", "consent")], "page"),
        (&[("prompt", "select_account")], "page"),
        (&[("max_age", "10")], "code"),
        (&[("max_age", "0")], "page"),
    ] {
        let answer = browser.authorize(&idp, changes).await;
        let got = match answer.status.as_u16() {
            200 => "page".to_owned(),
            _ => answer.returned("error").or(answer.returned("code").map(|_| "code".to_owned())).unwrap(),
        };
        assert_eq!(got, expected, "{changes:?}");
    }
}

#[tokio::test]
async fn auto_sign_in_needs_a_hint() {
    let idp = Idp::with(|builder| builder.auto_sign_in(true)).await;
    let mut browser = Browser::default();
    assert_eq!(browser.authorize(&idp, &[("login_hint", "mallory")]).await.status, 200);
    assert_eq!(
        browser.authorize(&idp, &[("prompt", "none"), ("login_hint", "bob")]).await.returned("error").as_deref(),
        Some("login_required")
    );
    let back = browser.authorize(&idp, &[("login_hint", "bob"), ("prompt", "consent")]).await;
    let tokens = idp.redeem(&back.returned("code").unwrap()).await;
    assert_eq!(claims(&tokens.token("id_token"))["sub"], "bob");
}

#[tokio::test]
async fn the_page_is_safe_and_its_form_is_bound_to_the_browser() {
    let idp = Idp::start().await;
    let mut browser = Browser::default();
    let page = browser.authorize(&idp, &[("login_hint", "carol"), ("scope", "openid <script>")]).await;
    let html = page.text();
    assert!(html.contains("Development only"), "{html}");
    assert!(!html.contains("<script"), "what the request says is escaped");
    assert!(html.find("Carol").unwrap() < html.find("Alice").unwrap(), "the hinted account is first");
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert!(policy.contains("form-action 'self'") && policy.contains("http://localhost:4200"), "{policy}");
    assert_eq!(page.header("x-frame-options"), "DENY");
    assert!(page.header("set-cookie").contains("HttpOnly; SameSite=Lax"));

    let form = [("transaction", transaction(&page)), ("account", "alice".to_owned())];
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let cookie = browser.cookie.clone().unwrap();
    for (what, headers) in [
        ("no cookie", &[][..]),
        ("another browser", &[("cookie", "perennial_provider_browser=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")]),
        ("another site", &[("cookie", cookie.as_str()), ("sec-fetch-site", "cross-site")]),
        ("another origin", &[("cookie", cookie.as_str()), ("origin", "http://localhost:4200")]),
    ] {
        let answer = idp.post("/authorize/choose", headers, &form).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.header("location")), (400, ""), "{what}");
    }
    let chosen = browser.choose(&idp, &page, "alice").await;
    assert_eq!(chosen.status, 303);
    assert_eq!(browser.choose(&idp, &page, "alice").await.status, 400, "once");

    let page = browser.authorize(&idp, &[("prompt", "login")]).await;
    let cancelled = browser.click(&idp, &page, "/authorize/choose", ("cancel", "1")).await;
    assert_eq!(cancelled.returned("error").as_deref(), Some("access_denied"));
}

#[tokio::test]
async fn an_issuer_may_have_a_path() {
    let mut idp = Idp::under("/realms/dev").await;
    let metadata = idp.visit("/.well-known/openid-configuration", &[]).await.json();
    assert_eq!(metadata["issuer"], idp.issuer);
    assert_eq!(metadata["jwks_uri"], format!("{}/jwks", idp.issuer));
    let page = Browser::default().authorize(&idp, &[]).await.text();
    for path in ["action=\"/realms/dev/authorize/choose\"", "href=\"/realms/dev/provider.css\""] {
        assert!(page.contains(path), "{path} in {page}");
    }
    assert_eq!(idp.visit("/provider.css", &[]).await.status, 200);
    assert_eq!(idp.tokens().await.status, 200);
    assert_eq!(idp.visit("", &[]).await.status, 200);
    assert_eq!(idp.visit("/", &[]).await.header("location"), "/realms/dev");
    idp.issuer = format!("http://{}", idp.authority());
    assert_eq!(idp.visit("/jwks", &[]).await.status, 404, "nothing is served beside the path");
}

#[tokio::test]
async fn a_foreign_host_is_refused() {
    let idp = Idp::start().await;
    for host in ["rebound.test", "192.168.1.9:4201"] {
        assert_eq!(idp.visit("/admin/state", &[("host", host)]).await.status, 421, "{host}");
    }
    assert_eq!(idp.visit("/", &[("host", "localhost:1")]).await.status, 200);
}
