//! The sessions that this process knows to be over, whichever process ended them: asked on every request, so without a
//! lock.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use perennial_core::Timestamp;
use perennial_core::record::{EndReason, OwedRevocations};
use perennial_core::session::SessionId;
use perennial_store::{Announcement, News, RecordKey};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::alarm::AlarmCode;
use crate::engine::Inner;
use crate::vigil::Vigils;

/// Ended sessions, each kept until no cookie of it can open without asking the store.
#[derive(Default)]
pub(crate) struct Tombstones {
    /// Of the process, whichever engine saw or heard them.
    ended: Arc<papaya::HashMap<RecordKey, (EndReason, Timestamp)>>,
    inserts: AtomicUsize,
    /// Whether nobody has to wait for what ended before this process began: it is known, or was waited for in vain.
    settled: AtomicBool,
    listening: OnceLock<Listening>,
    /// Who is to be woken when a session ends.
    pub(crate) vigils: Arc<Vigils>,
}

/// The task that hears what others end; it stops with the engine.
struct Listening {
    task: JoinHandle<()>,
    begun: Instant,
    caught_up: watch::Receiver<bool>,
}

impl Tombstones {
    /// The same ends and those who wait for one, for the engine that takes over; it listens for itself.
    pub(crate) fn handed_on(&self) -> Self {
        let mut handed_on = Self::default();
        (handed_on.ended, handed_on.vigils) = (self.ended.clone(), self.vigils.clone());
        handed_on
    }

    /// Whether and why `id` is over.
    pub(crate) fn find(&self, id: SessionId) -> Option<EndReason> {
        if self.ended.is_empty() {
            return None;
        }
        let key = RecordKey::from_digest(id.record_key());
        self.ended.pin().get(&key).map(|(reason, _)| *reason)
    }

    /// Until when what another process, or this one, announced under `key` matters.
    pub(crate) fn heard(&self, key: RecordKey) -> Option<Timestamp> {
        if self.ended.is_empty() {
            return None;
        }
        self.ended.pin().get(&key).filter(|(reason, _)| *reason == EndReason::Elsewhere).map(|(_, until)| *until)
    }

    /// How many are remembered, the doubts that were announced among them.
    pub(crate) fn len(&self) -> usize {
        self.ended.len()
    }

    /// Notes that the session is over; forgotten after `until`, when the last cookie that could pass unasked has expired.
    pub(crate) fn insert(&self, key: RecordKey, reason: EndReason, until: Timestamp, now: Timestamp) {
        let ended = self.ended.pin();
        let reason = match ended.get(&key) {
            // What was heard knows less than what was seen.
            Some((_, longer)) if reason == EndReason::Elsewhere && *longer >= until => return,
            Some((known, _)) if reason == EndReason::Elsewhere => *known,
            _ => reason,
        };
        ended.insert(key, (reason, until));
        if self.inserts.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            ended.retain(|_, (_, until)| *until > now);
        }
        self.vigils.over(&key);
    }
}

impl Inner {
    /// Begins to listen for sessions that end elsewhere, and resolves once those that ended before are known, at the
    /// latest [`CATCH_UP`] after the beginning: a store that does not answer must not keep living sessions waiting.
    pub(crate) async fn hear_what_ended(self: &Arc<Self>) {
        let tombstones = &self.tombstones;
        if tombstones.settled.load(Ordering::Acquire) {
            return;
        }
        let listening = tombstones.listening.get_or_init(|| {
            let (sender, caught_up) = watch::channel(false);
            let listener = listen(Arc::downgrade(self), self.store.announcements(self.now()), sender);
            Listening { task: tokio::spawn(listener), begun: Instant::now(), caught_up }
        });
        let mut caught_up = listening.caught_up.clone();
        let known = tokio::time::timeout_at(listening.begun + CATCH_UP, caught_up.wait_for(|caught_up| *caught_up));
        if !matches!(known.await, Ok(Ok(_))) && !tombstones.settled.load(Ordering::Acquire) {
            self.alarm(AlarmCode::StoreOutOfTouch, OUT_OF_TOUCH);
        }
        tombstones.settled.store(true, Ordering::Release);
    }
}

async fn listen(engine: std::sync::Weak<Inner>, mut news: BoxStream<'static, News>, caught_up: watch::Sender<bool>) {
    while let Some(news) = news.next().await {
        // Held for no longer than it takes, so that the engine can go.
        let Some(engine) = engine.upgrade() else { return };
        match news {
            News::Announced(Announcement { key, .. }) if OwedRevocations::is_name(key.as_bytes()) => {
                engine.debts.hear(key);
            }
            News::Announced(Announcement { key, until }) => {
                engine.tombstones.insert(key, EndReason::Elsewhere, until, engine.now());
            }
            News::InTouch => {
                engine.tombstones.settled.store(true, Ordering::Release);
                if !*caught_up.borrow() {
                    engine.take_up_debts();
                }
                caught_up.send_replace(true);
            }
            News::OutOfTouch if *caught_up.borrow() => engine.alarm(AlarmCode::StoreOutOfTouch, OUT_OF_TOUCH),
            News::OutOfTouch => {}
        }
    }
}

impl Drop for Tombstones {
    fn drop(&mut self) {
        if let Some(listening) = self.listening.get() {
            listening.task.abort();
        }
    }
}

/// How long the first requests of a process wait to know what ended before it began.
const CATCH_UP: Duration = Duration::from_secs(2);

/// Inserts between two sweeps of what has run out.
const SWEEP_EVERY: usize = 1024;

const OUT_OF_TOUCH: &str = "The session store cannot tell what other replicas do: sessions that end there are noticed here \
                            once it can, or when they come due.";
