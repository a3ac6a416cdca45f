//! The provider wants to see the user and says what it wants to know: the next sign-in asks for that.

use bytes::Bytes;
use http::Method;

use crate::support::{Browser, DEAD, DUE, World};

const PAGE: [(&str, &str); 2] = [("sec-fetch-mode", "navigate"), ("accept", "text/html")];

const CLAIMS: &str = r#"{"id_token":{"acr":{"essential":true}}}"#;

/// Alice, whose next renewal will be refused with a challenge.
async fn challenged(world: &World) -> Browser {
    let browser = world.alice().await;
    world.wire.tamper(Some(|_| serde_json::json!({ "error": "interaction_required", "claims": CLAIMS })));
    browser
}

fn claims_of(location: &str) -> Option<String> {
    let url: url::Url = location.parse().expect("a URL");
    url.query_pairs().find(|(name, _)| name == "claims").map(|(_, value)| value.into_owned())
}

#[tokio::test]
async fn the_page_load_that_finds_the_session_over_carries_the_challenge() {
    let world = World::start().await;
    let browser = challenged(&world).await;
    world.clock.advance(DEAD);
    let sent = browser.get_with("/members/page", &PAGE).await;
    assert_eq!(sent.status, 302, "{}", sent.text());
    assert_eq!(claims_of(sent.header("location")).as_deref(), Some(CLAIMS));
    assert_eq!(browser.session_cookie(), "");
}

#[tokio::test]
async fn a_later_sign_in_carries_the_challenge_once() {
    let world = World::start().await;
    let browser = challenged(&world).await;
    world.clock.advance(DUE);
    let living = browser.get("/data").await.bearer();
    assert!(world.accepts(&living).await, "the access token is used up first");
    assert!(!browser.cookies().contains_key("perennial.challenge"));
    world.clock.advance(DEAD);
    assert_eq!(browser.get("/data").await.json()["error"], "not_signed_in");
    assert!(browser.cookies().contains_key("perennial.challenge"));
    world.wire.tamper(None);

    let asked = browser.begin_sign_in("alice", "/me").await;
    assert_eq!(claims_of(&asked).as_deref(), Some(CLAIMS));
    let callback = browser.ask_provider(&asked).await;
    browser.get(&callback).await;
    assert!(world.accepts(&browser.get("/data").await.bearer()).await);
    assert!(!browser.cookies().contains_key("perennial.challenge"), "it has been met");
    assert_eq!(claims_of(&browser.begin_sign_in("alice", "/me").await), None);
}

#[tokio::test]
async fn a_challenge_that_is_not_ours_is_not_passed_on() {
    let world = World::start().await;
    let browser = world.browser();
    browser.set_cookie("perennial.challenge", r#"{"id_token":{"sub":{"value":"mallory"}}}"#);
    assert_eq!(claims_of(&browser.begin_sign_in("alice", "/me").await), None);
}

/// The parts of an outage that a browser without JavaScript sees.
#[tokio::test]
async fn whoever_is_suspended_gets_a_page_that_tries_again_or_a_refusal_that_says_when() {
    let world = World::start().await;
    let browser = world.alice().await;
    world.wire.unplug(true);
    world.clock.advance(DEAD);
    let page = browser.get_with("/members/page?tab=2", &PAGE).await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (503, "text/html; charset=utf-8"));
    let seconds: u64 = page.header("retry-after").parse().expect("seconds");
    // A browser obeys this by a GET of the same address, without JavaScript.
    let refresh = format!("<meta http-equiv=\"refresh\" content=\"{seconds}\">");
    assert!(seconds >= 1 && page.text().contains(&refresh) && !page.text().contains("<script"), "{}", page.text());
    assert_eq!(page.header("cache-control"), "no-store");
    for (method, headers) in [
        (Method::GET, &[("accept", "application/json")][..]),
        (Method::GET, &[("sec-fetch-mode", "cors"), ("accept", "text/html")]),
        // A form cannot be sent again by a page that refreshes itself.
        (Method::POST, &PAGE),
    ] {
        let told = browser.send(method.clone(), "/members/page", headers, Bytes::new()).await;
        assert_eq!((told.status.as_u16(), told.json()["error"].as_str()), (503, Some("renewal_suspended")), "{method}");
        assert!(told.header("retry-after").parse::<u64>().expect("seconds") >= 1);
    }
    world.wire.unplug(false);
    world.clock.advance(std::time::Duration::from_secs(60));
    assert_eq!(browser.get_with("/members/page?tab=2", &PAGE).await.text(), "Alice Archer");
}
