//! RFC 6749 §4.1: out with a request, back with a code, and only the one that belongs to it.

use std::collections::HashMap;
use std::time::Duration;

use perennial_core::authorize::{
    AuthorizationErrorCode, CallbackError, Manner, PROTOCOL_PARAMETERS, PendingSignIn, SignInRequest, begin,
    code_challenge, end_session_url, read_callback, state_of,
};
use perennial_core::limits::{CALLBACK_QUERY_CHARS, END_SESSION_CHARS, SIGN_IN_MAX_AGE};
use perennial_core::provider::{Provider, ProviderBuilder, ProviderKind, ResolvedProvider};
use perennial_core::secret::{ClientSecret, CodeVerifier, IdToken, State};
use perennial_core::token::code_request;
use url::Url;

use crate::{Counting, NOW, builder, form, resolved};

fn callback_url() -> Url {
    Url::parse("https://app.example/auth/callback/oidc").unwrap()
}

fn started(provider: &ResolvedProvider, wishes: &[(&str, &str)]) -> (Url, PendingSignIn) {
    let wishes: Vec<(String, String)> =
        wishes.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    let request = SignInRequest {
        redirect_uri: &callback_url(),
        return_to: "/inbox",
        parameters: &wishes,
        manner: Manner::Interactive,
        claims: None,
    };
    begin(provider, &request, &Counting::default(), NOW)
}

#[test]
fn a_silent_sign_in_and_a_challenge_are_asked_for_in_the_protocols_words() {
    let challenge = r#"{"id_token":{"acr":{"essential":true}}}"#;
    let wishes = [("prompt".to_owned(), "login".to_owned()), ("claims".to_owned(), "{}".to_owned())];
    for (manner, claims, expected) in [
        (Manner::Interactive, None, (Some("login consent"), None)),
        (Manner::Interactive, Some(challenge), (Some("login consent"), Some(challenge))),
        // OIDC Core §3.1.2.1: none stays alone.
        (Manner::Silent, None, (Some("none"), None)),
    ] {
        let request =
            SignInRequest { redirect_uri: &callback_url(), return_to: "/inbox", parameters: &wishes, manner, claims };
        let (url, pending) = begin(&resolved(builder()), &request, &Counting::default(), NOW);
        let query = query(&url);
        let asked = |name: &str| query.get(name).map(String::as_str);
        assert_eq!((asked("prompt"), asked("claims")), expected, "{manner:?} {claims:?}");
        let kept = serde_json::to_value(&pending).expect("it is sealed as JSON");
        assert_eq!(serde_json::from_value::<PendingSignIn>(kept).expect("and comes back").manner, manner);
    }
}

fn query(url: &Url) -> HashMap<String, String> {
    let pairs: Vec<_> = url.query_pairs().into_owned().collect();
    let query: HashMap<String, String> = pairs.iter().cloned().collect();
    assert_eq!(query.len(), pairs.len(), "a parameter is there twice in {url}");
    query
}

#[test]
fn a_request_carries_state_nonce_and_challenge() {
    let (url, pending) = started(&resolved(builder()), &[]);
    assert!(url.as_str().starts_with("https://id.example/authorize?"));
    let query = query(&url);
    let mut names: Vec<&str> = query.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "client_id",
            "code_challenge",
            "code_challenge_method",
            "nonce",
            "prompt",
            "redirect_uri",
            "response_type",
            "scope",
            "state",
            "tenant"
        ]
    );
    assert_eq!(query["tenant"], "blue");
    assert_eq!(query["response_type"], "code");
    assert_eq!(query["client_id"], "my app");
    assert_eq!(query["redirect_uri"], "https://app.example/auth/callback/oidc");
    assert_eq!(query["scope"], "openid profile email offline_access");
    assert_eq!(query["prompt"], "consent");
    assert_eq!(query["state"], pending.state.expose_secret());
    assert_eq!(query["nonce"], pending.nonce.as_ref().unwrap().expose_secret());
    assert_eq!(query["code_challenge_method"], "S256");
    assert_eq!(query["code_challenge"], code_challenge(&pending.code_verifier));
    let secrets = [&query["state"], &query["nonce"], pending.code_verifier.expose_secret()];
    for (number, secret) in secrets.iter().enumerate() {
        assert_eq!(secret.len(), 43);
        assert!(!secrets[..number].contains(secret), "drawn twice");
    }
}

