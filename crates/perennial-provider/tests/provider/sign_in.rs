//! The code flow from the first redirect to the tokens.

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use perennial_provider::{Alg, Outcome};
use serde_json::{Value, json};

use crate::browser::{Browser, authorization_query};
use crate::harness::{CALLBACK, CHALLENGE, Idp, SECRET, VERIFIER, basic, claims};

/// Verifies an ID token as a relying party would, and returns its claims.
async fn verified(idp: &Idp, id_token: &str, alg: Algorithm) -> Result<Value, String> {
    let jwks: JwkSet = serde_json::from_slice(&idp.visit("/jwks", &[]).await.body).unwrap();
    let kid = jsonwebtoken::decode_header(id_token).map_err(|error| error.to_string())?.kid.ok_or("no kid")?;
    let key = DecodingKey::from_jwk(jwks.find(&kid).ok_or("unknown kid")?).unwrap();
    let mut validation = Validation::new(alg);
    validation.set_audience(&["app"]);
    validation.set_issuer(&[&idp.issuer]);
    jsonwebtoken::decode::<Value>(id_token, &key, &validation)
        .map(|data| data.claims)
        .map_err(|error| error.to_string())
}

#[tokio::test]
async fn the_whole_flow_with_both_algorithms() {
    for (alg, registered) in [(Alg::Es256, Algorithm::ES256), (Alg::Rs256, Algorithm::RS256)] {
        let idp = Idp::with(|builder| builder.id_token_alg(alg)).await;
        let metadata = idp.visit("/.well-known/openid-configuration", &[]).await.json();
        assert_eq!(metadata["issuer"], idp.issuer);
        assert_eq!(metadata["id_token_signing_alg_values_supported"], json!([alg.name()]));
        assert_eq!(metadata["authorization_response_iss_parameter_supported"], true);
        assert_eq!(metadata["token_endpoint"], format!("{}/token", idp.issuer));

        let back = Browser::default().sign_in(&idp, &[]).await;
        assert!(back.header("location").starts_with(&format!("{CALLBACK}&")), "the client's own query is kept");
        assert_eq!(back.returned("state").as_deref(), Some("st&te"));
        assert_eq!(back.returned("iss"), Some(idp.issuer.clone()));

        let tokens = idp.redeem(&back.returned("code").unwrap()).await;
        assert_eq!(tokens.status, 200, "{tokens:?}");
        assert_eq!(tokens.header("cache-control"), "no-store");
        let json = tokens.json();
        assert_eq!(json["token_type"], "Bearer");
        assert_eq!(json["expires_in"], 300);
        assert_eq!(json["scope"], "openid profile email offline_access");

        let identity = verified(&idp, &tokens.token("id_token"), registered).await.unwrap();
        assert_eq!(identity["sub"], "alice");
        assert_eq!(identity["nonce"], "n-once");
        assert_eq!(identity["name"], "Alice Archer");
        assert_eq!(identity["iat"], idp.time.seconds());

        let bearer = format!("Bearer {}", tokens.token("access_token"));
        let userinfo = idp.visit("/userinfo", &[("authorization", &bearer)]).await.json();
        assert_eq!(userinfo["sub"], "alice");
        assert_eq!(userinfo["email"], "alice@example.test");
        let who = idp.visit("/api", &[("authorization", &bearer)]).await.json();
        assert_eq!((&who["name"], &who["serial"]), (&json!("Alice Archer"), &json!(1)));
        assert_eq!(idp.visit("/api", &[]).await.header("www-authenticate"), "Bearer", "nothing is told to a stranger");

        idp.time.forward(300);
        assert!(!idp.lets_in(&tokens.token("access_token")).await, "expired");
        let counters = idp.control.counters();
        assert_eq!((counters.codes_redeemed, counters.of(Outcome::Issued)), (1, 1));
    }
}

#[tokio::test]
async fn a_request_is_refused_to_the_person_until_the_redirect_uri_is_proven_and_to_the_client_after() {
    let idp = Idp::start().await;
    for changes in [
        &[("client_id", "")][..],
        &[("client_id", "nobody")],
        &[("redirect_uri", "")],
        &[("redirect_uri", "http://localhost:4200/auth/callback/dev")],
        &[("redirect_uri", "https://evil.test/")],
    ] {
        let answer = Browser::default().authorize(&idp, changes).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (400, ""), "{changes:?}");
    }
    let query = format!("{}&nonce=again", authorization_query(&[]));
    assert_eq!(idp.visit(&format!("/authorize?{query}"), &[]).await.status, 400, "a repeated parameter");

    for (changes, error) in [
        (&[("code_challenge", ""), ("code_challenge_method", "")][..], "invalid_request"),
        (&[("code_challenge_method", "")], "invalid_request"),
        (&[("code_challenge_method", "plain")], "invalid_request"),
        (&[("code_challenge", "")], "invalid_request"),
        (&[("code_challenge", "tooshort")], "invalid_request"),
        (&[("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM")], "invalid_request"),
        (&[("response_type", "token")], "unsupported_response_type"),
        (&[("response_type", "")], "unsupported_response_type"),
        (&[("response_mode", "fragment")], "invalid_request"),
        (&[("prompt", "none login")], "invalid_request"),
        (&[("prompt", "dance")], "invalid_request"),
        (&[("prompt", "none")], "login_required"),
        (&[("max_age", "soon")], "invalid_request"),
        (&[("request", "x.y.z")], "request_not_supported"),
        (&[("request_uri", "http://localhost/r")], "request_uri_not_supported"),
    ] {
        let answer = Browser::default().authorize(&idp, changes).await;
        assert_eq!(answer.status, 303, "{changes:?}");
        assert!(answer.header("location").starts_with(CALLBACK));
        assert_eq!(answer.returned("error").as_deref(), Some(error), "{changes:?}");
        assert_eq!(answer.returned("state").as_deref(), Some("st&te"), "{changes:?}");
        assert_eq!(answer.returned("iss"), Some(idp.issuer.clone()), "{changes:?}");
        assert_eq!(answer.returned("code"), None);
    }
}

