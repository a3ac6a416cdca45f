//! OIDC Core §3.1.3.7: one row per defect that the conformance suite names, and some that it does not.

use std::time::Duration;

use http::StatusCode;
use perennial_core::id_token::{
    Expectation, ExpectedNonce, IdTokenError, JwsAlgorithm, read_unverified_claims, verify,
};
use perennial_core::limits::{ID_TOKEN_CHARS, ID_TOKEN_CLOCK_SKEW};
use perennial_core::metadata::{JwkSet, read_jwk_set};
use perennial_core::provider::ResolvedProvider;
use perennial_core::secret::{AccessToken, IdToken, Nonce};
use serde_json::{Value, json};

use crate::keys::{ED25519, OTHER_RSA, P256, P384, RSA, encoded, key_set, merge, sign_with_secret};
use crate::{NOW, builder, resolved};

use JwsAlgorithm::{EdDsa, Es256, Es384, Hs256, Ps256, Rs256};

fn keys(keys: &[Value]) -> JwkSet {
    read_jwk_set(StatusCode::OK, &key_set(keys)).unwrap()
}

fn claims(members: Value) -> Value {
    let now = NOW.unix_seconds();
    let mut claims = json!({
        "iss": "https://id.example/",
        "sub": "user-1",
        "aud": "my app",
        "iat": now,
        "exp": now + 300,
        "nonce": "n-1",
    });
    merge(&mut claims, members);
    claims
}

fn rs256(members: Value) -> IdToken {
    RSA.sign(Rs256, &json!({"alg": "RS256", "kid": "k"}), &claims(members))
}

fn judge(provider: &ResolvedProvider, token: &IdToken, keys: &JwkSet) -> Result<(), IdTokenError> {
    let expected = Expectation {
        nonce: ExpectedNonce::Sent(&Nonce::new("n-1")),
        access_token: Some(&AccessToken::new("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y")),
        ..Expectation::of(provider, NOW).unwrap()
    };
    verify(token, &expected, keys).map(|_| ())
}

#[test]
fn claims_are_judged_one_by_one() {
    use IdTokenError::*;
    let now = NOW.unix_seconds();
    let skew = i64::try_from(ID_TOKEN_CLOCK_SKEW.as_secs()).unwrap();
    let set = keys(&[RSA.jwk(Rs256, json!({"kid": "k"}))]);
    let provider = resolved(builder());
    for (members, expected) in [
        (json!({}), Ok(())),
        (json!({"iss": "https://id.example"}), Err(Issuer)),
        (json!({"iss": "https://evil.example/"}), Err(Issuer)),
        (json!({"iss": null}), Err(MissingClaim("iss"))),
        (json!({"sub": null}), Err(MissingClaim("sub"))),
        (json!({"sub": ""}), Err(MissingClaim("sub"))),
        (json!({"sub": 7}), Err(MissingClaim("sub"))),
        (json!({"aud": "other"}), Err(Audience)),
        (json!({"aud": []}), Err(Audience)),
        (json!({"aud": null}), Err(MissingClaim("aud"))),
        (json!({"aud": [7]}), Err(MissingClaim("aud"))),
        (json!({"aud": ["my app"]}), Ok(())),
        (json!({"aud": ["my app", "other"]}), Err(AuthorizedParty)),
        (json!({"aud": ["my app", "other"], "azp": "my app"}), Ok(())),
        (json!({"aud": ["my app", "other"], "azp": "other"}), Err(AuthorizedParty)),
        (json!({"azp": "other"}), Err(AuthorizedParty)),
        (json!({"exp": null}), Err(MissingClaim("exp"))),
        (json!({"exp": "soon"}), Err(MissingClaim("exp"))),
        (json!({"exp": now - skew + 1}), Ok(())),
        (json!({"exp": now - skew}), Err(Expired)),
        (json!({"exp": 0}), Err(Expired)),
        (json!({"exp": now as f64 + 0.5}), Ok(())),
        (json!({"exp": 1e300}), Ok(())),
        (json!({"iat": null}), Err(MissingClaim("iat"))),
        (json!({"iat": now + skew}), Ok(())),
        (json!({"iat": now + skew + 1}), Err(NotYetValid)),
        (json!({"nbf": now + skew}), Ok(())),
        (json!({"nbf": now + skew + 1}), Err(NotYetValid)),
        (json!({"nonce": null}), Err(Nonce)),
        (json!({"nonce": ""}), Err(Nonce)),
        (json!({"nonce": "n-2"}), Err(Nonce)),
        (json!({"nonce": ["n-1"]}), Err(MissingClaim("nonce"))),
        (json!({"at_hash": "77QmUPtjPfzWtF2AnpK9RQ"}), Ok(())),
        (json!({"at_hash": "77QmUPtjPfzWtF2AnpK9RR"}), Err(AtHash)),
        (json!({"at_hash": ""}), Err(AtHash)),
        (json!({"at_hash": 1}), Err(AtHash)),
        (json!({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}), Err(NotAnIdToken)),
    ] {
        assert_eq!(judge(&provider, &rs256(members.clone()), &set), expected, "{members}");
    }
}

