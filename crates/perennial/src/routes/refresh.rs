//! POST `/refresh`: renew now. Idempotent: a caller that has not seen the newest generation is given that.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header::LOCATION};
use serde_json::json;

use super::guard::{Posted, return_url};
use crate::auth::Auth;
use crate::hall::{Door, Entry};
use crate::refusal::Refusal;
use crate::session::Session;

/// 200 `{"renewed","generation","condition","expires_at"}` while a live access token is there, whether it is a new one or not; 401
/// without a session; 503 with `Retry-After` when the token has died and the provider is out of reach, 401
/// `reauthentication_required` when the provider must see the user first. A form goes back to
/// its `callbackUrl` instead.
pub(super) async fn renew_now(State(auth): State<Auth>, posted: Posted) -> Response {
    let Entry { session, set_cookies, renewed, unavailable, .. } =
        auth.enter(&Method::POST, &posted.headers, Door::Refresh).await;
    let answer = if super::wants_page(&posted.headers) {
        back_to_page(&auth, &posted)
    } else {
        match (session, unavailable) {
            (None, Some(refusal)) => refusal.into_response(),
            (None, None) => Refusal::NotSignedIn.into_response(),
            (Some(session), _) => told(&session, renewed),
        }
    };
    super::with_cookies(super::uncached(answer), set_cookies)
}

fn told(session: &Session, renewed: bool) -> Response {
    match session.bearer() {
        Err(refusal @ (Refusal::RenewalSuspended { .. } | Refusal::ReauthenticationRequired)) => {
            refusal.into_response()
        }
        _ => Json(json!({
            "renewed": renewed,
            "generation": session.generation(),
            "condition": session.condition(),
            "expires_at": session.tokens().and_then(|tokens| tokens.expires_at).map(|at| at.unix_seconds()),
        }))
        .into_response(),
    }
}

fn back_to_page(auth: &Auth, posted: &Posted) -> Response {
    let to = return_url(auth, posted.field("callbackUrl").or_else(|| referer(&posted.headers)));
    let mut response = StatusCode::SEE_OTHER.into_response();
    response.headers_mut().insert(LOCATION, HeaderValue::from_str(&to).unwrap_or(HeaderValue::from_static("/")));
    response
}

fn referer(headers: &HeaderMap) -> Option<&str> {
    headers.get(http::header::REFERER).and_then(|referer| referer.to_str().ok())
}
