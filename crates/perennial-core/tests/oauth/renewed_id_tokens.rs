//! OIDC Core §12.2: an ID token that comes with a renewal continues the session it was asked for, or is refused.

use http::StatusCode;
use perennial_core::id_token::{
    Expectation, IdTokenError, JwsAlgorithm, RenewedIdTokenError, check_renewed, read_unverified_claims, verify,
};
use perennial_core::metadata::read_jwk_set;
use perennial_core::secret::IdToken;
use serde_json::{Value, json};

use crate::keys::{P256, encoded, key_set, merge, sign_with_secret};
use crate::{NOW, builder, resolved};

/// Everything that can be wrong with a renewed token, before or after its signature.
#[derive(Debug, PartialEq)]
enum Refusal {
    Unverified(IdTokenError),
    Other(RenewedIdTokenError),
}

fn claims(members: Value) -> Value {
    let now = NOW.unix_seconds();
    let mut claims = json!({
        "iss": "https://id.example/",
        "sub": "User-1",
        "aud": ["my app", "project"],
        "azp": "my app",
        "iat": now - 3600,
        "exp": now + 300,
        "auth_time": now - 4000,
        "nonce": "n-1",
    });
    merge(&mut claims, members);
    claims
}

fn sign(claims: &Value) -> IdToken {
    P256.sign(JwsAlgorithm::Es256, &json!({"alg": "ES256", "kid": "k"}), claims)
}

fn judge(original: &Value, renewed: &IdToken) -> Result<(), Refusal> {
    let provider = resolved(builder());
    let jwk = P256.jwk(JwsAlgorithm::Es256, json!({"kid": "k"}));
    let keys = read_jwk_set(StatusCode::OK, &key_set(&[jwk])).unwrap();
    let expected = Expectation::of(&provider, NOW).unwrap();
    let original = read_unverified_claims(&sign(original)).unwrap();
    let renewed = verify(renewed, &expected, &keys).map_err(Refusal::Unverified)?;
    check_renewed(&original, &renewed).map_err(Refusal::Other)
}

#[test]
fn what_may_change_and_what_may_not() {
    use RenewedIdTokenError::*;
    let now = NOW.unix_seconds();
    let other = |error| Err(Refusal::Other(error));
    let unverified = |error| Err(Refusal::Unverified(error));
    for (members, expected) in [
        (json!({}), Ok(())),
        (json!({"iat": now, "exp": now + 3600}), Ok(())),
        (json!({"aud": ["project", "my app"]}), Ok(())),
        (json!({"nonce": "n-1"}), Ok(())),
        (json!({"nonce": null}), Ok(())),
        (json!({"auth_time": null}), Ok(())),
        (json!({"email": "new@example"}), Ok(())),
        (json!({"sub": "user-1"}), other(Subject)),
        (json!({"sub": "User-2"}), other(Subject)),
        (json!({"aud": "my app"}), other(Audience)),
        (json!({"aud": ["my app", "project", "more"]}), other(Audience)),
        (json!({"aud": ["my app"], "azp": null}), other(Audience)),
        (json!({"iat": now - 3660}), Ok(())),
        (json!({"iat": now - 3661}), other(IssuedAt)),
        (json!({"auth_time": now - 3999}), other(AuthTime)),
        (json!({"nonce": "n-2"}), other(Nonce)),
        (json!({"iss": "https://id.example"}), unverified(IdTokenError::Issuer)),
        (json!({"azp": "other"}), unverified(IdTokenError::AuthorizedParty)),
        (json!({"exp": now - 3000}), unverified(IdTokenError::Expired)),
        (json!({"at_hash": 5}), Ok(())), // judged only beside an access token
    ] {
        let renewed = sign(&claims(members.clone()));
        assert_eq!(judge(&claims(json!({})), &renewed), expected, "{members}");
    }
}

#[test]
fn what_the_original_lacked() {
    let alone = |members| {
        let mut alone = claims(json!({"aud": "my app", "azp": null, "nonce": null, "auth_time": null}));
        merge(&mut alone, members);
        alone
    };
    let azp = Err(Refusal::Other(RenewedIdTokenError::AuthorizedParty));
    for (members, expected) in [
        (json!({}), Ok(())),
        (json!({"azp": "my app"}), azp),
        // The one before may itself have been a renewed one that left these out.
        (json!({"nonce": "n-1"}), Ok(())),
        (json!({"auth_time": NOW.unix_seconds()}), Ok(())),
    ] {
        let renewed = sign(&alone(members.clone()));
        assert_eq!(judge(&alone(json!({})), &renewed), expected, "{members}");
    }
    let vanished = sign(&claims(json!({"aud": "my app", "azp": null})));
    let original = claims(json!({"aud": "my app"}));
    let expected = Err(Refusal::Other(RenewedIdTokenError::AuthorizedParty));
    assert_eq!(judge(&original, &vanished), expected);
}

#[test]
fn another_issuer_is_refused_even_where_the_rule_is_open() {
    let original = read_unverified_claims(&sign(&claims(json!({"iss": "https://id.example/a"})))).unwrap();
    let provider = resolved(builder());
    let jwk = P256.jwk(JwsAlgorithm::Es256, json!({"kid": "k"}));
    let keys = read_jwk_set(StatusCode::OK, &key_set(&[jwk])).unwrap();
    let expected = Expectation::of(&provider, NOW).unwrap();
    let renewed = verify(&sign(&claims(json!({}))), &expected, &keys).unwrap();
    assert_eq!(check_renewed(&original, &renewed), Err(RenewedIdTokenError::Issuer));
}

#[test]
fn a_renewal_is_no_occasion_to_lower_the_guard() {
    let unverified = |error| Err(Refusal::Unverified(error));
    let payload = claims(json!({}));
    let unsigned = format!("{}.{}.", encoded(&json!({"alg": "none"})), encoded(&payload));
    let hmac = sign_with_secret("s:cret+ä".as_bytes(), &json!({"alg": "HS256"}), &payload);
    let at = P256.sign(JwsAlgorithm::Es256, &json!({"alg": "ES256", "kid": "k", "typ": "at+jwt"}), &payload);
    let new_key = P256.sign(JwsAlgorithm::Es256, &json!({"alg": "ES256", "kid": "k2"}), &payload);
    let kid = Some("k2".to_owned());
    for (token, expected) in [
        (IdToken::new(unsigned), unverified(IdTokenError::Algorithm)),
        (hmac, unverified(IdTokenError::Algorithm)),
        (at, unverified(IdTokenError::NotAnIdToken)),
        // The first sight of a new key: the driver fetches the set once more.
        (new_key, unverified(IdTokenError::UnknownKid { kid })),
    ] {
        assert_eq!(judge(&payload, &token), expected);
    }
}