#[test]
fn headers_are_judged_before_anything_is_verified() {
    use IdTokenError::*;
    let set = keys(&[RSA.jwk(Rs256, json!({"kid": "k"}))]);
    let provider = resolved(builder());
    for (header, expected) in [
        (json!({"alg": "RS256", "kid": "k", "typ": "JWT"}), Ok(())),
        (json!({"alg": "RS256", "kid": "k", "typ": "jwt"}), Ok(())),
        (json!({"alg": "RS256", "kid": "k", "typ": "logout+jwt"}), Err(NotAnIdToken)),
        (json!({"alg": "RS256", "kid": "k", "typ": "at+JWT"}), Err(NotAnIdToken)),
        (json!({"alg": "RS256", "kid": "k", "typ": "application/at+jwt"}), Err(NotAnIdToken)),
        (json!({"alg": "RS256", "kid": "k", "crit": ["b64"], "b64": false}), Err(Malformed)),
        (json!({"alg": "none"}), Err(Algorithm)),
        (json!({"alg": "None"}), Err(Algorithm)),
        (json!({"alg": "HS256", "kid": "k"}), Err(Algorithm)),
        (json!({"alg": "RS1", "kid": "k"}), Err(Algorithm)),
        (json!({"kid": "k"}), Err(Malformed)),
        (json!({"alg": "RS256", "kid": "new"}), Err(UnknownKid { kid: Some("new".into()) })),
        (json!({"alg": "RS512", "kid": "k"}), Err(Signature)),
        (json!({"alg": "ES256", "kid": "k"}), Err(Signature)),
    ] {
        let token = RSA.sign(Rs256, &header, &claims(json!({})));
        assert_eq!(judge(&provider, &token, &set), expected, "{header}");
    }
}

#[test]
fn what_is_no_jws_of_an_object() {
    let set = keys(&[RSA.jwk(Rs256, json!({"kid": "k"}))]);
    let provider = resolved(builder());
    let good = rs256(json!({}));
    let (signed, signature) = good.expose_secret().rsplit_once('.').unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    let long = rs256(json!({"x": "x".repeat(ID_TOKEN_CHARS)}));
    for (token, expected) in [
        ("", IdTokenError::Malformed),
        ("a.b", IdTokenError::Malformed),
        ("..", IdTokenError::Malformed),
        (&format!("{header}.{payload}.{signature}.{signature}.{signature}"), IdTokenError::Malformed),
        (&format!("{header}=.{payload}.{signature}"), IdTokenError::Malformed),
        (&format!("{header}.{}.{signature}", encoded(&json!([]))), IdTokenError::Malformed),
        (&format!("{}.{payload}.{signature}", encoded(&json!("x"))), IdTokenError::Malformed),
        (long.expose_secret(), IdTokenError::Malformed),
        (&format!("{signed}."), IdTokenError::Signature),
        (&format!("{signed}.!"), IdTokenError::Signature),
        (&format!("{header}.{}.{signature}", encoded(&claims(json!({"sub": "evil"})))), IdTokenError::Signature),
        (&format!("{}.{payload}.", encoded(&json!({"alg": "none"}))), IdTokenError::Algorithm),
    ] {
        let found = judge(&provider, &IdToken::new(token), &set);
        assert_eq!(found, Err(expected), "{token:.60}");
    }
}

