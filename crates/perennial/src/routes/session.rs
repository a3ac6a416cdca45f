//! GET and POST `/session`: the session as the browser may see it, and its update.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode};
use perennial_core::record::EndReason;
use perennial_core::session::SessionState;
use serde_json::{Map, Value};

use super::guard::Posted;
use crate::auth::Auth;
use crate::callbacks::{Callbacks, Claims, JwtCallback, JwtTrigger, SessionCallback};
use crate::hall::Door;
use crate::iso8601::iso8601;
use crate::session::{Session, user_of};

/// GET `/session`: always 200; `null` for a stranger. A provider outage is no reason to look signed out: clients of
/// Auth.js take anything but 200 for that.
pub(super) async fn read(State(auth): State<Auth>, headers: HeaderMap) -> Response {
    let entry = auth.enter(&headers, Door::Ordinary).await;
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
    let entry = auth.enter(&posted.headers, Door::Ordinary).await;
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
            Some(kept) => kept,
            None => return gone(&auth, &posted),
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
pub(super) async fn keep(
    auth: &Auth,
    headers: &HeaderMap,
    state: &Arc<SessionState>,
    claims: &Claims,
) -> Option<(Arc<SessionState>, Vec<HeaderValue>)> {
    let newest = auth.inner.amend(state, |newest| newest.with_changes(&state.claims, claims)).await.ok()?;
    let cookies = auth.inner.session_cookies(&newest, &auth.inner.present(headers));
    Some((newest, cookies))
}

impl Auth {
    /// The session as the browser may see it: what GET `/auth/session` answers. `null` where the `session` callback hides it.
    pub async fn view(&self, session: &Session) -> Value {
        shaped(self, session.state()).await
    }
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
    let expires = auth.inner.now() + auth.inner.settings.max_age;
    Map::from_iter([("user".to_owned(), user.into()), ("expires".to_owned(), iso8601(expires).into())])
}
