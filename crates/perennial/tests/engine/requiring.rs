//! Routes for signed-in users only.

use bytes::Bytes;
use http::Method;
use perennial::Provider;
use perennial::provider::RefreshClass;
use perennial::secret::ClientSecret;

use crate::support::{DEAD, World};

const PAGE: [(&str, &str); 2] = [("sec-fetch-mode", "navigate"), ("accept", "text/html")];

#[tokio::test]
async fn a_page_load_goes_to_the_provider_and_comes_back_to_where_it_wanted() {
    let world = World::start().await;
    let browser = world.browser();
    let sent = browser.get_with("/members/page?tab=2&login_hint=bob", &PAGE).await;
    assert_eq!(sent.status, 302, "{}", sent.text());
    assert!(sent.header("location").contains("/authorize?"), "{}", sent.header("location"));
    assert!(sent.header("cache-control").contains("no-store"));
    let asked = format!("{}&login_hint=alice", sent.header("location"));
    let callback = browser.ask_provider(&asked).await;
    let landed = browser.get(&callback).await;
    assert!(landed.header("location").ends_with("/members/page?tab=2&login_hint=bob"), "{}", landed.header("location"));
    assert_eq!(browser.get_with("/members/page?tab=2", &PAGE).await.text(), "Alice Archer");
}

#[tokio::test]
async fn an_address_too_long_to_remember_signs_in_all_the_same() {
    let world = World::start().await;
    let browser = world.browser();
    let sent = browser.get_with(&format!("/members/page?q={}", "a".repeat(4_000)), &PAGE).await;
    let flow = browser.cookies().into_iter().find(|(name, _)| name.starts_with("perennial.flow.")).expect("it is kept");
    assert!(flow.0.len() + flow.1.len() < 4_000, "browsers drop cookies above 4096 bytes");
    let callback = browser.ask_provider(&format!("{}&login_hint=alice", sent.header("location"))).await;
    let landed = browser.get(&callback).await;
    assert!(landed.header("location").ends_with('/'), "{}", landed.header("location"));
    assert_eq!(browser.get_with("/members/page", &PAGE).await.text(), "Alice Archer");
}

#[tokio::test]
async fn an_application_cannot_be_talked_into_sending_users_elsewhere() {
    let world = World::start().await;
    let auth = &world.engine.auth;
    let headers = http::HeaderMap::new();
    for elsewhere in ["https://evil.example/", "//evil.example", "javascript:alert(1)"] {
        let start = auth.begin_sign_in(&headers, "oidc", elsewhere, &[("login_hint".into(), "alice".into())]).await;
        let start = start.expect("the provider is there");
        let browser = world.browser();
        for line in &start.set_cookies {
            let line = line.to_str().expect("ASCII");
            let (name, value) = line.split(';').next().and_then(|pair| pair.split_once('=')).expect("a pair");
            browser.set_cookie(name, value);
        }
        let callback = browser.ask_provider(&start.location).await;
        let landed = browser.get(&callback).await;
        assert_eq!(landed.header("location"), format!("{}/", auth.settings().origin()), "{elsewhere}");
    }
}

#[tokio::test]
async fn what_is_no_page_load_is_told_401() {
    let world = World::start().await;
    let browser = world.browser();
    for headers in [
        &[("sec-fetch-mode", "cors"), ("accept", "text/html")][..],
        &[("accept", "application/json")],
        &[("accept", "text/html"), ("x-requested-with", "XMLHttpRequest")],
        &[],
    ] {
        let refused = browser.get_with("/members/page", headers).await;
        assert_eq!((refused.status.as_u16(), refused.json()["error"].as_str()), (401, Some("not_signed_in")));
    }
    // What a form would have sent would be lost on the way.
    let posted = browser.send(Method::POST, "/members/page", &PAGE, Bytes::from_static(b"a=b")).await;
    assert_eq!(posted.status, 401);
}

#[tokio::test]
async fn with_several_providers_the_user_chooses() {
    let world = World::of(RefreshClass::Family, |auth| {
        let other = Provider::preset("google").expect("a preset").client_id("id");
        auth.provider(other.client_secret(ClientSecret::new("secret-of-the-other")))
    })
    .await;
    let browser = world.browser();
    let sent = browser.get_with("/members/page", &PAGE).await;
    let to = sent.header("location");
    assert!(to.contains("/auth/signin?callbackUrl=http") && to.ends_with("members%2Fpage"), "{to}");
    let page = browser.get(&to[to.find("/auth").expect("ours")..]).await;
    assert!(page.text().contains("/auth/signin/oidc") && page.text().contains("/auth/signin/google"));
}

#[tokio::test]
async fn while_the_provider_is_out_of_reach_a_page_says_so() {
    let world = World::start().await;
    world.wire.unplug(true);
    let browser = world.browser();
    let told = browser.get_with("/members/page", &PAGE).await;
    assert_eq!((told.status.as_u16(), told.header("retry-after").is_empty()), (503, false));
    assert!(!told.header("refresh").is_empty(), "it tries again by itself: {:?}", told.headers);

    // Whoever is signed in is asked to wait, not to sign in again.
    world.wire.unplug(false);
    world.clock.advance(std::time::Duration::from_secs(10));
    let browser = world.alice().await;
    world.wire.unplug(true);
    world.clock.advance(DEAD);
    let page = browser.get_with("/members/page", &PAGE).await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (503, "text/html; charset=utf-8"));
    assert_eq!(browser.get("/members/page").await.json()["error"], "renewal_suspended");
    world.wire.unplug(false);
    world.clock.advance(std::time::Duration::from_secs(30));
    assert_eq!(browser.get_with("/members/page", &PAGE).await.text(), "Alice Archer");
}
