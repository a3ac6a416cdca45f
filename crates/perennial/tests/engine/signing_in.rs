//! Signing in, and what must not let anybody in.

use crate::support::World;

#[tokio::test]
async fn a_stranger_signs_in_and_is_known_with_a_token_the_provider_takes() {
    let world = World::start().await;
    let browser = world.browser();
    assert_eq!(browser.get("/").await.text(), "stranger");
    let refused = browser.get("/me").await;
    assert_eq!((refused.status.as_u16(), refused.json()["error"].as_str()), (401, Some("not_signed_in")));
    assert_eq!(browser.get("/data").await.status, 401);
    assert_eq!(browser.get("/auth/session").await.text(), "null");

    browser.sign_in("alice").await;

    assert_eq!(browser.get("/").await.text(), "Alice Archer");
    let me = browser.get("/me").await.json();
    assert_eq!((&me["claims"]["sub"], &me["generation"]), (&"alice".into(), &0.into()));
    assert!(world.accepts(&browser.get("/data").await.bearer()).await);
    let session = browser.get("/auth/session").await.json();
    assert_eq!(session["user"]["email"], "alice@example.test");
    assert!(session["expires"].is_string() && session.get("access_token").is_none(), "{session}");
    assert_eq!(world.redemptions(), 0);
    assert!(browser.cookies().keys().all(|name| !name.contains("flow")), "{:?}", browser.cookies().keys());
}
