//! The admin API: what [`Control`] does, over HTTP. JSON in and out, events as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{Path, Request, State as Extract};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::{Stream, StreamExt as _, future};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio_stream::wrappers::{BroadcastStream, WatchStream};

use crate::control::Control;
use crate::page;
use crate::provider::State;
use crate::random::same;
use crate::resource::bearer;

pub(crate) fn routes(state: Arc<State>) -> Router<Arc<State>> {
    Router::new()
        .route("/state", get(show))
        .route("/events", get(events))
        .route("/faults", post(set_faults))
        .route("/reset", post(reset))
        .route("/rotate-keys", post(rotate_keys))
        .route("/families/{id}/revoke", post(revoke_family))
        .route("/families/{id}/replay", post(replay))
        .layer(middleware::from_fn_with_state(state, guard))
}

/// Other sites may not reach in, and where a token is set, nobody without it.
async fn guard(Extract(state): Extract<Arc<State>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    if !page::is_same_origin(headers) {
        return error(StatusCode::FORBIDDEN, "cross_site", "Requests of other sites are refused.");
    }
    if let Some(token) = &state.settings.admin_token
        && !bearer(headers).is_some_and(|given| same(given, token))
    {
        let mut response = error(StatusCode::UNAUTHORIZED, "unauthorized", "Send the admin token as a bearer token.");
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer realm=\"admin\""));
        return response;
    }
    next.run(request).await
}

async fn show(Extract(state): Extract<Arc<State>>) -> Json<Value> {
    let control = Control::new(state.clone());
    let settings = &state.settings;
    Json(json!({
        "issuer": settings.issuer,
        "access_token_lifetime_seconds": settings.access_token_lifetime.as_secs(),
        "refresh_token_lifetime_seconds": settings.refresh_token_lifetime.as_secs(),
        "behaviour": control.behaviour(),
        "client_behaviours": control.client_behaviours(),
        "counters": control.counters(),
        "families": control.families(),
        "keys": state.keys().jwks().keys.iter().map(|key| key.common.key_id.clone()).collect::<Vec<_>>(),
    }))
}

/// `{"client": "demo", "class": "overlap:10", "lose_reply": 1}`: members given are changed, others stay, `null` is the default.
/// With `"replace": true` the members not given go back to their defaults as well.
async fn set_faults(Extract(state): Extract<Arc<State>>, Json(mut patch): Json<Map<String, Value>>) -> Response {
    let control = Control::new(state.clone());
    let client = match patch.remove("client") {
        None | Some(Value::Null) => None,
        Some(Value::String(id)) if state.settings.client(&id).is_some() => Some(id),
        Some(_) => {
            return error(StatusCode::BAD_REQUEST, "unknown_client", "The member client names no registered client.");
        }
    };
    let replace = patch.remove("replace") == Some(Value::Bool(true));
    let current = match (&client, replace) {
        (_, true) => Default::default(),
        (Some(client), false) => control.client_behaviour(client),
        (None, false) => control.behaviour(),
    };
    match current.patched(patch) {
        Ok(behaviour) => {
            control.set(client.as_deref(), behaviour.clone());
            Json(behaviour).into_response()
        }
        Err(refusal) => error(StatusCode::BAD_REQUEST, "invalid_behaviour", &refusal.to_string()),
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Part {
    #[default]
    All,
    Counters,
    Faults,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Reset {
    only: Part,
}

async fn reset(Extract(state): Extract<Arc<State>>, body: Option<Json<Reset>>) -> StatusCode {
    let control = Control::new(state);
    match body.unwrap_or_default().only {
        Part::All => control.reset(),
        Part::Counters => control.reset_counters(),
        Part::Faults => control.clear_faults(),
    }
    StatusCode::NO_CONTENT
}

async fn rotate_keys(Extract(state): Extract<Arc<State>>) -> Response {
    match Control::new(state).rotate_keys() {
        Ok(kid) => Json(json!({ "kid": kid })).into_response(),
        Err(refusal) => error(StatusCode::INTERNAL_SERVER_ERROR, "server_error", &refusal.to_string()),
    }
}

async fn revoke_family(Extract(state): Extract<Arc<State>>, Path(id): Path<u64>) -> Response {
    let was_alive = Control::new(state).revoke_family(id);
    Json(json!({ "was_alive": was_alive })).into_response()
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Stolen {
    serial: Option<u64>,
}

async fn replay(Extract(state): Extract<Arc<State>>, Path(id): Path<u64>, body: Option<Json<Stolen>>) -> Response {
    match Control::new(state).replay(id, body.unwrap_or_default().serial) {
        Some(outcome) => Json(json!({ "outcome": outcome })).into_response(),
        None => error(StatusCode::NOT_FOUND, "unknown_token", "There is no such refresh token."),
    }
}

async fn events(Extract(state): Extract<Arc<State>>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let closed = WatchStream::new(state.closing.subscribe()).filter(|closing| future::ready(*closing)).into_future();
    let events = BroadcastStream::new(state.subscribe()).filter_map(|event| {
        // Who lags sees the gap in the sequence numbers.
        let event = event.ok().and_then(|event| Event::default().id(event.sequence.to_string()).json_data(&event).ok());
        future::ready(event.map(Ok))
    });
    Sse::new(events.take_until(closed)).keep_alive(KeepAlive::default())
}

fn error(status: StatusCode, code: &str, description: &str) -> Response {
    (status, Json(json!({ "error": code, "error_description": description }))).into_response()
}
