//! One request through the gateway.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse as _;
use http::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, HOST, SET_COOKIE, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use perennial::{Auth, ConfigError, ConfigFault, Door, Entry, Refusal, Session, request_span, wants_page};
use tower_service::Service;
use tracing::Instrument;

use crate::config::Config;
use crate::identity::{self, statement};
use crate::refusal::{GatewayRefusal, json};
use crate::reload::Standing;
use crate::routing::{Access, Asked, Identity, NotFound, RequestFacts, Route, Routes, capped, host_of, is_too_long};
use crate::serving::forwarded::Caller;
use crate::serving::rates::Rates;
use crate::serving::{Answers, Certificates, Lasting, Serving, hygiene};
use crate::upstream::{Original, Passage, Unanswered};

/// The gateway, cheap to clone; [`serve`](crate::serve) puts it behind a listener.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// What is in force. A request takes it once and keeps it to its end, whatever a reload puts in its place meanwhile.
    pub(crate) in_force: Arc<ArcSwap<Inner>>,
    pub(crate) standing: Arc<Standing>,
    pub(crate) lasting: Arc<Lasting>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) auth: Auth,
    endpoints: Router,
    pub(crate) routes: Routes,
    /// The headers that any route has for its upstream, folded: an upstream believes them wherever they come from.
    pub(crate) said: Vec<String>,
    /// Where upstreams fetch the keys of signed statements, and what they get; nothing if no route has such.
    key_set: Option<(String, String)>,
    serving: Serving,
    rates: Rates,
}

/// Where a request goes, decided once.
pub(crate) struct Way<'r> {
    pub(crate) route: &'r Route,
    /// What the upstream is asked for.
    pub(crate) target: Uri,
    /// Whether its path was judged in another spelling than it came in.
    pub(crate) respelled: bool,
    /// What rules and headers are asked about.
    pub(crate) about: RequestFacts,
}

