//! The HTTP endpoints: Auth.js's under the base path, `POST /refresh` beside them, and the recipe's four `/api` routes.

mod backchannel;
mod backend;
mod callback;
mod compat;
mod csrf;
mod guard;
mod pages;
mod providers;
mod refresh;
mod resume;
mod session;
mod signin;
mod signout;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::header::{ACCEPT, CACHE_CONTROL, EXPIRES, HeaderMap, LOCATION, PRAGMA, SET_COOKIE};
use http::{HeaderName, HeaderValue, StatusCode};
use perennial_core::limits::ENDPOINT_BODY_BYTES;

use crate::auth::Auth;
use crate::refusal::Refusal;

impl Auth {
    /// All endpoints as an axum router, to be merged into an application's, whatever its state.
    ///
    /// | method and path | what it does |
    /// |---|---|
    /// | GET `/auth/providers` | lists the providers |
    /// | GET `/auth/csrf` | gives a CSRF token |
    /// | GET, POST `/auth/session` | reads, updates the session |
    /// | GET `/auth/signin`, POST `/auth/signin/{provider}` | shows the choice, starts a sign-in |
    /// | GET `/auth/callback/{provider}` | ends a sign-in |
    /// | GET, POST `/auth/signout` | asks, signs out |
    /// | GET `/auth/signout/callback` | comes back from a sign-out at the provider |
    /// | POST `/auth/backchannel-logout` | ends what a provider says is over |
    /// | POST `/auth/refresh` | renews now |
    /// | GET `/auth/resume` | offers a form that was kept over a sign-in |
    /// | POST `/auth/backend/session` | tells an application's server who its visitor is |
    /// | GET `/auth/error`, `/auth/verify-request` | say what happened |
    pub fn router<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        let base = &self.inner.settings.base_path;
        let endpoints = Router::new()
            .route("/providers", get(providers::list))
            .route("/csrf", get(csrf::token))
            .route("/session", get(session::read).post(session::update))
            .route("/signin", get(signin::page).post(signin::without_provider))
            .route("/signin/{provider}", get(signin::page_for_one).post(signin::start))
            .route("/callback/{provider}", get(callback::by_query))
            .route("/signout", get(signout::page).post(signout::sign_out))
            .route("/signout/callback", get(signout::come_back))
            .route("/backchannel-logout", post(backchannel::log_out))
            .route("/refresh", post(refresh::renew_now))
            .route("/resume", get(resume::offer))
            .route("/backend/session", post(backend::session))
            .route("/error", get(pages::error))
            .route("/verify-request", get(pages::verify_request))
            .route("/style.css", get(pages::style))
            .method_not_allowed_fallback(|| async { Refusal::MethodNotAllowed })
            .fallback(|| async { Refusal::UnknownEndpoint });
        let mut router = Router::new().nest(base, endpoints);
        if self.inner.settings.compat_routes {
            let routes = Router::new()
                .route("/api/renew-token", post(compat::renew_token))
                .route("/api/trigger-renew-token", post(compat::trigger_renew_token))
                .route("/api/update-user-data", post(compat::update_user_data))
                .route("/api/get-session-status", get(compat::session_status))
                .method_not_allowed_fallback(|| async { Refusal::MethodNotAllowed });
            router = router.merge(routes);
        }
        router.layer(DefaultBodyLimit::max(ENDPOINT_BODY_BYTES)).with_state(self.clone())
    }

    /// Whether a path is one of the endpoints, which open the session themselves when they need it.
    pub(crate) fn is_endpoint(&self, path: &str) -> bool {
        let base = self.inner.settings.base_path.as_str();
        let name =
            path.strip_prefix(base).and_then(|rest| rest.strip_prefix('/')).and_then(|rest| rest.split('/').next());
        name.is_some_and(|name| ENDPOINTS.contains(&name))
            || (self.inner.settings.compat_routes && compat::PATHS.contains(&path))
    }

    /// Whether a path belongs to [`router`](Self::router).
    pub fn serves(&self, path: &str) -> bool {
        let base = self.inner.settings.base_path.as_str();
        path.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            || (self.inner.settings.compat_routes && compat::PATHS.contains(&path))
    }
}

/// A redirect, or `200 {"url":…}` for Auth.js's clients, which send `X-Auth-Return-Redirect` and navigate themselves.
fn go(headers: &HeaderMap, to: &str, cookies: Vec<HeaderValue>) -> Response {
    let location = HeaderValue::from_str(to).unwrap_or_else(|_| HeaderValue::from_static("/"));
    let mut response = if headers.contains_key(RETURN_REDIRECT) {
        axum::Json(serde_json::json!({ "url": to })).into_response()
    } else {
        StatusCode::FOUND.into_response()
    };
    response.headers_mut().insert(LOCATION, location);
    with_cookies(uncached(response), cookies)
}

fn with_cookies(mut response: Response, cookies: Vec<HeaderValue>) -> Response {
    for cookie in cookies {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// The three headers by which Auth.js keeps answers about a person out of caches.
pub(crate) fn uncached(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache, no-store"));
    headers.insert(EXPIRES, HeaderValue::from_static("0"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

/// Whether a browser is loading a page, and not a script fetching data: by `Sec-Fetch-Mode`, else by `Accept`.
pub fn wants_page(headers: &HeaderMap) -> bool {
    let is = |name: HeaderName, expected: &str| headers.get(name).is_some_and(|value| value == expected);
    if headers.contains_key(FETCH_MODE) {
        return is(FETCH_MODE, "navigate");
    }
    let accepts = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    accepts.contains("text/html") && !headers.contains_key("x-requested-with")
}

/// The first segments below the base path that [`Auth::router`] serves.
const ENDPOINTS: [&str; 13] = [
    "backchannel-logout",
    "backend",
    "providers",
    "csrf",
    "session",
    "signin",
    "callback",
    "signout",
    "refresh",
    "resume",
    "error",
    "verify-request",
    "style.css",
];

const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const RETURN_REDIRECT: HeaderName = HeaderName::from_static("x-auth-return-redirect");
