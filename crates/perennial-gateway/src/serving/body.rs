//! The bodies of requests: how slow, and what becomes of a broken one. A body fails in the hands of whoever sends it on,
//! who cannot tell a client's fault from an upstream's: so it is noted, and the answer says what was wrong.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use http::{Request, Response};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};

use super::deadline::Deadline;
use crate::refusal::GatewayRefusal;

/// What was wrong with the body of a request, if anything.
#[derive(Clone, Debug, Default)]
pub(super) struct BodyFault(Arc<OnceLock<GatewayRefusal>>);

impl BodyFault {
    fn note(&self, refusal: GatewayRefusal) -> axum::Error {
        // The first fault is the cause of those that follow.
        let _ = self.0.set(refusal);
        axum::Error::new(std::io::Error::from(std::io::ErrorKind::InvalidData))
    }

    /// The answer, or what to say instead where an upstream seemed to fail because of the body.
    pub(super) fn judge(&self, response: Response<Body>) -> Response<Body> {
        match self.0.get() {
            Some(refusal) if response.status().is_server_error() => refusal.into_response(),
            _ => response,
        }
    }
}

/// A body from a connection, of which a piece must come every `idle`.
pub(super) fn watched(request: Request<Incoming>, idle: Duration) -> (Request<Body>, Option<BodyFault>) {
    if request.body().is_end_stream() {
        return (request.map(|_| Body::empty()), None);
    }
    let fault = BodyFault::default();
    let mut request = request.map(|inner| Body::new(Watched { inner, idle: Deadline::of(idle), fault: fault.clone() }));
    request.extensions_mut().insert(fault.clone());
    (request, Some(fault))
}

struct Watched {
    inner: Incoming,
    idle: Deadline,
    fault: BodyFault,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Ready(Some(Err(_))) => Poll::Ready(Some(Err(this.fault.note(GatewayRefusal::BadFraming)))),
            Poll::Ready(frame) => {
                this.idle.end();
                Poll::Ready(frame.map(|frame| frame.map_err(axum::Error::new)))
            }
            Poll::Pending if this.idle.has_passed(cx) => {
                Poll::Ready(Some(Err(this.fault.note(GatewayRefusal::BodyTooSlow))))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
