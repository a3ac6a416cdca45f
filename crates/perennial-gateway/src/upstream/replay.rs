//! A request that may have to be sent again: as it came, with the body it had, if that can be told.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use http::header::EXPECT;
use http::{HeaderMap, Method, Request, Uri};
use hyper::body::{Body as HttpBody, Frame, SizeHint};

/// A request as it came.
pub(crate) struct Original {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Kept,
}

/// What is known of the body.
enum Kept {
    /// There was none.
    Nothing,
    /// It is copied as it goes by.
    Copy(Arc<Mutex<Passed>>),
    /// It is too long, or nobody knows how long.
    Gone,
}

/// What has gone by of a body. The pieces share their bytes with what was sent.
#[derive(Default)]
struct Passed {
    pieces: Vec<Bytes>,
    whole: bool,
}

impl Original {
    /// Keeps `request`, whose body is copied while it is sent if it has at most `body_max` bytes.
    pub(crate) fn keep(request: Request<Body>, body_max: u64) -> (Request<Body>, Self) {
        let (parts, body) = request.into_parts();
        let length = body.size_hint().exact().filter(|length| *length <= body_max);
        let (body, kept) = match length {
            _ if body.is_end_stream() => (body, Kept::Nothing),
            Some(_) if !parts.headers.contains_key(EXPECT) => {
                let passed = Arc::new(Mutex::new(Passed::default()));
                (Body::new(Copying { inner: body, passed: passed.clone() }), Kept::Copy(passed))
            }
            _ => (body, Kept::Gone),
        };
        let original =
            Self { method: parts.method.clone(), uri: parts.uri.clone(), headers: parts.headers.clone(), body: kept };
        (Request::from_parts(parts, body), original)
    }

    /// The request once more, if all of its body is known.
    pub(crate) fn again(&self) -> Option<Request<Body>> {
        let body = match &self.body {
            Kept::Nothing => Body::empty(),
            Kept::Copy(passed) => whole(&passed.lock().unwrap_or_else(PoisonError::into_inner))?,
            Kept::Gone => return None,
        };
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        Some(request)
    }

    pub(crate) fn method(&self) -> &Method {
        &self.method
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }
}

fn whole(passed: &Passed) -> Option<Body> {
    match &passed.pieces[..] {
        _ if !passed.whole => None,
        [one] => Some(Body::from(one.clone())),
        // In one piece, so that its length is known again.
        several => Some(Body::from(several.concat())),
    }
}

struct Copying {
    inner: Body,
    passed: Arc<Mutex<Passed>>,
}

impl HttpBody for Copying {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        match &frame {
            Some(Ok(frame)) => match frame.data_ref() {
                Some(data) => {
                    passed.pieces.push(data.clone());
                    passed.whole = self.inner.is_end_stream();
                }
                // Trailers are not kept, and so neither is what they belong to.
                None => passed.whole = false,
            },
            Some(Err(_)) => passed.whole = false,
            None => passed.whole = true,
        }
        drop(passed);
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(body: Body) -> Vec<u8> {
        axum::body::to_bytes(body, usize::MAX).await.expect("a body").to_vec()
    }

    #[tokio::test]
    async fn a_body_up_to_the_limit_can_be_sent_again_once_it_was_sent() {
        for (length, max, again) in [(0, 0, true), (1, 0, false), (8, 8, true), (9, 8, false)] {
            let sent = vec![b'x'; length];
            let (request, original) = Original::keep(Request::new(Body::from(sent.clone())), max);
            if length > 0 {
                assert!(original.again().is_none(), "{length} of {max}: it has not gone by yet");
            }
            assert_eq!(request.body().size_hint().exact(), Some(length as u64), "{length} of {max}");
            assert_eq!(read(request.into_body()).await, sent);
            match original.again() {
                Some(repeated) => {
                    assert!(again, "{length} of {max}");
                    assert_eq!(repeated.body().size_hint().exact(), Some(length as u64));
                    assert_eq!(read(repeated.into_body()).await, sent);
                }
                None => assert!(!again, "{length} of {max}"),
            }
        }
    }

    #[tokio::test]
    async fn a_body_of_unknown_length_or_that_waits_to_be_asked_for_is_not_kept() {
        let stream =
            || Body::from_stream(futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"x"))]));
        let expecting = Request::builder().header(EXPECT, "100-continue").body(Body::from("x")).expect("a request");
        for (what, request) in [("a stream", Request::new(stream())), ("an expectation", expecting)] {
            let (request, original) = Original::keep(request, 100);
            read(request.into_body()).await;
            assert!(original.again().is_none(), "{what}");
        }
    }
}
