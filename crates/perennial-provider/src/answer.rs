//! Answers that many endpoints give: OAuth errors (RFC 6749 §5.2, RFC 6750 §3), redirects, and a connection that breaks off.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Json;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body::Frame;
use serde_json::json;

/// An error of RFC 6749 §5.2.
#[derive(Debug)]
pub(crate) struct OAuthError {
    pub(crate) status: StatusCode,
    pub(crate) error: &'static str,
    pub(crate) description: String,
}

impl OAuthError {
    pub(crate) fn new(status: StatusCode, error: &'static str, description: impl Into<String>) -> Self {
        Self { status, error, description: description.into() }
    }

    pub(crate) fn invalid_request(description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", description)
    }

    pub(crate) fn invalid_client(description: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "invalid_client", description)
    }

    pub(crate) fn repeated(name: &str) -> Self {
        Self::invalid_request(format!("The parameter {name} came twice."))
    }

    /// Something of ours failed that cannot fail in a working process.
    pub(crate) fn server_error() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "The provider failed.")
    }
}

impl IntoResponse for OAuthError {
    fn into_response(self) -> Response {
        let body = Json(json!({ "error": self.error, "error_description": self.description }));
        let mut response = (self.status, NO_STORE, body).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"development provider\""));
        }
        response
    }
}

pub(crate) const NO_STORE: [(HeaderName, HeaderValue); 2] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (header::PRAGMA, HeaderValue::from_static("no-cache")),
];

/// A redirect of a browser that makes a POST a GET.
pub(crate) fn see_other(location: &str) -> Response {
    match HeaderValue::from_str(location) {
        Ok(location) => (StatusCode::SEE_OTHER, NO_STORE, [(header::LOCATION, location)]).into_response(),
        Err(_) => OAuthError::server_error().into_response(),
    }
}

/// An answer that never arrives: the server closes the connection before the first byte.
pub(crate) fn hang_up() -> Response {
    Body::new(Broken::Fail).into_response()
}

/// An answer that breaks off half way through its body.
pub(crate) fn broken_off(whole: &Bytes, response: Response) -> Response {
    let (parts, _) = response.into_parts();
    let half = whole.slice(..whole.len() / 2);
    Response::from_parts(parts, Body::new(Broken::Part(half)))
}

/// A body that fails; the server then gives up the connection. What was not flushed before is never sent: without a first part not even
/// the head goes out.
enum Broken {
    Part(Bytes),
    /// One turn in which the server flushes the part.
    Flush,
    Fail,
}

impl http_body::Body for Broken {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match std::mem::replace(&mut *self, Self::Fail) {
            Self::Part(part) => {
                *self = Self::Flush;
                Poll::Ready(Some(Ok(Frame::data(part))))
            }
            Self::Flush => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Self::Fail => {
                Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::ConnectionReset, "a fault closes this connection"))))
            }
        }
    }
}