impl Gateway {
    /// Builds the engine and the routes of a configuration.
    ///
    /// # Errors
    /// [`ConfigError`] with every fault found.
    pub fn build(mut config: Config) -> Result<Self, ConfigError> {
        let standing = Standing::new(config.at_start.clone());
        let lasting = Lasting::of(&mut config);
        let inner = Inner::build(config)?;
        let in_force = Arc::new(ArcSwap::from_pointee(inner));
        Ok(Self { in_force, standing: Arc::new(standing), lasting: Arc::new(lasting) })
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

    /// The engine behind it, as it is now: a reload puts another in its place.
    pub fn auth(&self) -> Auth {
        self.inner().auth.clone()
    }

    pub(crate) fn inner(&self) -> Arc<Inner> {
        self.in_force.load_full()
    }

    /// The certificates it serves with, if it does TLS.
    pub fn certificates(&self) -> Option<&Certificates> {
        self.lasting.certificates.as_ref()
    }

    /// Serves one request that came from `peer`.
    pub async fn handle(&self, request: Request<Body>, peer: SocketAddr) -> Response<Body> {
        let span = request_span(request.headers());
        match span.is_none() {
            true => self.respond(request, peer).await,
            false => Box::pin(self.respond(request, peer)).instrument(span).await,
        }
    }

    async fn respond(&self, mut request: Request<Body>, peer: SocketAddr) -> Response<Body> {
        let inner = self.inner();
        if let Err(refusal) = hygiene::admit(&mut request) {
            return refusal.into_response();
        }
        let caller = inner.serving.trusted.caller(request.headers(), peer.ip());
        // The one would make a tunnel of us, the other shows cookies that scripts must not see (RFC 9110 §9.3.6, §9.3.8).
        if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
            return GatewayRefusal::MethodNotServed.into_response();
        }
        let path = request.uri().path();
        match path {
            "/healthz" => return json(StatusCode::OK, r#"{"status":"ok"}"#.to_owned()),
            "/readyz" => return readiness(self).await,
            _ => {}
        }
        if let Some((at, key_set)) = &inner.key_set
            && at == path
        {
            return json(StatusCode::OK, key_set.clone());
        }
        if inner.auth.serves(path) {
            if let Err(wait) = inner.rates.take(request.method(), path, caller.address) {
                return GatewayRefusal::TooManyRequests.after(wait);
            }
            return match inner.endpoints.clone().call(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            };
        }
        let (mut parts, mut body) = request.into_parts();
        let way = match inner.way(&parts) {
            Ok(way) => way,
            Err(refused) => return *refused,
        };
        if is_too_long(&body, inner.body_max(way.route)) {
            return GatewayRefusal::BodyTooLarge.into_response();
        }
        match inner.admit(&mut parts, &way, Some(&mut body)).await {
            Err(refused) => *refused,
            Ok(admitted) => inner.forward(Request::from_parts(parts, body), &way, admitted, &caller).await,
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
    /// The engine and the routes of a configuration.
    pub(crate) fn build(config: Config) -> Result<Self, ConfigError> {
        let auth = config.auth.build()?;
        let signs = config.routes.iter().any(|route| route.identity == Identity::Jwt);
        let key_set = signs.then(|| {
            let path = format!("{}{}", auth.settings().base_path, statement::KEY_SET_PATH);
            (path, auth.identity_keys().key_set().to_string())
        });
        config.routes.iter().for_each(|route| route.upstream.begin_probing());
        let headers = config.routes.iter().flat_map(|route| &route.request_headers);
        let rates = Rates::new(&auth, &config.serving.limits);
        Ok(Self {
            rates,
            serving: config.serving,
            endpoints: auth.router(),
            said: headers.map(|header| identity::folded(header.name().as_str())).collect(),
            routes: Routes::new(config.routes),
            auth,
            key_set,
        })
    }

    /// Where a request goes; if nowhere, what it is answered.
    pub(crate) fn way(&self, request: &Parts) -> Result<Way<'_>, Box<Response<Body>>> {
        let host = request.headers.get(HOST).and_then(|host| host.to_str().ok()).map(host_of).unwrap_or_default();
        let asked = Asked { host: &host, method: &request.method, path: request.uri.path() };
        let found = self.routes.find(asked).map_err(|none| Box::new(unfound(&none)))?;
        let target =
            found.target(&request.uri).ok_or_else(|| Box::new(GatewayRefusal::AmbiguousPath.into_response()))?;
        let about = RequestFacts::of(&found, &host, request);
        Ok(Way { route: found.route, target, respelled: found.path != request.uri.path(), about })
    }

    /// Whether a request may go its way; if not, what it is answered. Whoever passes requests on asks here: the gateway itself, and
    /// for other proxies `forward_auth`, which has no body to keep over a sign-in.
    pub(crate) async fn admit(
        &self,
        parts: &mut Parts,
        way: &Way<'_>,
        body: Option<&mut Body>,
    ) -> Result<Admitted, Box<Response<Body>>> {
        let route = way.route;
        if route.access == Access::Public {
            return Ok(Admitted::default());
        }
        let Entry { session, set_cookies, challenge, unavailable, .. } =
            self.enter(&parts.method, &parts.headers, Door::Ordinary, route).await;
        if let Some(challenge) = challenge {
            parts.extensions.insert(challenge);
        }
        let refused = match (unavailable, session.as_ref().map(Session::bearer)) {
            (Some(refusal), _) => Some(self.auth.refuse(parts, refusal)),
            (None, Some(Err(refusal @ Refusal::AudienceRefused))) => Some(refusal.into_response()),
            (None, _) if route.access == Access::Required => self.require(parts, way, session.as_ref(), body).await,
            (None, _) => None,
        };
        let refused = match refused {
            Some(refused) => Some(refused),
            None => self.judge(parts, way, session.as_ref()).await,
        };
        match refused {
            Some(refused) => Err(with_cookies(refused, set_cookies).into()),
            None => Ok(Admitted { session, set_cookies }),
        }
    }

    /// What somebody is told who is not signed in as the route wants it.
    async fn require(
        &self,
        request: &Parts,
        way: &Way<'_>,
        session: Option<&Session>,
        body: Option<&mut Body>,
    ) -> Option<Response<Body>> {
        let refused = self.auth.require(request, session).await?;
        let (Some(body), Some(max), true) = (body, self.auth.keepable_form(request), way.route.keep_post) else {
            return Some(refused);
        };
        // A longer form, or one that breaks off, is not kept.
        let kept = match axum::body::to_bytes(std::mem::take(body), max).await {
            Ok(form) => self.auth.keep_form(request, &form, session).await,
            Err(_) => None,
        };
        Some(kept.unwrap_or(refused))
    }

    /// What somebody is told whom the page they come from, or the route's rule, does not let pass. Whoever is not signed in may do
    /// so first.
    async fn judge(&self, request: &Parts, way: &Way<'_>, session: Option<&Session>) -> Option<Response<Body>> {
        let (route, fingerprint) = (way.route, session.map(Session::fingerprint));
        if session.is_some() && !route.csrf.admits(&request.method, &request.headers, || self.origins(request)) {
            tracing::info!(route = route.path.as_str(), session = fingerprint, "a write from another site was refused");
            return Some(GatewayRefusal::CrossSiteWrite.into_response());
        }
        // What a rule is asked about takes parsing an ID token: not where there is none.
        route.rule.as_ref()?;
        let because = route.admits(&way.about.with(&self.auth, session)).err()?;
        if session.is_none()
            && let Some(refused) = self.auth.require(request, None).await
        {
            return Some(refused);
        }
        tracing::info!(route = route.path.as_str(), session = fingerprint, because, "a request was denied by a rule");
        let (refusal, page) = (GatewayRefusal::RuleDenied, wants_page(&request.headers));
        Some(if page { self.auth.forbidden_page(&request.headers, refusal.code()) } else { refusal.into_response() })
    }

    /// The origins of pages that are the application's own: ours, and that of the host which was asked.
    fn origins(&self, request: &Parts) -> [String; 2] {
        let settings = self.auth.settings();
        let host = request.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        [settings.origin(), format!("{}://{}", settings.public_url.scheme(), host.to_ascii_lowercase())]
    }

    /// Passes a request on. An upstream that calls the access token invalid is asked once more with the next one, if what is
    /// known of the request's body allows it (RFC 6750 §3.1).
    async fn forward(
        &self,
        mut request: Request<Body>,
        way: &Way<'_>,
        Admitted { session, set_cookies }: Admitted,
        caller: &Caller,
    ) -> Response<Body> {
        let route = way.route;
        let asked = std::mem::replace(request.uri_mut(), way.target.clone());
        let (request, overflow) = capped(request, self.body_max(route));
        let (request, original) = Original::keep(request, route.upstream.settings().replay_max);
        let response = self.pass(request, &original, way, session.as_ref(), caller).await;
        if overflow.happened() {
            return with_cookies(GatewayRefusal::BodyTooLarge.into_response(), set_cookies);
        }
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
                Box::pin(self.pass(repeated, &original, way, Some(&renewed), caller)).await
            }
            // Our token has died on its way, or the session is over: that is ours to say, and an outage is no "signed out".
            renewed if route.access == Access::Required => {
                let (mut parts, _) = repeated.into_parts();
                parts.uri = asked;
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
        way: &Way<'_>,
        session: Option<&Session>,
        caller: &Caller,
    ) -> Response<Body> {
        let passage = Passage {
            settings: self.auth.settings(),
            caller,
            session: session.map(|session| (&self.auth, session)),
            answer_timeout: way.route.timeout,
        };
        let upstream = &way.route.upstream;
        self.dress(&mut request, way, session).await;
        let answer = match upstream.pass(request, &passage).await {
            Err(Unanswered::Stale) if original.method().is_idempotent() => match original.again() {
                Some(mut again) => {
                    self.dress(&mut again, way, session).await;
                    Box::pin(upstream.pass(again, &passage)).await
                }
                None => Err(Unanswered::Stale),
            },
            answer => answer,
        };
        answer.unwrap_or_else(|unanswered| GatewayRefusal::from(unanswered).into_response())
    }

    fn body_max(&self, route: &Route) -> u64 {
        route.body_max.unwrap_or(self.serving.limits.body_bytes)
    }

    /// Into the hall, for whatever access token the route's upstream wants.
    async fn enter(&self, method: &Method, headers: &HeaderMap, door: Door, route: &Route) -> Entry {
        match &route.audience {
            None => self.auth.enter(method, headers, door).await,
            Some(audience) => self.auth.enter_for(method, headers, door, audience).await,
        }
    }

    /// Tells an upstream who is there, and hides from it what is ours.
    pub(crate) async fn dress(&self, request: &mut Request<Body>, way: &Way<'_>, session: Option<&Session>) {
        let route = way.route;
        identity::strip(request.headers_mut(), &self.said);
        match session {
            Some(session) => {
                if route.identity == Identity::Headers {
                    identity::announce(request.headers_mut(), session.user(), session.fingerprint());
                } else {
                    Box::pin(statement::announce(&self.auth, request, session, route.upstream.url(), route.bearer))
                        .await;
                }
                identity::bear(request.headers_mut(), session, route.bearer);
            }
            // The application's own Authorization header, where we have nothing to put in its place.
            None if route.access == Access::Required => drop(request.headers_mut().remove(AUTHORIZATION)),
            None => {}
        }
        if !route.request_headers.is_empty() {
            let facts = way.about.with(&self.auth, session);
            route.request_headers.iter().for_each(|header| header.write(request.headers_mut(), &facts));
        }
    }
}

/// The answer where there is no route.
fn unfound(none: &NotFound) -> Response<Body> {
    match none {
        NotFound::AmbiguousPath => GatewayRefusal::AmbiguousPath.into_response(),
        NotFound::NoRoute => GatewayRefusal::NoRoute.into_response(),
        NotFound::OtherMethods(methods) => {
            let mut response = GatewayRefusal::MethodNotAllowed.into_response();
            let names: Vec<_> = methods.iter().map(Method::as_str).collect();
            if let Ok(allow) = HeaderValue::from_str(&names.join(", ")) {
                response.headers_mut().insert(ALLOW, allow);
            }
            response
        }
    }
}

impl Answers for Gateway {
    async fn answer(&self, request: Request<Body>, peer: SocketAddr) -> Response<Body> {
        self.handle(request, peer).await
    }
}

/// Whether to send requests here: the store answers, and no end is near. Neither a changed configuration that was refused is a
/// reason to send nobody, nor a provider that is left alone: living sessions are served without it, and all replicas would go at
/// once.
pub(crate) async fn readiness(gateway: &Gateway) -> Response<Body> {
    let auth = gateway.auth();
    let (status, word) = match auth.check_store().await {
        _ if gateway.lasting.life.is_ending() => (StatusCode::SERVICE_UNAVAILABLE, "ending"),
        Ok(()) => (StatusCode::OK, "ready"),
        Err(error) => {
            tracing::warn!(%error, "not ready: the store does not answer");
            (StatusCode::SERVICE_UNAVAILABLE, "not ready")
        }
    };
    let mut told = serde_json::json!({ "status": word });
    if word == "not ready" {
        told["store"] = "unavailable".into();
    }
    if gateway.standing.is_behind() {
        told["configuration"] = "refused".into();
    }
    let held: Vec<&str> = auth.held_providers().map(|id| id.as_str()).collect();
    if !held.is_empty() {
        told["providers_held"] = held.into();
    }
    json(status, told.to_string())
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
