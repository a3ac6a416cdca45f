//! Passing a request to an upstream and its answer back, streamed both ways.

mod deadline;
mod hop_by_hop;
pub(crate) mod tunnel;

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use http::header::{CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri, Version};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use perennial::{ConfigError, Settings};
use url::Url;

use self::hop_by_hop::remove_hop_by_hop;
use crate::refusal::GatewayRefusal;

/// Connections to upstreams, kept alive and shared.
#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    client: Client<HttpConnector, Body>,
}

impl Proxy {
    pub(crate) fn new() -> Result<Self, ConfigError> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_DEADLINE));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .build(connector);
        Ok(Self { client })
    }

    /// Sends `request` to `upstream`, whose path goes before the request's, and gives back the answer as it streams in.
    pub(crate) async fn pass(
        &self,
        mut request: Request<Body>,
        upstream: &Url,
        settings: &Settings,
        peer: SocketAddr,
    ) -> Response<Body> {
        let Some(target) = target(upstream, request.uri()) else {
            return GatewayRefusal::UpstreamUnreachable.into_response();
        };
        let upgrade = tunnel::wanted(&mut request);
        forwarded(request.headers_mut(), settings, peer);
        remove_hop_by_hop(request.headers_mut());
        if let Some(upgrade) = &upgrade {
            request.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
            request.headers_mut().insert(UPGRADE, upgrade.protocol.clone());
        }
        *request.uri_mut() = target;
        *request.version_mut() = Version::HTTP_11;
        let (request, progress) = deadline::watched(request);
        match deadline::within(ANSWER_DEADLINE, progress, self.client.request(request)).await {
            None => {
                tracing::warn!(%upstream, "the upstream did not begin its answer in time");
                GatewayRefusal::UpstreamTimeout.into_response()
            }
            Some(Err(error)) => {
                let what =
                    if error.is_connect() { "the upstream cannot be reached" } else { "the upstream gave no answer" };
                tracing::warn!(error = root_cause(&error), %upstream, "{what}");
                GatewayRefusal::UpstreamUnreachable.into_response()
            }
            Some(Ok(response)) => {
                let mut response = tunnel::join(response, upgrade);
                if response.status() != http::StatusCode::SWITCHING_PROTOCOLS {
                    remove_hop_by_hop(response.headers_mut());
                }
                response
            }
        }
    }
}

/// The innermost cause: hyper's own words say little, the operating system's say what to do.
fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source()).last().map(ToString::to_string).unwrap_or_default()
}

/// The upstream's address with the request's path and query.
pub(crate) fn target(upstream: &Url, asked: &Uri) -> Option<Uri> {
    let authority = upstream.authority();
    let base = upstream.path().trim_end_matches('/');
    let path = asked.path_and_query().map_or("/", PathAndQuery::as_str);
    let path: PathAndQuery = if base.is_empty() { path.parse().ok()? } else { format!("{base}{path}").parse().ok()? };
    Uri::builder()
        .scheme(Scheme::HTTP)
        .authority(authority.parse::<Authority>().ok()?)
        .path_and_query(path)
        .build()
        .ok()
}

/// Says where the request came from. What came in under these names could say anything and is replaced.
fn forwarded(headers: &mut HeaderMap, settings: &Settings, peer: SocketAddr) {
    let host = headers.get(HOST).cloned();
    let mut set = |name: &'static str, value: Option<HeaderValue>| match value {
        Some(value) => drop(headers.insert(HeaderName::from_static(name), value)),
        None => drop(headers.remove(name)),
    };
    set("x-forwarded-for", HeaderValue::from_str(&peer.ip().to_string()).ok());
    set("x-forwarded-proto", HeaderValue::from_str(settings.public_url.scheme()).ok());
    set("x-forwarded-host", host);
}

/// The longest a connection to an upstream may take to open.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// The longest an upstream may take to begin its answer, from the last piece of the request on; the answer itself may stream for
/// ever.
const ANSWER_DEADLINE: Duration = Duration::from_secs(300);

/// How long an unused connection to an upstream is kept: shorter than the keep-alive of common servers.
const IDLE_MAX: Duration = Duration::from_secs(4);
