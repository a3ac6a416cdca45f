//! Signing out over HTTP: the page that asks, and the deed.

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use http::header::REFERRER_POLICY;
use http::{HeaderMap, HeaderValue};
use serde::Deserialize;

use super::guard::{Posted, return_url};
use super::pages;
use crate::auth::Auth;
use crate::end_session::SignOutStart;
use crate::refusal::Refusal;
use crate::unwritten::Reach;

/// What `/signout` may be asked with.
#[derive(Debug, Deserialize)]
pub(super) struct SignOutQuery {
    #[serde(rename = "callbackUrl")]
    callback_url: Option<String>,
}

/// GET `/signout`: asks first. A link must not sign anybody out.
pub(super) async fn page(State(auth): State<Auth>, headers: HeaderMap, Query(query): Query<SignOutQuery>) -> Response {
    if let Some(page) = &auth.inner.settings.pages.sign_out {
        return super::go(&headers, &format!("{}{page}", auth.inner.settings.origin()), Vec::new());
    }
    pages::sign_out(&auth, &headers, query.callback_url.as_deref()).await
}

/// POST `/signout`: wins over a renewal in flight, whose tokens are revoked when they arrive.
pub(super) async fn sign_out(State(auth): State<Auth>, posted: Posted) -> Response {
    let return_to = return_url(&auth, posted.field("callbackUrl"));
    let SignOutStart { location, set_cookies } = auth.begin_sign_out(&posted.headers, &return_to).await;
    let answer = match auth.sign_out_reach(&posted.headers) {
        Reach::Everywhere => super::go(&posted.headers, &location, set_cookies),
        Reach::ThisProcess => super::with_cookies(signed_out_here(&auth, &posted.headers, &location), set_cookies),
    };
    unreferred(answer)
}

/// What the provider adds to our address, or whoever made a link to it.
#[derive(Debug, Deserialize)]
pub(super) struct CameBack {
    /// RP-Initiated Logout §3: what we sent along, the return URL. Absent or changed it leads nowhere else than a `callbackUrl` may.
    state: Option<String>,
}

/// GET `/signout/callback`: the provider sends the browser back. The session was over before it left.
pub(super) async fn come_back(State(auth): State<Auth>, headers: HeaderMap, Query(query): Query<CameBack>) -> Response {
    unreferred(super::go(&headers, &return_url(&auth, query.state.as_deref()), Vec::new()))
}

/// Whoever is next must not learn this address from the browser: it may say where the user was.
fn unreferred(mut response: Response) -> Response {
    response.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// The answer while the store fails: the browser is signed out, and nobody is told more than that. Auth.js's clients, which go where
/// `url` says whatever the status, still do.
fn signed_out_here(auth: &Auth, headers: &HeaderMap, to: &str) -> Response {
    if super::wants_page(headers) {
        return pages::signed_out_here(auth, headers);
    }
    let refusal = Refusal::SignOutUnfinished;
    let body = serde_json::json!({ "error": refusal.code(), "message": refusal.message(), "url": to });
    super::uncached((refusal.status(), axum::Json(body)).into_response())
}
