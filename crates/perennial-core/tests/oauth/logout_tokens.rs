//! OIDC Back-Channel Logout 1.0 §2.4, §2.6: one row per defect.

use http::StatusCode;
use perennial_core::id_token::{
    Expectation, IdTokenError, JwsAlgorithm, LoggedOut, LogoutTokenError, logout_address, verify, verify_logout,
};
use perennial_core::limits::ID_TOKEN_CLOCK_SKEW;
use perennial_core::metadata::{JwkSet, read_jwk_set};
use perennial_core::secret::{IdToken, LogoutToken};
use serde_json::{Value, json};

use crate::keys::{OTHER_RSA, RSA, encoded, key_set, merge};
use crate::{NOW, builder, resolved};

use JwsAlgorithm::Rs256;

fn keys() -> JwkSet {
    read_jwk_set(StatusCode::OK, &key_set(&[RSA.jwk(Rs256, json!({"kid": "k"}))])).unwrap()
}

fn claims(members: Value) -> Value {
    let now = NOW.unix_seconds();
    let mut claims = json!({
        "iss": "https://id.example/",
        "aud": "my app",
        "sub": "user-1",
        "sid": "sid-1",
        "iat": now,
        "exp": now + 120,
        "jti": "j-1",
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
    });
    merge(&mut claims, members);
    claims
}

fn header(members: Value) -> Value {
    let mut header = json!({"alg": "RS256", "kid": "k", "typ": "logout+jwt"});
    merge(&mut header, members);
    header
}

fn judge(token: &IdToken) -> Result<LoggedOut, LogoutTokenError> {
    let provider = resolved(builder());
    let expected = Expectation::of(&provider, NOW).unwrap();
    let token = LogoutToken::new(token.expose_secret());
    verify_logout(&token, &expected, &keys()).map(|claims| {
        assert_eq!((claims.jti.as_str(), claims.expires_at > NOW - ID_TOKEN_CLOCK_SKEW), ("j-1", true));
        claims.whom
    })
}

#[test]
fn claims_are_judged_one_by_one() {
    use LogoutTokenError::{NoLogoutEvent, Nobody, Nonce, Token};
    let now = NOW.unix_seconds();
    let skew = i64::try_from(ID_TOKEN_CLOCK_SKEW.as_secs()).unwrap();
    let session = || Ok(LoggedOut::Session("sid-1".into()));
    let missing = |name| Err(Token(IdTokenError::MissingClaim(name)));
    for (members, expected) in [
        (json!({}), session()),
        (json!({"sub": null}), session()),
        (json!({"sid": null}), Ok(LoggedOut::User("user-1".into()))),
        (json!({"sid": ""}), Ok(LoggedOut::User("user-1".into()))),
        (json!({"sid": null, "sub": null}), Err(Nobody)),
        (json!({"sid": 7}), missing("sid")),
        (json!({"iss": "https://id.example"}), Err(Token(IdTokenError::Issuer))),
        (json!({"iss": null}), missing("iss")),
        (json!({"aud": "other"}), Err(Token(IdTokenError::Audience))),
        (json!({"aud": ["other", "my app"]}), session()),
        (json!({"aud": null}), missing("aud")),
        (json!({"iat": null}), missing("iat")),
        (json!({"iat": now + skew}), session()),
        (json!({"iat": now + skew + 1}), Err(Token(IdTokenError::NotYetValid))),
        (json!({"exp": null}), missing("exp")),
        (json!({"exp": now - skew + 1}), session()),
        (json!({"exp": now - skew}), Err(Token(IdTokenError::Expired))),
        (json!({"jti": null}), missing("jti")),
        (json!({"events": null}), Err(NoLogoutEvent)),
        (json!({"events": {"http://schemas.openid.net/event/other": {}}}), Err(NoLogoutEvent)),
        (json!({"events": {"http://schemas.openid.net/event/backchannel-logout": true}}), Err(NoLogoutEvent)),
        (json!({"events": ["http://schemas.openid.net/event/backchannel-logout"]}), Err(NoLogoutEvent)),
        (json!({"nonce": "n"}), Err(Nonce)),
    ] {
        let token = RSA.sign(Rs256, &header(json!({})), &claims(members.clone()));
        assert_eq!(judge(&token), expected, "{members}");
    }
}

#[test]
fn header_and_signature_are_judged_as_of_an_id_token() {
    use IdTokenError::{Algorithm, Malformed, NotAnIdToken, Signature, UnknownKid};
    let unknown = || UnknownKid { kid: Some("x".into()) };
    for (members, expected) in [
        (json!({}), None),
        (json!({"typ": null}), None),
        (json!({"typ": "JWT"}), None),
        (json!({"typ": "application/LOGOUT+jwt"}), None),
        (json!({"typ": "at+jwt"}), Some(NotAnIdToken)),
        (json!({"typ": "not-logout+jwt"}), Some(NotAnIdToken)),
        (json!({"crit": ["x"]}), Some(Malformed)),
        (json!({"kid": "x"}), Some(unknown())),
    ] {
        let token = RSA.sign(Rs256, &header(members.clone()), &claims(json!({})));
        let expected = expected.map(LogoutTokenError::Token);
        assert_eq!(judge(&token).err(), expected, "{members}");
    }
    let forged = OTHER_RSA.sign(Rs256, &header(json!({})), &claims(json!({})));
    assert_eq!(judge(&forged), Err(LogoutTokenError::Token(Signature)));
    let unsigned = format!("{}.{}.", encoded(&header(json!({"alg": "none"}))), encoded(&claims(json!({}))));
    assert_eq!(judge(&IdToken::new(unsigned)), Err(LogoutTokenError::Token(Algorithm)));
    assert_eq!(judge(&IdToken::new("nonsense")), Err(LogoutTokenError::Token(Malformed)));
}

/// RFC 8725 §3.11, and the other way round: neither is of use as the other.
#[test]
fn an_id_token_is_no_logout_token_and_a_logout_token_no_id_token() {
    let provider = resolved(builder());
    let expected = Expectation::of(&provider, NOW).unwrap();
    for typ in ["JWT", "logout+jwt"] {
        let token = RSA.sign(Rs256, &header(json!({"typ": typ})), &claims(json!({})));
        assert_eq!(verify(&token, &expected, &keys()), Err(IdTokenError::NotAnIdToken), "{typ}");
    }
    let id_token = RSA.sign(Rs256, &json!({"alg": "RS256", "kid": "k"}), &claims(json!({"events": null})));
    assert!(verify(&id_token, &expected, &keys()).is_ok());
    assert_eq!(judge(&id_token), Err(LogoutTokenError::NoLogoutEvent));
}

#[test]
fn for_whom_it_is_can_be_read_before_it_is_believed() {
    let token = OTHER_RSA.sign(Rs256, &header(json!({})), &claims(json!({"tid": "t", "aud": ["a", "b"]})));
    let address = logout_address(&LogoutToken::new(token.expose_secret())).unwrap();
    assert_eq!((address.issuer.as_str(), address.tenant.as_deref()), ("https://id.example/", Some("t")));
    assert_eq!(address.audiences, ["a", "b"]);
    assert!(logout_address(&LogoutToken::new("nonsense")).is_err());
}
