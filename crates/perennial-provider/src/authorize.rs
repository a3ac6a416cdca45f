//! The authorization endpoint: RFC 6749 §4.1.1–4.1.2.1, RFC 7636 §4.3–4.4, RFC 9207 §2, OIDC Core §3.1.2.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::{RawQuery, State as Extract};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use url::Url;

use crate::account::Account;
use crate::answer::see_other;
use crate::client::Client;
use crate::event::EventKind;
use crate::ledger::Grant;
use crate::page;
use crate::params::Params;
use crate::provider::{News, State};
use crate::random::opaque;
use crate::visitors::{Pending, SignIn};

/// An authorization request that may be granted.
pub(crate) struct AuthorizationRequest {
    pub(crate) client: String,
    pub(crate) scope: String,
    back: ReturnAddress,
    nonce: Option<String>,
    audience: Option<String>,
    challenge: String,
    prompt: Prompt,
    pub(crate) login_hint: Option<String>,
    max_age: Option<Duration>,
}

/// Where the answer goes, proven to belong to the client.
struct ReturnAddress {
    redirect_uri: String,
    state: Option<String>,
}

/// `prompt` of OIDC Core §3.1.2.1.
#[derive(Clone, Copy, Default)]
struct Prompt {
    none: bool,
    /// `login`, `consent` or `select_account`: the page is shown even to somebody signed in.
    ask: bool,
}

/// An error that the client is told through the browser.
struct AuthorizeError {
    code: &'static str,
    description: &'static str,
}

pub(crate) async fn by_query(
    Extract(state): Extract<Arc<State>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    authorize(&state, &headers, query.unwrap_or_default().as_bytes())
}

pub(crate) async fn by_form(Extract(state): Extract<Arc<State>>, headers: HeaderMap, body: Bytes) -> Response {
    authorize(&state, &headers, &body)
}

fn authorize(state: &State, headers: &HeaderMap, encoded: &[u8]) -> Response {
    let params = match Params::parse(encoded) {
        Ok(params) => params,
        Err(name) => return refuse(state, &format!("The parameter {name} came twice.")),
    };
    // Until client and redirect URI are proven to belong together, nothing may be sent anywhere (RFC 6749 §4.1.2.1).
    let Some(client) = params.of("client_id").and_then(|id| state.settings.client(id)) else {
        return refuse(state, "The client_id is missing or unknown.");
    };
    let redirect_uri = match params.owned("redirect_uri") {
        Some(uri) if client.allows_redirect(&uri) => uri,
        Some(_) => return refuse(state, "The redirect_uri is not registered for this client."),
        None => return refuse(state, "The redirect_uri is missing."),
    };
    let back = ReturnAddress { redirect_uri, state: params.owned("state") };
    match understood(client, &params) {
        Err(error) => tell_client(state, &client.id, &back, &error),
        Ok(partial) => decide(state, headers, AuthorizationRequest { back, ..partial }),
    }
}

/// Everything of the request but where the answer goes.
fn understood(client: &Client, params: &Params) -> Result<AuthorizationRequest, AuthorizeError> {
    let refused = |code, description| Err(AuthorizeError { code, description });
    let invalid = |description| AuthorizeError { code: "invalid_request", description };
    if params.of("request").is_some() {
        return refused("request_not_supported", "The parameter request is not supported.");
    }
    if params.of("request_uri").is_some() {
        return refused("request_uri_not_supported", "The parameter request_uri is not supported.");
    }
    if params.of("response_type") != Some("code") {
        return refused("unsupported_response_type", "Only response_type=code is supported.");
    }
    if !matches!(params.of("response_mode"), None | Some("query")) {
        return Err(invalid("Only response_mode=query is supported."));
    }
    if params.of("code_challenge_method") != Some("S256") {
        return Err(invalid("PKCE is required with code_challenge_method=S256."));
    }
    let challenge = match params.owned("code_challenge") {
        Some(challenge) if is_challenge(&challenge) => challenge,
        _ => {
            return Err(invalid("PKCE is required: code_challenge must be 43 base64url characters."));
        }
    };
    let max_age = match params.of("max_age").map(str::parse) {
        None => None,
        Some(Ok(seconds)) => Some(Duration::from_secs(seconds)),
        Some(Err(_)) => return Err(invalid("max_age must be a number of seconds.")),
    };
    Ok(AuthorizationRequest {
        client: client.id.clone(),
        scope: granted_scope(params.of("scope").unwrap_or_default()),
        back: ReturnAddress { redirect_uri: String::new(), state: None },
        nonce: params.owned("nonce"),
        audience: params.owned("audience"),
        challenge,
        prompt: prompt(params.of("prompt").unwrap_or_default())?,
        login_hint: params.owned("login_hint"),
        max_age,
    })
}

