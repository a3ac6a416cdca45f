//! RFC 9112 §9.5: an upstream may answer before it has read the whole request, and hang up. What is still being sent to it then fails,
//! and the answer that lies there already would be lost with it.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};

/// A connection on which failing to send does not keep from hearing: the answer comes, or reading says what is wrong.
pub(super) struct Hearing<T> {
    io: T,
    /// Whether the other side takes nothing any more.
    deaf: bool,
}

impl<T> Hearing<T> {
    pub(super) fn over(io: T) -> Self {
        Self { io, deaf: false }
    }
}

impl<T: Unpin> Hearing<T> {
    /// What came of sending by `send`, but for an end that reading will tell of.
    fn sent<R>(
        &mut self,
        cx: &mut Context<'_>,
        send: impl FnOnce(Pin<&mut T>, &mut Context<'_>) -> Poll<Result<R>>,
    ) -> Poll<Result<R>> {
        if self.deaf {
            return Poll::Pending;
        }
        match send(Pin::new(&mut self.io), cx) {
            Poll::Ready(Err(error)) if was_hung_up(&error) => {
                self.deaf = true;
                // Who was about to send may not have begun to read.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            sent => sent,
        }
    }
}

fn was_hung_up(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted)
}

impl<T: Read + Unpin> Read for Hearing<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<T: Write + Unpin> Write for Hearing<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        self.sent(cx, |io, cx| io.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        self.sent(cx, |io, cx| io.poll_write_vectored(cx, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.sent(cx, Write::poll_flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.deaf { Poll::Ready(Ok(())) } else { Pin::new(&mut self.io).poll_shutdown(cx) }
    }
}