#[test]
fn every_asymmetric_algorithm_verifies_with_its_own_kind_of_key() {
    let set = keys(&[
        RSA.jwk(Rs256, json!({"kid": "rsa"})),
        P256.jwk(Es256, json!({"kid": "p256"})),
        P384.jwk(Es384, json!({"kid": "p384"})),
        ED25519.jwk(EdDsa, json!({"kid": "ed"})),
    ]);
    let provider = resolved(builder());
    for (key, alg, kid) in [
        (&*RSA, Rs256, "rsa"),
        (&*RSA, JwsAlgorithm::Rs384, "rsa"),
        (&*RSA, JwsAlgorithm::Rs512, "rsa"),
        (&*RSA, Ps256, "rsa"),
        (&*P256, Es256, "p256"),
        (&*P384, Es384, "p384"),
        (&*ED25519, EdDsa, "ed"),
    ] {
        let sign = |kid: &str| {
            let header = json!({"alg": alg.as_str(), "kid": kid});
            key.sign(alg, &header, &claims(json!({})))
        };
        assert_eq!(judge(&provider, &sign(kid), &set), Ok(()), "{alg:?}");
        for other in ["rsa", "p256", "p384", "ed"] {
            if other != kid {
                let found = judge(&provider, &sign(other), &set);
                assert_eq!(found, Err(IdTokenError::Signature), "{alg:?} under {other}");
            }
        }
    }
}

#[test]
fn at_hash_is_cut_from_the_algorithms_own_hash() {
    use base64::Engine;
    let provider = resolved(builder());
    let access_token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
    for (key, alg, digest) in [
        (&*P256, Es256, &aws_lc_rs::digest::SHA256),
        (&*P384, Es384, &aws_lc_rs::digest::SHA384),
        (&*ED25519, EdDsa, &aws_lc_rs::digest::SHA512),
    ] {
        let set = keys(&[key.jwk(alg, json!({}))]);
        let digest = aws_lc_rs::digest::digest(digest, access_token.as_bytes());
        let half = &digest.as_ref()[..digest.as_ref().len() / 2];
        let at_hash = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(half);
        let header = json!({"alg": alg.as_str()});
        let right = key.sign(alg, &header, &claims(json!({ "at_hash": at_hash })));
        assert_eq!(judge(&provider, &right, &set), Ok(()), "{alg:?}");
        let wrong = key.sign(alg, &header, &claims(json!({ "at_hash": &at_hash[1..] })));
        assert_eq!(judge(&provider, &wrong, &set), Err(IdTokenError::AtHash), "{alg:?}");
    }
}

#[test]
fn keys_are_found_by_name_or_by_trying() {
    use IdTokenError::{Signature, UnknownKid};
    let provider = resolved(builder());
    let ours = |members| RSA.jwk(Rs256, members);
    let other = |members| OTHER_RSA.jwk(Rs256, members);
    let unknown = |kid: Option<&str>| Err(UnknownKid { kid: kid.map(str::to_owned) });
    type Case<'a> = (Option<&'a str>, Vec<Value>, Result<(), IdTokenError>);
    let cases: Vec<Case<'_>> = vec![
        (None, vec![ours(json!({}))], Ok(())),
        (None, vec![ours(json!({"kid": "k"}))], Ok(())),
        (None, vec![other(json!({"kid": "a"})), ours(json!({"kid": "b"}))], Ok(())),
        (None, vec![P256.jwk(Es256, json!({})), other(json!({})), ours(json!({}))], Ok(())),
        (None, vec![other(json!({}))], unknown(None)),
        (None, vec![], unknown(None)),
        (Some("k"), vec![other(json!({"kid": "a"})), ours(json!({"kid": "k"}))], Ok(())),
        (Some("k"), vec![other(json!({"kid": "k"})), ours(json!({"kid": "k"}))], Ok(())),
        (Some("k"), vec![other(json!({"kid": "k"})), ours(json!({"kid": "b"}))], Err(Signature)),
        (Some("k"), vec![ours(json!({"kid": "K"}))], unknown(Some("k"))),
        (Some("k"), vec![ours(json!({}))], Ok(())),
        (Some("k"), vec![], unknown(Some("k"))),
        // A key made for one algorithm is good for no other.
        (Some("k"), vec![ours(json!({"kid": "k", "alg": "RS512"}))], Err(Signature)),
        (Some("k"), vec![ours(json!({"kid": "k", "use": "enc"}))], unknown(Some("k"))),
    ];
    for (number, (kid, set, expected)) in cases.into_iter().enumerate() {
        let mut header = json!({"alg": "RS256"});
        merge(&mut header, json!({ "kid": kid }));
        let token = RSA.sign(Rs256, &header, &claims(json!({})));
        assert_eq!(judge(&provider, &token, &keys(&set)), expected, "case {number}");
    }
}

