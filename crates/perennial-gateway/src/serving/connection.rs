//! One connection: which protocol it speaks, and each of its requests on the way to the service and back.

use std::convert::Infallible;
use std::future::{Future, pending, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use bytes::BytesMut;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsAcceptor;

use super::Answers;
use super::body::watched;
use super::hygiene::has_too_many_lines;
use super::life::Life;
use super::limits::Limits;
use super::lines::Framing;
use super::pulse::Pulse;
use super::seats::Seat;
use super::tls::HTTP2;
use super::wire::{Understood, Wire, begins_http2};
use crate::refusal::GatewayRefusal;
use crate::upstream::tunnel;

/// What all connections of a listener have in common.
pub(super) struct Line<S> {
    pub(super) service: S,
    pub(super) limits: Limits,
    pub(super) tls: Option<TlsAcceptor>,
    /// Whether clients may begin with HTTP/2 where there is no TLS to negotiate it.
    pub(super) http2: bool,
    pub(super) life: Life,
}

impl<S: Answers> Line<S> {
    /// Serves a connection to its end, which is brought about when `ended` changes.
    pub(super) async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        seat: Seat,
        ended: watch::Receiver<()>,
    ) {
        let wait = self.limits.header_wait;
        let begun = tokio::time::timeout(wait, Protocol::of(stream, &self));
        let protocol = tokio::select! {
            biased;
            begun = begun => begun,
            () = until_late(ended.clone(), pending()) => return,
        };
        match protocol {
            Ok(Ok(Protocol::Http1(stream, held))) => self.http1(stream, held, peer, seat, ended).await,
            Ok(Ok(Protocol::Http2(stream, held))) => self.http2(stream, held, peer, seat, ended).await,
            Ok(Ok(Protocol::TlsHttp1(stream))) => self.http1(*stream, BytesMut::new(), peer, seat, ended).await,
            Ok(Ok(Protocol::TlsHttp2(stream))) => self.http2(*stream, BytesMut::new(), peer, seat, ended).await,
            Ok(Err(error)) => tracing::debug!(%error, %peer, "a connection did not come about"),
            Err(_) => tracing::debug!(%peer, "a connection did not come about in time"),
        }
    }

    async fn http1<IO>(
        self: Arc<Self>,
        io: IO,
        held: BytesMut,
        peer: SocketAddr,
        seat: Seat,
        ended: watch::Receiver<()>,
    ) where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limits = &self.limits;
        let mut server = http1::Builder::new();
        server
            .timer(TokioTimer::new())
            // hyper counts from the end of the answer before; a head once begun has a limit of its own (`Wire`).
            .header_read_timeout(limits.keep_alive.max(limits.header_wait))
            .max_header_size(limits.header_bytes)
            // Room for the largest head, and what hyper wants at least.
            .max_buf_size(limits.header_bytes.saturating_add(BUFFER_BYTES_MIN))
            .max_headers(limits.header_lines);
        let (wire, understood) = Wire::http1(io, held, seat, limits.header_wait, limits.answer_wait);
        // Of this connection alone: a count that all would share is what processors wait for.
        let caller = Arc::new(Caller { line: self.clone(), peer, understood, has_asked: Notify::new() });
        let asking = caller.clone();
        let service = service_fn(move |request| asking.clone().over_http1(request));
        let connection = server.serve_connection(TokioIo::new(wire), service).with_upgrades();
        let over = until_late(ended.clone(), caller.has_asked.notified());
        drive(connection, |connection| connection.graceful_shutdown(), ended, over, pending()).await;
    }

    async fn http2<IO>(
        self: Arc<Self>,
        io: IO,
        held: BytesMut,
        peer: SocketAddr,
        seat: Seat,
        ended: watch::Receiver<()>,
    ) where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limits = &self.limits;
        let mut server = http2::Builder::new(TokioExecutor::new());
        server
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams)
            .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
            .max_pending_accept_reset_streams(RESETS_PENDING_MAX)
            .max_local_error_reset_streams(RESETS_FOR_ERRORS_MAX)
            // A peer that is gone is found out while a stream is open, too.
            .keep_alive_interval(limits.keep_alive)
            .keep_alive_timeout(limits.header_wait);
        let wire = Wire::http2(io, held, seat, limits.answer_wait);
        let pulse = Pulse::default();
        let idle = pulse.clone().stopped(limits.keep_alive);
        let line = self.clone();
        let service = service_fn(move |request| {
            let (line, beat) = (line.clone(), pulse.beat());
            async move {
                let mut response = line.answer(request, peer).await;
                response.headers_mut().remove(CONNECTION);
                Ok::<_, Infallible>(beat.during(response))
            }
        });
        let connection = server.serve_connection(TokioIo::new(wire), service);
        // Its client is told which requests were not taken up, and repeats them elsewhere.
        let over = until_changed(ended.clone());
        drive(connection, |connection| connection.graceful_shutdown(), ended, over, idle).await;
    }

    async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        if has_too_many_lines(&request, self.limits.header_lines) {
            return GatewayRefusal::TooManyHeaders.into_response();
        }
        let (request, fault) = watched(request, self.limits.body_wait);
        let response = self.service.answer(request, peer).await;
        match fault {
            Some(fault) => fault.judge(response),
            None => response,
        }
    }
}

