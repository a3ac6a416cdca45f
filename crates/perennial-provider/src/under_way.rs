//! How many requests carry the same refresh token at the same time: what a renewal must never let exceed one.

use crate::ledger::refresh::InFlight;
use crate::params::Params;
use crate::provider::State;

/// Counts the requests that carry one refresh token at the same time; dropped when the answer is ready.
pub(crate) struct UnderWay<'a> {
    state: &'a State,
    in_flight: Option<InFlight>,
}

impl<'a> UnderWay<'a> {
    pub(crate) fn begin(state: &'a State, params: &Params) -> Self {
        let in_flight = params.of("refresh_token").and_then(|token| state.ledger().enter(token));
        if let Some(in_flight) = &in_flight {
            state.tally().in_flight(in_flight.of_token, in_flight.of_family);
        }
        Self { state, in_flight }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some(in_flight) = &self.in_flight {
            self.state.ledger().leave(in_flight);
        }
    }
}