#[test]
fn a_shared_secret_counts_only_where_it_was_registered() {
    let header = json!({"alg": "HS256"});
    let right = sign_with_secret("s:cret+ä".as_bytes(), &header, &claims(json!({})));
    let wrong = sign_with_secret(b"other", &header, &claims(json!({})));
    let rsa_as_secret = {
        let jwk = RSA.jwk(Rs256, json!({}));
        sign_with_secret(jwk["n"].as_str().unwrap().as_bytes(), &header, &claims(json!({})))
    };
    let set = keys(&[RSA.jwk(Rs256, json!({}))]);
    let registered = resolved(builder().id_token_algs(vec![Hs256]));
    assert_eq!(judge(&registered, &right, &set), Ok(()));
    assert_eq!(judge(&registered, &wrong, &set), Err(IdTokenError::Signature));
    assert_eq!(judge(&registered, &rs256(json!({})), &set), Err(IdTokenError::Algorithm));
    let by_default = resolved(builder());
    for token in [&right, &rsa_as_secret] {
        assert_eq!(judge(&by_default, token, &set), Err(IdTokenError::Algorithm));
    }
}

#[test]
fn only_the_registered_algorithm_is_accepted() {
    let set = keys(&[RSA.jwk(Rs256, json!({})), P256.jwk(Es256, json!({}))]);
    let provider = resolved(builder().id_token_algs(vec![Es256]));
    let es256 = P256.sign(Es256, &json!({"alg": "ES256"}), &claims(json!({})));
    assert_eq!(judge(&provider, &es256, &set), Ok(()));
    let found = judge(&provider, &rs256(json!({})), &set);
    assert_eq!(found, Err(IdTokenError::Algorithm));
}

#[test]
fn a_max_age_that_was_asked_for_is_held_to() {
    let now = NOW.unix_seconds();
    let set = keys(&[RSA.jwk(Rs256, json!({}))]);
    let provider = resolved(builder());
    let expected = Expectation { max_age: Some(Duration::from_secs(100)), ..Expectation::of(&provider, NOW).unwrap() };
    for (members, good) in [
        (json!({"auth_time": now - 100}), true),
        (json!({"auth_time": now - 160}), true),
        (json!({"auth_time": now - 161}), false),
        (json!({}), false),
    ] {
        let found = verify(&rs256(members.clone()), &expected, &set).map(|_| ());
        let wanted = match good {
            true => Ok(()),
            false => Err(IdTokenError::AuthTime),
        };
        assert_eq!(found, wanted, "{members}");
    }
}

#[test]
fn verified_claims_are_those_of_the_token() {
    let set = keys(&[RSA.jwk(Rs256, json!({}))]);
    let provider = resolved(builder());
    let expected = Expectation::of(&provider, NOW).unwrap();
    let token = rs256(json!({"sid": "s", "email": "a@b.example", "azp": "my app"}));
    let verified = verify(&token, &expected, &set).unwrap();
    let claims = verified.claims();
    assert_eq!(claims.iss.as_str(), "https://id.example/");
    assert_eq!((claims.sub.as_str(), claims.sid.as_deref()), ("user-1", Some("s")));
    assert_eq!((&claims.aud[..], claims.iat), (&["my app".to_owned()][..], NOW));
    assert_eq!(claims.exp, NOW + Duration::from_secs(300));
    assert_eq!(claims.all["email"], "a@b.example");
    assert_eq!(&read_unverified_claims(&token).unwrap(), claims);
    assert!(read_unverified_claims(&IdToken::new("x")).is_err());
}
