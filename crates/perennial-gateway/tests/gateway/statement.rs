//! What a signed statement says, and that nobody but the gateway can make one.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use serde_json::Value;

use crate::harness::{Answer, Browser, Stage};

const SIGNED: &str = r#"
[[routes]]
path = "/"
upstream = "UPSTREAM/below"
access = "optional"
identity = "jwt"
[[routes]]
path = "/bare"
upstream = "UPSTREAM"
identity = "jwt"
bearer = false
[[routes]]
path = "/plain"
upstream = "UPSTREAM"
"#;

const HEADER: &str = "x-perennial-identity";

fn decoded(part: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(part).expect("base64url")
}

/// The claims of the one statement that came, after its signature was found good with the published keys.
async fn claims(browser: &mut Browser, answer: &Answer) -> Value {
    let key_set = browser.fetch("/auth/identity/jwks").await.json();
    let [statement] = &answer.seen(HEADER)[..] else { panic!("one statement: {answer:?}") };
    let (signed, signature) = statement.rsplit_once('.').expect("three parts");
    let (header, claims) = signed.split_once('.').expect("three parts");
    let header: Value = serde_json::from_slice(&decoded(header)).expect("JSON");
    assert_eq!((&header["alg"], &header["typ"]), (&"EdDSA".into(), &"perennial-identity+jwt".into()));
    let keys = key_set["keys"].as_array().expect("keys");
    let key = keys.iter().find(|key| key["kid"] == header["kid"]).expect("the key is published");
    assert_eq!(key.as_object().expect("a key").get("d"), None, "the private half stays here");
    let x = decoded(key["x"].as_str().expect("x"));
    UnparsedPublicKey::new(&ED25519, x).verify(signed.as_bytes(), &decoded(signature)).expect("a good signature");
    serde_json::from_slice(&decoded(claims)).expect("JSON")
}

#[tokio::test]
async fn a_statement_is_about_one_request_to_one_upstream() {
    let stage = Stage::with(SIGNED).await;
    let mut alice = stage.signed_in().await;
    let answer = alice.fetch("/some/page?with=query").await;
    let said = claims(&mut alice, &answer).await;
    let (us, upstream) = (format!("http://{}", stage.gateway.address), format!("http://{}", stage.upstream.address));
    for (name, expected) in [
        ("iss", us.into()),
        ("aud", upstream.clone().into()),
        ("htm", "GET".into()),
        ("htu", format!("{upstream}/below/some/page").into()),
        ("sub", "alice".into()),
        ("provider", "oidc".into()),
        ("condition", "fresh".into()),
        ("refusal", Value::Null),
        ("generation", 0.into()),
    ] {
        let expected: Value = expected;
        assert_eq!(said[name], expected, "{name}");
    }
    let number = |name: &str| said[name].as_i64().expect(name);
    assert_eq!(number("exp") - number("iat"), 30);
    assert!(number("expires_at") > number("iat"));
    assert!(said["session"]["user"]["name"].is_string(), "the session as the browser may see it: {said}");
    let bearer = answer.seen("authorization")[0].strip_prefix("Bearer ").expect("a bearer").to_owned();
    assert_eq!(said["ath"], URL_SAFE_NO_PAD.encode(digest(&SHA256, bearer.as_bytes())), "tied to the token beside it");
    assert!(!answer.text().contains("x-forwarded-user"), "the plain headers stay away");

    let posted = alice.send(Method::POST, "/some/page", &[("origin", &stage.origin())], "x").await;
    let other = claims(&mut alice, &posted).await;
    assert_eq!(other["htm"], "POST");
    assert_ne!(other["jti"], said["jti"], "each statement has a name of its own");
}

#[tokio::test]
async fn without_a_token_or_a_session_a_statement_claims_neither() {
    let stage = Stage::with(SIGNED).await;
    let mut alice = stage.signed_in().await;
    let bare = alice.fetch("/bare").await;
    assert_eq!(claims(&mut alice, &bare).await["ath"], Value::Null);
    assert_eq!(bare.seen("authorization"), Vec::<String>::new());
    assert_eq!(alice.fetch("/plain").await.seen(HEADER), Vec::<String>::new(), "only where it is asked for");
    assert_eq!(stage.browser().fetch("/").await.seen(HEADER), Vec::<String>::new(), "nobody is there");
}

#[tokio::test]
async fn an_outage_is_told_on_an_optional_route() {
    let stage = Stage::with(SIGNED).await;
    let mut alice = stage.signed_in().await;
    stage.outage();
    let answer = alice.fetch("/").await;
    let said = claims(&mut alice, &answer).await;
    assert_eq!((&said["condition"], &said["sub"]), (&"suspended".into(), &"alice".into()));
    assert_eq!(said["refusal"], "renewal_suspended");
    assert!(said["retry_after"].as_u64().is_some_and(|seconds| seconds > 0), "{said}");
    assert_eq!(said["ath"], Value::Null);
}

#[tokio::test]
async fn an_upstream_that_refuses_the_token_gets_a_statement_on_the_next() {
    let stage = Stage::with(&SIGNED.replace("UPSTREAM/below", "UPSTREAM")).await;
    let mut alice = stage.signed_in().await;
    let first = alice.fetch("/echo").await;
    stage.upstream.refuse(&first.seen("authorization")[0]);
    stage.time.forward(5);
    let answer = alice.fetch("/strict/401/invalid_token").await;
    let said = claims(&mut alice, &answer).await;
    assert_eq!(said["generation"], 1);
    let bearer = answer.seen("authorization")[0].strip_prefix("Bearer ").expect("a bearer").to_owned();
    assert_eq!(said["ath"], URL_SAFE_NO_PAD.encode(digest(&SHA256, bearer.as_bytes())));
}

#[tokio::test]
async fn keys_are_published_only_where_something_is_signed() {
    let stage = Stage::quick().await;
    assert_eq!(stage.browser().fetch("/auth/identity/jwks").await.verdict(), (404, "unknown_endpoint".into()));
}
