//! How long somebody is waited for.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Sleep;

/// A timer that runs only while somebody is waited for.
#[derive(Debug)]
pub(super) struct Deadline {
    limit: Duration,
    running: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    pub(super) fn of(limit: Duration) -> Self {
        Self { limit, running: None }
    }

    /// Whether the limit is over, counted from the first time that this was asked.
    pub(super) fn has_passed(&mut self, cx: &mut Context<'_>) -> bool {
        let limit = self.limit;
        let running = self.running.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        running.as_mut().poll(cx).is_ready()
    }

    pub(super) fn end(&mut self) {
        self.running = None;
    }

    /// `progress`, or an error when there was none for as long as the limit is.
    pub(super) fn bound<T>(&mut self, cx: &mut Context<'_>, progress: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match progress {
            Poll::Ready(progress) => {
                self.end();
                Poll::Ready(progress)
            }
            Poll::Pending if self.has_passed(cx) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}
