//! `POST /auth/backend/session`: what an application's server learns of its visitors, and that nobody else learns it.

use bytes::Bytes;
use http::Method;
use perennial::AuthBuilder;
use perennial::provider::RefreshClass;
use perennial::secret::BackendSecret;
use serde_json::{Value, json};

use crate::support::{Answer, Browser, DEAD, DUE, World};

const SECRET: &str = "planted-backend-secret-of-32-bytes";
const PATH: &str = "/auth/backend/session";

fn with_backend(auth: AuthBuilder) -> AuthBuilder {
    auth.backend_secret(BackendSecret::new("another-backend-secret-of-32-bytes"))
        .backend_secret(BackendSecret::new(SECRET))
}

async fn world() -> World {
    World::of(RefreshClass::Family, with_backend).await
}

async fn ask_with(browser: &Browser, headers: &[(&str, &str)], body: &str) -> Answer {
    browser.send(Method::POST, PATH, headers, Bytes::copy_from_slice(body.as_bytes())).await
}

async fn ask(browser: &Browser, body: &Value) -> Answer {
    let secret = format!("Bearer {SECRET}");
    let headers = [("authorization", secret.as_str()), ("content-type", "application/json")];
    ask_with(browser, &headers, &body.to_string()).await
}

#[tokio::test]
async fn a_backend_gets_session_token_and_cookies_in_one_answer() {
    let world = world().await;
    let browser = world.alice().await;
    let fresh = ask(&browser, &json!({})).await.json();
    assert_eq!((&fresh["state"], &fresh["generation"]), (&"signed_in".into(), &0.into()));
    assert_eq!(fresh["session"], browser.get("/auth/session").await.json(), "what the browser may see");
    assert!(world.accepts(fresh["access_token"].as_str().expect("a token")).await);
    assert_eq!(fresh.get("refresh_token"), None);

    world.clock.advance(DUE);
    let due = ask(&browser, &json!({})).await;
    assert!(!due.header("set-cookie").is_empty(), "the next generation's cookie comes along");
    assert_eq!((&due.json()["generation"], &due.json()["renewed"]), (&1.into(), &true.into()));
    assert_eq!(world.redemptions(), 1);

    world.clock.advance(std::time::Duration::from_secs(5));
    let asked = ask(&browser, &json!({ "renew": true })).await.json();
    assert_eq!((&asked["generation"], world.redemptions()), (&2.into(), 2), "renewed on demand");
}

#[tokio::test]
async fn a_stranger_is_a_stranger_and_an_outage_is_none() {
    let world = world().await;
    let browser = world.alice().await;
    assert_eq!(ask(&world.browser(), &json!({})).await.json(), json!({ "state": "stranger" }));
    world.provider.script("respond_status=503").expect("a script");
    world.clock.advance(DEAD);
    let suspended = ask(&browser, &json!({})).await;
    assert_eq!(suspended.status, 200);
    let told = suspended.json();
    assert_eq!((&told["state"], &told["condition"]), (&"signed_in".into(), &"suspended".into()));
    assert_eq!((&told["refusal"], told.get("access_token")), (&"renewal_suspended".into(), None));
    assert!(told["session"]["user"].is_object() && told["retry_after"].as_u64() > Some(0), "{told}");
}

#[tokio::test]
async fn nobody_without_the_secret_and_no_browser_gets_an_answer() {
    let world = world().await;
    let browser = world.alice().await;
    let good = format!("Bearer {SECRET}");
    for (name, headers) in [
        ("no secret", vec![]),
        ("a wrong secret", vec![("authorization", "Bearer planted-backend-secret-of-32-bytez")]),
        ("a secret cut short", vec![("authorization", "Bearer planted-backend-secret")]),
        ("another scheme", vec![("authorization", "Basic planted-backend-secret-of-32-bytes")]),
        ("a browser's form", vec![("authorization", good.as_str()), ("origin", "null")]),
        ("a browser's fetch", vec![("authorization", good.as_str()), ("sec-fetch-site", "same-origin")]),
        ("a browser's navigation", vec![("authorization", good.as_str()), ("sec-fetch-dest", "document")]),
    ] {
        let answer = ask_with(&browser, &headers, "").await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]), (403, &"backend_only".into()), "{name}");
        assert!(!answer.text().contains("access_token"), "{name}");
    }
}

#[tokio::test]
async fn there_is_no_such_endpoint_until_a_secret_is_configured() {
    let world = World::start().await;
    let answer = ask(&world.alice().await, &json!({})).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["error"]), (404, &"unknown_endpoint".into()));
}