/// A SHA-256 in base64url without padding has 43 characters.
fn is_challenge(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// Every scope is granted as asked, once each, in order.
fn granted_scope(asked: &str) -> String {
    let mut granted: Vec<&str> = Vec::new();
    for scope in asked.split_ascii_whitespace() {
        if !granted.contains(&scope) {
            granted.push(scope);
        }
    }
    granted.join(" ")
}

fn prompt(asked: &str) -> Result<Prompt, AuthorizeError> {
    let mut prompt = Prompt::default();
    for value in asked.split_ascii_whitespace() {
        match value {
            "none" => prompt.none = true,
            "login" | "consent" | "select_account" => prompt.ask = true,
            _ => {
                return Err(AuthorizeError { code: "invalid_request", description: "prompt has an unknown value." });
            }
        }
    }
    if prompt.none && prompt.ask {
        return Err(AuthorizeError { code: "invalid_request", description: "prompt=none stands alone." });
    }
    Ok(prompt)
}

/// What the endpoint does with a good request.
enum Step<'a> {
    /// Somebody is signed in, and nothing needs to be asked.
    Grant(SignIn),
    /// The page is skipped for this account.
    SignInAs(&'a Account),
    Ask,
    LoginRequired,
}

fn decide(state: &State, headers: &HeaderMap, request: AuthorizationRequest) -> Response {
    let browser = page::browser_of(headers);
    let sign_in = state.visitors().sign_in_of(browser.as_deref());
    let fresh = |sign_in: &SignIn| match request.max_age {
        None => true,
        Some(max_age) => state.now() < sign_in.auth_time + max_age,
    };
    let hinted = request
        .login_hint
        .as_deref()
        .and_then(|hint| state.settings.accounts.iter().find(|account| account.is_hinted_by(hint)));
    let fits = |sign_in: &SignIn| hinted.is_none_or(|account| account.id == sign_in.account);
    let step = match (sign_in.filter(|sign_in| fresh(sign_in) && fits(sign_in)), hinted) {
        (Some(sign_in), _) if !request.prompt.ask => Step::Grant(sign_in),
        (_, _) if request.prompt.none => Step::LoginRequired,
        (_, Some(account)) if state.settings.auto_sign_in => Step::SignInAs(account),
        (_, _) => Step::Ask,
    };
    match step {
        Step::Grant(sign_in) => grant(state, request, &sign_in),
        Step::SignInAs(account) => {
            let (browser, set_cookie) = page::browser_or_new(browser, state);
            let sign_in = state.visitors().sign_in(&browser, &account.id, state.now());
            page::with_cookie(grant(state, request, &sign_in), set_cookie)
        }
        Step::LoginRequired => {
            let error = AuthorizeError {
                code: "login_required",
                description: "Nobody is signed in, and prompt=none forbids to ask.",
            };
            tell_client(state, &request.client, &request.back, &error)
        }
        Step::Ask => {
            let (browser, set_cookie) = page::browser_or_new(browser, state);
            let shown = page::SignInPage::new(&request, hinted);
            let transaction = state.visitors().wait(&browser, Pending::SignIn(Box::new(request)), state.now());
            page::with_cookie(shown.show(state, &transaction), set_cookie)
        }
    }
}

/// The form of the sign-in page: an account was chosen, or the sign-in was called off.
pub(crate) async fn choose(Extract(state): Extract<Arc<State>>, headers: HeaderMap, body: Bytes) -> Response {
    if !page::is_same_origin(&headers) {
        return refuse(&state, "This form was sent by another site.");
    }
    let Ok(params) = Params::parse(&body) else {
        return refuse(&state, "The form has a field twice.");
    };
    let browser = page::browser_of(&headers);
    let pending = params
        .of("transaction")
        .and_then(|transaction| state.visitors().answer(transaction, browser.as_deref(), state.now()));
    let (Some(Pending::SignIn(request)), Some(browser)) = (pending, browser) else {
        return refuse(
            &state,
            "This sign-in is no longer waiting, or began in another browser. Go back to the app and sign in again.",
        );
    };
    match params.of("account").and_then(|id| state.settings.account(id)) {
        Some(account) => {
            let sign_in = state.visitors().sign_in(&browser, &account.id, state.now());
            grant(&state, *request, &sign_in)
        }
        None => {
            let error = AuthorizeError { code: "access_denied", description: "The sign-in was cancelled." };
            tell_client(&state, &request.client, &request.back, &error)
        }
    }
}

fn grant(state: &State, request: AuthorizationRequest, sign_in: &SignIn) -> Response {
    let began = Instant::now();
    let client = request.client.clone();
    let grant = Grant {
        client: request.client,
        subject: sign_in.account.clone(),
        scope: request.scope,
        nonce: request.nonce,
        audience: request.audience,
        auth_time: sign_in.auth_time,
        sid: sign_in.sid.clone(),
    };
    let code = state.ledger().mint_code(grant, request.back.redirect_uri.clone(), request.challenge, state.now());
    state.tell(News {
        client: Some(&client),
        began: Some(began),
        ..News::new(EventKind::Authorize, format!("{} signed in to {client}.", sign_in.account))
    });
    send_back(state, &request.back, &[("code", &code)])
}

fn tell_client(state: &State, client: &str, back: &ReturnAddress, error: &AuthorizeError) -> Response {
    state.tell(News {
        client: Some(client),
        ..News::new(EventKind::Authorize, format!("{client} was told {}: {}", error.code, error.description))
    });
    send_back(state, back, &[("error", error.code), ("error_description", error.description)])
}

/// Adds the answer, `state` and `iss` to the redirect URI, keeping a query it has of its own.
fn send_back(state: &State, back: &ReturnAddress, answer: &[(&str, &str)]) -> Response {
    let mut url =
        Url::parse(&back.redirect_uri).expect("registered redirect URIs were parsed when the provider was built");
    {
        let mut query = url.query_pairs_mut();
        query.extend_pairs(answer);
        if let Some(given) = &back.state {
            query.append_pair("state", given);
        }
        query.append_pair("iss", &state.settings.issuer);
    }
    see_other(url.as_str())
}

fn refuse(state: &State, why: &str) -> Response {
    page::message(state, StatusCode::BAD_REQUEST, "This sign-in cannot go on", why)
}

/// The origin the browser is sent to, which the page's policy must allow for its form.
pub(crate) fn origin_of_return(request: &AuthorizationRequest) -> Option<String> {
    let origin = Url::parse(&request.back.redirect_uri).ok()?.origin();
    origin.is_tuple().then(|| origin.ascii_serialization())
}

/// An id for a browser that has none yet.
pub(crate) fn new_browser() -> String {
    opaque("")
}
