//! The four `/api` routes of the SvelteKitAuth recipe this project began with, doing what it meant them to do.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Map, Value, json};

use super::guard::Posted;
use super::session::default_session;
use crate::auth::Auth;
use crate::hall::{Door, Entry};
use crate::refusal::Refusal;
use crate::session::Session;

/// The paths served here.
pub(super) const PATHS: [&str; 4] =
    ["/api/renew-token", "/api/trigger-renew-token", "/api/update-user-data", "/api/get-session-status"];

/// POST `/api/renew-token`: renews and hands the access token to the page. Answers with the token that lives when the
/// provider fails, 503 when none does, and never with the refresh token.
pub(super) async fn renew_token(State(auth): State<Auth>, posted: Posted) -> Response {
    let Entry { session, set_cookies, unavailable, .. } =
        auth.enter(&Method::POST, &posted.headers, Door::Refresh).await;
    let answer = match (&session, unavailable) {
        (None, Some(refusal)) => refusal.into_response(),
        (None, None) => {
            let message = json!({ "message": "User is not authorized to rotate access-token" });
            (StatusCode::UNAUTHORIZED, Json(message)).into_response()
        }
        (Some(session), _) => token_response(&auth, session),
    };
    super::with_cookies(super::uncached(answer), set_cookies)
}

fn token_response(auth: &Auth, session: &Session) -> Response {
    let (bearer, tokens) = match (session.bearer(), session.tokens()) {
        (Ok(bearer), Some(tokens)) => (bearer, tokens),
        // Nothing lives and nothing can be had: for this route the same as a provider out of reach.
        (Err(refusal @ (Refusal::RenewalSuspended { .. } | Refusal::ReauthenticationRequired)), _) => {
            return refusal.into_response();
        }
        _ => return Refusal::RenewalSuspended { retry_after: std::time::Duration::from_secs(60) }.into_response(),
    };
    let mut answer = Map::new();
    answer.insert("access_token".into(), bearer.expose_secret().into());
    if let Some(expires_at) = tokens.expires_at {
        answer.insert("expires_in".into(), expires_at.since(auth.inner.now()).as_secs().into());
    }
    // RFC 6749 §7.1 makes the type case-insensitive; the recipe's clients compare with "Bearer".
    let token_type = if tokens.token_type.eq_ignore_ascii_case("bearer") { "Bearer" } else { &tokens.token_type };
    answer.insert("token_type".into(), token_type.into());
    Json(answer).into_response()
}

/// POST `/api/trigger-renew-token`: says whether there is a session; with `?query=update-token-data` or the header
/// `query: update-token-data` renews it first.
pub(super) async fn trigger_renew_token(State(auth): State<Auth>, posted: Posted) -> Response {
    let door = if asks_for(&posted, "update-token-data") { Door::Refresh } else { Door::Ordinary };
    // Programs ask this in passing: it is no visit.
    status(auth.enter(&Method::GET, &posted.headers, door).await)
}

/// GET `/api/get-session-status`: says whether there is a session.
pub(super) async fn session_status(State(auth): State<Auth>, headers: HeaderMap) -> Response {
    status(auth.enter(&Method::GET, &headers, Door::Ordinary).await)
}

fn status(entry: Entry) -> Response {
    if let Some(refusal) = entry.unavailable {
        return super::uncached(refusal.into_response());
    }
    let status = if entry.session.is_some() { 200 } else { 401 };
    super::with_cookies(super::uncached(Json(json!({ "status": status })).into_response()), entry.set_cookies)
}

/// POST `/api/update-user-data?query=update-user-data`: merges allow-listed names of the JSON body into the claims.
pub(super) async fn update_user_data(State(auth): State<Auth>, posted: Posted) -> Response {
    let Entry { session, mut set_cookies, unavailable, .. } =
        auth.enter(&Method::POST, &posted.headers, Door::Ordinary).await;
    if let Some(refusal) = unavailable {
        return super::uncached(refusal.into_response());
    }
    let refused = |cookies| {
        let data = json!({ "data": "user is not authorized to update data" });
        super::with_cookies(super::uncached((StatusCode::UNAUTHORIZED, Json(data)).into_response()), cookies)
    };
    let Some(session) = session else { return refused(set_cookies) };
    let mut state = session.state().clone();
    let mut claims = session.claims().clone();
    if asks_for(&posted, "update-user-data") {
        let allowed = &auth.inner.settings.updatable_claims;
        claims
            .extend(posted.body.iter().filter(|(name, _)| allowed.contains(name)).map(|(n, v)| (n.clone(), v.clone())));
    }
    if claims != state.claims {
        (state, set_cookies) = match super::session::keep(&auth, &posted.headers, &state, &claims).await {
            Ok(Some(kept)) => kept,
            Ok(None) => return refused(auth.inner.cleared(&posted.headers)),
            Err(refusal) => return super::with_cookies(super::uncached(refusal.into_response()), set_cookies),
        };
    }
    let mut data = default_session(&auth, &state).remove("user").unwrap_or_default();
    if let Value::Object(user) = &mut data {
        let allowed = &auth.inner.settings.updatable_claims;
        user.extend(
            state.claims.iter().filter(|(name, _)| allowed.contains(name)).map(|(n, v)| (n.clone(), v.clone())),
        );
    }
    super::with_cookies(super::uncached(Json(json!({ "data": data })).into_response()), set_cookies)
}

fn asks_for(posted: &Posted, what: &str) -> bool {
    posted.query.get("query").and_then(Value::as_str) == Some(what)
        || posted.headers.get("query").is_some_and(|header| header == what)
}
