//! A thief at the token endpoint: RFC 9700 §4.14.1.

use std::time::Instant;

use crate::event::{EventKind, Outcome};
use crate::provider::{News, State};
use crate::token::terms;

/// A thief presents a stolen refresh token; see [`Control::replay`](crate::Control::replay).
pub(crate) fn replay(state: &State, family: u64, serial: Option<u64>) -> Option<Outcome> {
    let began = Instant::now();
    let (token, client) = state.ledger().steal(family, serial)?;
    state.tally().arrived(state.now());
    let terms = terms(state, &client);
    let redeemed = state.ledger().redeem_refresh(&token, &client, &terms, state.now());
    let (outcome, serial) = match redeemed {
        Ok(issued) => {
            state.tally().refresh_committed();
            (issued.outcome, issued.serial)
        }
        Err(rejected) => (rejected.outcome, rejected.serial),
    };
    state.tally().answered(outcome);
    state.tell(News {
        client: Some(&client),
        family: Some(family),
        serial,
        outcome: Some(outcome),
        began: Some(began),
        ..News::new(EventKind::Token, format!("A thief presented a refresh token of family {family}: {outcome}."))
    });
    Some(outcome)
}
