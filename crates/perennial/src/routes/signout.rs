//! Signing out over HTTP: the page that asks, and the deed.

use axum::extract::{Query, State};
use axum::response::Response;
use http::HeaderMap;
use serde::Deserialize;

use super::guard::{Posted, return_url};
use super::pages;
use crate::auth::Auth;

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
    super::go(&posted.headers, &to, cookies)
}
