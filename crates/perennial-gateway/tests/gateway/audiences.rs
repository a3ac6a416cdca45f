//! Routes whose upstreams want access tokens of their own.

use crate::harness::Stage;

const ROUTES: &str = r#"
[[routes]]
path = "/"
upstream = "UPSTREAM"

[[routes]]
path = "/orders"
upstream = "UPSTREAM"
audience = "https://orders.example"

[[routes]]
path = "/refused"
upstream = "UPSTREAM"
audience = "no-uri"
"#;

#[tokio::test]
async fn an_upstream_gets_the_token_of_its_own_audience_and_no_other() {
    let stage = Stage::with(ROUTES).await;
    let mut alice = stage.signed_in().await;
    let bearer = |seen: Vec<String>| seen.first().cloned().expect("a bearer");
    let own = bearer(alice.fetch("/").await.seen("authorization"));
    let orders = bearer(alice.fetch("/orders/7").await.seen("authorization"));
    assert_ne!(own, orders);
    assert_eq!(bearer(alice.fetch("/orders").await.seen("authorization")), orders);
    assert_eq!(bearer(alice.fetch("/").await.seen("authorization")), own);
    assert_eq!(stage.refreshes(), 1);

    let hits = stage.upstream.hits();
    let refused = alice.fetch("/refused").await;
    assert_eq!((refused.status.as_u16(), refused.json()["error"].as_str()), (403, Some("audience_refused")));
    assert_eq!(stage.upstream.hits(), hits, "no upstream gets a token that is not its own");
    assert!(alice.has_session());
}
