//! RFC 7517 §5: what cannot verify is skipped, what can is kept.

use http::StatusCode;
use perennial_core::id_token::JwsAlgorithm::{EdDsa, Es256, Es384, Rs256};
use perennial_core::limits::{JWKS_KEYS, PROVIDER_ANSWER_BYTES};
use perennial_core::metadata::{JwkSetError, jwks_request, read_jwk_set};
use serde_json::{Value, json};

use crate::keys::{ED25519, P256, P384, RSA, key_set};
use crate::{builder, resolved};

#[test]
fn each_key_is_judged_alone() {
    let rsa = |members| RSA.jwk(Rs256, members);
    let cases: Vec<(Value, bool)> = vec![
        (rsa(json!({})), true),
        (rsa(json!({"kid": "a", "use": "sig", "alg": "RS256"})), true),
        (rsa(json!({"key_ops": ["verify"]})), true),
        (rsa(json!({"use": "enc"})), false),
        (rsa(json!({"key_ops": ["encrypt"]})), false),
        (rsa(json!({"alg": "RSA-OAEP"})), false),
        (rsa(json!({"alg": "ES256"})), false),
        (rsa(json!({"alg": "none"})), false),
        (rsa(json!({"n": null})), false),
        (rsa(json!({"n": "!"})), false),
        (rsa(json!({"kid": 7})), false),
        (P256.jwk(Es256, json!({})), true),
        (P256.jwk(Es256, json!({"alg": "ES384"})), false),
        (P256.jwk(Es256, json!({"crv": "secp256k1"})), false),
        (P384.jwk(Es384, json!({})), true),
        (ED25519.jwk(EdDsa, json!({"alg": "Ed25519"})), true),
        (json!({"kty": "oct", "k": "c2VjcmV0"}), false),
        (json!({"kty": "new", "alg": "RS256"}), false),
        (json!({}), false),
        (json!("text"), false),
    ];
    for (key, expected) in &cases {
        let set = read_jwk_set(StatusCode::OK, &key_set(std::slice::from_ref(key))).unwrap();
        assert_eq!(set.keys().len(), usize::from(*expected), "{key}");
        assert_eq!(set.skipped(), usize::from(!*expected), "{key}");
    }
    let keys: Vec<Value> = cases.iter().map(|(key, _)| key.clone()).collect();
    let good = cases.iter().filter(|(_, good)| *good).count();
    let set = read_jwk_set(StatusCode::OK, &key_set(&keys)).unwrap();
    assert_eq!((set.keys().len(), set.skipped()), (good, keys.len() - good));
}

#[test]
fn the_number_of_keys_is_bounded() {
    let key = P256.jwk(Es256, json!({}));
    for (offered, kept) in [(JWKS_KEYS, JWKS_KEYS), (JWKS_KEYS + 1, JWKS_KEYS)] {
        let set = read_jwk_set(StatusCode::OK, &key_set(&vec![key.clone(); offered])).unwrap();
        assert_eq!((set.keys().len(), set.skipped()), (kept, offered - kept));
    }
}

#[test]
fn what_is_no_key_set() {
    let large = format!("{{\"keys\":[]{}}}", " ".repeat(PROVIDER_ANSWER_BYTES));
    for (status, body, expected) in [
        (200, "{}", JwkSetError::NotAKeySet),
        (200, "{\"keys\":{}}", JwkSetError::NotAKeySet),
        (200, "<html>", JwkSetError::NotAKeySet),
        (200, &large, JwkSetError::TooLarge),
        (500, "{\"keys\":[]}", JwkSetError::Status(500)),
        (304, "", JwkSetError::Status(304)),
    ] {
        let status = StatusCode::from_u16(status).unwrap();
        let found = read_jwk_set(status, body.as_bytes()).unwrap_err();
        assert_eq!(found, expected, "{status} {:.20}", body);
    }
}

#[test]
fn the_keys_are_asked_for_where_the_provider_keeps_them() {
    let mut provider = resolved(builder());
    assert_eq!(jwks_request(&provider).unwrap().uri(), "https://id.example/jwks");
    provider.jwks = None;
    assert!(jwks_request(&provider).is_none());
}
