//! The app behind the gateway: a page, and one ordinary request. It knows nothing of sessions but what the gateway tells it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::header::{AUTHORIZATION, CACHE_CONTROL, WWW_AUTHENTICATE};
use http::{HeaderMap, Request, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::json;

use super::assets;
use super::page::Pages;
use super::state::Story;

/// The session's public fingerprint, as the gateway hands it in.
const SESSION: &str = "x-perennial-session";

/// What the app's handlers share.
#[derive(Clone, Debug)]
pub(super) struct App {
    story: Arc<Story>,
    pages: Arc<Pages>,
    /// The provider's protected resource, which answers only to a token that counts.
    api: Uri,
    client: Client<HttpConnector, Body>,
}

impl App {
    /// The app, which proves tokens at `api`.
    pub(super) fn new(story: Arc<Story>, pages: Pages, api: Uri) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { story, pages: Arc::new(pages), api, client }
    }

    /// Its routes.
    pub(super) fn router(self) -> Router {
        Router::new()
            .route("/", get(home))
            .route("/demo/me", get(me))
            .route("/demo/assets/{file}", get(assets::asset))
            .with_state(self)
    }
}

async fn home(State(app): State<App>, headers: HeaderMap) -> Response {
    let Some(session) = headers.get(SESSION).and_then(|value| value.to_str().ok()) else {
        return app.pages.welcome();
    };
    let shown = app.story.snapshot(session);
    match &shown.session {
        Some(view) => app.pages.home(&shown, view),
        None => app.pages.welcome(),
    }
}

/// What an app does all day: it takes the bearer that it was given to an API.
async fn me(State(app): State<App>, headers: HeaderMap) -> Response {
    let Some(bearer) = headers.get(AUTHORIZATION) else {
        return (StatusCode::UNAUTHORIZED, Json(json!({ "ok": false }))).into_response();
    };
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = app.api.clone();
    request.headers_mut().insert(AUTHORIZATION, bearer.clone());
    match app.client.request(request).await.map(|answer| answer.status()) {
        Ok(StatusCode::OK) => ([(CACHE_CONTROL, "no-store")], Json(json!({ "ok": true }))).into_response(),
        // As RFC 6750 §3.1 wants it, so that the gateway knows that it is the token.
        Ok(StatusCode::UNAUTHORIZED) => {
            let challenge = [(WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"")];
            (StatusCode::UNAUTHORIZED, challenge, Json(json!({ "ok": false }))).into_response()
        }
        Ok(_) | Err(_) => (StatusCode::BAD_GATEWAY, Json(json!({ "ok": false }))).into_response(),
    }
}
