//! What is made up for later, with nobody waiting for it: a revocation that the provider did not take, an end that the store did
//! not take, a doubt. Counted, so that a shutdown waits for them; bounded, so that an outage does not fill the memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

/// The errands under way.
#[derive(Default)]
pub(crate) struct Errands {
    under_way: AtomicUsize,
    done: Notify,
    /// Whether the process is about to end.
    hurried: AtomicBool,
    hurry: Notify,
}

/// One errand, until it is dropped.
pub(crate) struct Errand(Arc<Errands>);

/// What a pause between two tries ended in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pause {
    /// It is over: go on.
    Over,
    /// The process is about to end: try once more, and leave it at that.
    CutShort,
}

impl Errands {
    /// A new errand; `None` when there are [`ERRANDS_MAX`] already.
    pub(crate) fn begin(self: &Arc<Self>) -> Option<Errand> {
        let errand = Errand(self.clone());
        // Counted first, so that whoever waits for all of them misses none; dropped, it is uncounted.
        (self.under_way.fetch_add(1, Ordering::SeqCst) < ERRANDS_MAX).then_some(errand)
    }

    /// Resolves when all errands are done, which from now on pause no longer than they must.
    pub(crate) async fn finish(&self) {
        self.hurried.store(true, Ordering::SeqCst);
        self.hurry.notify_waiters();
        loop {
            let done = self.done.notified();
            if self.under_way.load(Ordering::SeqCst) == 0 {
                break;
            }
            done.await;
        }
        self.hurried.store(false, Ordering::SeqCst);
    }
}

impl Errand {
    /// Waits for `pause`; for a moment only, when the process is about to end.
    pub(crate) async fn pause(&self, pause: Duration) -> Pause {
        let mut hurry = std::pin::pin!(self.0.hurry.notified());
        hurry.as_mut().enable();
        if !self.0.hurried.load(Ordering::SeqCst) {
            tokio::select! {
                biased;
                () = hurry => {}
                () = tokio::time::sleep(pause) => return Pause::Over,
            }
        }
        tokio::time::sleep(pause.min(LAST_PAUSE)).await;
        Pause::CutShort
    }
}

impl Drop for Errand {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
        self.0.done.notify_waiters();
    }
}

/// Errands at a time: each holds a session's newest generation, some kilobytes. What comes on top is tried once only.
pub(crate) const ERRANDS_MAX: usize = 1_000;

/// The longest pause before the last try of a process that is about to end: enough for most providers and stores to catch their
/// breath, and short beside what a shutdown is given.
const LAST_PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn there_are_so_many_errands_and_no_more_and_a_finished_one_makes_room() {
        let errands = Arc::new(Errands::default());
        let mut begun: Vec<_> = (0..ERRANDS_MAX).map(|_| errands.begin().expect("there is room")).collect();
        assert!(errands.begin().is_none());
        begun.pop();
        assert!(errands.begin().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_shutdown_cuts_pauses_short_and_waits_for_the_last_try() {
        let errands = Arc::new(Errands::default());
        let errand = errands.begin().expect("there is room");
        let (told, mut tell) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            assert_eq!(errand.pause(Duration::from_secs(5)).await, Pause::Over);
            let began = tokio::time::Instant::now();
            let pause = errand.pause(Duration::from_secs(3600)).await;
            let _ = told.send((pause, began.elapsed()));
        });
        tokio::time::sleep(Duration::from_secs(6)).await;
        errands.finish().await;
        let (pause, after) = (&mut tell).now_or_never().expect("it was waited for").expect("it was told");
        assert_eq!((pause, after.as_secs()), (Pause::CutShort, 2), "a second before, and the last one");
        let next = errands.begin().expect("there is room");
        assert_eq!(next.pause(Duration::from_secs(9)).await, Pause::Over, "the hurry is over with the shutdown");
    }
}
