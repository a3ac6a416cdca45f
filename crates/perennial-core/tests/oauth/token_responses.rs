//! `authorization server says → we keep`: one row per way of writing tokens down (RFC 6749 §5.1 and what is done to it).

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use perennial_core::limits::{REFRESH_TOKEN_LIFETIME_MAX, TOKEN_LIFETIME_MAX};
use perennial_core::provider::Provider;
use perennial_core::secret::RefreshToken;
use perennial_core::token::{TokenExchange, TokenFailure, TokenResponse, Verdict, read_token_response};

use crate::{NOW, preset};

fn read(provider: &Provider, body: &str) -> Result<TokenResponse, TokenFailure> {
    let exchange = TokenExchange {
        provider,
        presented: Some(&RefreshToken::new("old-rt")),
        started: NOW,
        answered: NOW + Duration::from_secs(9),
    };
    read_token_response(&exchange, StatusCode::OK, &HeaderMap::new(), body.as_bytes())
}

fn read_member(provider: &Provider, member: &str) -> TokenResponse {
    let body = format!(r#"{{"access_token":"at","token_type":"Bearer"{member}}}"#);
    read(provider, &body).expect(&body)
}

#[test]
fn every_form_of_expires_in_has_a_rule() {
    let provider = preset("oidc");
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    for (value, expected) in [
        ("3600", seconds(3600)),
        ("\"3600\"", seconds(3600)),
        ("\" 3600 \"", seconds(3600)),
        ("3599.9", seconds(3599)),
        ("\"3599.9\"", seconds(3599)),
        ("3.6e3", seconds(3600)),
        ("1", seconds(1)),
        ("31536000", Some(TOKEN_LIFETIME_MAX)),
        ("31536001", Some(TOKEN_LIFETIME_MAX)),
        ("99999999999999999999999", Some(TOKEN_LIFETIME_MAX)),
        ("1e300", Some(TOKEN_LIFETIME_MAX)),
        ("\"inf\"", None),
        ("\"NaN\"", None),
        ("0", None),
        ("0.5", None),
        ("-1", None),
        ("-1e300", None),
        ("null", None),
        ("true", None),
        ("\"\"", None),
        ("\"soon\"", None),
        ("[3600]", None),
        ("{}", None),
    ] {
        let response = read_member(&provider, &format!(r#","expires_in":{value}"#));
        assert_eq!(response.expires_in, expected, "{value}");
        // The nine seconds the answer took are the token's, not ours.
        let expires_at = expected.map(|lifetime| NOW + lifetime);
        assert_eq!(response.expires_at, expires_at, "{value}");
    }
}

#[test]
fn without_expires_in_the_configured_lifetime_counts() {
    assert_eq!(read_member(&preset("oidc"), "").expires_at, None);
    let gitlab = read_member(&preset("gitlab"), "");
    assert_eq!((gitlab.expires_in, gitlab.requested_at), (None, NOW));
    assert_eq!(gitlab.expires_at, Some(NOW + Duration::from_secs(7200)));
}

#[test]
fn a_refresh_token_is_new_only_if_it_is_another() {
    let long = "r".repeat(8 << 10);
    for (member, expected) in [
        ("".to_owned(), None),
        (r#","refresh_token":"""#.to_owned(), None),
        (r#","refresh_token":null"#.to_owned(), None),
        (r#","refresh_token":"old-rt""#.to_owned(), None),
        (r#","refresh_token":"new-rt""#.to_owned(), Some("new-rt")),
        (format!(r#","refresh_token":"{long}""#), Some(&*long)),
    ] {
        let response = read_member(&preset("oidc"), &member);
        assert_eq!(response.refresh_token, expected.map(RefreshToken::new), "{member:.60}");
    }
}

#[test]
fn the_refresh_tokens_end_is_known_by_five_names() {
    let seconds = |seconds| Some(NOW + Duration::from_secs(seconds));
    for (member, expected) in [
        (r#","refresh_expires_in":1800"#, seconds(1800)),
        // Keycloak's offline tokens: never, not now.
        (r#","refresh_expires_in":0"#, None),
        (r#","refresh_token_expires_in":"15897600""#, seconds(15_897_600)),
        (r#","x_refresh_token_expires_in":8640000"#, seconds(8_640_000)),
        (r#","refresh_token_timeout":60"#, seconds(60)),
        (r#","authorization_expires_in":90"#, seconds(90)),
        (r#","refresh_token_timeout":60,"authorization_expires_in":30"#, seconds(30)),
        (r#","refresh_expires_in":9e18"#, Some(NOW + REFRESH_TOKEN_LIFETIME_MAX)),
        (r#","refresh_expires_in":-5"#, None),
        ("", None),
    ] {
        let response = read_member(&preset("oidc"), member);
        assert_eq!(response.refresh_token_expires_at, expected, "{member}");
    }
}

#[test]
fn a_scope_comes_as_text_as_a_list_or_with_commas() {
    for (id, member, expected) in [
        ("oidc", r#","scope":"openid email""#, Some("openid email")),
        ("oidc", r#","scope":"a,b c""#, Some("a,b c")),
        ("oidc", r#","scope":["a","b"]"#, Some("a b")),
        ("github", r#","scope":"repo,gist""#, Some("repo gist")),
        ("github", r#","scope":"""#, None),
        ("oidc", r#","scope":null"#, None),
        ("oidc", "", None),
    ] {
        let response = read_member(&preset(id), member);
        assert_eq!(response.scope.as_ref().map(|scope| scope.as_str()), expected, "{id} {member}");
    }
}

#[test]
fn the_type_is_bearer_in_any_case_and_nothing_else() {
    let provider = preset("oidc");
    for token_type in [r#""bearer""#, r#""BEARER""#, r#""Bearer""#, r#""""#, "null"] {
        let body = format!(r#"{{"access_token":"at","token_type":{token_type}}}"#);
        assert!(read(&provider, &body).is_ok(), "{token_type}");
    }
    for token_type in ["DPoP", "mac", "N_A", "bearer "] {
        let body = format!(r#"{{"access_token":"at","token_type":"{token_type}","refresh_token":"new-rt"}}"#);
        let failure = read(&provider, &body).unwrap_err();
        assert_eq!(failure.verdict, Verdict::Misconfigured, "{token_type}");
        assert_eq!(failure.salvaged, Some(RefreshToken::new("new-rt")), "{token_type}");
    }
}

#[test]
fn a_token_that_no_header_can_carry_is_not_used() {
    let body = r#"{"access_token":"a\r\nX-Injected: 1","token_type":"Bearer"}"#;
    let failure = read(&preset("oidc"), body).unwrap_err();
    assert_eq!(failure.verdict, Verdict::Misconfigured);
}

#[test]
fn a_form_is_read_like_json() {
    let body = "access_token=ghu_1&expires_in=28800&refresh_token=ghr_2&\
                refresh_token_expires_in=15811200&scope=&token_type=bearer";
    let response = read(&preset("github"), body).unwrap();
    assert_eq!(response.access_token.expose_secret(), "ghu_1");
    assert_eq!(response.expires_in, Some(Duration::from_secs(28_800)));
    assert_eq!(response.refresh_token, Some(RefreshToken::new("ghr_2")));
    assert_eq!(response.refresh_token_expires_at, Some(NOW + Duration::from_secs(15_811_200)));
}

#[test]
fn unknown_members_are_kept_and_not_printed() {
    let response = read_member(
        &preset("slack"),
        r#","ok":true,"id_token":"e.e.e","authed_user":{"access_token":"planted-secret"}"#,
    );
    assert_eq!(response.extra["authed_user"]["access_token"], "planted-secret");
    assert!(!response.extra.contains_key("access_token"));
    assert_eq!(response.id_token.as_ref().unwrap().expose_secret(), "e.e.e");
    let printed = format!("{response:?}");
    assert!(!printed.contains("planted-secret") && !printed.contains("e.e.e"), "{printed}");
    assert!(printed.contains("authed_user"), "{printed}");
}
