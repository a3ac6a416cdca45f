//! RFC 9112 §9.5: an upstream may answer before it has read the whole request, and hang up. What is still being sent to it then fails,
//! and the answer that lies there already would be lost with it.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection on which failing to send does not keep from hearing: the answer comes, or reading says what is wrong.
pub(super) struct Hearing<T> {
    io: T,
    /// Who would send to a side that takes nothing any more, until all that it said is heard.
    deaf: Option<Waker>,
    heard_all: bool,
}

impl<T> Hearing<T> {
    pub(super) fn over(io: T) -> Self {
        Self { io, deaf: None, heard_all: false }
    }
}

impl<T: Unpin> Hearing<T> {
    /// What came of sending by `send`; who is hung up on is told when all is heard.
    fn sent<R>(
        &mut self,
        cx: &mut Context<'_>,
        send: impl FnOnce(Pin<&mut T>, &mut Context<'_>) -> Poll<Result<R>>,
    ) -> Poll<Result<R>> {
        if let Some(waiting) = &mut self.deaf {
            waiting.clone_from(cx.waker());
            return Poll::Pending;
        }
        match send(Pin::new(&mut self.io), cx) {
            Poll::Ready(Err(error)) if was_hung_up(&error) && !self.heard_all => {
                self.deaf = Some(cx.waker().clone());
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

impl<T: AsyncRead + Unpin> AsyncRead for Hearing<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        self.heard_all |= match &read {
            Poll::Pending => false,
            Poll::Ready(Ok(())) => buf.filled().len() == before && buf.remaining() > 0,
            Poll::Ready(Err(_)) => true,
        };
        if self.heard_all
            && let Some(waiting) = self.deaf.take()
        {
            waiting.wake();
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Hearing<T> {
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
        self.sent(cx, AsyncWrite::poll_flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match self.deaf {
            None => Pin::new(&mut self.io).poll_shutdown(cx),
            Some(_) => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex, join, sink, split};

    use super::*;

    /// Takes nothing.
    struct Closed;

    impl AsyncWrite for Closed {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<Result<usize>> {
            Poll::Ready(Err(ErrorKind::BrokenPipe.into()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// A tunnel whose upstream was gone waited for ever to send to it, and kept its client's seat.
    #[tokio::test(start_paused = true)]
    async fn who_cannot_send_is_told_when_all_is_heard() {
        for before in [true, false] {
            told_when_all_is_heard(before).await;
        }
    }

    /// Whether somebody tries to send `before` anything is heard, or only after all is.
    async fn told_when_all_is_heard(before: bool) {
        let (near, mut far) = duplex(64);
        let (mut hear, mut say) = split(Hearing::over(join(near, Closed)));
        let saying = tokio::spawn(async move { say.write_all(b"x").await.map_err(|error| error.kind()) });
        if before {
            tokio::task::yield_now().await;
        }
        far.write_all(b"words").await.expect("room");
        let mut heard = [0; 5];
        hear.read_exact(&mut heard).await.expect("heard");
        assert_eq!((&heard, saying.is_finished()), (b"words", false));
        drop(far);
        assert_eq!(hear.read(&mut heard).await.expect("an end"), 0);
        assert_eq!(saying.await.expect("no panic"), Err(ErrorKind::BrokenPipe));
    }

    #[tokio::test]
    async fn an_upstream_that_has_said_all_may_still_be_sent_to() {
        let (near, far) = duplex(64);
        drop(far);
        let mut both = Hearing::over(join(near, sink()));
        assert_eq!(both.read(&mut [0; 8]).await.expect("an end"), 0);
        both.write_all(b"x").await.expect("taken");
    }
}
