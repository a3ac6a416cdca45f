//! Signing out over HTTP: the page that asks, and the deed.

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use serde::Deserialize;

use super::guard::{Posted, return_url};
use super::pages;
use crate::auth::Auth;
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
    pages::sign_out(&auth, &headers, query.callback_url.as_deref())
}

/// POST `/signout`: wins over a renewal in flight, whose tokens are revoked when they arrive.
pub(super) async fn sign_out(State(auth): State<Auth>, posted: Posted) -> Response {
    let cookies = auth.sign_out(&posted.headers).await;
    let to = return_url(&auth, posted.field("callbackUrl"));
    match auth.sign_out_reach(&posted.headers) {
        Reach::Everywhere => super::go(&posted.headers, &to, cookies),
        Reach::ThisProcess => super::with_cookies(signed_out_here(&auth, &posted.headers, &to), cookies),
    }
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
