//! How long a request's body may be: as announced, and as counted while it streams.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use http::Request;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

/// Tells whether a body turned out too long.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overflow(Arc<AtomicBool>);

impl Overflow {
    pub(crate) fn happened(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Whether a body says of itself that it has more bytes.
pub(crate) fn is_too_long(body: &Body, max: u64) -> bool {
    body.size_hint().lower() > max
}

/// The request with a body that breaks off beyond `max` bytes, so that no upstream takes the beginning for the whole.
pub(crate) fn capped(request: Request<Body>, max: u64) -> (Request<Body>, Overflow) {
    let overflow = Overflow::default();
    let request = match request.body().is_end_stream() {
        true => request,
        false => request.map(|inner| Body::new(Capped { inner, left: max, overflow: overflow.clone() })),
    };
    (request, overflow)
}

struct Capped {
    inner: Body,
    left: u64,
    overflow: Overflow,
}

impl HttpBody for Capped {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        let bytes = match &frame {
            Some(Ok(frame)) => frame.data_ref().map_or(0, |data| data.len() as u64),
            _ => 0,
        };
        match self.left.checked_sub(bytes) {
            Some(left) => self.left = left,
            None => {
                self.overflow.0.store(true, Ordering::Release);
                return Poll::Ready(Some(Err(axum::Error::new(TooLong))));
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the request's body is longer than the route allows")]
struct TooLong;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_may_have_as_many_bytes_as_allowed_and_not_one_more() {
        for (pieces, max, whole) in [
            (&["hello"][..], 5, true),
            (&["hello"], 4, false),
            (&["hel", "lo"], 5, true),
            (&["hel", "lo"], 4, false),
            (&["", "hello"], 5, true),
            (&[], 0, true),
            (&["h"], 0, false),
        ] {
            let stream = futures_util::stream::iter(pieces.iter().map(|piece| Ok::<_, std::io::Error>(*piece)));
            let (request, overflow) = capped(Request::new(Body::from_stream(stream)), max);
            let read = axum::body::to_bytes(request.into_body(), usize::MAX).await;
            assert_eq!((read.is_ok(), overflow.happened()), (whole, !whole), "{pieces:?} {max}");
        }
    }

    #[test]
    fn an_announced_length_is_judged_at_once() {
        let body = Body::from("hello");
        assert!(is_too_long(&body, 4) && !is_too_long(&body, 5));
    }
}
