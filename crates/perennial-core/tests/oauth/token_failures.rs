//! `authorization server refuses → verdict`: the error classes, and every shape in which a known provider says that a
//! refresh token is bad.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use perennial_core::limits::{CLAIMS_CHALLENGE_CHARS, PROVIDER_ANSWER_BYTES};
use perennial_core::provider::Provider;
use perennial_core::record::Lost;
use perennial_core::secret::RefreshToken;
use perennial_core::token::{TokenExchange, TokenFailure, Verdict, read_token_response};

use crate::{NOW, preset};

const BUSY: Verdict = Verdict::NotProcessed { retry_after: None };
const REAUTHENTICATE: Verdict = Verdict::Reauthenticate { claims: None };

fn judge(provider: &Provider, status: u16, headers: &HeaderMap, body: &[u8]) -> TokenFailure {
    let exchange =
        TokenExchange { provider, presented: Some(&RefreshToken::new("old-rt")), started: NOW, answered: NOW };
    let status = StatusCode::from_u16(status).unwrap();
    read_token_response(&exchange, status, headers, body).expect_err("a failure")
}

fn check(rows: &[(&str, u16, &str, Verdict)]) {
    for (id, status, body, expected) in rows {
        let failure = judge(&preset(id), *status, &HeaderMap::new(), body.as_bytes());
        assert_eq!(&failure.verdict, expected, "{id}: HTTP {status} {body}");
        assert_eq!(failure.status, Some(*status), "{id}: {body}");
    }
}

