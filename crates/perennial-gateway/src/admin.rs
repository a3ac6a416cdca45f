//! The admin listener: metrics, the story of a session, its end by an operator, health. For operators and their tools, never for browsers.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};

use axum::body::Body;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use perennial::METRICS_CONTENT_TYPE;
use perennial::explain::ExplainError;
use tokio::net::TcpListener;

use crate::gateway::{Gateway, readiness};
use crate::refusal::{GatewayRefusal, json};
use crate::serving::{Answers, serve};
use crate::sessions_end;

/// The admin endpoints of one engine, cheap to clone.
#[derive(Clone, Debug)]
pub struct Admin {
    gateway: Gateway,
    /// Whether the listener is for this machine alone, and a web page must not reach it by a name of its own.
    loopback: bool,
}

impl Admin {
    /// The admin endpoints of `gateway`, to be served on `listen`.
    pub fn new(gateway: Gateway, listen: SocketAddr) -> Self {
        Self { gateway, loopback: listen.ip().is_loopback() }
    }

    /// Serves on `listener` until `shutdown` resolves.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        serve(listener, self, shutdown).await;
    }

    async fn handle(&self, request: Request<Body>) -> Response<Body> {
        if self.loopback && !names_this_machine(request.headers()) {
            return GatewayRefusal::BadHost.into_response();
        }
        let (allowed, sentence) = match request.uri().path() {
            SESSIONS_END => ("POST", "Ask with POST."),
            _ => ("GET, HEAD", "Ask with GET."),
        };
        if !allowed.split(", ").any(|method| method == request.method().as_str()) {
            let mut refused = told(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", sentence);
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
            return refused;
        }
        match request.uri().path() {
            "/healthz" => json(StatusCode::OK, r#"{"status":"ok"}"#.to_owned()),
            "/readyz" => readiness(&self.gateway).await,
            "/metrics" => self.metrics(),
            SESSIONS_END => sessions_end::end(&self.gateway.auth(), request).await,
            path => match path.strip_prefix("/explain/") {
                Some(fingerprint) => self.explain(fingerprint).await,
                None => {
                    let message = "There are /metrics, /explain/<fingerprint>, /sessions/end, /healthz and /readyz.";
                    told(StatusCode::NOT_FOUND, "not_found", message)
                }
            },
        }
    }

    fn metrics(&self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.gateway.auth().metrics()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(METRICS_CONTENT_TYPE));
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    async fn explain(&self, fingerprint: &str) -> Response<Body> {
        let explained = match self.gateway.auth().explain(fingerprint).await {
            Ok(Some(explained)) => serde_json::to_string(&explained),
            Ok(None) => {
                let message = "The store has no record of this session: it was never here, or was forgotten.";
                return told(StatusCode::NOT_FOUND, "unknown_session", message);
            }
            Err(error) => {
                let status = match error {
                    ExplainError::NoFingerprint => StatusCode::BAD_REQUEST,
                    ExplainError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
                    _ => StatusCode::INTERNAL_SERVER_ERROR,
                };
                return told(status, error.code(), &error.to_string());
            }
        };
        match explained {
            Ok(text) => json(StatusCode::OK, text),
            // Strings, numbers and options: writing them cannot fail.
            Err(error) => told(StatusCode::INTERNAL_SERVER_ERROR, "not_json", &error.to_string()),
        }
    }
}

impl Answers for Admin {
    async fn answer(&self, request: Request<Body>, _: SocketAddr) -> Response<Body> {
        self.handle(request).await
    }
}

/// A page on `evil.example`, whose name was made to point here, sends that name: DNS rebinding ends at this line.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let Ok(authority) = Authority::try_from(host.as_bytes()) else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

pub(crate) fn told(status: StatusCode, code: &str, message: &str) -> Response<Body> {
    json(status, serde_json::json!({ "error": code, "message": message }).to_string())
}

/// Where an operator ends sessions.
const SESSIONS_END: &str = "/sessions/end";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_and_addresses_are_answered() {
        for (host, expected) in [
            ("localhost", true),
            ("LOCALHOST:9420", true),
            ("127.0.0.1:9420", true),
            ("[::1]:9420", true),
            ("10.1.2.3:9420", true),
            ("evil.example", false),
            ("evil.example:9420", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().expect("a header value"));
            assert_eq!(names_this_machine(&headers), expected, "{host}");
            headers.append(HOST, HeaderValue::from_static("localhost"));
            assert!(!names_this_machine(&headers), "two hosts");
        }
        assert!(!names_this_machine(&HeaderMap::new()));
    }
}
