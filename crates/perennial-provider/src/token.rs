//! The token endpoint: RFC 6749 §3.2, §4.1.3, §4.4, §6, with the faults in their places.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::json;

use crate::answer::{NO_STORE, OAuthError, hang_up};
use crate::client::Client;
use crate::client_auth::{authenticate, claimed_id};
use crate::event::{EventKind, Outcome};
use crate::faults::GrantType;
use crate::ledger::refresh::RefreshTerms;
use crate::ledger::{CodeProof, Grant, Issued, Rejected};
use crate::params::Params;
use crate::provider::{News, State};
use crate::script::{Arrival, Departure, Early};
use crate::token_answer::{TokenAnswer, write};
use crate::under_way::UnderWay;

/// What a request came to: the answer, and what is told of it.
struct Settled {
    response: Response,
    outcome: Outcome,
    family: Option<u64>,
    serial: Option<u64>,
    why: String,
}

pub(crate) async fn endpoint(Extract(state): Extract<Arc<State>>, headers: HeaderMap, body: Bytes) -> Response {
    // A server goes on with a request whose sender has given up; that is how a refresh token is spent without anybody knowing.
    let work = tokio::spawn(async move { answer(&state, &headers, &body).await });
    work.await.unwrap_or_else(|_| OAuthError::server_error().into_response())
}

/// Where the `redirect` fault points: a client that follows it has shown its secrets to somebody else.
pub(crate) async fn elsewhere() -> Response {
    OAuthError::new(
        StatusCode::IM_A_TEAPOT,
        "followed_a_redirect",
        "A client must not follow a redirect of the token endpoint.",
    )
    .into_response()
}

async fn answer(state: &State, headers: &HeaderMap, body: &Bytes) -> Response {
    let began = Instant::now();
    state.tally().arrived(state.now());
    let (client, settled) = match Params::parse(body) {
        Ok(params) => {
            let client = claimed_id(headers, &params);
            (client, settle(state, headers, &params).await)
        }
        Err(name) => (None, refused(Outcome::InvalidRequest, OAuthError::repeated(&name))),
    };
    state.tally().answered(settled.outcome);
    state.tell(News {
        client: client.as_deref(),
        family: settled.family,
        serial: settled.serial,
        outcome: Some(settled.outcome),
        began: Some(began),
        ..News::new(EventKind::Token, settled.why)
    });
    settled.response
}

/// Authenticates, waits, strikes, commits and answers, in this order.
async fn settle(state: &State, headers: &HeaderMap, params: &Params) -> Settled {
    let client = match authenticate(&state.settings, headers, params) {
        Ok(client) => client,
        Err(error) => return refused(Outcome::InvalidClient, error),
    };
    let grant_type = match params.of("grant_type") {
        Some("authorization_code") => GrantType::AuthorizationCode,
        Some("client_credentials") => GrantType::ClientCredentials,
        Some("refresh_token") => GrantType::RefreshToken,
        Some(_) => {
            let error =
                OAuthError::new(StatusCode::BAD_REQUEST, "unsupported_grant_type", "This grant type is not supported.");
            return refused(Outcome::InvalidRequest, error);
        }
        None => {
            return refused(Outcome::InvalidRequest, OAuthError::invalid_request("The grant_type is missing."));
        }
    };
    let _under_way = UnderWay::begin(state, params);
    let Arrival { delay, early } = state.script().arrival(&client.id, grant_type, state.now());
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    if let Some(early) = early {
        return struck(state, early);
    }
    let committed = match grant_type {
        GrantType::AuthorizationCode => redeem_code(state, client, params),
        GrantType::ClientCredentials => machine(state, client, params),
        GrantType::RefreshToken => redeem_refresh(state, client, params),
    };
    match committed {
        Ok(committed) => deliver(state, committed).await,
        Err(settled) => *settled,
    }
}

