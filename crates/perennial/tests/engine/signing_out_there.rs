//! RP-Initiated Logout: a sign-out that goes on to the provider, and what happens when it cannot.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;
use perennial::AuthBuilder;
use perennial::provider::RefreshClass;
use url::Url;

use crate::support::World;

fn there_too(auth: AuthBuilder) -> AuthBuilder {
    auth.sign_out_at_provider(true)
}

fn query(location: &str) -> BTreeMap<String, String> {
    Url::parse(location).expect("a URL").query_pairs().into_owned().collect()
}

#[tokio::test]
async fn a_sign_out_goes_by_way_of_the_provider_to_where_it_was_asked_to_go() {
    let world = World::of(RefreshClass::Family, there_too).await;
    let browser = world.alice().await;
    let stolen = browser.copy();
    let id_token = world.wire.secrets().into_iter().rfind(|secret| secret.starts_with("eyJ")).expect("an ID token");
    let out = browser.post("/auth/signout", &[("callbackUrl", "/bye?x=1&y=2")]).await;
    let location = out.header("location").to_owned();
    assert_eq!((out.status.as_u16(), out.header("referrer-policy")), (302, "no-referrer"));
    assert!(out.header("cache-control").contains("no-store"), "{:?}", out.headers);
    assert!(location.starts_with(&world.provider_url("/end-session?")), "{location}");
    let said = query(&location);
    assert_eq!((said["client_id"].as_str(), said["id_token_hint"].as_str()), ("app", id_token.as_str()));
    assert_eq!(said["post_logout_redirect_uri"], world.url("/auth/signout/callback"));
    assert_eq!(stolen.get("/me").await.status, 401, "over here before the browser gets there");

    let back = browser.ask_provider(&location).await;
    assert!(back.starts_with("/auth/signout/callback?state="), "{back}");
    let landed = browser.get(&back).await;
    assert_eq!(landed.header("location"), world.url("/bye?x=1&y=2"));
    assert_eq!((landed.status.as_u16(), landed.header("referrer-policy")), (302, "no-referrer"));
    assert!(!world.family_alive());

    // Whoever is signed out already has nothing to say to the provider.
    let again = stolen.post("/auth/signout", &[("callbackUrl", "/bye")]).await;
    assert_eq!(again.header("location"), world.url("/bye"));
}

#[tokio::test]
async fn a_client_of_authjs_gets_the_providers_address_as_json_and_the_page_may_lead_there() {
    let world = World::of(RefreshClass::Family, there_too).await;
    let browser = world.alice().await;
    let page = browser.get("/auth/signout").await;
    assert!(page.header("content-security-policy").contains(&world.provider_url("")), "{:?}", page.headers);
    let public = world.url("");
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("origin", public.as_str()),
        ("x-auth-return-redirect", "1"),
    ];
    let out = browser.send(Method::POST, "/auth/signout", &headers, Bytes::from("callbackUrl=/bye")).await;
    assert_eq!(out.status, 200);
    let url = out.json()["url"].as_str().expect("a URL").to_owned();
    assert!(url.starts_with(&world.provider_url("/end-session?")), "{url}");
}

#[tokio::test]
async fn a_crafted_way_back_leads_nowhere_else() {
    let world = World::of(RefreshClass::Family, there_too).await;
    let browser = world.alice().await;
    for crafted in [
        "",
        "?state=",
        "?state=https%3A%2F%2Fevil.example%2F",
        "?state=%2F%2Fevil.example%2F",
        "?state=%2F%5Cevil.example",
        "?state=javascript%3Aalert(1)",
        "?state=%2Fok&state=https%3A%2F%2Fevil.example%2F",
    ] {
        let landed = browser.get(&format!("/auth/signout/callback{crafted}")).await;
        let location = landed.header("location");
        assert!(location == world.url("/") || landed.status == 400, "{crafted}: {} {location}", landed.status);
    }
    assert_eq!(browser.get("/me").await.status, 200, "a link signs nobody out");
}

#[tokio::test]
async fn a_provider_that_cannot_be_asked_does_not_keep_anybody_signed_in_or_waiting() {
    let world = World::of(RefreshClass::Family, there_too).await;
    for unplugged in [true, false] {
        let browser = world.alice().await;
        // This one has yet to learn where the provider's endpoints are.
        let other = world.another_engine(world.store.clone(), there_too);
        let browser = browser.reaching(&other);
        world.wire.unplug(unplugged);
        world.wire.hold_discovery(!unplugged);
        let begun = Instant::now();
        let out = browser.post("/auth/signout", &[("callbackUrl", "/bye")]).await;
        assert_eq!((out.status.as_u16(), out.header("location")), (302, world.url("/bye").as_str()));
        assert!(begun.elapsed() < Duration::from_secs(8), "it took {:?}", begun.elapsed());
        assert_eq!(browser.session_cookie(), "");
        world.wire.unplug(false);
        world.wire.hold_discovery(false);
    }
}
