//! The way out to a provider's token endpoint: who is let through, who queues and who is turned away. The decisions are
//! `perennial_core::outage`; here are the lock, the queue and the waits.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use perennial_core::Timestamp;
use perennial_core::outage::{Admission, Breaker, News, Pass, Turn};
use perennial_core::renewal::RenewalPolicy;
use perennial_core::token::{TokenFailure, Verdict};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::IssuerClient;
use crate::edge::Edges;

/// One provider's gate for refresh requests.
pub(crate) struct RefreshGate {
    /// Held for a decision, never across an await.
    breaker: Mutex<Breaker>,
    /// First come, first served.
    seats: Arc<Semaphore>,
    /// A trial has come to its end.
    tried: Notify,
    queueing: AtomicUsize,
    per_second: u32,
}

/// No pass.
pub(crate) struct Denied {
    /// Try again then.
    pub(crate) until: Timestamp,
    /// Whether there was a wait for one, in which others may have renewed.
    pub(crate) waited: bool,
}

/// The right to send one refresh request; given back with what came of it, or by being dropped.
pub(crate) struct RefreshPass {
    gate: Arc<RefreshGate>,
    pass: Pass,
    /// Whether it was waited for: the record may have changed since.
    pub(crate) waited: bool,
    reported: bool,
    _seat: OwnedSemaphorePermit,
}

impl RefreshGate {
    pub(super) fn new(policy: &RenewalPolicy) -> Arc<Self> {
        let at_once = usize::try_from(policy.max_at_once).unwrap_or(usize::MAX).clamp(1, Semaphore::MAX_PERMITS);
        Arc::new(Self {
            breaker: Mutex::default(),
            seats: Arc::new(Semaphore::new(at_once)),
            tried: Notify::new(),
            queueing: AtomicUsize::new(0),
            per_second: policy.max_per_second,
        })
    }

    /// Waits for a pass, for `patience` at most.
    ///
    /// While the provider is left alone nobody waits; for a seat, a slot and the end of a trial one does.
    async fn admit(self: &Arc<Self>, edges: &Edges, turn: Turn, patience: Duration) -> Result<RefreshPass, Denied> {
        if let Some(until) = self.breaker().held_until(edges.now()) {
            return Err(Denied { until, waited: false });
        }
        let deadline = Instant::now() + patience;
        let (seat, mut waited) = match self.seats.clone().try_acquire_owned() {
            Ok(seat) => (seat, false),
            Err(_) => {
                let _queued = Queued::behind(&self.queueing);
                match timeout_at(deadline, self.seats.clone().acquire_owned()).await {
                    Ok(Ok(seat)) => (seat, true),
                    _ => return Err(Denied { until: edges.now() + self.backlog(), waited: true }),
                }
            }
        };
        loop {
            let tried = self.tried.notified();
            tokio::pin!(tried);
            // From here on the end of a trial is not missed.
            tried.as_mut().enable();
            let admission = self.breaker().admit(edges.now(), turn, self.per_second);
            match admission {
                Admission::HoldUntil(until) => return Err(Denied { until, waited }),
                Admission::AwaitTrial if timeout_at(deadline, tried).await.is_ok() => waited = true,
                Admission::AwaitTrial => return Err(Denied { until: edges.now() + TRIAL_PAUSE, waited: true }),
                Admission::After(wait, pass) => {
                    let gate = self.clone();
                    waited |= !wait.is_zero();
                    let pass = RefreshPass { gate, pass, waited, reported: false, _seat: seat };
                    if !wait.is_zero() {
                        tokio::time::sleep(wait).await;
                    }
                    // The breaker may have opened during the wait.
                    return match self.breaker().held_until(edges.now()) {
                        Some(until) => Err(Denied { until, waited }),
                        None => Ok(pass),
                    };
                }
            }
        }
    }

    /// How long those who queue will take.
    fn backlog(&self) -> Duration {
        let queueing = u32::try_from(self.queueing.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
        (Duration::from_secs(1) * queueing / self.per_second.max(1)).clamp(TRIAL_PAUSE, BACKLOG_MAX)
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        // A decision is a few assignments; a panic in one leaves a state that is as good as another.
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RefreshPass {
    /// Gives the pass back with what came of the request.
    pub(super) fn report(mut self, news: News, now: Timestamp, roll: f64) {
        self.reported = true;
        self.gate.breaker().report(self.pass, news, now, roll);
        if self.pass == Pass::Trial {
            tracing::warn!(?news, "a trial of a provider in trouble came to its end");
            self.gate.tried.notify_waiters();
        }
    }
}

impl Drop for RefreshPass {
    /// Not used after all: the record moved on, the store failed, or the task died.
    fn drop(&mut self) {
        if !self.reported {
            // Without news the time and the jitter play no part, but that the next trial may begin at once.
            let long_ago = Timestamp::from_unix_seconds(0);
            self.gate.breaker().report(self.pass, News::Nothing, long_ago, 0.0);
            if self.pass == Pass::Trial {
                self.gate.tried.notify_waiters();
            }
        }
    }
}

/// Counts itself among those who queue.
struct Queued<'a>(&'a AtomicUsize);

impl<'a> Queued<'a> {
    fn behind(queueing: &'a AtomicUsize) -> Self {
        queueing.fetch_add(1, Ordering::Relaxed);
        Self(queueing)
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl IssuerClient {
    /// Until when the provider is left alone, if it is.
    pub(crate) fn held_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.gate.breaker().held_until(now)
    }

    /// How many renewals queue for a seat.
    pub(crate) fn queueing(&self) -> usize {
        self.gate.queueing.load(Ordering::Relaxed)
    }

    /// Lets an attempt through that follows a failed one (`Turn::Again`) or does not, after `patience` at most.
    pub(crate) async fn admit(&self, edges: &Edges, turn: Turn, patience: Duration) -> Result<RefreshPass, Denied> {
        self.gate.admit(edges, turn, patience).await
    }

    /// What an operator must mend, if that is why the provider refused.
    pub(crate) fn to_mend(&self, failure: &TokenFailure) -> Option<String> {
        (failure.verdict == Verdict::Misconfigured).then(|| {
            format!(
                "{} refuses our client ({}): check client id, secret and grant types there. Sessions are kept.",
                self.provider.id,
                failure.error.as_deref().unwrap_or("no reason given"),
            )
        })
    }
}

/// When a trial has not come to its end in time, and the least that anybody is told to wait.
const TRIAL_PAUSE: Duration = Duration::from_secs(1);

/// The longest anybody is told to wait for those before.
const BACKLOG_MAX: Duration = Duration::from_secs(300);
