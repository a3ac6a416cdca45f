//! The announcements a process knows of, and its listeners, each of whom reads them at its own pace.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures_util::stream::{self, BoxStream, StreamExt};
use perennial_core::Timestamp;
use tokio::sync::watch;

use crate::{Announcement, News, RecordKey};

/// A notice board: what is posted stays until it matters no more, so that no listener misses anything by being slow.
#[derive(Debug)]
pub(crate) struct Board {
    notices: Mutex<Notices>,
    changed: watch::Sender<()>,
}

#[derive(Debug)]
struct Notices {
    /// In the order of posting; a key that is announced anew moves to the end.
    in_order: BTreeMap<u64, Announcement>,
    number_of: HashMap<RecordKey, u64>,
    next: u64,
    in_touch: bool,
}

impl Board {
    /// A board that is all there is to know.
    pub(crate) fn in_touch() -> Arc<Self> {
        Self::new(true)
    }

    /// The board of a process that has yet to hear from the others.
    #[cfg(any(feature = "redis", feature = "postgres"))]
    pub(crate) fn out_of_touch() -> Arc<Self> {
        Self::new(false)
    }

    fn new(in_touch: bool) -> Arc<Self> {
        let notices = Notices { in_order: BTreeMap::new(), number_of: HashMap::new(), next: 0, in_touch };
        Arc::new(Self { notices: Mutex::new(notices), changed: watch::Sender::new(()) })
    }

    /// Puts up what is not known yet.
    pub(crate) fn post(&self, announcements: impl IntoIterator<Item = Announcement>) {
        let mut notices = self.notices();
        announcements.into_iter().for_each(|announcement| notices.post(announcement));
        drop(notices);
        self.changed.send_replace(());
    }

    /// Says whether what others announce is heard as it is made.
    #[cfg(any(feature = "redis", feature = "postgres"))]
    pub(crate) fn set_in_touch(&self, in_touch: bool) {
        self.notices().in_touch = in_touch;
        self.changed.send_replace(());
    }

    /// Takes down what no longer matters.
    pub(crate) fn take_down_until(&self, now: Timestamp) {
        let mut notices = self.notices();
        let Notices { in_order, number_of, .. } = &mut *notices;
        in_order.retain(|_, announcement| announcement.until > now);
        number_of.retain(|_, number| in_order.contains_key(number));
    }

    /// See [`SessionStore::announcements`](crate::SessionStore::announcements).
    pub(crate) fn listen(self: &Arc<Self>, now: Timestamp) -> BoxStream<'static, News> {
        let listener = Listener {
            board: Arc::downgrade(self),
            changed: self.changed.subscribe(),
            since: now,
            next: 0,
            read: VecDeque::new(),
            told_in_touch: None,
        };
        stream::unfold(listener, |mut listener| async { listener.hear().await.map(|news| (news, listener)) }).boxed()
    }

    /// Every method leaves the notices whole before it can panic, so a poisoned lock guards nothing broken.
    fn notices(&self) -> MutexGuard<'_, Notices> {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notices {
    fn post(&mut self, announcement: Announcement) {
        if let Some(number) = self.number_of.get(&announcement.key) {
            if self.in_order.get(number).is_some_and(|known| known.until >= announcement.until) {
                return;
            }
            self.in_order.remove(number);
        }
        self.in_order.insert(self.next, announcement);
        self.number_of.insert(announcement.key, self.next);
        self.next += 1;
    }
}

struct Listener {
    /// Not kept alive: the stream ends with its store.
    board: Weak<Board>,
    changed: watch::Receiver<()>,
    since: Timestamp,
    /// The first notice that was not read yet.
    next: u64,
    read: VecDeque<Announcement>,
    told_in_touch: Option<bool>,
}

impl Listener {
    async fn hear(&mut self) -> Option<News> {
        loop {
            if let Some(announcement) = self.read.pop_front() {
                return Some(News::Announced(announcement));
            }
            // Before looking, so that a change during the look is seen at the next.
            self.changed.borrow_and_update();
            let in_touch = self.read_on()?;
            if !self.read.is_empty() {
                continue;
            }
            if self.told_in_touch.replace(in_touch) != Some(in_touch) {
                return Some(if in_touch { News::InTouch } else { News::OutOfTouch });
            }
            self.changed.changed().await.ok()?;
        }
    }

    /// Reads what comes next, and whether the board was in touch then; `None` when the store is gone.
    fn read_on(&mut self) -> Option<bool> {
        let board = self.board.upgrade()?;
        let notices = board.notices();
        for (number, announcement) in notices.in_order.range(self.next..).take(READ_AT_ONCE) {
            self.next = number + 1;
            if announcement.until > self.since {
                self.read.push_back(*announcement);
            }
        }
        // Those that no longer mattered may have been all that was read.
        let more = notices.in_order.range(self.next..).next().is_some();
        let in_touch = notices.in_touch;
        drop(notices);
        if self.read.is_empty() && more { self.read_on() } else { Some(in_touch) }
    }
}

/// Notices copied under the lock at once.
const READ_AT_ONCE: usize = 256;

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn announcement(number: u16, until: i64) -> Announcement {
        let mut digest = [0; 32];
        digest[..2].copy_from_slice(&number.to_be_bytes());
        Announcement { key: RecordKey::from_digest(digest), until: Timestamp::from_unix_millis(until) }
    }

    fn heard(stream: &mut BoxStream<'static, News>) -> Vec<News> {
        std::iter::from_fn(|| stream.next().now_or_never().flatten()).collect()
    }

    #[tokio::test]
    async fn a_listener_hears_everything_once_however_late_it_reads() {
        let board = Board::in_touch();
        let stream = board.listen(Timestamp::from_unix_millis(10));
        for number in 0..1000 {
            board.post([announcement(number, 20), announcement(number, 20), announcement(number, 15)]);
        }
        let mut expected: Vec<News> = (0..1000).map(|number| News::Announced(announcement(number, 20))).collect();
        expected.push(News::InTouch);
        let told: Vec<News> = tokio::task::unconstrained(stream.take(expected.len()).collect()).await;
        assert!(told == expected, "not each once, in order");
    }

    #[tokio::test]
    async fn what_matters_no_more_is_neither_told_nor_kept() {
        let board = Board::in_touch();
        board.post((0..600).map(|number| announcement(number, 10)));
        board.post([announcement(600, 11)]);
        let mut stream = board.listen(Timestamp::from_unix_millis(10));
        assert_eq!(heard(&mut stream), [News::Announced(announcement(600, 11)), News::InTouch]);
        board.take_down_until(Timestamp::from_unix_millis(10));
        let notices = board.notices();
        assert_eq!((notices.in_order.len(), notices.number_of.len()), (1, 1));
    }

    #[tokio::test]
    async fn the_later_end_counts_and_the_stream_ends_with_the_board() {
        let board = Board::in_touch();
        let mut stream = board.listen(Timestamp::from_unix_millis(10));
        board.post([announcement(1, 20)]);
        assert_eq!(heard(&mut stream), [News::Announced(announcement(1, 20)), News::InTouch]);
        board.post([announcement(1, 30)]);
        assert_eq!(heard(&mut stream), [News::Announced(announcement(1, 30))]);
        drop(board);
        assert_eq!(stream.next().now_or_never(), Some(None));
    }
}
