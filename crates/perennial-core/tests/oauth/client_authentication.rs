//! RFC 6749 §2.3 · RFC 7523: exactly one proof on each request, and the requests themselves.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request};
use perennial_core::id_token::JwsAlgorithm;
use perennial_core::provider::{ClientAuthentication, ClientAuthenticationMethod, PlainHttp, ProviderBuilder};
use perennial_core::secret::{AccessToken, ClientSecret, PrivateKeyPem, RefreshToken};
use perennial_core::token::{
    RevocableToken, client_credentials_request, refresh_request, revoke_request, userinfo_request,
};

use crate::keys::{ED25519, P256, P384, RSA, SigningKey};
use crate::{Counting, NOW, builder, form, resolved};

fn refresh(builder: ProviderBuilder) -> Request<Vec<u8>> {
    let token = RefreshToken::new("rt/+&=");
    refresh_request(&resolved(builder), &token, None, NOW, &Counting::default()).unwrap()
}

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> HashMap<String, String> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn basic_encodes_both_parts_as_a_form_first() {
    let request = refresh(builder());
    let authorization = &request.headers()["authorization"];
    assert!(authorization.is_sensitive());
    let encoded = authorization.to_str().unwrap().strip_prefix("Basic ").unwrap();
    assert_eq!(STANDARD.decode(encoded).unwrap(), b"my+app:s%3Acret%2B%C3%A4");
    let expected = pairs([("grant_type", "refresh_token"), ("refresh_token", "rt/+&=")]);
    assert_eq!(form(&request), expected);
}

#[test]
fn a_token_request_is_a_post_of_a_form_that_wants_json() {
    let request = refresh(builder());
    assert_eq!(request.method(), Method::POST);
    assert_eq!(request.uri(), "https://id.example/token");
    assert_eq!(request.headers()["accept"], "application/json");
    assert_eq!(request.headers()["content-type"], "application/x-www-form-urlencoded");
}

#[test]
fn post_and_none_prove_themselves_in_the_body() {
    use ClientAuthenticationMethod::*;
    for (method, expected) in [
        (
            ClientSecretPost,
            pairs([
                ("grant_type", "refresh_token"),
                ("refresh_token", "rt/+&="),
                ("client_id", "my app"),
                ("client_secret", "s:cret+ä"),
            ]),
        ),
        (None, pairs([("grant_type", "refresh_token"), ("refresh_token", "rt/+&="), ("client_id", "my app")])),
    ] {
        let request = refresh(builder().client_authentication_method(method));
        assert!(!request.headers().contains_key("authorization"), "{method:?}");
        assert_eq!(form(&request), expected, "{method:?}");
    }
}