/// A fault before the commit: the answer instead of the real one.
fn struck(state: &State, early: Early) -> Settled {
    let (outcome, response, why) = match early {
        Early::InvalidClient => {
            return refused(
                Outcome::InvalidClient,
                OAuthError::invalid_client("A fault says that this client is unknown."),
            );
        }
        Early::Drop => (Outcome::Dropped, hang_up(), "closed the connection before the commit".to_owned()),
        Early::Html => {
            let portal = Html("<!doctype html><title>Welcome</title><p>Please accept the terms of this network.</p>");
            (Outcome::Misanswered, portal.into_response(), "answered a page of HTML".to_owned())
        }
        Early::Redirect => {
            let location = [(header::LOCATION, state.settings.url("/token/elsewhere"))];
            let response = (StatusCode::TEMPORARY_REDIRECT, NO_STORE, location).into_response();
            (Outcome::Misanswered, response, "answered a redirect".to_owned())
        }
        Early::Status { status, retry_after } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            let body = Json(json!({ "error": "temporarily_unavailable", "error_description": "A fault struck." }));
            let mut response = (status, NO_STORE, body).into_response();
            if let Some(seconds) = retry_after {
                response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            }
            (Outcome::FaultedStatus, response, format!("answered {}", status.as_u16()))
        }
    };
    Settled { response, outcome, family: None, serial: None, why: format!("A fault {why}; nothing was committed.") }
}

/// Tokens that exist from now on, whatever becomes of the answer.
struct Committed {
    answer: TokenAnswer,
    departure: Departure,
    outcome: Outcome,
    family: Option<u64>,
    serial: Option<u64>,
    issued_serial: Option<u64>,
}

/// Boxed because a refusal is larger than what it stands beside.
type Commit = Result<Committed, Box<Settled>>;

fn redeem_code(state: &State, client: &Client, params: &Params) -> Commit {
    let missing = |name| {
        Box::new(refused(Outcome::InvalidRequest, OAuthError::invalid_request(format!("The {name} is missing."))))
    };
    let code = params.of("code").ok_or_else(|| missing("code"))?;
    let redirect_uri = params.of("redirect_uri").ok_or_else(|| missing("redirect_uri"))?;
    let verifier = params.of("code_verifier").ok_or_else(|| missing("code_verifier"))?;
    let proof = CodeProof { client: &client.id, redirect_uri, verifier };
    let settings = &state.settings;
    let lifetime = |grant: &Grant| {
        (settings.always_issue_refresh_token || grant.has_scope("offline_access"))
            .then_some(settings.refresh_token_lifetime)
    };
    let now = state.now();
    let redeemed = state.ledger().redeem_code(code, &proof, now, lifetime);
    let issued = redeemed.map_err(rejected)?;
    state.tally().code_redeemed();
    let scope = issued.grant.scope.clone();
    commit(state, issued, &scope, GrantType::AuthorizationCode)
}

fn redeem_refresh(state: &State, client: &Client, params: &Params) -> Commit {
    let Some(token) = params.of("refresh_token") else {
        return Err(Box::new(refused(
            Outcome::InvalidRequest,
            OAuthError::invalid_request("The refresh_token is missing."),
        )));
    };
    let target = target(params)?;
    let terms = terms(state, &client.id);
    let mut ledger = state.ledger();
    let granted = ledger.find_refresh(token).map(|(family, _)| family.grant.scope.clone());
    let scope = match (params.of("scope"), granted) {
        (Some(asked), Some(granted)) => {
            let within = |scope| granted.split(' ').any(|known| known == scope);
            if !asked.split_ascii_whitespace().all(within) {
                let error = OAuthError::new(
                    StatusCode::BAD_REQUEST,
                    "invalid_scope",
                    "The scope is wider than what was granted.",
                );
                return Err(Box::new(refused(Outcome::InvalidRequest, error)));
            }
            Some(asked.to_owned())
        }
        _ => None,
    };
    let redeemed = ledger.redeem_refresh(token, &client.id, &terms, state.now());
    drop(ledger);
    let mut issued = redeemed.map_err(rejected)?;
    state.tally().refresh_committed();
    if target.is_some() {
        issued.grant.audience = target;
    }
    let scope = scope.unwrap_or_else(|| issued.grant.scope.clone());
    commit(state, issued, &scope, GrantType::RefreshToken)
}

