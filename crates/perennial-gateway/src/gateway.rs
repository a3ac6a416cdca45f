//! One request through the gateway.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse as _;
use http::header::{AUTHORIZATION, CACHE_CONTROL, HOST, SET_COOKIE, WWW_AUTHENTICATE};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use perennial::{Auth, ConfigError, ConfigFault, Door, Entry, Refusal, Session, request_span};
use tower_service::Service;
use tracing::Instrument;

use crate::config::Config;
use crate::identity::{self, statement};
use crate::refusal::{GatewayRefusal, json};
use crate::routing::{Access, Identity, Route, Routes};
use crate::upstream::{Original, Passage, Unanswered};

/// The gateway as a service, cheap to clone; [`serve`](crate::serve) puts it behind a listener.
#[derive(Clone, Debug)]
pub struct Gateway {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) auth: Auth,
    endpoints: Router,
    routes: Routes,
    /// Where upstreams fetch the keys of signed statements, and what they get; nothing if no route has such.
    key_set: Option<(String, String)>,
}

impl Gateway {
    /// Builds the engine and the routes of a configuration.
    ///
    /// # Errors
    /// [`ConfigError`] with every fault found.
    pub fn build(config: Config) -> Result<Self, ConfigError> {
        let auth = config.auth.build()?;
        let signs = config.routes.iter().any(|route| route.identity == Identity::Jwt);
        let key_set = signs.then(|| {
            let path = format!("{}{}", auth.settings().base_path, statement::KEY_SET_PATH);
            (path, auth.identity_keys().key_set().to_string())
        });
        config.routes.iter().for_each(|route| route.upstream.begin_probing());
        let inner = Inner { endpoints: auth.router(), routes: Routes::new(config.routes), auth, key_set };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The same with the configured store opened.
    ///
    /// # Errors
    /// [`ConfigError`] with every fault found, the store's included.
    pub fn open(mut config: Config) -> Result<Self, ConfigError> {
        match perennial::store::open(&config.store) {
            Ok(store) => config.auth = config.auth.store(store),
            Err(error) => config.auth = config.auth.fault(ConfigFault::new("store", error.code(), error.to_string())),
        }
        Self::build(config)
    }

    /// The engine behind it.
    pub fn auth(&self) -> &Auth {
        &self.inner.auth
    }

    /// Serves one request that came from `peer`.
    pub async fn handle(&self, request: Request<Body>, peer: SocketAddr) -> Response<Body> {
        let span = request_span(request.headers());
        self.respond(request, peer).instrument(span).await
    }

    async fn respond(&self, request: Request<Body>, peer: SocketAddr) -> Response<Body> {
        let inner = &self.inner;
        if !has_one_host(&request) {
            return GatewayRefusal::BadHost.into_response();
        }
        // The one would make a tunnel of us, the other shows cookies that scripts must not see (RFC 9110 §9.3.6, §9.3.8).
        if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
            return GatewayRefusal::MethodNotServed.into_response();
        }
        let path = request.uri().path();
        match path {
            "/healthz" => return json(StatusCode::OK, r#"{"status":"ok"}"#.to_owned()),
            "/readyz" => return readiness(&inner.auth).await,
            _ => {}
        }
        if let Some((at, key_set)) = &inner.key_set
            && at == path
        {
            return json(StatusCode::OK, key_set.clone());
        }
        if inner.auth.serves(path) {
            return match inner.endpoints.clone().call(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            };
        }
        let route = match inner.route(path) {
            Err(refusal) => return refusal.into_response(),
            Ok(route) => route,
        };
        let (mut parts, body) = request.into_parts();
        match inner.admit(&mut parts, route).await {
            Err(refused) => *refused,
            Ok(Admitted { session, set_cookies }) => {
                inner.forward(Request::from_parts(parts, body), route, session, set_cookies, peer).await
            }
        }
    }
}

/// A request that may go on to its route.
#[derive(Debug, Default)]
pub(crate) struct Admitted {
    /// Who sent it; `None` for a stranger, and where nobody looked.
    pub(crate) session: Option<Session>,
    /// `Set-Cookie` lines for the answer.
    pub(crate) set_cookies: Vec<HeaderValue>,
}

impl Inner {
    /// The route of a path, or why it has none.
    pub(crate) fn route(&self, path: &str) -> Result<&Route, GatewayRefusal> {
        match self.routes.find(path) {
            Err(_) => Err(GatewayRefusal::AmbiguousPath),
            Ok(None) => Err(GatewayRefusal::NoRoute),
            Ok(Some(route)) => Ok(route),
        }
    }

    /// Whether a request may go on to `route`; if not, what it is answered. Whoever passes requests on asks here: the gateway
    /// itself, and for other proxies `forward_auth`.
    pub(crate) async fn admit(&self, parts: &mut Parts, route: &Route) -> Result<Admitted, Box<Response<Body>>> {
        if route.access == Access::Public {
            return Ok(Admitted::default());
        }
        let Entry { session, set_cookies, challenge, unavailable, .. } =
            self.enter(&parts.method, &parts.headers, Door::Ordinary, route).await;
        let refused = match (unavailable, session.as_ref().map(Session::bearer)) {
            (Some(refusal), _) => Some(self.auth.refuse(parts, refusal)),
            (None, Some(Err(refusal @ Refusal::AudienceRefused))) => Some(refusal.into_response()),
            (None, _) if route.access == Access::Required => {
                if let Some(challenge) = challenge {
                    parts.extensions.insert(challenge);
                }
                self.auth.require(parts, session.as_ref()).await
            }
            (None, _) => None,
        };
        match refused {
            Some(refused) => Err(with_cookies(refused, set_cookies).into()),
            None => Ok(Admitted { session, set_cookies }),
        }
    }

