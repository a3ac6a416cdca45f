//! One renewal of a session at a time in this process: the first request starts a flight, the others come aboard. Visits are noted
//! one at a time in the same way.
//!
//! A flight belongs to its own task, so that a caller who hangs up does not bring it down. Between processes the intent
//! in the session's record does what this does within one.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use perennial_core::session::SessionId;
use tokio::sync::Notify;

/// The flights under way, by session.
pub(crate) struct Flights<T> {
    shards: [Mutex<HashMap<SessionId, Entry<T>>>; SHARDS],
    hasher: RandomState,
    aloft: AtomicUsize,
    landed: Notify,
}

struct Entry<T> {
    landing: Arc<Landing<T>>,
    passengers: Arc<AtomicUsize>,
}

/// Where passengers wait. They are woken in the order in which they came aboard, which tokio's `watch` leaves to chance: a
/// simulation must be able to replay it.
struct Landing<T> {
    state: Mutex<State<T>>,
    landed: Notify,
}

enum State<T> {
    Aloft,
    Told(Arc<T>),
    /// Lost without an outcome.
    Lost,
}

impl<T> Landing<T> {
    fn state(&self) -> std::sync::MutexGuard<'_, State<T>> {
        // The state is replaced in one step, so that a panic elsewhere leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a request finds at the gate.
pub(crate) enum Gate<T> {
    /// Nobody is flying: whoever gets this must run the renewal.
    First(Departure<T>),
    /// A renewal is under way.
    Aboard(Passenger<T>),
}

impl<T: Send + Sync + 'static> Flights<T> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            aloft: AtomicUsize::new(0),
            landed: Notify::new(),
        })
    }

    /// Starts a flight for `id` or joins the one under way.
    pub(crate) fn board(self: &Arc<Self>, id: SessionId) -> Gate<T> {
        let mut shard = self.shard(id);
        if let Some(entry) = shard.get(&id) {
            entry.passengers.fetch_add(1, Ordering::Relaxed);
            return Gate::Aboard(Passenger { landing: entry.landing.clone() });
        }
        let landing = Arc::new(Landing { state: Mutex::new(State::Aloft), landed: Notify::new() });
        let passengers = Arc::new(AtomicUsize::new(0));
        shard.insert(id, Entry { landing: landing.clone(), passengers: passengers.clone() });
        self.aloft.fetch_add(1, Ordering::SeqCst);
        Gate::First(Departure { id, flights: self.clone(), landing, passengers })
    }

    /// Whether a flight for `id` is under way.
    pub(crate) fn under_way(&self, id: SessionId) -> bool {
        self.shard(id).contains_key(&id)
    }

    /// How many flights are under way.
    pub(crate) fn aloft(&self) -> usize {
        self.aloft.load(Ordering::Relaxed)
    }

    /// Resolves when no flight is under way.
    pub(crate) async fn all_landed(&self) {
        loop {
            let landed = self.landed.notified();
            if self.aloft.load(Ordering::SeqCst) == 0 {
                return;
            }
            landed.await;
        }
    }

    fn shard(&self, id: SessionId) -> std::sync::MutexGuard<'_, HashMap<SessionId, Entry<T>>> {
        let index = self.hasher.hash_one(id) as usize % SHARDS;
        // A panic while the lock is held leaves the map whole: entries are inserted and removed in one step.
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The duty to land: dropped without an outcome, it frees the session for the next request.
pub(crate) struct Departure<T> {
    id: SessionId,
    flights: Arc<Flights<T>>,
    landing: Arc<Landing<T>>,
    passengers: Arc<AtomicUsize>,
}

impl<T> Departure<T> {
    /// A seat for the request that started the flight.
    pub(crate) fn seat(&self) -> Passenger<T> {
        Passenger { landing: self.landing.clone() }
    }

    /// How many others are aboard by now.
    pub(crate) fn passengers(&self) -> usize {
        self.passengers.load(Ordering::Relaxed)
    }

    /// Tells everyone aboard, and whoever boards before the flight is dropped, which opens the gate for the next.
    pub(crate) fn tell(&self, outcome: T) {
        *self.landing.state() = State::Told(Arc::new(outcome));
        self.landing.landed.notify_waiters();
    }
}

impl<T> Drop for Departure<T> {
    fn drop(&mut self) {
        let index = self.flights.hasher.hash_one(self.id) as usize % SHARDS;
        self.flights.shards[index].lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
        self.flights.aloft.fetch_sub(1, Ordering::SeqCst);
        self.flights.landed.notify_waiters();
        let mut state = self.landing.state();
        if matches!(*state, State::Aloft) {
            *state = State::Lost;
        }
        drop(state);
        self.landing.landed.notify_waiters();
    }
}

/// Waits for a flight's outcome.
pub(crate) struct Passenger<T> {
    landing: Arc<Landing<T>>,
}

impl<T> Passenger<T> {
    /// The outcome, or `None` if the flight was lost without one.
    pub(crate) async fn arrival(self) -> Option<Arc<T>> {
        loop {
            let mut landed = std::pin::pin!(self.landing.landed.notified());
            // Before the look, so that nothing is told in between.
            landed.as_mut().enable();
            match &*self.landing.state() {
                State::Aloft => {}
                State::Told(outcome) => return Some(outcome.clone()),
                State::Lost => return None,
            }
            landed.await;
        }
    }
}

const SHARDS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use perennial_core::names::ProviderId;
    use perennial_core::session::SessionState;

    fn an_id() -> SessionId {
        let state = SessionState::from_claims(
            serde_json::Map::from_iter([("jti".to_owned(), "j".into())]),
            &ProviderId::new("p"),
        );
        state.expect("a cookie of Auth.js is adopted").id
    }

    #[tokio::test]
    async fn everyone_aboard_learns_the_outcome_and_the_gate_opens_again() {
        let flights = Flights::<u32>::new();
        let Gate::First(departure) = flights.board(an_id()) else { panic!("nobody was flying") };
        let Gate::Aboard(passenger) = flights.board(an_id()) else { panic!("a flight was under way") };
        assert_eq!(departure.passengers(), 1);
        departure.tell(7);
        assert_eq!(passenger.arrival().await.as_deref(), Some(&7));
        let Gate::Aboard(late) = flights.board(an_id()) else { panic!("the flight has not been dropped") };
        drop(departure);
        assert_eq!(late.arrival().await.as_deref(), Some(&7));
        assert!(matches!(flights.board(an_id()), Gate::First(_)));
    }

    #[tokio::test]
    async fn a_lost_flight_strands_nobody() {
        let flights = Flights::<u32>::new();
        let Gate::First(departure) = flights.board(an_id()) else { panic!("nobody was flying") };
        let Gate::Aboard(passenger) = flights.board(an_id()) else { panic!("a flight was under way") };
        drop(departure);
        assert_eq!(passenger.arrival().await, None);
        flights.all_landed().await;
    }
}