#[test]
fn the_challenge_is_that_of_rfc_7636_appendix_b() {
    let verifier = CodeVerifier::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    assert_eq!(code_challenge(&verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
}

#[test]
fn the_caller_may_wish_but_not_override() {
    let provider = resolved(builder());
    let wishes: Vec<(&str, &str)> = PROTOCOL_PARAMETERS
        .iter()
        .map(|&name| (name, "evil"))
        .chain([("login_hint", "ada@example"), ("ui_locales", "de"), ("unheard_of", "1")])
        .collect();
    let (url, _) = started(&provider, &wishes);
    assert!(!url.as_str().contains("evil"), "{url}");
    let query = query(&url);
    assert_eq!(query["login_hint"], "ada@example");
    assert_eq!(query["ui_locales"], "de");
    assert!(!query.contains_key("unheard_of"));
}

#[test]
fn consent_goes_with_offline_access_where_it_is_wanted() {
    let google = || {
        Provider::preset("google")
            .unwrap()
            .authorization_endpoint("https://id.example/a")
            .token_endpoint("https://id.example/t")
            .jwks_uri("https://id.example/j")
            .client_id("c")
            .client_secret(ClientSecret::new("s"))
    };
    let auth0 = || {
        Provider::preset("auth0")
            .unwrap()
            .issuer("https://id.example/")
            .authorization_endpoint("https://id.example/a")
            .token_endpoint("https://id.example/t")
            .jwks_uri("https://id.example/j")
            .client_id("c")
            .client_secret(ClientSecret::new("s"))
    };
    let online = || builder().scope("openid");
    let cases: Vec<(ProviderBuilder, Option<&str>, Option<&str>)> = vec![
        (builder(), None, Some("consent")),
        (builder(), Some("login"), Some("login consent")),
        (builder(), Some("consent"), Some("consent")),
        (builder(), Some("none"), Some("none")),
        (online(), None, None),
        (online(), Some("login"), Some("login")),
        (builder().authorization_param("prompt", "login"), None, Some("login consent")),
        (auth0(), None, None),
        (auth0(), Some("login"), Some("login")),
        (google(), None, Some("consent")),
        (google(), Some("select_account"), Some("select_account consent")),
    ];
    for (number, (builder, wish, expected)) in cases.into_iter().enumerate() {
        let wishes: Vec<_> = wish.map(|wish| ("prompt", wish)).into_iter().collect();
        let (url, _) = started(&resolved(builder), &wishes);
        assert_eq!(query(&url).get("prompt").map(String::as_str), expected, "case {number}");
    }
}

#[test]
fn a_max_age_is_remembered_if_it_is_one() {
    let provider = resolved(builder());
    for (wish, expected) in [("300", Some(300)), ("0", Some(0)), ("-1", None), ("soon", None)] {
        let (url, pending) = started(&provider, &[("max_age", wish)]);
        assert_eq!(pending.max_age, expected.map(Duration::from_secs), "{wish}");
        assert_eq!(query(&url).contains_key("max_age"), expected.is_some(), "{wish}");
    }
}

#[test]
fn a_plain_oauth_provider_gets_no_nonce() {
    let provider = resolved(builder().kind(ProviderKind::OAuth).scope(""));
    let (url, pending) = started(&provider, &[]);
    assert!(pending.nonce.is_none());
    assert!(!query(&url).contains_key("nonce") && !query(&url).contains_key("scope"));
}

#[test]
fn what_is_kept_survives_sealing_and_is_not_printed() {
    let (_, pending) = started(&resolved(builder()), &[("max_age", "60")]);
    let sealed = serde_json::to_string(&pending).unwrap();
    assert_eq!(serde_json::from_str::<PendingSignIn>(&sealed).unwrap(), pending);
    let printed = format!("{pending:?}");
    for secret in [pending.state.expose_secret(), pending.code_verifier.expose_secret()] {
        assert!(sealed.contains(secret) && !printed.contains(secret));
    }
}

#[test]
fn the_code_is_exchanged_with_verifier_and_redirect_uri() {
    let provider = resolved(builder());
    let (_, pending) = started(&provider, &[]);
    let state = pending.state.expose_secret();
    let response = read_callback(&format!("code=c%2B1&state={state}"), &pending, &provider, NOW);
    let request = code_request(&provider, response.unwrap(), NOW, &Counting::default()).unwrap();
    let form = form(&request);
    assert_eq!(form["grant_type"], "authorization_code");
    assert_eq!(form["code"], "c+1");
    assert_eq!(form["redirect_uri"], "https://app.example/auth/callback/oidc");
    assert_eq!(form["code_verifier"], pending.code_verifier.expose_secret());
    assert_eq!(form.len(), 4);
}

#[test]
fn which_callbacks_are_refused() {
    use CallbackError::*;
    let mut provider = resolved(builder());
    let (_, pending) = started(&provider, &[]);
    let state = pending.state.expose_secret();
    let iss = "iss=https%3A%2F%2Fid.example%2F";
    let refused =
        |error, description: Option<&str>| Err(Refused { error, description: description.map(str::to_owned) });
    let long = "x".repeat(CALLBACK_QUERY_CHARS);
    // (`iss` promised by the metadata, query, judgement)
    let cases: Vec<(bool, String, Result<(), CallbackError>)> = vec![
        (false, format!("code=c&state={state}"), Ok(())),
        (false, format!("code=c&state={state}&{iss}"), Ok(())),
        (true, format!("code=c&state={state}&{iss}"), Ok(())),
        (false, format!("code=c&state={state}&session_state=a&session_state=b"), Ok(())),
        (true, format!("code=c&state={state}"), Err(IssuerMissing)),
        (false, format!("code=c&state={state}&iss=https%3A%2F%2Fid.example"), Err(IssuerMismatch)),
        (false, format!("code=c&state={state}&iss=https%3A%2F%2Fevil.example%2F"), Err(IssuerMismatch)),
        (false, format!("code=c&state={state}&iss="), Err(IssuerMismatch)),
        (false, "code=c".into(), Err(StateMismatch)),
        (false, "code=c&state=".into(), Err(StateMismatch)),
        (false, format!("code=c&state={state}x"), Err(StateMismatch)),
        (false, "error=access_denied".into(), Err(StateMismatch)),
        (false, String::new(), Err(StateMismatch)),
        (false, format!("state={state}"), Err(NoCode)),
        (false, format!("state={state}&code="), Err(NoCode)),
        (false, format!("code=a&code=b&state={state}"), Err(Duplicate("code"))),
        (false, format!("code=a&state={state}&state={state}"), Err(Duplicate("state"))),
        (false, format!("code=a&state={state}&{iss}&{iss}"), Err(Duplicate("iss"))),
        (false, format!("error=a&error=b&state={state}"), Err(Duplicate("error"))),
        (false, format!("code=c&state={state}&x={long}"), Err(TooLong)),
        (
            false,
            format!("error=access_denied&error_description=No%0D%0A%3Cb%3E+%22way%22&state={state}"),
            refused(AuthorizationErrorCode::AccessDenied, Some("No<b> way")),
        ),
        (false, format!("error=login_required&state={state}"), refused(AuthorizationErrorCode::LoginRequired, None)),
        (false, format!("error=x%0Ay&state={state}"), refused(AuthorizationErrorCode::Other("xy".into()), None)),
        // Error answers too must come from the issuer (RFC 9207 §2.4).
        (true, format!("error=access_denied&state={state}"), Err(IssuerMissing)),
        // An error beside a code wins.
        (false, format!("code=c&error=server_error&state={state}"), refused(AuthorizationErrorCode::ServerError, None)),
    ];
    for (promised, query, expected) in cases {
        provider.iss_parameter_promised = promised;
        let found = read_callback(&query, &pending, &provider, NOW).map(|_| ());
        assert_eq!(found, expected, "{query:.100}");
    }
}

#[test]
fn the_state_finds_the_sign_in() {
    for (query, expected) in
        [("code=c&state=a%2Bb", Some("a+b")), ("state=", Some("")), ("code=c", None), ("state=a&state=b", None)]
    {
        assert_eq!(state_of(query), expected.map(State::new), "{query}");
    }
}

#[test]
fn a_callback_comes_in_time_and_from_the_provider_that_was_asked() {
    let provider = resolved(builder());
    let (_, pending) = started(&provider, &[]);
    let query = format!("code=c&state={}", pending.state.expose_secret());
    let at = |now| read_callback(&query, &pending, &provider, now).map(|_| ());
    assert_eq!(at(NOW + SIGN_IN_MAX_AGE), Ok(()));
    assert_eq!(at(NOW + SIGN_IN_MAX_AGE + Duration::from_millis(1)), Err(CallbackError::Expired));
    let other = resolved(builder().id("other"));
    let found = read_callback(&query, &pending, &other, NOW).map(|_| ());
    assert_eq!(found, Err(CallbackError::WrongProvider));
}

#[test]
fn sign_out_at_the_provider_names_us_and_the_user() {
    let mut provider = resolved(builder().end_session_endpoint("https://id.example/end?x=1"));
    let back = Url::parse("https://app.example/bye").unwrap();
    let url = end_session_url(&provider, Some(&IdToken::new("e.e.e")), Some(&back), Some(&State::new("st")));
    let query = query(&url.unwrap());
    assert_eq!(query["x"], "1");
    assert_eq!(query["client_id"], "my app");
    assert_eq!(query["id_token_hint"], "e.e.e");
    assert_eq!(query["post_logout_redirect_uri"], "https://app.example/bye");
    assert_eq!(query["state"], "st");
    // One character too many, and the hint is left out.
    let length = |hint: usize| {
        let url = end_session_url(&provider, Some(&IdToken::new("e".repeat(hint))), Some(&back), None).unwrap();
        (url.as_str().len(), url.query_pairs().any(|(name, _)| name == "id_token_hint"))
    };
    let rest = length(0).0;
    assert_eq!(length(END_SESSION_CHARS - rest), (END_SESSION_CHARS, true));
    assert_eq!(length(END_SESSION_CHARS - rest + 1), (rest - "&id_token_hint=".len(), false));
    provider.end_session = None;
    assert!(end_session_url(&provider, None, None, None).is_none());
}
