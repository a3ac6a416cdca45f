//! What outlives the request that was let in ends with the session: streams of events, calls of gRPC, answers of unknown length.
//! (WebSocket does so in `tunnel`.) An answer whose length was told is left alone, because it has an end.
//!
//! Each ends so that its client knows what happened: a stream of events ends and is asked for again, a call of gRPC has the
//! status UNAUTHENTICATED, and anything else breaks off, so that nobody takes a part for the whole.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{HeaderName, Response};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use perennial::{Auth, Session};

use super::exchange::Streamed;

/// The session that a stream lives as long as.
#[derive(Clone, Debug)]
pub(crate) struct Leash {
    auth: Auth,
    session: Session,
}

impl Leash {
    pub(crate) fn new(auth: &Auth, session: &Session) -> Self {
        Self { auth: auth.clone(), session: session.clone() }
    }

    /// Resolves when the session is over.
    pub(super) fn over(&self) -> Over {
        Box::pin(self.auth.until_over(&self.session))
    }
}

pub(super) type Over = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Ties an answer to a session, if it might go on for long.
pub(super) fn tied(response: Response<Streamed>, leash: impl FnOnce() -> Option<Leash>) -> Response<Body> {
    let body = response.body();
    if body.is_end_stream() || body.size_hint().exact().is_some() {
        return response.map(Body::new);
    }
    let Some(leash) = leash() else { return response.map(Body::new) };
    let farewell = Farewell::of(response.headers());
    response.map(|inner| Body::new(Leashed { inner: Some(inner), leash, over: None, farewell }))
}

/// How a stream ends whose session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Farewell {
    /// As if it had said all: who listens asks again, and learns that it may not (HTML §9.2 `EventSource`).
    End,
    /// With a status of gRPC.
    Status,
    /// Broken off.
    Cut,
}

impl Farewell {
    fn of(headers: &HeaderMap) -> Self {
        let kind = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes).to_ascii_lowercase();
        match kind.as_slice() {
            kind if kind.starts_with(b"text/event-stream") => Self::End,
            kind if kind.starts_with(b"application/grpc-web") => Self::Cut,
            kind if kind.starts_with(b"application/grpc") => Self::Status,
            _ => Self::Cut,
        }
    }

    fn frame(self) -> Option<Result<Frame<Bytes>, axum::Error>> {
        match self {
            Self::End => None,
            Self::Status => {
                let trailers = [
                    (HeaderName::from_static("grpc-status"), HeaderValue::from_static(UNAUTHENTICATED)),
                    (HeaderName::from_static("grpc-message"), HeaderValue::from_static("the session has ended")),
                ];
                Some(Ok(Frame::trailers(trailers.into_iter().collect())))
            }
            Self::Cut => Some(Err(axum::Error::new(SessionEnded))),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the session that asked for it has ended")]
struct SessionEnded;

struct Leashed {
    /// Gone when the session is over.
    inner: Option<Streamed>,
    leash: Leash,
    /// Begun when there is something to wait for; most answers have come by then.
    over: Option<Over>,
    farewell: Farewell,
}

impl HttpBody for Leashed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        if this.over.is_none() {
            match Pin::new(&mut *inner).poll_frame(cx) {
                Poll::Pending => {}
                ready => return ready.map_err(axum::Error::new),
            }
        }
        let over = this.over.get_or_insert_with(|| this.leash.over());
        if over.as_mut().poll(cx).is_ready() {
            this.inner = None;
            return Poll::Ready(this.farewell.frame());
        }
        Pin::new(inner).poll_frame(cx).map_err(axum::Error::new)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

/// What gRPC calls a caller without valid credentials (its status codes).
const UNAUTHENTICATED: &str = "16";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_stream_ends_in_its_own_way() {
        for (kind, farewell) in [
            ("text/event-stream", Farewell::End),
            ("Text/Event-Stream; charset=utf-8", Farewell::End),
            ("application/grpc", Farewell::Status),
            ("application/grpc+proto", Farewell::Status),
            // Its trailers are part of the body.
            ("application/grpc-web+proto", Farewell::Cut),
            ("text/html", Farewell::Cut),
            ("", Farewell::Cut),
        ] {
            let headers = [(CONTENT_TYPE, HeaderValue::from_static(kind))].into_iter().collect();
            assert_eq!(Farewell::of(&headers), farewell, "{kind}");
        }
        assert_eq!(Farewell::of(&HeaderMap::new()), Farewell::Cut);
    }
}