#[tokio::test]
async fn a_code_is_redeemed_only_with_its_proof() {
    let idp = Idp::start().await;
    let code = idp.code().await;
    let good = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    for (name, value, expected) in [
        ("code", "ac_unknown", "invalid_grant"),
        ("code", "", "invalid_request"),
        ("redirect_uri", "http://localhost:4200/other", "invalid_grant"),
        ("redirect_uri", "", "invalid_request"),
        ("code_verifier", CHALLENGE, "invalid_grant"),
        ("code_verifier", "", "invalid_request"),
        ("grant_type", "password", "unsupported_grant_type"),
        ("grant_type", "", "invalid_request"),
    ] {
        let form: Vec<(&str, &str)> =
            good.iter().map(|(known, kept)| (*known, if *known == name { value } else { *kept })).collect();
        assert_eq!(idp.token(&form).await.verdict(), (400, expected.to_owned()), "{name}={value}");
    }
    assert_eq!(idp.redeem(&code).await.status, 200, "a failed attempt does not spend the code");

    let late = idp.code().await;
    idp.time.forward(60);
    assert_eq!(idp.redeem(&late).await.verdict(), (400, "invalid_grant".to_owned()));
}

#[tokio::test]
async fn a_code_used_twice_revokes_what_it_gave() {
    let idp = Idp::start().await;
    let code = idp.code().await;
    let tokens = idp.redeem(&code).await;
    assert!(idp.lets_in(&tokens.token("access_token")).await);
    assert_eq!(idp.redeem(&code).await.verdict(), (400, "invalid_grant".to_owned()));
    assert!(!idp.lets_in(&tokens.token("access_token")).await);
    assert_eq!(idp.refresh(&tokens.token("refresh_token")).await.verdict(), (400, "invalid_grant".to_owned()));
    assert_eq!(idp.control.counters().of(Outcome::CodeReuseDetected), 1);
}

#[tokio::test]
async fn clients_authenticate_in_their_one_way() {
    let idp = Idp::start().await;
    let app = basic("app", SECRET);
    let wrong = basic("app", "wrong");
    let post_by_basic = basic("post", "posted");
    for (header, form, expected) in [
        (Some(app.as_str()), &[][..], (400, "invalid_request")),
        (Some(&app), &[("client_id", "app")], (400, "invalid_request")),
        (Some(&app), &[("client_id", "spa")], (400, "invalid_request")),
        (Some(&app), &[("client_secret", SECRET)], (400, "invalid_request")),
        (Some(&wrong), &[], (401, "invalid_client")),
        (Some("Bearer x"), &[], (401, "invalid_client")),
        (None, &[], (401, "invalid_client")),
        (None, &[("client_id", "app"), ("client_secret", SECRET)], (401, "invalid_client")),
        (None, &[("client_id", "app")], (401, "invalid_client")),
        (None, &[("client_id", "nobody")], (401, "invalid_client")),
        (None, &[("client_id", "post"), ("client_secret", "posted")], (400, "invalid_request")),
        (None, &[("client_id", "post"), ("client_secret", "wrong")], (401, "invalid_client")),
        (Some(&post_by_basic), &[], (401, "invalid_client")),
        (None, &[("client_id", "spa")], (400, "invalid_request")),
        (None, &[("client_id", "spa"), ("client_secret", "any")], (401, "invalid_client")),
    ] {
        let headers: Vec<(&str, &str)> = header.into_iter().map(|header| ("authorization", header)).collect();
        let answer = idp.post("/token", &headers, form).await.unwrap();
        let (status, error) = answer.verdict();
        assert_eq!((status, error.as_str()), expected, "{header:?} {form:?}");
        assert_eq!(status == 401, answer.headers.contains_key("www-authenticate"));
    }
}

#[tokio::test]
async fn a_public_client_on_any_loopback_port() {
    let idp = Idp::start().await;
    let there = "http://127.0.0.1:50123/cb";
    let back = Browser::default().sign_in(&idp, &[("client_id", "spa"), ("redirect_uri", there)]).await;
    assert!(back.header("location").starts_with(there));
    let code = back.returned("code").unwrap();
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", "spa"),
        ("code", code.as_str()),
        ("redirect_uri", there),
        ("code_verifier", VERIFIER),
    ];
    assert_eq!(idp.token(&form[..]).await.verdict().0, 400, "another client authenticates, and the form names spa");
    let tokens = idp.post("/token", &[], &form).await.unwrap();
    assert_eq!(claims(&tokens.token("id_token"))["aud"], "spa");
}

#[tokio::test]
async fn a_refresh_token_needs_offline_access_or_the_flag() {
    for (always, scope, expected) in
        [(false, "openid", false), (false, "openid offline_access", true), (true, "openid", true), (false, "", false)]
    {
        let idp = Idp::with(|builder| builder.always_issue_refresh_token(always)).await;
        let back = Browser::default().sign_in(&idp, &[("scope", scope)]).await;
        let tokens = idp.redeem(&back.returned("code").unwrap()).await.json();
        assert_eq!(tokens["refresh_token"].is_string(), expected, "{always} {scope}");
        assert_eq!(tokens["id_token"].is_string(), scope.contains("openid"), "{scope}");
    }
}