    /// Passes a request on. An upstream that calls the access token invalid is asked once more with the next one, if what is
    /// known of the request's body allows it (RFC 6750 §3.1).
    async fn forward(
        &self,
        request: Request<Body>,
        route: &Route,
        session: Option<Session>,
        set_cookies: Vec<HeaderValue>,
        peer: SocketAddr,
    ) -> Response<Body> {
        let (request, original) = Original::keep(request, route.upstream.settings().replay_max);
        let response = self.pass(request, &original, route, session.as_ref(), peer).await;
        let (Some(session), true) = (session, calls_token_invalid(&response)) else {
            return with_cookies(response, set_cookies);
        };
        let Some(repeated) = original.again() else { return with_cookies(response, set_cookies) };
        // What this second entry sets replaces what the first wanted to: a browser keeps the last cookie of a name.
        let door = Door::Unauthorized(session.generation());
        let Entry { session: renewed, set_cookies, .. } =
            self.enter(original.method(), original.headers(), door, route).await;
        let response = match renewed {
            Some(renewed) if renewed.generation() > session.generation() => {
                self.pass(repeated, &original, route, Some(&renewed), peer).await
            }
            // Our token has died on its way, or the session is over: that is ours to say, and an outage is no "signed out".
            renewed if route.access == Access::Required => {
                let (parts, _) = repeated.into_parts();
                self.auth.require(&parts, renewed.as_ref()).await.unwrap_or(response)
            }
            _ => response,
        };
        with_cookies(response, set_cookies)
    }

    /// Sends a request in the name of `session`; once more, if the connection turns out to be closed and the method allows it.
    async fn pass(
        &self,
        mut request: Request<Body>,
        original: &Original,
        route: &Route,
        session: Option<&Session>,
        peer: SocketAddr,
    ) -> Response<Body> {
        let passage =
            Passage { settings: self.auth.settings(), peer, session: session.map(|session| (&self.auth, session)) };
        self.dress(&mut request, route, session).await;
        let answer = match route.upstream.pass(request, &passage).await {
            Err(Unanswered::Stale) if original.method().is_idempotent() => match original.again() {
                Some(mut again) => {
                    self.dress(&mut again, route, session).await;
                    route.upstream.pass(again, &passage).await
                }
                None => Err(Unanswered::Stale),
            },
            answer => answer,
        };
        answer.unwrap_or_else(|unanswered| GatewayRefusal::from(unanswered).into_response())
    }

    /// Into the hall, for whatever access token the route's upstream wants.
    async fn enter(&self, method: &Method, headers: &HeaderMap, door: Door, route: &Route) -> Entry {
        match &route.audience {
            None => self.auth.enter(method, headers, door).await,
            Some(audience) => self.auth.enter_for(method, headers, door, audience).await,
        }
    }

    /// Tells an upstream who is there, and hides from it what is ours.
    pub(crate) async fn dress(&self, request: &mut Request<Body>, route: &Route, session: Option<&Session>) {
        identity::strip(request.headers_mut(), self.auth.settings().secure());
        match session {
            Some(session) => {
                if route.identity == Identity::Headers {
                    identity::announce(request.headers_mut(), session);
                } else {
                    statement::announce(&self.auth, request, session, route.upstream.url(), route.bearer).await;
                }
                identity::bear(request.headers_mut(), session, route.bearer);
            }
            // The application's own Authorization header, where we have nothing to put in its place.
            None if route.access == Access::Required => drop(request.headers_mut().remove(AUTHORIZATION)),
            None => {}
        }
    }
}

impl Service<(Request<Body>, SocketAddr)> for Gateway {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, (request, peer): (Request<Body>, SocketAddr)) -> Self::Future {
        let gateway = self.clone();
        Box::pin(async move { Ok(gateway.handle(request, peer).await) })
    }
}

/// Whether the store answers.
pub(crate) async fn readiness(auth: &Auth) -> Response<Body> {
    match auth.check_store().await {
        Ok(()) => json(StatusCode::OK, r#"{"status":"ready"}"#.to_owned()),
        Err(error) => {
            tracing::warn!(%error, "not ready: the store does not answer");
            json(StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"not ready","store":"unavailable"}"#.to_owned())
        }
    }
}

/// One `Host` that is one, and a target in absolute form must not name another (RFC 9112 §3.2).
fn has_one_host(request: &Request<Body>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let target = request.uri().authority();
    is_host(host.as_bytes())
        && target.is_none_or(|target| host.as_bytes().eq_ignore_ascii_case(target.as_str().as_bytes()))
}

/// A host and perhaps a port, without what would mislead an application that makes URLs of it (RFC 9110 §7.2).
pub(crate) fn is_host(host: &[u8]) -> bool {
    let plain = host.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(byte));
    let authority = Authority::try_from(host).ok().filter(|_| plain);
    authority.is_some_and(|name| !name.host().is_empty() && (name.port_u16().is_some() || name.as_str() == name.host()))
}

fn calls_token_invalid(response: &Response<Body>) -> bool {
    response.status() == StatusCode::UNAUTHORIZED
        && response
            .headers()
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .any(|challenge| String::from_utf8_lossy(challenge.as_bytes()).contains("invalid_token"))
}

pub(crate) fn with_cookies(mut response: Response<Body>, cookies: Vec<HeaderValue>) -> Response<Body> {
    if !cookies.is_empty() {
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    }
    for cookie in cookies {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}