/// Who sends requests over one HTTP/1.1 connection.
struct Caller<S> {
    line: Arc<Line<S>>,
    peer: SocketAddr,
    understood: Understood,
    /// Told of each request.
    has_asked: Notify,
}

impl<S: Answers> Caller<S> {
    fn over_http1(
        self: Arc<Self>,
        mut request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Body>, Infallible>> {
        self.has_asked.notify_one();
        let ends = request.body().is_end_stream();
        // What follows a wish for another protocol is a request or is not, which the answer says. A body would stand between the
        // two, and no WebSocket begins with one.
        let upgrades = ends && tunnel::is_upgrade(request.headers());
        if !upgrades {
            request.extensions_mut().remove::<OnUpgrade>();
            self.understood.tell(request.body().size_hint().exact().map_or(Framing::Chunked, Framing::Length));
        }
        async move {
            let mut response = self.line.answer(request, self.peer).await;
            let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
            if upgrades {
                self.understood.tell(if switches { Framing::Foreign } else { Framing::Length(0) });
            }
            if self.line.life.is_ending() && !switches {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response)
        }
    }
}

/// A connection whose protocol is known.
enum Protocol {
    Http1(TcpStream, BytesMut),
    Http2(TcpStream, BytesMut),
    TlsHttp1(Box<tokio_rustls::server::TlsStream<TcpStream>>),
    TlsHttp2(Box<tokio_rustls::server::TlsStream<TcpStream>>),
}

impl Protocol {
    async fn of<S>(mut stream: TcpStream, line: &Line<S>) -> std::io::Result<Self> {
        match &line.tls {
            Some(tls) => {
                let stream = Box::new(tls.accept(stream).await?);
                let http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP2);
                Ok(if http2 { Self::TlsHttp2(stream) } else { Self::TlsHttp1(stream) })
            }
            // Looking costs something on each connection, and nothing on each request.
            None if line.http2 => match begins_http2(&mut stream).await? {
                (true, held) => Ok(Self::Http2(stream, held)),
                (false, held) => Ok(Self::Http1(stream, held)),
            },
            None => Ok(Self::Http1(stream, BytesMut::new())),
        }
    }
}

/// Runs a connection until it ends by itself, or lets it come to its end when it is `over`, which it is not before `ended` changes,
/// or idle.
async fn drive<C, E>(
    connection: C,
    end: impl FnOnce(Pin<&mut C>),
    ended: watch::Receiver<()>,
    over: impl Future<Output = ()>,
    idle: impl Future<Output = ()>,
) where
    C: Future<Output = Result<(), E>>,
    E: std::fmt::Display,
{
    let mut connection = pin!(connection);
    let outcome = {
        let (mut over, mut idle) = (pin!(over), pin!(idle));
        let mut waits = false;
        poll_fn(|cx| {
            if let Poll::Ready(outcome) = connection.as_mut().poll(cx) {
                return Poll::Ready(Some(outcome));
            }
            // To wait for the end takes a lock that all connections share: once that is done, it is enough to look.
            let may_be_over = !waits || ended.has_changed().unwrap_or(true);
            waits = true;
            let is_over = may_be_over && over.as_mut().poll(cx).is_ready();
            if is_over || idle.as_mut().poll(cx).is_ready() { Poll::Ready(None) } else { Poll::Pending }
        })
        .await
    };
    let outcome = match outcome {
        Some(outcome) => outcome,
        None => {
            end(connection.as_mut());
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn until_changed(mut ended: watch::Receiver<()>) {
    let _ = ended.changed().await;
}

/// Resolves when `ended` has changed and a new connection's first request has come or had its time to.
async fn until_late(ended: watch::Receiver<()>, first: impl Future<Output = ()>) {
    until_changed(ended).await;
    let _ = tokio::time::timeout(FIRST_WAIT, first).await;
}

/// A client that has just connected is about to ask, and takes a connection that is closed in its hands for a fault: it is heard
/// for so long although the end has come. A connection that only waits keeps a shutdown from its end for no longer.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// Streams that a client opened and took back before we looked at them: a connection with more is closed (CVE-2023-44487).
const RESETS_PENDING_MAX: usize = 20;

/// Streams that we had to reset because of a client's errors: a connection with more is closed (CVE-2025-8671).
const RESETS_FOR_ERRORS_MAX: usize = 256;

/// The smallest buffer that hyper takes.
const BUFFER_BYTES_MIN: usize = 8 << 10;
