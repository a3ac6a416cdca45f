//! What a process hears from the others that share a store on a server: which records changed, and what was announced.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::BoxStream;
use perennial_core::Timestamp;
use tokio::task::JoinHandle;

use crate::bells::Bells;
use crate::board::Board;
use crate::{Announcement, News, RecordKey, StoreError, Version, Versioned, limits};

/// A server that can tell what happens in it.
pub(crate) trait Server: Send + Sync + 'static {
    /// What happens from the moment this resolves until the connection is lost, which ends the stream. The server's
    /// silence is told from a connection's death: within two [`limits::HEARTBEAT`]s.
    fn subscribe(&self) -> BoxFuture<'_, Result<BoxStream<'static, Heard>, StoreError>>;

    /// Every announcement that still matters.
    fn backlog(&self) -> BoxFuture<'_, Result<Vec<Announcement>, StoreError>>;
}

/// One thing that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Changed(RecordKey),
    Announced(Announcement),
}

/// One listening task for the whole process, begun at the first need, and everybody who waits for what it hears.
pub(crate) struct Ear {
    hearing: Arc<Hearing>,
    task: Mutex<Option<JoinHandle<()>>>,
}

struct Hearing {
    server: Arc<dyn Server>,
    bells: Bells,
    board: Arc<Board>,
}

impl Ear {
    pub(crate) fn new(server: Arc<dyn Server>) -> Arc<Self> {
        let hearing = Hearing { server, bells: Bells::new(), board: Board::out_of_touch() };
        Arc::new(Self { hearing: Arc::new(hearing), task: Mutex::new(None) })
    }

    /// Resolves once `load` finds another version than `since`, or a change of this very record is heard, which whoever asked
    /// looks at anyway: it looks now, after each time in which changes may have been missed, and when the record expires.
    pub(crate) async fn changed<F>(
        &self,
        key: RecordKey,
        since: Option<Version>,
        load: impl Fn() -> F,
    ) -> Result<(), StoreError>
    where
        F: Future<Output = Result<Option<Versioned>, StoreError>>,
    {
        self.listen();
        loop {
            let mut rung = pin!(self.hearing.bells.of(&key).notified());
            rung.as_mut().enable();
            let record = load().await?;
            if record.as_ref().map(|record| record.version) != since {
                return Ok(());
            }
            let heard = match record {
                // A server that forgets records by itself tells nobody.
                Some(record) => tokio::time::timeout(until(record.expires), rung).await.is_ok(),
                None => {
                    rung.await;
                    true
                }
            };
            if heard && self.hearing.bells.rang_for(&key) {
                return Ok(());
            }
        }
    }

    /// Tells this process's listeners at once; the others hear it from the server.
    pub(crate) fn announced(&self, announcement: Announcement) {
        self.hearing.board.post([announcement]);
    }

    /// See [`SessionStore::announcements`](crate::SessionStore::announcements).
    pub(crate) fn announcements(self: &Arc<Self>, now: Timestamp) -> BoxStream<'static, News> {
        let ear = Arc::downgrade(self);
        async move {
            match ear.upgrade() {
                Some(ear) => {
                    ear.listen();
                    ear.hearing.board.listen(now)
                }
                None => futures_util::stream::empty().boxed(),
            }
        }
        .flatten_stream()
        .boxed()
    }

    /// Forgets announcements that matter no more, with some hours to spare for clocks that go wrong.
    pub(crate) fn tidy(&self, now: Timestamp) {
        self.hearing.board.take_down_until(now - limits::SERVER_CLOCK_ERROR);
    }

    /// Begins to listen, on the runtime of whoever asks first; once more if that one is gone.
    fn listen(&self) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.as_ref().is_none_or(JoinHandle::is_finished) {
            *task = Some(tokio::spawn(self.hearing.clone().listen()));
        }
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        let task = self.task.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = task.take() {
            task.abort();
        }
    }
}

