//! Forward-auth: another proxy asks about each request whether it may go on, and passes it on itself (nginx `auth_request`, Caddy
//! `forward_auth`, Traefik `ForwardAuth`, Envoy `ext_authz` over HTTP).
//!
//! The answers hold access tokens, and the questions are believed. So they have a listener of their own, which no browser's
//! request is ever passed to, and of those who reach it only trusted callers are answered. What is decided is what the gateway
//! itself would decide: the same routes, the same engine, the same headers for the application.

mod answer;
mod dialect;
mod original;
mod unheard;

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use http::request::Parts;
use http::{HeaderMap, Request, Response};
use ipnet::{IpNet, Ipv4Net};
use perennial::{AlarmCode, Auth, Session, request_span};
use tokio::net::TcpListener;
use tracing::Instrument;

use self::dialect::{Dialect, Question};
use self::original::Original;
use self::unheard::{Cookies, Heard};
use crate::gateway::{Admitted, Gateway, Inner, Way};
use crate::refusal::GatewayRefusal;
use crate::serving::{Answers, drain};

/// Where other proxies ask, and who may.
#[derive(Clone, Debug)]
pub struct ForwardAuthSettings {
    /// Where to listen: an address that only the proxies reach.
    pub listen: SocketAddr,
    /// Who is answered; this machine.
    pub trusted: Vec<IpNet>,
}

impl ForwardAuthSettings {
    /// Listens at `listen` for proxies on this machine.
    pub fn new(listen: SocketAddr) -> Self {
        let here = [IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::LOCALHOST, 8)), IpAddr::from(Ipv6Addr::LOCALHOST).into()];
        Self { listen, trusted: here.to_vec() }
    }
}

/// Answers other proxies with what a gateway would do, cheap to clone.
#[derive(Clone, Debug)]
pub struct ForwardAuth {
    gateway: Gateway,
    trusted: Arc<[IpNet]>,
    cookies: Arc<Cookies>,
}

impl ForwardAuth {
    /// Answers for `gateway`.
    pub fn new(gateway: Gateway, settings: &ForwardAuthSettings) -> Self {
        Self { gateway, trusted: settings.trusted.clone().into(), cookies: Arc::default() }
    }

    /// Serves on `listener` until `shutdown` resolves, then lets questions and renewals under way come to their end, each for at
    /// most 30 s.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let gateway = self.gateway.clone();
        gateway.lasting.serve(listener, self, shutdown).await;
        drain(&gateway.auth(), gateway.lasting.settings.end.drain_max).await;
    }

    /// Answers one question that came from `peer`.
    pub async fn handle(&self, request: Request<Body>, peer: SocketAddr) -> Response<Body> {
        let span = request_span(request.headers());
        self.respond(request, peer).instrument(span).await
    }

    async fn respond(&self, request: Request<Body>, peer: SocketAddr) -> Response<Body> {
        let caller = peer.ip().to_canonical();
        if !self.trusted.iter().any(|trusted| trusted.contains(&caller)) {
            tracing::info!(%caller, "somebody asked about a request who is not in forward_auth.trusted");
            return GatewayRefusal::UntrustedCaller.into_response();
        }
        let (asked, _) = request.into_parts();
        let Some((dialect, question)) = dialect::of(asked.uri.path()) else {
            return GatewayRefusal::UnknownDialect.into_response();
        };
        // The whole question is answered by what is in force now.
        let inner = self.gateway.inner();
        let settings = inner.auth.settings();
        let judged = match Original::read(dialect, asked, settings) {
            Ok(original) => self.judge(&inner, dialect, original.parts).await,
            Err(refusal) => Err(refusal.into_response().into()),
        };
        match (question, judged) {
            (Question::Verdict, Ok(allowed)) => {
                answer::allowed(dialect, allowed.headers, allowed.set_cookies, &inner.said)
            }
            (Question::Verdict, Err(refused)) => answer::refused(dialect, *refused, &settings.origin()),
            (Question::Answer, Ok(allowed)) => answer::again(&allowed.original),
            (Question::Answer, Err(refused)) => answer::as_it_is(*refused, &settings.origin()),
        }
    }

    /// What the gateway would do with this request.
    async fn judge(
        &self,
        inner: &Inner,
        dialect: Dialect,
        mut original: Parts,
    ) -> Result<Allowed, Box<Response<Body>>> {
        let refused = |refusal: GatewayRefusal| Box::new(refusal.into_response());
        let path = original.uri.path().to_owned();
        // An application must not be reached by a path that it shares with us, where no rule of the routes was meant for it.
        if inner.auth.serves(&path) {
            return Err(refused(GatewayRefusal::OwnEndpoint));
        }
        let way = inner.way(&original)?;
        // The proxy passes the path on as it came, not as it was judged.
        if way.respelled {
            return Err(refused(GatewayRefusal::AmbiguousPath));
        }
        let Admitted { session, set_cookies } = inner.admit(&mut original, &way, None).await?;
        if let (Some(session), false) = (&session, set_cookies.is_empty()) {
            self.listen_for_echo(dialect, &original.headers, session);
        }
        let headers = self.told(inner, &original, &way, session.as_ref()).await;
        Ok(Allowed { original, headers, set_cookies })
    }

    /// What the application is to be told: the headers that a request which was nothing but its target, its cookies and its
    /// `Authorization` would leave the gateway with.
    async fn told(&self, inner: &Inner, original: &Parts, way: &Way<'_>, session: Option<&Session>) -> HeaderMap {
        let mut bare = Request::new(Body::empty());
        *bare.method_mut() = original.method.clone();
        *bare.uri_mut() = original.uri.clone();
        for name in original::HEADERS_REPLACED {
            for value in original.headers.get_all(&name) {
                bare.headers_mut().append(name.clone(), value.clone());
            }
        }
        inner.dress(&mut bare, way, session).await;
        std::mem::take(bare.headers_mut())
    }

    /// Sees whether the cookies of earlier answers come back, which tells whether the proxy hands them to the browser.
    fn listen_for_echo(&self, dialect: Dialect, headers: &HeaderMap, session: &Session) {
        let Some(presented) = self.auth().peek(headers).map(|peek| peek.session.generation()) else { return };
        let heard = self.cookies.set(&session.fingerprint(), presented, session.generation(), self.auth().now());
        if heard == Heard::Never {
            let message = format!(
                "Cookies set in answers to {} do not come back: it drops Set-Cookie, so that sessions end when their first cookie does.",
                dialect.name()
            );
            self.auth().alarm(AlarmCode::SetCookieDropped, &message);
        }
    }

    fn auth(&self) -> Auth {
        self.gateway.auth()
    }
}

/// A request that may go on.
struct Allowed {
    original: Parts,
    /// What the application is to be told.
    headers: HeaderMap,
    set_cookies: Vec<http::HeaderValue>,
}

impl Answers for ForwardAuth {
    async fn answer(&self, request: Request<Body>, peer: SocketAddr) -> Response<Body> {
        self.handle(request, peer).await
    }
}
