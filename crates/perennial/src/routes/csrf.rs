//! GET `/csrf`: Auth.js's double-submit token, for the clients that ask for it.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue};
use perennial_core::csrf::CsrfToken;

use crate::auth::Auth;
use crate::cookies::{Life, RequestCookies};

pub(super) async fn token(State(auth): State<Auth>, headers: HeaderMap) -> Response {
    let (token, cookies) = current(&auth, &headers);
    super::with_cookies(super::uncached(Json(serde_json::json!({ "csrfToken": token })).into_response()), cookies)
}

/// The browser's token, or a new one with the cookie that makes it so.
pub(super) fn current(auth: &Auth, headers: &HeaderMap) -> (String, Vec<HeaderValue>) {
    let inner = &auth.inner;
    let cookies = RequestCookies::read(headers);
    if let Some(known) =
        cookies.first_decoded(&inner.names.csrf).and_then(|value| CsrfToken::from_cookie(&value, inner.secrets()))
    {
        return (known.token().to_owned(), Vec::new());
    }
    let fresh = CsrfToken::create(inner.proving_secrets(), inner.random());
    let cookie = inner.names.set(&inner.names.csrf, &fresh.cookie_value().replace('|', "%7C"), Life::BrowserSession);
    (fresh.token().to_owned(), vec![cookie])
}
