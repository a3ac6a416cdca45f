//! `Expect: 100-continue` (RFC 9110 §10.1.1): the client's body is asked for only when the upstream asks for it. What asks is
//! reading: hyper's server sends `100 Continue` when somebody first wants a piece of the body.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::body::{Body, Bytes};
use http::header::EXPECT;
use http::{Request, StatusCode};
use hyper::body::{Body as HttpBody, Frame, SizeHint};

/// Holds a request's body back until the upstream has said that it wants it.
#[derive(Clone)]
pub(super) struct Gate(Arc<Mutex<Waiting>>);

struct Waiting {
    verdict: Verdict,
    reader: Option<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    None,
    GoOn,
    Refused,
}

/// Puts a gate before the body of a request whose client waits to be asked for it.
pub(super) fn gated(mut request: Request<Body>) -> (Request<Body>, Option<Gate>) {
    let waits =
        request.headers().get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    if !waits || request.body().is_end_stream() {
        return (request, None);
    }
    let gate = Gate(Arc::new(Mutex::new(Waiting { verdict: Verdict::None, reader: None })));
    let asked = gate.clone();
    hyper::ext::on_informational(&mut request, move |interim| {
        if interim.status() == StatusCode::CONTINUE {
            asked.go_on();
        }
    });
    let held = gate.clone();
    (request.map(|inner| Body::new(Gated { inner, gate: held })), Some(gate))
}

impl Gate {
    /// Waits for `answer`; a server that says nothing at all may not know the expectation, and is sent the body after a while.
    pub(super) async fn until<T>(&self, answer: impl Future<Output = T>) -> T {
        let mut answer = pin!(answer);
        tokio::select! {
            answer = &mut answer => return answer,
            () = tokio::time::sleep(PATIENCE) => self.go_on(),
        }
        answer.await
    }

    /// The body may be read.
    pub(super) fn go_on(&self) {
        self.settle(Verdict::GoOn);
    }

    /// Nobody will read the body, unless somebody has begun to. Whether that is so.
    pub(super) fn refuse(&self) -> bool {
        self.settle(Verdict::Refused);
        self.lock().verdict == Verdict::Refused
    }

    fn settle(&self, verdict: Verdict) {
        let mut waiting = self.lock();
        if waiting.verdict == Verdict::None {
            waiting.verdict = verdict;
            waiting.reader.take().inspect(Waker::wake_by_ref);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Gated {
    inner: Body,
    gate: Gate,
}

impl HttpBody for Gated {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let verdict = {
            let mut waiting = self.gate.lock();
            if waiting.verdict == Verdict::None {
                waiting.reader = Some(cx.waker().clone());
            }
            waiting.verdict
        };
        match verdict {
            Verdict::None => Poll::Pending,
            Verdict::GoOn => Pin::new(&mut self.inner).poll_frame(cx),
            Verdict::Refused => Poll::Ready(Some(Err(axum::Error::new(NotAskedFor)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the upstream answered without asking for the body")]
struct NotAskedFor;

/// What curl waits for the same reason.
const PATIENCE: Duration = Duration::from_secs(1);
