//! How long an upstream may take to begin its answer, counted from when it was last sent a piece of the request: a large upload
//! takes as long as it takes.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use http::Request;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// Tells of every piece of a request's body that was taken to be sent; nothing to tell where there is no body.
pub(crate) struct Progress(Option<watch::Receiver<()>>);

/// Watches the body of `request` from now on.
pub(crate) fn watched(request: Request<Body>) -> (Request<Body>, Progress) {
    if request.body().is_end_stream() {
        return (request, Progress(None));
    }
    let (moved, progress) = watch::channel(());
    (request.map(|inner| Body::new(Watched { inner, moved })), Progress(Some(progress)))
}

/// Waits for `answer`, which must come within `limit` of the last piece of the request.
pub(crate) async fn within<T>(limit: Duration, mut progress: Progress, answer: impl Future<Output = T>) -> Option<T> {
    let mut answer = pin!(answer);
    let mut moved = async || match &mut progress.0 {
        Some(progress) => progress.changed().await.is_ok(),
        None => false,
    };
    let mut deadline = pin!(sleep(limit));
    loop {
        tokio::select! {
            answer = &mut answer => return Some(answer),
            true = moved() => deadline.as_mut().reset(Instant::now() + limit),
            () = &mut deadline => return None,
        }
    }
}

struct Watched {
    inner: Body,
    moved: watch::Sender<()>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        self.moved.send_replace(());
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
    use std::convert::Infallible;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(300);

    /// A body of `pieces`, each after a pause of so many seconds.
    fn body(pieces: &'static [u64]) -> Body {
        let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, Infallible>>(1);
        tokio::spawn(async move {
            for pause in pieces {
                sleep(Duration::from_secs(*pause)).await;
                let _ = sender.send(Ok(Bytes::from_static(b"piece"))).await;
            }
        });
        let mut receiver = receiver;
        Body::from_stream(futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx)))
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_takes_as_long_as_it_takes_and_an_answer_does_not() {
        for (what, pieces, thinks, answered) in [
            ("no body, a slow answer", &[][..], 299, true),
            ("no body, too slow an answer", &[], 301, false),
            ("an upload of 20 minutes", &[299, 299, 299, 299], 299, true),
            ("an upload that stalls", &[1, 301], 1, false),
            ("too slow an answer to an upload", &[299, 299], 301, false),
        ] {
            let empty = pieces.is_empty();
            let (request, progress) = watched(Request::new(if empty { Body::empty() } else { body(pieces) }));
            let upstream = async {
                let taken = axum::body::to_bytes(request.into_body(), usize::MAX).await.expect("a body");
                sleep(Duration::from_secs(thinks)).await;
                taken.len()
            };
            let expected = answered.then_some(pieces.len() * "piece".len());
            assert_eq!(within(LIMIT, progress, upstream).await, expected, "{what}");
        }
    }

    #[test]
    fn the_length_stays_known() {
        let (request, _) = watched(Request::new(Body::from("hello")));
        assert_eq!(HttpBody::size_hint(request.body()).exact(), Some(5));
    }
}
