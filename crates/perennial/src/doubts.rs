//! Sessions whose refresh token is being sent although their access token is fresh, so that nobody has reason to look at the
//! record: should the sender die, whoever comes with a cookie of the session looks, once, while the provider still forgives.
//!
//! It is told through the store's announcements, like the ends of sessions, so that it reaches every replica and every process
//! that begins in time, and costs the fast path no more than a look into the same memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use perennial_core::Timestamp;
use perennial_core::renewal::fresh_until;
use perennial_core::session::{SessionId, SessionState};
use perennial_store::{Announcement, RecordKey, StoreError};

use crate::engine::Inner;
use crate::errands::{Errand, Pause};
use crate::event::RenewalReason;
use crate::outcome::{Ask, Outcome};

/// The announced doubts that this process has seen to, or is seeing to, each with the end of its announcement.
#[derive(Default)]
pub(crate) struct Doubts {
    seen_to: papaya::HashMap<RecordKey, Timestamp>,
    inserts: AtomicUsize,
}

impl Doubts {
    /// Whether the doubt announced until `until` is ours to look into; asked again, it is not.
    fn take(&self, key: RecordKey, until: Timestamp, now: Timestamp) -> bool {
        let seen_to = self.seen_to.pin();
        if until <= now || seen_to.get(&key).is_some_and(|known| *known >= until) {
            return false;
        }
        if self.inserts.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            seen_to.retain(|_, until| *until > now);
        }
        // Of two requests at the same moment one is first.
        !matches!(seen_to.insert(key, until), Some(known) if *known >= until)
    }

    /// Whoever comes next is to look again.
    fn give_back(&self, key: RecordKey) {
        self.seen_to.pin().remove(&key);
    }
}

impl Inner {
    /// Announces, before an intent is written, that the record is worth a look for as long as `window`, or until requests look
    /// at it anyway. This process needs no telling.
    ///
    /// # Errors
    /// The store's. Nothing may be sent then: nobody would know.
    pub(crate) async fn announce_doubt(&self, newest: &SessionState, window: Duration) -> Result<(), StoreError> {
        let now = self.now();
        let until = (now + window).min(fresh_until(newest, &self.settings.renewal, self.settings.max_age, now));
        let key = key_of(newest.id);
        self.doubts.take(key, until, now);
        let announced = self.store.announce(Announcement { key, until }, now).await;
        if announced.is_err() {
            self.doubts.give_back(key);
        }
        announced
    }

    /// Whether somebody has announced a doubt about this session that nobody here has looked into. Whoever is told so has to.
    pub(crate) fn takes_up_doubt(&self, id: SessionId) -> bool {
        let key = key_of(id);
        self.tombstones.heard(key).is_some_and(|until| self.doubts.take(key, until, self.now()))
    }

    /// Looks at the record of a session in doubt without keeping anybody waiting.
    pub(crate) fn look_into(self: &Arc<Self>, state: &Arc<SessionState>) {
        let (inner, state) = (self.clone(), state.clone());
        tokio::spawn(async move {
            match inner.errands.begin() {
                Some(errand) => inner.clear_doubt(&state, &Ask::due(RenewalReason::Doubt), &errand).await,
                None => inner.doubts.give_back(key_of(state.id)),
            }
        });
    }

    /// Has a doubt resolved while its window is open, although nobody may come: a renewal on demand leaves the access token
    /// fresh, and requests with a fresh token do not look at the record.
    pub(crate) async fn clear_doubt(self: &Arc<Self>, newest: &Arc<SessionState>, ask: &Ask, errand: &Errand) {
        let again = Ask { reason: RenewalReason::Doubt, seen: Some(newest.generation), ..ask.clone() };
        let (mut pause, mut paused) = (DOUBT_PAUSE, Pause::Over);
        for _ in 0..DOUBT_TRIES {
            match self
                .flown(newest, &again, self.settings.renewal.wait_max)
                .await
                .as_deref()
                .map(|arrival| &arrival.outcome)
            {
                // Where the class has no window, or it has closed, nothing is to be done before the access token dies.
                Some(Outcome::Kept { retry_after, .. }) if *retry_after > DOUBT_PAUSE_MAX => return,
                Some(Outcome::Kept { retry_after, .. }) => pause = (*retry_after).max(DOUBT_PAUSE),
                // It was waited for too long: another attempt is under way.
                None => {}
                Some(_) => return,
            }
            if paused == Pause::CutShort {
                break;
            }
            paused = errand.pause(pause).await;
        }
        self.doubts.give_back(key_of(newest.id));
    }
}

/// What a doubt about a session is announced under. No record has this key, and no end is announced under it: keys are digests,
/// so that one session's complement is no other session's key.
fn key_of(id: SessionId) -> RecordKey {
    RecordKey::from_digest(id.record_key().map(|byte| !byte))
}

/// How often a doubt is looked into although nobody asks: a provider that loses several answers in a row is in trouble, and
/// whoever comes next goes on.
const DOUBT_TRIES: u32 = 8;

/// The least time between two of them.
pub(crate) const DOUBT_PAUSE: Duration = Duration::from_millis(250);

/// The longest that is waited for: a hold that lasts longer waits for the access token to die.
const DOUBT_PAUSE_MAX: Duration = Duration::from_secs(30);

/// Inserts between two sweeps of what has run out.
const SWEEP_EVERY: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_unix_millis(millis)
    }

    fn key(number: u16) -> RecordKey {
        let mut digest = [0; 32];
        digest[..2].copy_from_slice(&number.to_be_bytes());
        RecordKey::from_digest(digest)
    }

    #[test]
    fn each_announcement_is_looked_into_once_until_it_matters_no_more() {
        let doubts = Doubts::default();
        for (until, now, expected, why) in [
            (10, 0, true, "the first to ask looks"),
            (10, 0, false, "the next does not"),
            (9, 0, false, "nor for an older announcement"),
            (11, 0, true, "but for a newer one"),
            (12, 12, false, "and not when it has run out"),
        ] {
            assert_eq!(doubts.take(key(1), at(until), at(now)), expected, "{why}");
        }
        doubts.give_back(key(1));
        assert!(doubts.take(key(1), at(11), at(0)), "given back, somebody else looks");
    }

    #[test]
    fn what_has_run_out_is_forgotten() {
        let doubts = Doubts::default();
        let count = u16::try_from(SWEEP_EVERY).expect("it fits");
        (0..count - 1).for_each(|number| assert!(doubts.take(key(number), at(10), at(0))));
        assert!(doubts.take(key(count), at(20), at(10)));
        assert_eq!(doubts.seen_to.len(), 1);
    }
}
