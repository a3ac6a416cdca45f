//! Connections: who may connect and how, what a request may be and cost, for whom it came, and an end that lets what has begun come
//! to its end.

mod body;
mod connection;
mod crew;
mod deadline;
pub(crate) mod forwarded;
pub(crate) mod hygiene;
pub(crate) mod life;
mod limits;
mod lines;
mod listener;
mod pulse;
pub(crate) mod rates;
mod seats;
pub(crate) mod tls;
mod wire;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use perennial::{Auth, AuthBuilder};

use self::connection::Line;
use self::crew::Crew;
pub use self::forwarded::{ForwardedBy, TrustedProxies};
use self::life::Life;
pub use self::limits::{End, Limits, Serving};
use self::listener::Listening;
pub use self::tls::{CertificateFiles, Certificates, Tls};
use crate::config::Config;
use crate::gateway::Gateway;

/// What answers requests behind a listener: the gateway, and what stands beside it.
pub trait Answers: Send + Sync + 'static {
    /// Answers a request that came from `peer`.
    fn answer(&self, request: Request<Body>, peer: SocketAddr) -> impl Future<Output = Response<Body>> + Send;
}

/// What of serving is there from the start to the end, whatever a reload changes.
#[derive(Debug)]
pub(crate) struct Lasting {
    pub(crate) settings: Arc<Serving>,
    pub(crate) certificates: Option<Certificates>,
    pub(crate) life: Life,
    crew: OnceLock<Crew>,
}

impl Lasting {
    /// Of a configuration, to whose faults those of its certificates are added.
    pub(crate) fn of(config: &mut Config) -> Self {
        let loaded = config.serving.tls.clone().map(Certificates::load).transpose();
        let certificates = loaded.unwrap_or_else(|faults| {
            let auth = std::mem::replace(&mut config.auth, Auth::builder());
            config.auth = faults.into_iter().fold(auth, AuthBuilder::fault);
            None
        });
        Self { settings: Arc::new(config.serving.clone()), certificates, life: Life::default(), crew: OnceLock::new() }
    }

    /// Those who serve, started when they are first needed.
    fn crew(&self) -> &Crew {
        self.crew.get_or_init(|| Crew::of(self.settings.workers))
    }
}

impl Gateway {
    /// Serves on `listener` until `shutdown` resolves, then lets requests and renewals under way come to their end, each for
    /// at most as long as the settings say.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let Lasting { settings, life, .. } = &*self.lasting;
        let tls = match self.certificates().map(Certificates::server).transpose() {
            Ok(server) => server.map(TlsAcceptor::from),
            // The certificates were good; this is rustls without randomness.
            Err(error) => return tracing::error!(%error, "TLS cannot be served"),
        };
        let errands = [
            Some(tokio::spawn(sweep_regularly(self.clone()))),
            self.certificates().map(|certificates| tokio::spawn(certificates.clone().follow())),
        ];
        let line = Line {
            service: self.clone(),
            limits: settings.limits.clone(),
            tls,
            http2: settings.http2,
            life: life.clone(),
        };
        let end = async {
            shutdown.await;
            life.end();
            tokio::time::sleep(settings.end.drain_delay).await;
        };
        Listening::new(listener, settings.clone(), self.lasting.crew()).serve(line, end).await;
        errands.iter().flatten().for_each(|errand| errand.abort());
        drain(&self.auth(), settings.end.drain_max).await;
    }
}

/// Lets renewals under way come to their end, for at most so long.
pub(crate) async fn drain(auth: &Auth, most: Duration) {
    if tokio::time::timeout(most, auth.drain()).await.is_err() {
        tracing::warn!("a renewal was still under way when the time to finish it ran out: its record says so");
    }
}

/// Serves whatever answers requests on `listener`, in plain HTTP/1.1 and with the default limits except that of an
/// address, until `shutdown` resolves, then lets requests under way come to their end for at most 30 s. This is for a few callers
/// who are known, and for tasks of the caller's; for a [`Gateway`] itself use [`Gateway::serve`].
pub async fn serve(listener: TcpListener, service: impl Answers, shutdown: impl Future<Output = ()>) {
    serve_on(&Crew::default(), listener, service, shutdown).await;
}

impl Lasting {
    /// The same, by those who serve the gateway's own connections.
    pub(crate) async fn serve(&self, listener: TcpListener, service: impl Answers, shutdown: impl Future<Output = ()>) {
        serve_on(self.crew(), listener, service, shutdown).await;
    }
}

async fn serve_on(crew: &Crew, listener: TcpListener, service: impl Answers, shutdown: impl Future<Output = ()>) {
    let mut settings = Serving::default();
    settings.limits.connections_per_address = settings.limits.connections;
    let settings = Arc::new(settings);
    let (limits, life) = (settings.limits.clone(), Life::default());
    let line = Line { service, limits, tls: None, http2: false, life: life.clone() };
    let end = async {
        shutdown.await;
        life.end();
    };
    Listening::new(listener, settings, crew).serve(line, end).await;
}

async fn sweep_regularly(gateway: Gateway) {
    let mut ticks = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        ticks.tick().await;
        match gateway.auth().sweep().await {
            Ok(0) => {}
            Ok(count) => tracing::debug!(count, "expired sessions forgotten"),
            Err(error) => tracing::warn!(%error, "expired sessions could not be swept; the next sweep tries again"),
        }
    }
}

/// How often expired sessions are forgotten.
const SWEEP_INTERVAL: Duration = Duration::from_secs(300);
