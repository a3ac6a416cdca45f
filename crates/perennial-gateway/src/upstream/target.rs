//! One target of an upstream: its address, its health, and the connections to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use http::Uri;
use hyper::client::conn::http2;
use hyper_util::client::legacy::connect::Connection as _;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tower_service::Service as _;
use url::Url;

use super::carrier::Carrier;
use super::health::Health;
use super::pool::{Pool, Stream};
use super::settings::{Protocol, UpstreamSettings};
use super::tls::Connectors;

/// One place where an upstream listens.
pub(super) struct Target {
    pub(super) url: Url,
    pub(super) health: Health,
    pub(super) pool: Arc<Pool>,
    uri: Uri,
    protocol: Protocol,
    connect_timeout: Duration,
    connectors: Connectors,
    /// Whether TLS agreed on HTTP/2 the last time.
    agreed_on_h2: AtomicBool,
    /// One opens the connection that all will share; how that failed the last time.
    opening: Mutex<Option<(Instant, Unreachable)>>,
}

/// What a request can be sent on.
pub(super) enum Link {
    Http1 { carrier: Carrier, used: Used },
    Http2 { sender: http2::SendRequest<Body>, stream: Stream, used: Used },
}

/// Whether a connection has carried a request before, and may be closed by its other side in this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Used {
    Before,
    Never,
}

/// Which HTTP a request can do with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wants {
    Any,
    /// It is to become a WebSocket (RFC 6455).
    Http1,
}

/// No connection could be opened, so nothing was sent.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unreachable(String);

impl Target {
    pub(super) fn new(url: Url, uri: Uri, settings: &UpstreamSettings, connectors: Connectors) -> Self {
        Self {
            url,
            health: Health::new(),
            pool: Pool::new(settings.idle_timeout),
            uri,
            protocol: settings.protocol,
            connect_timeout: settings.connect_timeout,
            connectors,
            agreed_on_h2: AtomicBool::new(false),
            opening: Mutex::new(None),
        }
    }

    /// A connection for one request: an open one, or a new one.
    pub(super) async fn link(&self, wants: Wants) -> Result<Link, Unreachable> {
        if let Some(link) = self.open_link(wants) {
            return Ok(link);
        }
        if wants == Wants::Http1 || !self.multiplexes() {
            // Seldom, and large: what is needed only now is not carried along by every request.
            return Box::pin(self.dial(wants)).await;
        }
        let began = Instant::now();
        let mut failed = self.opening.lock().await;
        if let Some(link) = self.open_link(wants) {
            return Ok(link);
        }
        match &*failed {
            // Whoever waited for one that failed need not fail as slowly, one after the other.
            Some((when, why)) if *when >= began => Err(why.clone()),
            _ => {
                let dialled = Box::pin(self.dial(wants)).await;
                *failed = dialled.as_ref().err().map(|why| (Instant::now(), why.clone()));
                dialled
            }
        }
    }

    /// Opens a connection of its own.
    pub(super) async fn dial(&self, wants: Wants) -> Result<Link, Unreachable> {
        let mut connector = match wants {
            Wants::Any => self.connectors.any.clone(),
            Wants::Http1 => self.connectors.http1.clone(),
        };
        let connecting = async {
            std::future::poll_fn(|cx| connector.poll_ready(cx)).await?;
            connector.call(self.uri.clone()).await
        };
        let late = |_| Unreachable(format!("no connection within {} s", self.connect_timeout.as_secs_f32()));
        let stream = timeout(self.connect_timeout, connecting).await.map_err(late)?;
        let stream = stream.map_err(|error| Unreachable(root_cause(&*error)))?;
        let h2 = wants == Wants::Any && (self.protocol == Protocol::H2 || stream.connected().is_negotiated_h2());
        self.agreed_on_h2.store(h2, Ordering::Relaxed);
        if !h2 {
            let carrier = Carrier::over(stream).await.map_err(|error| Unreachable(root_cause(&error)))?;
            return Ok(Link::Http1 { carrier, used: Used::Never });
        }
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).keep_alive_interval(PING_INTERVAL).keep_alive_timeout(PING_TIMEOUT);
        let (sender, connection) = builder.handshake(stream).await.map_err(|error| Unreachable(root_cause(&error)))?;
        tokio::spawn(connection);
        let (sender, stream) = self.pool.share(sender);
        Ok(Link::Http2 { sender, stream, used: Used::Never })
    }

    fn open_link(&self, wants: Wants) -> Option<Link> {
        if wants == Wants::Any && self.multiplexes() {
            let (sender, stream) = self.pool.join()?;
            return Some(Link::Http2 { sender, stream, used: Used::Before });
        }
        self.pool.take().map(|carrier| Link::Http1 { carrier, used: Used::Before })
    }

    /// Whether requests share connections, as far as is known.
    fn multiplexes(&self) -> bool {
        self.protocol == Protocol::H2 || self.agreed_on_h2.load(Ordering::Relaxed)
    }
}

/// The innermost cause: hyper's own words say little, the operating system's say what to do.
pub(super) fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source()).last().map(ToString::to_string).unwrap_or_default()
}

/// A shared connection with requests under way is asked this often whether it still lives: its peer may have vanished.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// And is given up when it does not say so in this time.
const PING_TIMEOUT: Duration = Duration::from_secs(10);
