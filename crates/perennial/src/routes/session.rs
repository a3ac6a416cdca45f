//! GET and POST `/session`: the session as the browser may see it, and its update.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use perennial_core::record::EndReason;
use perennial_core::session::SessionState;
use serde_json::{Map, Value};

use super::guard::Posted;
use crate::auth::Auth;
use crate::callbacks::{Callbacks, Claims, JwtCallback, JwtTrigger, SessionCallback};
use crate::hall::Door;
use crate::iso8601::iso8601;
use crate::ledger::Amended;
use crate::refusal::Refusal;
use crate::session::user_of;
use crate::settings::SessionStrategy;

/// GET `/session`: always 200; `null` for a stranger. A provider outage is no reason to look signed out: clients of
/// Auth.js take anything but 200 for that.
pub(super) async fn read(State(auth): State<Auth>, headers: HeaderMap) -> Response {
    let entry = auth.enter(&Method::GET, &headers, Door::Ordinary).await;
    if let Some(refusal) = entry.unavailable {
        return super::uncached(refusal.into_response());
    }
    let body = match &entry.session {
        Some(session) => shaped(&auth, session.state()).await,
        None => Value::Null,
    };
    super::with_cookies(super::uncached(Json(body).into_response()), entry.set_cookies)
}

/// POST `/session`: the `jwt` callback with trigger `update` and the client's `data`. As in Auth.js a refused update is 400
/// `null`, and one without a session is 200 `null`.
pub(super) async fn update(State(auth): State<Auth>, posted: Result<Posted, Response>) -> Response {
    let Ok(posted) = posted else {
        return (StatusCode::BAD_REQUEST, Json(Value::Null)).into_response();
    };
    let entry = auth.enter(&Method::POST, &posted.headers, Door::Ordinary).await;
    if let Some(refusal) = entry.unavailable {
        return super::uncached(refusal.into_response());
    }
    let Some(session) = entry.session else {
        return super::with_cookies(super::uncached(Json(Value::Null).into_response()), entry.set_cookies);
    };
    // The cookie may be stale although its access token lives: the update belongs to the newest generation.
    let Some(newest) = auth.inner.newest(session.state()).await else { return gone(&auth, &posted) };
    let ask = JwtCallback {
        token: newest.claims.clone(),
        trigger: Some(JwtTrigger::Update),
        user: None,
        account: None,
        profile: None,
        session: posted.body.get("data").cloned(),
    };
    let (state, cookies) = match auth.inner.callbacks.jwt(ask).await {
        Ok(Some(claims)) => match keep(&auth, &posted.headers, &newest, &claims).await {
            Ok(Some(kept)) => kept,
            Ok(None) => return gone(&auth, &posted),
            Err(refusal) => {
                return super::with_cookies(super::uncached(refusal.into_response()), entry.set_cookies);
            }
        },
        Ok(None) => {
            auth.inner.end_in_background(newest, EndReason::Callback);
            return gone(&auth, &posted);
        }
        Err(error) => {
            tracing::error!(%error, "the jwt callback failed at an update; the session stays as it was");
            (session.state().clone(), entry.set_cookies)
        }
    };
    super::with_cookies(super::uncached(Json(shaped(&auth, &state).await).into_response()), cookies)
}

fn gone(auth: &Auth, posted: &Posted) -> Response {
    super::with_cookies(super::uncached(Json(Value::Null).into_response()), auth.inner.cleared(&posted.headers))
}

/// Brings what `claims` change about `state` into the newest generation, so that no renewal loses it. Answers with that
/// generation and its cookies; `None` when the session is over.
///
/// # Errors
/// [`Refusal::SessionUnavailable`] when the session lies in the store, which would not take the change.
pub(super) async fn keep(
    auth: &Auth,
    headers: &HeaderMap,
    state: &Arc<SessionState>,
    claims: &Claims,
) -> Result<Option<(Arc<SessionState>, Vec<HeaderValue>)>, Refusal> {
    let inner = &auth.inner;
    let newest = match inner.amended(state, |newest| newest.with_changes(&state.claims, claims)).await {
        Amended::Written(newest) => newest,
        // The cookie alone carries the change then, if it carries the session.
        Amended::Unwritten(newest) if inner.settings.strategy == SessionStrategy::Jwt => newest,
        Amended::Unwritten(_) => {
            return Err(Refusal::SessionUnavailable { retry_after: std::time::Duration::from_secs(1) });
        }
        Amended::Over(_) => return Ok(None),
    };
    let cookies = inner.cookies_of_stored(&newest, &inner.present(headers));
    Ok(Some((newest, cookies)))
}

/// The default shape through the `session` callback; an error there shows the default.
pub(super) async fn shaped(auth: &Auth, state: &SessionState) -> Value {
    let session = default_session(auth, state);
    let ask = SessionCallback { session: session.clone(), token: state.claims.clone(), tokens: state.tokens.clone() };
    match auth.inner.callbacks.session(ask).await {
        Ok(Some(session)) => session.into(),
        Ok(None) => Value::Null,
        Err(error) => {
            tracing::error!(%error, "the session callback failed; the default shape is shown");
            session.into()
        }
    }
}

/// `{"user":{"name","email","image"},"expires"}`, members that are not there left out.
pub(super) fn default_session(auth: &Auth, state: &SessionState) -> Claims {
    let user = user_of(&state.claims);
    let members = [("name", user.name), ("email", user.email), ("image", user.image)];
    let user: Map<String, Value> =
        members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))).collect();
    let expires = auth.inner.settings.lifetimes().ends_at(state, auth.inner.now());
    Map::from_iter([("user".to_owned(), user.into()), ("expires".to_owned(), iso8601(expires).into())])
}
