//! Connections: accepting, limits, and an end that lets what has begun come to its end.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tower_service::Service;

use perennial::Auth;

use crate::gateway::Gateway;

impl Gateway {
    /// Serves on `listener` until `shutdown` resolves, then lets requests and renewals under way come to their end, each for
    /// at most 30 s.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let sweeper = tokio::spawn(sweep_regularly(self.clone()));
        serve(listener, self.clone(), shutdown).await;
        sweeper.abort();
        drain(&self.auth()).await;
    }
}

/// Lets renewals under way come to their end.
pub(crate) async fn drain(auth: &Auth) {
    if tokio::time::timeout(DRAIN_MAX, auth.drain()).await.is_err() {
        tracing::warn!("a renewal was still under way when the time to finish it ran out: its record says so");
    }
}

/// Serves any service of the gateway's shape on `listener` until `shutdown` resolves, then lets requests under way come to
/// their end for at most 30 s. For a [`Gateway`] itself use [`Gateway::serve`].
pub async fn serve<S>(listener: TcpListener, service: S, shutdown: impl Future<Output = ()>)
where
    S: Service<(Request<Body>, SocketAddr), Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let connections = GracefulShutdown::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let (stream, peer) = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, usually: a pause lets some be closed.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        let _ = stream.set_nodelay(true);
        let service = service.clone();
        let service =
            service_fn(move |request: Request<Incoming>| service.clone().call((request.map(Body::new), peer)));
        let connection = server().serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_MAX, connections.shutdown()).await.is_err() {
        tracing::warn!("some requests were still under way when the time to finish them ran out");
    }
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

fn server() -> auto::Builder<TokioExecutor> {
    let mut server = auto::Builder::new(TokioExecutor::new()).http1_only();
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_DEADLINE)
        .max_buf_size(HEADER_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    server
}

/// A client gets this long to send its headers: a slow one must not hold a connection for nothing.
const HEADER_DEADLINE: Duration = Duration::from_secs(15);

/// All headers of a request together; five session chunks and room for as much again.
const HEADER_BYTES_MAX: usize = 64 << 10;

/// Header lines of a request.
const HEADERS_MAX: usize = 128;

/// How long a shutdown waits for what is under way.
const DRAIN_MAX: Duration = Duration::from_secs(30);
