//! One HTTP/1.1 connection to an upstream. It has no task of its own: whoever waits for what comes on it moves it on, so that a
//! request crosses no channel to another task, nobody has to be woken to read an answer, and a connection that nobody waits for
//! costs nothing.
//!
//! Request and answer change hands within the poll that moves the connection on. What is polled right after it needs no
//! waker, then, and is given none: a waker would wake the task that runs already.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use axum::body::{Body, Bytes};
use http::{Request, Response};
use hyper::body::{Body as _, Frame, Incoming};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use tokio::task::coop::unconstrained;

use super::hearing::Hearing;

/// An open connection, which carries one request at a time.
pub(super) struct Carrier {
    sender: SendRequest<Body>,
    /// Nothing when it has come to its end.
    connection: Option<Connection>,
}

type Connection = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

impl Carrier {
    /// Speaks HTTP/1.1 on `io`.
    pub(super) async fn over(io: impl Read + Write + Unpin + Send + 'static) -> hyper::Result<Self> {
        let (sender, connection) = handshake(TokioIo::new(Hearing::over(TokioIo::new(io)))).await?;
        Ok(Self { sender, connection: Some(Box::pin(connection.with_upgrades())) })
    }

    /// Sends `request`, whose body goes on its way until the answer's has come ([`Self::poll_frame`]).
    ///
    /// # Errors
    /// With the request, if nothing of it was sent.
    pub(super) async fn send(
        &mut self,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Body>>> {
        // A budget that is used up would wake nobody.
        let mut answer = pin!(unconstrained(self.sender.try_send_request(request)));
        let connection = &mut self.connection;
        poll_fn(|cx| {
            advance(connection, cx);
            answer.as_mut().poll(&mut after(connection, cx))
        })
        .await
    }

    /// The next piece of the answer that came on this connection.
    pub(super) fn poll_frame(
        &mut self,
        incoming: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let mut frame = pin!(unconstrained(poll_fn(|cx| Pin::new(&mut *incoming).poll_frame(cx))));
        // What is here already asks nothing of the connection.
        let here = frame.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        if here.is_ready() {
            return here;
        }
        advance(&mut self.connection, cx);
        frame.poll(&mut after(&self.connection, cx))
    }

    /// Whether it can carry a request. Whoever waited for something on it before is told of nothing any more.
    pub(super) fn is_open(&mut self) -> bool {
        advance(&mut self.connection, &mut Context::from_waker(Waker::noop()));
        self.connection.is_some() && !self.sender.is_closed()
    }

    /// Whether the exchange on it is complete: the answer has come and the request was sent, both to the end.
    pub(super) fn is_ready(&self) -> bool {
        self.connection.is_some() && self.sender.is_ready()
    }

    /// Waits until the exchange on it is complete. Whether it can carry another.
    pub(super) async fn until_ready(&mut self) -> bool {
        poll_fn(|cx| {
            advance(&mut self.connection, cx);
            self.sender.poll_ready(&mut after(&self.connection, cx))
        })
        .await
        .is_ok()
    }

    /// Lets it come to its end by itself: in order, or with another protocol if both sides have agreed on one.
    pub(super) fn let_go(self) {
        drop(self.sender);
        if let Some(connection) = self.connection {
            tokio::spawn(connection);
        }
    }
}

/// Moves a connection on as far as it goes.
fn advance(connection: &mut Option<Connection>, cx: &mut Context<'_>) {
    // How it ended is told to whoever waits for an answer.
    if connection.as_mut().is_some_and(|connection| connection.as_mut().poll(cx).is_ready()) {
        *connection = None;
    }
}

/// What to poll the other end of a connection's channels with, once the connection was moved on.
fn after<'a>(connection: &Option<Connection>, cx: &Context<'a>) -> Context<'a> {
    // Where it has ended, everything is there; if it were not, nobody should wait for ever.
    Context::from_waker(if connection.is_some() { Waker::noop() } else { cx.waker() })
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind, Result};

    use http_body_util::BodyExt as _;
    use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf, duplex};

    use super::*;

    /// A connection whose other side hangs up after so many bytes of the request.
    struct HungUp {
        io: DuplexStream,
        takes: usize,
    }

    impl AsyncRead for HungUp {
        fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
            Pin::new(&mut self.io).poll_read(cx, buf)
        }
    }

    impl AsyncWrite for HungUp {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
            if self.takes == 0 {
                return Poll::Ready(Err(Error::from(ErrorKind::BrokenPipe)));
            }
            let taken = bytes.len().min(self.takes);
            self.takes -= taken;
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// What becomes of a request with a body of 100 kB whose upstream says `words`, and hangs up after `takes` bytes.
    async fn answered(words: &'static str, takes: usize) -> std::result::Result<String, bool> {
        let (near, mut far) = duplex(1024);
        let io = HungUp { io: near, takes };
        let mut carrier = Carrier::over(TokioIo::new(io)).await.expect("a connection");
        let speaking = tokio::spawn(async move { far.write_all(words.as_bytes()).await });
        let mut sent = Request::new(Body::from(vec![b'x'; 100_000]));
        *sent.method_mut() = http::Method::POST;
        let response = carrier.send(sent).await;
        speaking.await.expect("no panic").expect("said");
        let (head, mut incoming) = response.map_err(|error| error.message().is_some())?.into_parts();
        let mut body = Vec::new();
        while let Some(frame) = poll_fn(|cx| carrier.poll_frame(&mut incoming, cx)).await {
            body.extend(frame.map_err(|_| false)?.into_data().expect("no trailers"));
        }
        Ok(format!("{} {}", head.status.as_u16(), String::from_utf8(body).expect("text")))
    }

    /// An upload that was refused at its head was answered 502, because the rest of it could not be sent.
    #[tokio::test(start_paused = true)]
    async fn an_answer_is_heard_although_its_request_cannot_be_sent_to_the_end() {
        const REFUSED: &str = "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno";
        for takes in [1, 50, 30_000, 99_999] {
            assert_eq!(answered(REFUSED, takes).await.as_deref(), Ok("413 no"), "{takes}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_hangs_up_without_a_word_has_not_answered() {
        for (words, takes) in [("", 0), ("", 50), ("HTTP/1.1 413", 50)] {
            assert_eq!(answered(words, takes).await, Err(false), "{words:?} {takes}");
        }
    }

    #[tokio::test]
    async fn a_connection_is_moved_on_by_who_waits_and_carries_one_request_after_the_other() {
        let (near, far) = duplex(64);
        let echo = hyper::service::service_fn(|request: Request<Incoming>| async move {
            let body = request.into_body().collect().await?.to_bytes();
            Ok::<_, hyper::Error>(Response::new(http_body_util::Full::new(body)))
        });
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(far), echo));
        let mut carrier = Carrier::over(TokioIo::new(near)).await.expect("a connection");
        for length in [0, 1, 100_000] {
            assert!(carrier.is_open());
            let sent = vec![b'x'; length];
            let (_, mut incoming) =
                carrier.send(Request::new(Body::from(sent.clone()))).await.expect("an answer").into_parts();
            let mut got = Vec::new();
            while let Some(frame) = poll_fn(|cx| carrier.poll_frame(&mut incoming, cx)).await {
                got.extend(frame.expect("whole").into_data().expect("no trailers"));
            }
            assert_eq!(got, sent);
            assert!(carrier.until_ready().await);
        }
    }
}