/// RFC 8707 §2: the API that the access token is to be for; `audience` is another name for it.
fn target(params: &Params) -> Result<Option<String>, Box<Settled>> {
    let Some(target) = params.of("resource").or_else(|| params.of("audience")) else { return Ok(None) };
    let absolute = target.parse::<Uri>().is_ok_and(|uri| uri.scheme().is_some()) && !target.contains('#');
    if absolute {
        return Ok(Some(target.to_owned()));
    }
    let why = "The resource is no absolute URI, or has a fragment.";
    Err(Box::new(refused(Outcome::InvalidRequest, OAuthError::new(StatusCode::BAD_REQUEST, "invalid_target", why))))
}

/// How refresh tokens of this client are treated just now.
pub(crate) fn terms(state: &State, client: &str) -> RefreshTerms {
    let script = state.script();
    let behaviour = script.of(Some(client));
    RefreshTerms { class: behaviour.class, at_kill: behaviour.at_kill, lifetime: state.settings.refresh_token_lifetime }
}

fn commit(state: &State, issued: Issued, scope: &str, grant_type: GrantType) -> Commit {
    let with_id_token = issued.grant.has_scope("openid");
    let departure = state.script().departure(&issued.grant.client, grant_type, with_id_token);
    let answer = TokenAnswer::for_person(state, &issued, scope, grant_type, &departure).map_err(|_| broken())?;
    Ok(Committed {
        answer,
        departure,
        outcome: issued.outcome,
        family: Some(issued.family),
        serial: issued.serial,
        issued_serial: issued.issued_serial,
    })
}

fn machine(state: &State, client: &Client, params: &Params) -> Commit {
    if client.secret.is_none() {
        let error = OAuthError::new(
            StatusCode::BAD_REQUEST,
            "unauthorized_client",
            "A public client gets no token of its own.",
        );
        return Err(Box::new(refused(Outcome::InvalidRequest, error)));
    }
    let departure = state.script().departure(&client.id, GrantType::ClientCredentials, false);
    let answer = TokenAnswer::for_machine(state, client, params).map_err(|_| broken())?;
    Ok(Committed {
        answer,
        departure,
        outcome: Outcome::IssuedToMachine,
        family: None,
        serial: None,
        issued_serial: None,
    })
}

/// The way of committed tokens to the client, which may be long or end nowhere.
async fn deliver(state: &State, committed: Committed) -> Settled {
    let Committed { answer, departure, outcome, family, serial, issued_serial } = committed;
    let lost = departure.lose || departure.cut;
    if let (true, Some(family), Some(serial)) = (lost, family, issued_serial) {
        state.ledger().mark_lost(family, serial);
    }
    if !departure.delay.is_zero() {
        tokio::time::sleep(departure.delay).await;
    }
    let (outcome, why) = match (departure.lose, departure.cut) {
        (true, _) => {
            (Outcome::ReplyLost, format!("Committed ({outcome}), and a fault closed the connection before the answer."))
        }
        (_, true) => (Outcome::ReplyLost, format!("Committed ({outcome}), and a fault cut the answer in half.")),
        _ => (outcome, format!("Tokens were issued ({outcome}).")),
    };
    let response = if departure.lose { hang_up() } else { write(answer, &departure) };
    Settled { response, outcome, family, serial, why }
}

fn refused(outcome: Outcome, error: OAuthError) -> Settled {
    let why = format!("{}: {}", error.error, error.description);
    Settled { response: error.into_response(), outcome, family: None, serial: None, why }
}

fn rejected(rejected: Rejected) -> Box<Settled> {
    let error = OAuthError::new(StatusCode::BAD_REQUEST, "invalid_grant", rejected.why);
    Box::new(Settled { family: rejected.family, serial: rejected.serial, ..refused(rejected.outcome, error) })
}

/// Signing failed, which it does not while the process is sound.
fn broken() -> Box<Settled> {
    Box::new(refused(Outcome::FaultedStatus, OAuthError::server_error()))
}
