//! Signing out: the session ends in the store, its refresh token is revoked, its cookies go.

use axum::extract::{Query, State};
use axum::response::Response;
use http::{HeaderMap, HeaderValue};
use perennial_core::cookie;
use perennial_core::record::EndReason;
use serde::Deserialize;

use super::guard::{Posted, return_url};
use super::pages;
use crate::auth::Auth;
use crate::cookies::RequestCookies;
use crate::event::Event;

/// What `/signout` may be asked with.
#[derive(Debug, Deserialize)]
pub(super) struct SignOutQuery {
    #[serde(rename = "callbackUrl")]
    callback_url: Option<String>,
}

/// GET `/signout`: asks first. A link must not sign anybody out.
pub(super) async fn page(State(auth): State<Auth>, headers: HeaderMap, Query(query): Query<SignOutQuery>) -> Response {
    pages::sign_out(&auth, &headers, query.callback_url.as_deref())
}

/// POST `/signout`: wins over a renewal in flight, whose tokens are revoked when they arrive.
pub(super) async fn sign_out(State(auth): State<Auth>, posted: Posted) -> Response {
    let inner = &auth.inner;
    if let Some(opened) = inner.open(&posted.headers)
        && inner.tombstones.find(opened.state.id).is_none()
    {
        let newest = inner.newest(&opened.state).await;
        inner.end(&opened.state, EndReason::SignedOut).await;
        inner.emit(Event::SignedOut { at: inner.now(), session: opened.state.id.fingerprint() });
        if let Some(newest) = newest {
            let inner = inner.clone();
            // The user need not wait for the provider to take note.
            tokio::spawn(async move {
                if let Some(issuer) = inner.issuer(&newest.provider) {
                    inner.revoke(issuer, &newest).await;
                }
            });
        }
    }
    let to = return_url(&auth, posted.field("callbackUrl"));
    super::go(&posted.headers, &to, cleared(&auth, &posted.headers))
}

/// `Set-Cookie` lines that remove the session from the browser, whatever it consists of.
pub(super) fn cleared(auth: &Auth, headers: &HeaderMap) -> Vec<HeaderValue> {
    let inner = &auth.inner;
    let cookies = RequestCookies::read(headers);
    let present = cookie::join(&inner.names.session, cookies.iter()).map(|joined| joined.names).unwrap_or_default();
    inner.names.chunks(&cookie::clear(&inner.names.session, &present), inner.now())
}
