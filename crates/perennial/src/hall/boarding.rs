//! Step 4: the flight a request boards, and what its outcome means to that request.

use std::sync::Arc;
use std::time::Duration;

use perennial_core::condition::Progress;
use perennial_core::limits::SESSION_AUDIENCES;
use perennial_core::session::SessionState;
use tracing::Instrument;

use super::{Arrival, Found, RETRY_SOON};
use crate::engine::Inner;
use crate::flight::{Gate, Passenger};
use crate::outcome::{Ask, Outcome};
use crate::trace::renewal_span;

impl Inner {
    /// Boards the session's flight, or starts it, and waits no longer than `patience`.
    pub(super) async fn fly(self: &Arc<Self>, cookie: &Arc<SessionState>, ask: Ask, patience: Duration) -> Found {
        match self.flown(cookie, &ask, patience).await {
            Some(arrival) => self.found(cookie, &arrival),
            None => self.without_news(cookie.clone(), RETRY_SOON, Progress::UnderWay),
        }
    }

    /// What the flight brought that did what `ask` wants; `None` when it did not land in time.
    pub(crate) async fn flown(
        self: &Arc<Self>,
        cookie: &Arc<SessionState>,
        ask: &Ask,
        patience: Duration,
    ) -> Option<Arc<Arrival>> {
        let _waiting = self.metrics.waiting();
        let flown = tokio::time::timeout(patience, async {
            for _ in 0..FLIGHTS_MAX {
                let (seat, started) = self.seat(cookie, ask);
                let arrival = seat.arrival().await?;
                if started || !arrival.outcome.leaves_undone(ask, self.now()) {
                    return Some(arrival);
                }
            }
            None
        });
        flown.await.ok().flatten()
    }

    fn seat(self: &Arc<Self>, cookie: &Arc<SessionState>, ask: &Ask) -> (Passenger<Arrival>, bool) {
        match self.flights.board(cookie.id) {
            Gate::Aboard(passenger) => (passenger, false),
            Gate::First(departure) => {
                let seat = departure.seat();
                let (inner, cookie, ask) = (self.clone(), cookie.clone(), ask.clone());
                // A task of its own: the caller may hang up, the renewal may not be cut short.
                let span = renewal_span(&cookie, &ask);
                tokio::spawn(async move { inner.renew(cookie, ask, departure).await }.instrument(span));
                (seat, true)
            }
        }
    }

    /// What a flight's arrival means to a request that came with `cookie`, which may hold a later generation than the
    /// flight knew, when the record lags behind.
    pub(super) fn found(&self, cookie: &Arc<SessionState>, arrival: &Arc<Arrival>) -> Found {
        match &arrival.outcome {
            outcome if outcome.state().is_some_and(|state| state.generation < cookie.generation) => {
                self.without_news(cookie.clone(), RETRY_SOON, Progress::UnderWay)
            }
            Outcome::Newest { state, renewed } => match self.without_news(state.clone(), RETRY_SOON, Progress::Quiet) {
                Found::Serve { state, condition, .. } => {
                    Found::Serve { state, renewed: *renewed, condition, flown: Some(arrival.clone()) }
                }
                died_meanwhile => died_meanwhile,
            },
            Outcome::Unsaved { state } => match self.without_news(state.clone(), RETRY_SOON, Progress::Quiet) {
                Found::Serve { state, .. } => Found::Unsaved { state, flown: arrival.clone() },
                died_meanwhile => died_meanwhile,
            },
            Outcome::Kept { state, retry_after } => self.without_news(state.clone(), *retry_after, Progress::Failing),
            Outcome::AudienceRefused { state, .. } => self.without_news(state.clone(), RETRY_SOON, Progress::Quiet),
            Outcome::Reauthenticate { state } => {
                match self.without_news(state.clone(), RETRY_SOON, Progress::Failing) {
                    Found::Suspended { state, .. } => Found::Reauthenticate { state },
                    serve => serve,
                }
            }
            // A session that its provider would not vouch for is not served to the end of its access token.
            Outcome::Refused { state, claims } if state.epoch < self.settings.epoch => {
                Found::Refused { state: state.clone(), claims: claims.clone() }
            }
            Outcome::Refused { state, claims } => {
                match self.without_news(state.clone(), RETRY_SOON, Progress::Refused) {
                    Found::Suspended { state, .. } => Found::Refused { state, claims: claims.clone() },
                    serve => serve,
                }
            }
            Outcome::Ended(reason) => Found::Ended(*reason),
        }
    }

    /// No new tokens: go on with what there is, which is good as long as the access token lives.
    pub(super) fn without_news(&self, state: Arc<SessionState>, retry_after: Duration, progress: Progress) -> Found {
        let now = self.now();
        match state.tokens.as_ref() {
            Some(tokens) if !tokens.alive_at(now) && tokens.refresh_token.is_some() => {
                Found::Suspended { state, retry_after }
            }
            _ => {
                let condition = self.condition(&state, progress);
                Found::Serve { state, renewed: false, condition, flown: None }
            }
        }
    }
}

/// Flights one request boards before it takes what there is: each of those before its own may be for another audience.
const FLIGHTS_MAX: usize = SESSION_AUDIENCES + 2;