#[test]
fn an_assertion_is_signed_for_the_issuer_and_never_the_same_twice() {
    let keys: [(&SigningKey, JwsAlgorithm); 5] = [
        (&RSA, JwsAlgorithm::Rs256),
        (&RSA, JwsAlgorithm::Ps256),
        (&P256, JwsAlgorithm::Es256),
        (&P384, JwsAlgorithm::Es384),
        (&ED25519, JwsAlgorithm::EdDsa),
    ];
    for (key, alg) in keys {
        let provider = resolved(builder().private_key(key.pem(), Some("k1".into()), alg));
        let random = Counting::default();
        let token = RefreshToken::new("rt");
        let mut ids = Vec::new();
        for _ in 0..2 {
            let form = form(&refresh_request(&provider, &token, None, NOW, &random).unwrap());
            assert_eq!(form["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
            assert!(!form.contains_key("client_secret"));
            let claims = verified(&form["client_assertion"], key, alg);
            assert_eq!(claims["iss"], "my app");
            assert_eq!(claims["sub"], "my app");
            assert_eq!(claims["aud"], "https://id.example/");
            assert_eq!(claims["iat"], NOW.unix_seconds());
            assert_eq!(claims["exp"], NOW.unix_seconds() + 60);
            ids.push(claims["jti"].as_str().unwrap().to_owned());
        }
        assert_ne!(ids[0], ids[1], "{alg:?}");
    }
}

fn verified(assertion: &str, key: &SigningKey, alg: JwsAlgorithm) -> serde_json::Value {
    let jwk = serde_json::from_value(key.jwk(alg, serde_json::json!({}))).unwrap();
    let key = jsonwebtoken::DecodingKey::from_jwk(&jwk).unwrap();
    let mut validation = jsonwebtoken::Validation::new(alg.into());
    validation.validate_exp = false;
    validation.validate_aud = false;
    let token = jsonwebtoken::decode::<serde_json::Value>(assertion, &key, &validation).unwrap();
    assert_eq!(token.header.kid.as_deref(), Some("k1"));
    token.claims
}

#[test]
fn a_key_that_cannot_sign_is_found_at_build() {
    for (key, alg) in [
        (PrivateKeyPem::new("not a pem"), JwsAlgorithm::Rs256),
        (RSA.pem(), JwsAlgorithm::Es256),
        (P256.pem(), JwsAlgorithm::Es384),
        (P256.pem(), JwsAlgorithm::Rs256),
        (ED25519.pem(), JwsAlgorithm::Es256),
        (RSA.pem(), JwsAlgorithm::Hs256),
    ] {
        let faults = builder().private_key(key, None, alg).build().unwrap_err();
        assert_eq!(faults.len(), 1, "{alg:?}: {faults:?}");
        assert_eq!(faults[0].setting, "private_key", "{alg:?}");
    }
}

#[test]
fn method_and_credentials_can_be_given_at_once() {
    let secret = ClientSecret::new("x");
    let builder = builder().client_authentication(ClientAuthentication::ClientSecretPost(secret));
    assert_eq!(form(&refresh(builder))["client_secret"], "x");
}

#[test]
fn configured_parameters_go_with_every_token_request() {
    let builder = builder().token_param("resource", "https://api.example");
    assert_eq!(form(&refresh(builder))["resource"], "https://api.example");
}

#[test]
fn client_credentials_may_name_an_audience() {
    let provider = resolved(builder());
    for (audience, expected) in [
        (None, pairs([("grant_type", "client_credentials")])),
        (
            Some("https://api.example"),
            pairs([("grant_type", "client_credentials"), ("audience", "https://api.example")]),
        ),
    ] {
        let request = client_credentials_request(&provider, audience, NOW, &Counting::default()).unwrap();
        assert_eq!(form(&request), expected);
    }
}

#[test]
fn revocation_names_the_token_and_its_type() {
    let provider = resolved(builder());
    let (access, refresh) = (AccessToken::new("at"), RefreshToken::new("rt"));
    for (token, expected) in [
        (RevocableToken::Access(&access), pairs([("token", "at"), ("token_type_hint", "access_token")])),
        (RevocableToken::Refresh(&refresh), pairs([("token", "rt"), ("token_type_hint", "refresh_token")])),
    ] {
        let request = revoke_request(&provider, token, NOW, &Counting::default());
        let request = request.unwrap().expect("an endpoint");
        assert_eq!(request.uri(), "https://id.example/revoke");
        assert!(request.headers().contains_key("authorization"));
        assert_eq!(form(&request), expected);
    }
    let mut without = provider;
    without.revocation = None;
    let token = RevocableToken::Access(&access);
    let request = revoke_request(&without, token, NOW, &Counting::default());
    assert!(request.unwrap().is_none());
}

#[test]
fn user_info_gets_the_token_in_the_header_alone() {
    let provider = resolved(builder());
    let request = userinfo_request(&provider, &AccessToken::new("at")).unwrap();
    assert_eq!(request.method(), Method::GET);
    assert_eq!(request.uri(), "https://id.example/userinfo");
    assert_eq!(request.headers()["authorization"], "Bearer at");
    assert!(request.headers()["authorization"].is_sensitive());
    assert!(userinfo_request(&provider, &AccessToken::new("a\r\nb")).is_none());
}

#[test]
fn no_secret_is_printed() {
    let provider = resolved(builder().private_key(P256.pem(), None, JwsAlgorithm::Es256));
    let printed = format!("{provider:?} {:?}", builder());
    assert!(!printed.contains("s:cret") && !printed.contains("PRIVATE KEY"), "{printed}");
    assert_eq!(provider.provider.plain_http, PlainHttp::LoopbackOnly);
}
