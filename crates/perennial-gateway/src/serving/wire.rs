//! The bytes of one connection on their way to hyper and back: lines end as they must ([`Lines`]), a head comes in time, and a
//! client that takes nothing of an answer is let go.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use super::deadline::Deadline;
use super::lines::{Framing, Lines};
use super::seats::Seat;

/// A connection as hyper reads and writes it.
pub(super) struct Wire<S> {
    io: S,
    /// Bytes that were read and not let through yet.
    held: BytesMut,
    /// How an HTTP/1.1 connection is read; nothing for HTTP/2, whose frames say how long they are.
    strict: Option<Strict>,
    stalled: Deadline,
    /// Given back when the last holder of the bytes lets go of them: a tunnel sits as well.
    _seat: Seat,
}

struct Strict {
    lines: Lines,
    understood: Understood,
    /// Runs while a head is incomplete; from the beginning of the connection for the first.
    head: Deadline,
    first: bool,
}

/// What hyper understood of the head before, told to the [`Wire`] by whoever is given the request.
#[derive(Clone, Debug, Default)]
pub(super) struct Understood(Arc<Mutex<(Option<Framing>, Option<Waker>)>>);

impl Understood {
    pub(super) fn tell(&self, framing: Framing) {
        let waiting = {
            let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            told.0 = Some(framing);
            told.1.take()
        };
        if let Some(waker) = waiting {
            waker.wake();
        }
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Framing> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match told.0.take() {
            Some(framing) => Poll::Ready(framing),
            None => {
                told.1 = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<S> Wire<S> {
    /// For HTTP/1.1: a head must come within `head`, an answer be taken within `stall`.
    pub(super) fn http1(io: S, held: BytesMut, seat: Seat, head: Duration, stall: Duration) -> (Self, Understood) {
        let understood = Understood::default();
        let strict =
            Strict { lines: Lines::new(), understood: understood.clone(), head: Deadline::of(head), first: true };
        (Self { io, held, strict: Some(strict), stalled: Deadline::of(stall), _seat: seat }, understood)
    }

    /// For HTTP/2.
    pub(super) fn http2(io: S, held: BytesMut, seat: Seat, stall: Duration) -> Self {
        Self { io, held, strict: None, stalled: Deadline::of(stall), _seat: seat }
    }
}

impl<S: AsyncRead + Unpin> Wire<S> {
    /// Fills `buf` with what may go on of `held` first, then of what is read anew.
    fn poll_pass(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(strict) = &mut self.strict else {
            if self.held.is_empty() {
                return Pin::new(&mut self.io).poll_read(cx, buf);
            }
            let count = self.held.len().min(buf.remaining());
            buf.put_slice(&self.held.split_to(count));
            return Poll::Ready(Ok(()));
        };
        if strict.lines.is_between() {
            let framing = ready!(strict.understood.poll(cx));
            strict.lines.resume(framing);
        }
        if !self.held.is_empty() {
            let fits = self.held.len().min(buf.remaining());
            let passed = strict.pass(&mut self.held[..fits])?;
            buf.put_slice(&self.held[..passed]);
            self.held.advance(passed);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        if Pin::new(&mut self.io).poll_read(cx, buf)?.is_pending() {
            let overdue = (strict.first || strict.lines.in_head()) && strict.head.has_passed(cx);
            return if overdue { Poll::Ready(Err(io::ErrorKind::TimedOut.into())) } else { Poll::Pending };
        }
        let fresh = &mut buf.filled_mut()[before..];
        let passed = strict.pass(fresh)?;
        self.held.extend_from_slice(&fresh[passed..]);
        buf.set_filled(before + passed);
        Poll::Ready(Ok(()))
    }
}

impl Strict {
    fn pass(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let passed = self.lines.pass(bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        if self.lines.is_between() {
            self.first = false;
            self.head.end();
        }
        Ok(passed)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_pass(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write(cx, bytes);
        this.stalled.bound(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write_vectored(cx, bytes);
        this.stalled.bound(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.io).poll_flush(cx);
        this.stalled.bound(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let closed = Pin::new(&mut this.io).poll_shutdown(cx);
        this.stalled.bound(cx, closed)
    }
}

/// Reads until it is clear whether a client begins with HTTP/2 (RFC 9113 §3.4): whether it does, and what was read.
pub(super) async fn begins_http2(io: &mut (impl AsyncRead + Unpin)) -> io::Result<(bool, BytesMut)> {
    let mut read = BytesMut::with_capacity(PREFACE.len());
    while PREFACE.starts_with(&read) && read.len() < PREFACE.len() {
        if io.read_buf(&mut read).await? == 0 {
            break;
        }
    }
    Ok((read.starts_with(PREFACE), read))
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::AsyncWriteExt as _;
    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::serving::seats::Seats;

    #[tokio::test(start_paused = true)]
    async fn a_client_may_take_nothing_for_as_long_as_the_limit_and_no_longer() {
        let seats = Seats::new(1, 1);
        let one = seats.one().await.expect("a seat");
        let seat = seats.seat(one, Ipv4Addr::LOCALHOST.into(), false).expect("a seat");
        // One byte fits in between.
        let (ours, mut client) = tokio::io::duplex(1);
        let mut wire = Wire::http2(ours, BytesMut::new(), seat, Duration::from_secs(60));
        let client = tokio::spawn(async move {
            for _ in 0..2 {
                sleep(Duration::from_secs(59)).await;
                client.read_u8().await.expect("a byte");
            }
            client
        });
        wire.write_all(b"abc").await.expect("each pause is shorter");
        let began = Instant::now();
        let error = wire.write_all(b"d").await.expect_err("nothing is taken any more");
        assert_eq!((error.kind(), began.elapsed()), (io::ErrorKind::TimedOut, Duration::from_secs(60)));
        drop(client.await.expect("no panic"));
    }
}
