//! What the gateway itself refuses: a stable code, a status, one sentence that says what to do.

use std::time::Duration;

use axum::body::Body;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

/// Why the gateway does not pass a request on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GatewayRefusal {
    /// No `Host`, several, one that is none, or one that contradicts the request's target.
    BadHost,
    /// `CONNECT` or `TRACE`.
    MethodNotServed,
    /// The path reads differently to different servers.
    AmbiguousPath,
    /// No route covers the path.
    NoRoute,
    /// All targets of the upstream were taken out by their own answers.
    NoHealthyUpstream,
    /// The upstream cannot be reached.
    UpstreamUnreachable,
    /// The upstream took too long.
    UpstreamTimeout,
    /// Forward-auth: the caller is none of `[forward_auth] trusted`.
    UntrustedCaller,
    /// Forward-auth: the path names no kind of proxy.
    UnknownDialect,
    /// Forward-auth: which request is asked about is not said, or said twice.
    BadOriginal,
    /// Forward-auth: the request went to another host than that of `public_url`.
    ForeignHost,
    /// Forward-auth: the request is for an endpoint of the gateway itself.
    OwnEndpoint,
    /// Forward-auth: the request was refused a moment ago and would not be now.
    AskAgain,
    /// The routes of this host and path are for other methods.
    MethodNotAllowed,
    /// The route's rule is not met.
    RuleDenied,
    /// A page of another site, or of another origin, wants to write with the user's session.
    CrossSiteWrite,
    /// The request's body is longer than the route allows.
    BodyTooLarge,
    /// The request can be cut off from the next one in more than one way, or its body broke.
    BadFraming,
    /// Too many header lines.
    TooManyHeaders,
    /// The body stopped coming.
    BodyTooSlow,
    /// The client comes too often.
    TooManyRequests,
}

impl GatewayRefusal {
    fn row(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::BadHost => (
                StatusCode::BAD_REQUEST,
                "bad_host",
                "The request must name exactly one host, well-formed, and the same in its target; repair the client.",
            ),
            Self::MethodNotServed => (
                StatusCode::NOT_IMPLEMENTED,
                "method_not_served",
                "This is a gateway to one site; it takes neither CONNECT nor TRACE.",
            ),
            Self::AmbiguousPath => (
                StatusCode::BAD_REQUEST,
                "ambiguous_path",
                "The path has dot segments, doubled slashes or encoded separators; request the plain path.",
            ),
            Self::NoRoute => {
                (StatusCode::NOT_FOUND, "no_route", "Nothing is configured at this path; see the gateway's routes.")
            }
            Self::NoHealthyUpstream => (
                StatusCode::SERVICE_UNAVAILABLE,
                "no_healthy_upstream",
                "No instance of the application behind the gateway is well; see what its health check answers.",
            ),
            Self::UpstreamUnreachable => (
                StatusCode::BAD_GATEWAY,
                "upstream_unreachable",
                "The application behind the gateway cannot be reached; start it or correct the route's upstream.",
            ),
            Self::UpstreamTimeout => (
                StatusCode::GATEWAY_TIMEOUT,
                "upstream_timeout",
                "The application behind the gateway took too long to answer; repeat the request later.",
            ),
            Self::UntrustedCaller => (
                StatusCode::FORBIDDEN,
                "untrusted_caller",
                "Only proxies are answered here; add the address of this one to forward_auth.trusted.",
            ),
            Self::UnknownDialect => (
                StatusCode::NOT_FOUND,
                "unknown_dialect",
                "Proxies ask at /nginx, /caddy, /traefik or /envoy/; correct the proxy's configuration.",
            ),
            Self::BadOriginal => (
                StatusCode::BAD_REQUEST,
                "bad_original",
                "The proxy must say once which method, host and target it asks about; correct its configuration.",
            ),
            Self::ForeignHost => (
                StatusCode::MISDIRECTED_REQUEST,
                "foreign_host",
                "Sessions belong to the host of public_url, and this request went to another; request it there.",
            ),
            Self::OwnEndpoint => (
                StatusCode::FORBIDDEN,
                "own_endpoint",
                "This path belongs to the gateway; have the proxy pass it there without asking.",
            ),
            Self::AskAgain => (
                StatusCode::SERVICE_UNAVAILABLE,
                "ask_again",
                "The request was refused a moment ago and would be allowed now; repeat it.",
            ),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "Nothing is configured for this method at this path; use one that Allow names.",
            ),
            Self::RuleDenied => (
                StatusCode::FORBIDDEN,
                "rule_denied",
                "Your account is not allowed here; ask whoever runs this site, whose log says why.",
            ),
            Self::CrossSiteWrite => (
                StatusCode::FORBIDDEN,
                "cross_site_write",
                "This came from a page of another site; do it from a page of this one.",
            ),
            Self::BodyTooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "body_too_large",
                "The body of the request is longer than is taken here; send less at once.",
            ),
            Self::BadFraming => (
                StatusCode::BAD_REQUEST,
                "bad_framing",
                "Where the request ends is not clear, or its body broke off; send one length or chunks, and lines that end in CRLF.",
            ),
            Self::TooManyHeaders => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "too_many_headers",
                "The request has more header lines than the gateway takes; send fewer.",
            ),
            Self::BodyTooSlow => (
                StatusCode::REQUEST_TIMEOUT,
                "body_timeout",
                "The body stopped coming for too long; repeat the request on a better connection.",
            ),
            Self::TooManyRequests => (
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_requests",
                "Too many requests of this kind came from this address; repeat it after the time in Retry-After.",
            ),
        }
    }

    /// The stable code, for the page that says the same.
    pub(crate) fn code(self) -> &'static str {
        self.row().1
    }

    /// Whether what follows on the connection cannot be trusted to be a request.
    fn closes(self) -> bool {
        matches!(self, Self::BadHost | Self::BadFraming | Self::BodyTooLarge | Self::BodyTooSlow)
    }

    /// The refusal, with the time after which to come again.
    pub(crate) fn after(self, wait: Duration) -> Response<Body> {
        let mut response = self.into_response();
        let seconds = HeaderValue::from(wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
        response.headers_mut().insert(RETRY_AFTER, seconds);
        response
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        let (status, code, message) = self.row();
        // Codes and messages are plain ASCII without quotes.
        let mut response = json(status, format!(r#"{{"error":"{code}","message":"{message}"}}"#));
        if self == Self::AskAgain {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.closes() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

pub(crate) fn json(status: StatusCode, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
