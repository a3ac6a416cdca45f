//! How many requests are under way on an HTTP/2 connection, which hyper keeps open for as long as the client likes.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use http::Response;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::watch;

/// The count of one connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Pulse(watch::Sender<usize>);

/// One request under way, until it is dropped.
#[derive(Debug)]
pub(super) struct Beat(watch::Sender<usize>);

impl Pulse {
    pub(super) fn beat(&self) -> Beat {
        self.0.send_modify(|count| *count += 1);
        Beat(self.0.clone())
    }

    /// Resolves when there has been no request for so long.
    pub(super) async fn stopped(self, limit: Duration) {
        let mut count = self.0.subscribe();
        loop {
            // It cannot close: `self` holds a sender.
            let _ = count.wait_for(|count| *count == 0).await;
            tokio::select! {
                () = tokio::time::sleep(limit) => return,
                _ = count.changed() => {}
            }
        }
    }
}

impl Beat {
    /// Goes on for as long as the answer takes.
    pub(super) fn during(self, response: Response<Body>) -> Response<Body> {
        response.map(|inner| Body::new(Beating { inner, _beat: self }))
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

struct Beating {
    inner: Body,
    _beat: Beat,
}

impl HttpBody for Beating {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
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
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_when_the_last_answer_has_gone_and_no_request_came() {
        let pulse = Pulse::default();
        let began = Instant::now();
        let stopped = tokio::spawn(pulse.clone().stopped(Duration::from_secs(75)));
        let answer = pulse.beat().during(Response::new(Body::empty()));
        tokio::time::sleep(Duration::from_secs(300)).await;
        drop(answer);
        tokio::time::sleep(Duration::from_secs(74)).await;
        drop(pulse.beat());
        stopped.await.expect("no panic");
        assert_eq!(began.elapsed(), Duration::from_secs(300 + 74 + 75));
    }
}