#[test]
fn codes_mean_the_same_at_every_status() {
    use Verdict::*;
    for (code, expected) in [
        ("invalid_grant", Rejected),
        ("bad_refresh_token", Rejected),
        ("BAD_REFRESH_TOKEN", Rejected),
        ("invalid_refresh_token", Rejected),
        ("refresh_token_reused", Rejected),
        ("invalid_client", Misconfigured),
        ("unauthorized_client", Misconfigured),
        ("unsupported_grant_type", Misconfigured),
        ("incorrect_client_credentials", Misconfigured),
        ("invalid_scope", Misconfigured),
        ("invalid_target", Misconfigured),
        ("bad_client_secret", Misconfigured),
        ("interaction_required", REAUTHENTICATE),
        ("login_required", REAUTHENTICATE),
        ("consent_required", REAUTHENTICATE),
        ("mfa_required", REAUTHENTICATE),
        ("use_dpop_nonce", BUSY),
        ("temporarily_unavailable", BUSY),
        ("invalid_request", Ambiguous),
        ("access_denied", Ambiguous),
        ("server_error", InDoubt),
        ("fatal_error", InDoubt),
        ("a_code_nobody_registered", InDoubt),
    ] {
        for status in [200, 400, 401, 403, 500] {
            let json = format!(r#"{{"error":"{code}","error_description":"no"}}"#);
            let form = format!("error={code}&error_description=no");
            for body in [json, form] {
                check(&[("oidc", status, &body, expected.clone())]);
            }
        }
    }
}

#[test]
fn without_a_code_the_status_decides() {
    use Verdict::*;
    check(&[
        ("oidc", 200, "", InDoubt),
        ("oidc", 200, "{}", InDoubt),
        ("oidc", 200, r#"{"access_token":""}"#, InDoubt),
        ("oidc", 200, r#"{"access_token":5}"#, InDoubt),
        ("oidc", 200, r#"{"access_token":"at","#, InDoubt),
        ("oidc", 200, r#"["access_token"]"#, InDoubt),
        // A captive portal, whose links look like a form.
        ("oidc", 200, "<html><a href=\"/?a=b&error=invalid_grant&c=d\">", InDoubt),
        ("oidc", 200, "<html><a href=\"/?a=b&access_token=x&c=d\">", InDoubt),
        ("oidc", 204, "", InDoubt),
        ("oidc", 301, "", Misconfigured),
        ("oidc", 307, "", Misconfigured),
        ("oidc", 400, r#"{"message":"no"}"#, Ambiguous),
        ("oidc", 400, "<html>", Misconfigured),
        ("oidc", 401, "", Misconfigured),
        ("oidc", 403, "<html>firewall</html>", Misconfigured),
        ("oidc", 404, "", Misconfigured),
        ("oidc", 405, "", Misconfigured),
        ("oidc", 413, "", Misconfigured),
        ("oidc", 408, "", BUSY),
        ("oidc", 425, "", BUSY),
        ("oidc", 429, "", BUSY),
        ("oidc", 429, r#"{"error":"too_many_requests"}"#, BUSY),
        ("oidc", 429, r#"{"error":"invalid_request"}"#, BUSY),
        ("oidc", 500, "", InDoubt),
        ("oidc", 500, r#"{"message":"oops"}"#, InDoubt),
        ("oidc", 502, "<html>", InDoubt),
        ("oidc", 503, "", InDoubt),
        ("oidc", 504, "", InDoubt),
        ("oidc", 599, "", InDoubt),
        ("oidc", 400, r#"{"error":{"code":"invalid_grant","message":"no"}}"#, Rejected),
        ("oidc", 400, r#"{"error":{"message":"no"}}"#, InDoubt),
        ("oidc", 400, r#"{"error":true}"#, InDoubt),
        ("oidc", 400, r#"{"error":""}"#, Ambiguous),
        ("oidc", 400, r#"{"error":null}"#, Ambiguous),
    ]);
}

#[test]
fn each_providers_way_to_say_that_a_refresh_token_is_bad() {
    use Verdict::*;
    let dex_claimed = r#"{"error":"invalid_request","error_description":"Refresh token is invalid or has already been claimed by another client."}"#;
    let dex_expired = r#"{"error":"invalid_request","error_description":"Refresh token expired."}"#;
    let zitadel = r#"{"error":"invalid_request","error_description":"Errors.OIDCSession.RefreshTokenInvalid"}"#;
    let discord = r#"{"error":"invalid_request","error_description":"Invalid \"refresh_token\" in request."}"#;
    let x = r#"{"error":"invalid_request","error_description":"Value passed for the token was invalid."}"#;
    let hydra = r#"{"error":"invalid_request","error_description":"Failed to refresh token because of multiple concurrent requests using the same token. Please retry the request."}"#;
    let salesforce = r#"{"error":"invalid_grant","error_description":"token request is already being processed"}"#;
    let entra_throttled =
        r#"{"error":"invalid_grant","error_description":"AADSTS90055: tenant throttled","error_codes":[90055]}"#;
    check(&[
        (
            "auth0",
            403,
            r#"{"error":"invalid_grant","error_description":"Unknown or invalid refresh token."}"#,
            Rejected,
        ),
        (
            "okta",
            400,
            r#"{"error":"invalid_grant","error_description":"The refresh token is invalid or expired."}"#,
            Rejected,
        ),
        (
            "keycloak",
            400,
            r#"{"error":"invalid_grant","error_description":"Maximum allowed refresh token reuse exceeded"}"#,
            Rejected,
        ),
        (
            "keycloak",
            400,
            r#"{"error":"invalid_grant","error_description":"Session doesn't have required client"}"#,
            Rejected,
        ),
        (
            "microsoft-entra-id",
            400,
            r#"{"error":"invalid_grant","error_description":"AADSTS70008: expired","error_codes":[70008],"suberror":"bad_token"}"#,
            Rejected,
        ),
        ("microsoft-entra-id", 400, r#"{"error":"interaction_required","suberror":"basic_action"}"#, REAUTHENTICATE),
        ("microsoft-entra-id", 400, entra_throttled, BUSY),
        (
            "google",
            400,
            r#"{"error":"invalid_grant","error_description":"Token has been expired or revoked."}"#,
            Rejected,
        ),
        (
            "github",
            200,
            "error=bad_refresh_token&error_description=The+refresh+token+passed+is+incorrect+or+expired.",
            Rejected,
        ),
        ("github", 200, r#"{"error":"bad_refresh_token"}"#, Rejected),
        ("github", 200, r#"{"error":"incorrect_client_credentials"}"#, Misconfigured),
        ("github", 403, "You have exceeded a secondary rate limit", BUSY),
        ("github", 403, r#"{"message":"API rate limit exceeded"}"#, BUSY),
        ("github", 403, r#"{"error":"bad_refresh_token"}"#, Rejected),
        ("gitlab", 400, r#"{"error":"invalid_grant"}"#, Rejected),
        ("cognito", 400, r#"{"error":"invalid_grant"}"#, Rejected),
        ("hydra", 400, r#"{"error":"invalid_grant"}"#, Rejected),
        ("hydra", 400, hydra, BUSY),
        ("oidc", 400, hydra, BUSY),
        ("hydra", 403, r#"{"error":"scope_not_granted"}"#, Misconfigured),
        ("zitadel", 400, zitadel, Rejected),
        ("oidc", 400, zitadel, Ambiguous),
        ("authentik", 400, r#"{"error":"invalid_grant"}"#, Rejected),
        ("dex", 400, dex_claimed, Rejected),
        ("dex", 400, dex_expired, Rejected),
        ("dex", 500, r#"{"error":"invalid_request"}"#, BUSY),
        ("dex", 400, r#"{"error":"invalid_request","error_description":"No refresh token in request."}"#, Ambiguous),
        ("oidc", 400, dex_claimed, Ambiguous),
        ("slack", 200, r#"{"ok":false,"error":"invalid_refresh_token"}"#, Rejected),
        ("slack", 200, r#"{"ok":false,"error":"token_revoked"}"#, Rejected),
        ("slack", 200, r#"{"ok":false,"error":"bad_client_secret"}"#, Misconfigured),
        ("slack", 200, r#"{"ok":false,"error":"internal_error"}"#, InDoubt),
        ("slack", 200, r#"{"ok":false,"error":"fatal_error"}"#, InDoubt),
        ("slack", 200, r#"{"ok":false}"#, InDoubt),
        ("discord", 400, r#"{"error":"invalid_grant"}"#, Rejected),
        ("discord", 400, discord, Rejected),
        ("oidc", 400, discord, Ambiguous),
        ("spotify", 400, r#"{"error":"invalid_grant","error_description":"Refresh token revoked"}"#, Rejected),
        ("oidc", 400, x, Ambiguous),
        ("oidc", 400, r#"{"status":"BAD_REFRESH_TOKEN","message":"missing or invalid refresh token"}"#, Rejected),
        ("oidc", 400, salesforce, BUSY),
        ("oidc", 403, r#"{"error":"access_denied"}"#, Ambiguous),
    ]);
}

#[test]
fn retry_after_travels_with_what_was_not_processed() {
    let mut headers = HeaderMap::new();
    headers.insert(RETRY_AFTER, "17".parse().unwrap());
    let wait = Verdict::NotProcessed { retry_after: Some(Duration::from_secs(17)) };
    for (status, body, expected) in [
        (429, "", wait.clone()),
        (503, "", wait.clone()),
        (400, r#"{"error":"temporarily_unavailable"}"#, wait),
        (503, r#"{"error":"invalid_grant"}"#, Verdict::Rejected),
        (500, "", Verdict::InDoubt),
    ] {
        let failure = judge(&preset("oidc"), status, &headers, body.as_bytes());
        assert_eq!(failure.verdict, expected, "{status} {body}");
    }
}

#[test]
fn a_claims_challenge_is_passed_on_if_it_is_one() {
    let challenge = r#"{"access_token":{"acrs":{"essential":true,"value":"c1"}}}"#;
    let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(CLAIMS_CHALLENGE_CHARS));
    for (error, claims, expected) in [
        ("interaction_required", challenge, Some(challenge)),
        ("invalid_grant", challenge, Some(challenge)),
        ("interaction_required", "not json", None),
        ("interaction_required", "[]", None),
        ("interaction_required", &long, None),
    ] {
        let body = serde_json::json!({"error": error, "claims": claims}).to_string();
        let failure = judge(&preset("microsoft-entra-id"), 400, &HeaderMap::new(), body.as_bytes());
        let expected = Verdict::Reauthenticate { claims: expected.map(str::to_owned) };
        assert_eq!(failure.verdict, expected, "{error} {claims:.40}");
    }
}

#[test]
fn a_refresh_token_in_a_broken_answer_is_salvaged() {
    for (body, expected) in [
        (r#"{"refresh_token":"new-rt"}"#, Some("new-rt")),
        (r#"{"error":"server_error","refresh_token":"new-rt"}"#, Some("new-rt")),
        (r#"{"error":"server_error","refresh_token":"old-rt"}"#, None),
        (r#"{"error":"server_error"}"#, None),
    ] {
        let failure = judge(&preset("oidc"), 200, &HeaderMap::new(), body.as_bytes());
        assert_eq!(failure.verdict, Verdict::InDoubt, "{body}");
        assert_eq!(failure.salvaged, expected.map(RefreshToken::new), "{body}");
    }
}

#[test]
fn an_error_beside_tokens_wins() {
    let body = br#"{"access_token":"at","token_type":"Bearer","error":"invalid_grant"}"#;
    let failure = judge(&preset("oidc"), 200, &HeaderMap::new(), body);
    assert_eq!(failure.verdict, Verdict::Rejected);
}

#[test]
fn an_answer_beyond_the_limit_is_not_read() {
    let body = |bytes: usize| {
        let frame = r#"{"error":"invalid_grant","x":""}"#.len();
        format!(r#"{{"error":"invalid_grant","x":"{}"}}"#, "x".repeat(bytes - frame))
    };
    for (bytes, expected) in [(PROVIDER_ANSWER_BYTES, Verdict::Rejected), (PROVIDER_ANSWER_BYTES + 1, Verdict::InDoubt)]
    {
        let failure = judge(&preset("oidc"), 200, &HeaderMap::new(), body(bytes).as_bytes());
        assert_eq!(failure.verdict, expected, "{bytes}");
    }
}

#[test]
fn a_code_is_printable_and_short_before_anyone_sees_it() {
    let body = r#"{"error":"bad\r\n\u001b[31m<script>code"}"#;
    let failure = judge(&preset("oidc"), 400, &HeaderMap::new(), body.as_bytes());
    assert_eq!(failure.error.as_deref(), Some("bad31mscriptcode"));
    let body = format!(r#"{{"error":"{}"}}"#, "e".repeat(1000));
    let failure = judge(&preset("oidc"), 400, &HeaderMap::new(), body.as_bytes());
    assert_eq!(failure.error.unwrap().len(), 64);
}

#[test]
fn without_an_answer_it_matters_whether_the_request_left() {
    assert_eq!(TokenFailure::not_sent().verdict, Verdict::NotSent);
    assert_eq!(TokenFailure::no_answer().verdict, Verdict::InDoubt);
    assert_eq!(TokenFailure::timed_out().verdict, Verdict::InDoubt);
}

#[test]
fn a_doubt_says_how_its_answer_got_lost() {
    let answered = |status| judge(&preset("oidc"), status, &HeaderMap::new(), b"");
    for (failure, expected) in [
        (TokenFailure::not_sent(), None),
        (TokenFailure::no_answer(), Some(Lost::Broken)),
        (TokenFailure::timed_out(), Some(Lost::TimedOut)),
        (answered(500), Some(Lost::Answered)),
        (answered(200), Some(Lost::Answered)),
        (answered(429), None),
        (answered(403), None),
    ] {
        assert_eq!(failure.lost, expected, "{failure}");
    }
}
