//! `/demo/api/*`: the stream of the page, and its experiments. Same-origin only; it never sees the gateway's inside.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::header::{HOST, ORIGIN};
use http::{HeaderMap, Method, StatusCode};
use serde_json::json;

use super::actions::Refusal;
use super::house::House;
use super::jar::Jar;
use super::stream;

/// No form and no foreign page can send this header without a preflight, which nobody answers.
const OWN: &str = "x-perennial-demo";

/// The routes below `/demo/api`.
pub(super) fn router(house: Arc<House>) -> Router {
    Router::new()
        .route("/events", get(events))
        .route("/actions/{name}", post(start).delete(stop))
        .layer(from_fn(same_origin))
        .with_state(house)
}

async fn events(State(house): State<Arc<House>>, headers: HeaderMap) -> Response {
    match house.peek(&headers) {
        Some(seen) => {
            house.note(&seen);
            stream::events(house.shared_story(), seen.session).into_response()
        }
        None => refuse(StatusCode::UNAUTHORIZED, "not_signed_in", "Sign in first."),
    }
}

async fn start(State(house): State<Arc<House>>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    let Some(seen) = house.peek(&headers) else {
        return refuse(StatusCode::UNAUTHORIZED, "not_signed_in", "Sign in first.");
    };
    let jar = Jar::of_request(&headers);
    match house.laboratory().start(Arc::clone(&house), &name, seen.session, jar) {
        Ok(id) => (StatusCode::ACCEPTED, Json(json!({ "id": id }))).into_response(),
        Err(refusal) => refused(refusal),
    }
}

async fn stop(State(house): State<Arc<House>>, Path(name): Path<String>) -> Response {
    match house.laboratory().stop(&house, &name) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(refusal) => refused(refusal),
    }
}

/// A foreign page may neither start an experiment nor read the stream.
async fn same_origin(request: Request, next: Next) -> Response {
    if is_own(request.method(), request.headers()) {
        next.run(request).await
    } else {
        refuse(StatusCode::FORBIDDEN, "cross_site", "Only the demo page itself may ask for this.")
    }
}

fn is_own(method: &Method, headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    let site = text("sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none"));
    let host = text(HOST.as_str()).unwrap_or_default();
    let origin = text(ORIGIN.as_str()).is_none_or(|origin| origin.strip_prefix("http://") == Some(host));
    let marked = method == Method::GET || text(OWN) == Some("1");
    site && origin && marked
}

fn refused(refusal: Refusal) -> Response {
    match refusal {
        Refusal::Busy => {
            refuse(StatusCode::CONFLICT, "busy", "Another experiment is running; stop it or wait for its end.")
        }
        Refusal::NotRunning => refuse(StatusCode::CONFLICT, "not_running", "This experiment is not running."),
        Refusal::Unknown => refuse(StatusCode::NOT_FOUND, "unknown_experiment", "There is no experiment of this name."),
    }
}

fn refuse(status: StatusCode, code: &str, message: &str) -> Response {
    (status, Json(json!({ "error": code, "message": message }))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_page_itself_is_let_in() {
        type Case<'a> = (&'a Method, &'a [(&'a str, &'a str)], bool);
        let cases: [Case<'_>; 7] = [
            (&Method::GET, &[], true),
            (&Method::GET, &[("sec-fetch-site", "cross-site")], false),
            (&Method::POST, &[], false),
            (&Method::POST, &[(OWN, "1")], true),
            (&Method::POST, &[(OWN, "1"), ("origin", "http://localhost:4200")], true),
            (&Method::POST, &[(OWN, "1"), ("origin", "http://evil.test")], false),
            (&Method::DELETE, &[(OWN, "1"), ("sec-fetch-site", "same-site")], false),
        ];
        for (method, headers, expected) in cases {
            let mut map = HeaderMap::new();
            map.insert(HOST, http::HeaderValue::from_static("localhost:4200"));
            for (name, value) in headers {
                let name: http::HeaderName = name.parse().expect("a header name");
                map.insert(name, value.parse().expect("a header value"));
            }
            assert_eq!(is_own(method, &map), expected, "{method} {headers:?}");
        }
    }
}
