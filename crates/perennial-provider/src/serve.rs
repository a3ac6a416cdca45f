//! Running the provider on a listener, and keeping it on this machine.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State as Extract};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use url::Host;

use crate::client::is_loopback;
use crate::provider::{DevProvider, State};

impl DevProvider {
    /// Serves until `shutdown` is ready, then lets requests under way finish.
    ///
    /// # Errors
    /// [`ServeError::NotLoopback`] when others could reach the listener and `dangerous_allow_remote` was not said; otherwise what the
    /// listener reports.
    pub async fn serve(
        &self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ServeError> {
        let address = listener.local_addr()?;
        if !self.state.settings.allow_remote && !address.ip().is_loopback() {
            return Err(ServeError::NotLoopback(address));
        }
        // Small answers must not wait for each other.
        let listener = listener.tap_io(|stream| {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "no TCP_NODELAY");
            }
        });
        let state = self.state.clone();
        let closing = async move {
            shutdown.await;
            state.closing.send_replace(true);
        };
        axum::serve(listener, self.router()).with_graceful_shutdown(closing).await?;
        Ok(())
    }
}

/// Why the provider does not serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The listener failed.
    #[error("the listener failed: {0}")]
    Listener(#[from] io::Error),
    /// The listener is open to other machines.
    #[error(
        "{0} is not a loopback address; this provider lets anyone sign in as anyone: bind 127.0.0.1, or say dangerous_allow_remote"
    )]
    NotLoopback(SocketAddr),
}

/// A page of another site may point its own name at this machine (DNS rebinding) and would then be same-origin with `/admin`.
pub(crate) async fn refuse_foreign_hosts(
    Extract(state): Extract<Arc<State>>,
    request: Request,
    next: Next,
) -> Response {
    if state.settings.allow_remote || names_this_machine(request.headers()) {
        return next.run(request).await;
    }
    let why = "This development provider answers only to loopback names such as localhost.\n";
    (StatusCode::MISDIRECTED_REQUEST, why).into_response()
}

fn names_this_machine(headers: &HeaderMap) -> bool {
    // HTTP/2 and in-process callers may send no Host; a browser always does.
    let Some(host) = headers.get(header::HOST) else {
        return true;
    };
    let Ok(authority) = host.to_str().unwrap_or_default().parse::<axum::http::uri::Authority>() else {
        return false;
    };
    match Host::parse(authority.host()) {
        Ok(host) => is_loopback(&match &host {
            Host::Domain(name) => Host::Domain(name.as_str()),
            Host::Ipv4(address) => Host::Ipv4(*address),
            Host::Ipv6(address) => Host::Ipv6(*address),
        }),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_hosts() {
        for (host, allowed) in [
            ("localhost:4201", true),
            ("127.0.0.1", true),
            ("[::1]:4201", true),
            ("idp.localhost", true),
            ("rebound.test:4201", false),
            ("192.168.0.7:4201", false),
            ("localhost.evil.test", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::HOST, host.parse().expect("a header"))]);
            assert_eq!(names_this_machine(&headers), allowed, "{host}");
        }
    }
}