impl Hearing {
    async fn listen(self: Arc<Self>) {
        // Whatever ends this task, even its runtime's death, leaves the board saying so.
        let _silence = Silence(self.clone());
        let mut complained = false;
        loop {
            let subscribed = match self.server.subscribe().await {
                Ok(stream) => self.catch_up().await.map(|()| stream),
                Err(error) => Err(error),
            };
            match subscribed {
                Ok(stream) => {
                    complained = false;
                    self.board.set_in_touch(true);
                    self.hear(stream).await;
                    self.board.set_in_touch(false);
                    // What was missed until here is looked up at once.
                    self.bells.ring_all();
                    tracing::warn!(
                        "the connection that tells of changes in the session store was lost; connecting again"
                    );
                    tokio::time::sleep(BREATH).await;
                    continue;
                }
                Err(error) if !complained => {
                    complained = true;
                    tracing::warn!(%error, "changes in the session store are not told: looking for them every second");
                }
                Err(_) => {}
            }
            // Perhaps only the subscription is refused, and asking works.
            let _unreachable = self.catch_up().await;
            tokio::time::sleep(limits::LISTENING_PAUSE).await;
        }
    }

    /// Finds out what may have been missed, and has every waiter look for itself.
    async fn catch_up(&self) -> Result<(), StoreError> {
        let backlog = self.server.backlog().await;
        let backlog = backlog.map(|backlog| self.board.post(backlog));
        self.bells.ring_all();
        backlog
    }

    async fn hear(&self, mut stream: BoxStream<'static, Heard>) {
        while let Some(heard) = stream.next().await {
            match heard {
                Heard::Changed(key) => self.bells.ring(&key),
                Heard::Announced(announcement) => self.board.post([announcement]),
            }
        }
    }
}

/// Between a lost connection and the next, so that a server that takes each and drops it is not stormed.
const BREATH: Duration = Duration::from_millis(50);

/// How long until this process's clock says that `moment` has come; a little, when it was there already.
fn until(moment: Timestamp) -> Duration {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let now = Timestamp::from_unix_millis(i64::try_from(now.as_millis()).unwrap_or(i64::MAX));
    moment.since(now).max(Duration::from_millis(100))
}

struct Silence(Arc<Hearing>);

impl Drop for Silence {
    fn drop(&mut self) {
        self.0.board.set_in_touch(false);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::{Notify, mpsc};

    use super::*;

    /// A server that tells what a test has it tell.
    struct Told(Mutex<Option<mpsc::UnboundedReceiver<Heard>>>);

    impl Server for Told {
        fn subscribe(&self) -> BoxFuture<'_, Result<BoxStream<'static, Heard>, StoreError>> {
            let told = self.0.lock().expect("no panic while locked").take();
            let stream = futures_util::stream::unfold(told, |mut told| async {
                let heard = told.as_mut()?.recv().await?;
                Some((heard, told))
            });
            async { Ok(stream.boxed()) }.boxed()
        }

        fn backlog(&self) -> BoxFuture<'_, Result<Vec<Announcement>, StoreError>> {
            async { Ok(Vec::new()) }.boxed()
        }
    }

    fn key(number: u16) -> RecordKey {
        let mut digest = [0; 32];
        digest[..2].copy_from_slice(&number.to_be_bytes());
        RecordKey::from_digest(digest)
    }

    /// Waiters of a storm are told by whoever hears of the change: each look at the record in between is one more way to the server
    /// and back that all of them wait for.
    #[tokio::test]
    async fn who_hears_of_a_change_of_the_record_does_not_look_first_and_who_hears_of_a_neighbours_does() {
        let (tell, told) = mpsc::unbounded_channel();
        let ear = Ear::new(Arc::new(Told(Mutex::new(Some(told)))));
        let bells = &ear.hearing.bells;
        let neighbour = (1..=u16::MAX).map(key).find(|other| std::ptr::eq(bells.of(other), bells.of(&key(0))));
        let neighbour = neighbour.expect("there are more keys than bells");
        // In touch first, so that nothing else makes it look.
        let mut news = ear.announcements(Timestamp::from_unix_millis(0));
        while news.next().await != Some(News::InTouch) {}

        let (looks, looked) = (AtomicUsize::new(0), Notify::new());
        let load = || async {
            looks.fetch_add(1, Ordering::SeqCst);
            looked.notify_one();
            Ok(None)
        };
        let mut waiting = pin!(ear.changed(key(0), None, load));
        let heard = |key| tell.send(Heard::Changed(key)).expect("somebody listens");
        for change in [None, Some(neighbour)] {
            change.into_iter().for_each(heard);
            tokio::select! {
                biased;
                resolved = waiting.as_mut() => panic!("{resolved:?}, for {change:?}"),
                () = looked.notified() => {}
            }
        }
        heard(key(0));
        let told = tokio::time::timeout(Duration::from_secs(10), waiting).await;
        told.expect("it is told").expect("nothing fails");
        assert_eq!(looks.load(Ordering::SeqCst), 2);
    }
}
