//! Accepting: who may connect, and an end that lets what has begun come to its end.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::Answers;
use super::connection::Line;
use super::crew::Crew;
use super::limits::Serving;
use super::seats::Seats;

/// A listener that is about to serve.
pub(super) struct Listening<'c> {
    listener: TcpListener,
    seats: Seats,
    settings: Arc<Serving>,
    crew: &'c Crew,
}

impl<'c> Listening<'c> {
    /// On `listener`, served by `crew`.
    pub(super) fn new(listener: TcpListener, settings: Arc<Serving>, crew: &'c Crew) -> Self {
        let seats = Seats::new(settings.limits.connections, settings.limits.connections_per_address);
        Self { listener, seats, settings, crew }
    }

    /// Serves until `end` resolves, then lets requests under way come to their end.
    pub(super) async fn serve(self, line: Line<impl Answers>, end: impl Future<Output = ()>) {
        let line = Arc::new(line);
        let (ended, watching) = watch::channel(());
        let mut end = pin!(end);
        loop {
            let one = tokio::select! {
                biased;
                () = &mut end => break,
                one = self.seats.one() => one,
            };
            let accepted = tokio::select! {
                biased;
                () = &mut end => break,
                accepted = self.accept() => accepted,
            };
            let (Some(one), Some((stream, peer))) = (one, accepted) else { continue };
            let trusted = self.settings.trusted.trusts(peer.ip());
            let Some(seat) = self.seats.seat(one, peer.ip(), trusted) else {
                tracing::warn!(client = %peer.ip(), "an address has too many connections open; the next one was closed");
                continue;
            };
            if self.seats.are_all_taken() {
                tracing::warn!(
                    connections = self.settings.limits.connections,
                    "no more connections can be taken; the next one waits"
                );
            }
            let (line, watching) = (line.clone(), watching.clone());
            self.crew.serve(stream, move |stream| line.serve(stream, peer, seat, watching));
        }
        let Self { listener, settings, .. } = self;
        drop((listener, watching));
        ended.send_replace(());
        if tokio::time::timeout(settings.end.drain_max, ended.closed()).await.is_err() {
            tracing::warn!("some requests were still under way when the time to finish them ran out");
        }
    }

    async fn accept(&self) -> Option<(TcpStream, SocketAddr)> {
        match self.listener.accept().await {
            Ok((stream, peer)) => {
                let _ = stream.set_nodelay(true);
                Some((stream, peer))
            }
            Err(error) => {
                // Out of file descriptors, usually: a pause lets some be closed.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                None
            }
        }
    }
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
