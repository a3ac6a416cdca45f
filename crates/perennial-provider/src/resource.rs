//! Protected resources: UserInfo (OIDC Core §5.3) and a tiny API, guarded as RFC 6750 says.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::answer::NO_STORE;
use crate::event::EventKind;
use crate::ledger::AccessRecord;
use crate::provider::{News, State, unix_millis, unix_seconds};
use crate::random::fingerprint;
use crate::token_answer::profile_claims;

pub(crate) async fn userinfo(Extract(state): Extract<Arc<State>>, headers: HeaderMap) -> Response {
    let (_, record) = match admit(&state, &headers, "/userinfo") {
        Ok(admitted) => admitted,
        Err(refusal) => return refusal.into_response(),
    };
    if !record.scope.split(' ').any(|scope| scope == "openid") {
        return Refusal::InsufficientScope.into_response();
    }
    let mut claims = json!({ "sub": record.subject });
    for (name, value) in profile_claims(&state, &record.subject, &record.scope) {
        claims[name] = value;
    }
    (NO_STORE, Json(claims)).into_response()
}

/// Says who asked and when; what a demo or a test calls with the access token it has.
pub(crate) async fn api(Extract(state): Extract<Arc<State>>, headers: HeaderMap) -> Response {
    let (token, record) = match admit(&state, &headers, "/api") {
        Ok(admitted) => admitted,
        Err(refusal) => return refusal.into_response(),
    };
    let now = state.now();
    let name = state.settings.account(&record.subject).map(|account| Value::from(account.name.as_str()));
    let body = json!({
        "sub": record.subject,
        "name": name,
        "client_id": record.client,
        "scope": record.scope,
        "now": unix_seconds(now),
        "now_ms": unix_millis(now),
        "expires_in": unix_seconds(record.expires_at).saturating_sub(unix_seconds(now)),
        "token_fingerprint": fingerprint(token),
        "family": record.family,
        "serial": record.serial,
    });
    (NO_STORE, Json(body)).into_response()
}

/// Why a bearer is turned away (RFC 6750 §3.1).
enum Refusal {
    InsufficientScope,
    InvalidToken,
    NoToken,
}

fn admit<'a>(state: &State, headers: &'a HeaderMap, path: &str) -> Result<(&'a str, AccessRecord), Refusal> {
    let began = Instant::now();
    let token = bearer(headers).ok_or(Refusal::NoToken)?;
    let record = state.ledger().use_access(token, state.now());
    let text = match &record {
        Some(record) => format!("{} was let in to {path}.", record.subject),
        None => format!("{path} refused an access token that is not live."),
    };
    state.tell(News {
        client: record.as_ref().map(|record| record.client.as_str()),
        family: record.as_ref().and_then(|record| record.family),
        serial: record.as_ref().and_then(|record| record.serial),
        began: Some(began),
        ..News::new(EventKind::Resource, text)
    });
    record.map(|record| (token, record)).ok_or(Refusal::InvalidToken)
}

pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, challenge, error) = match self {
            // A request without any token is told nothing but the scheme.
            Self::NoToken => (StatusCode::UNAUTHORIZED, "Bearer", None),
            Self::InvalidToken => (StatusCode::UNAUTHORIZED, "Bearer error=\"invalid_token\"", Some("invalid_token")),
            Self::InsufficientScope => (
                StatusCode::FORBIDDEN,
                "Bearer error=\"insufficient_scope\", scope=\"openid\"",
                Some("insufficient_scope"),
            ),
        };
        let challenge = [(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))];
        (status, NO_STORE, challenge, Json(json!({ "error": error }))).into_response()
    }
}
