//! The steps of the driver's `end`: read the record once more, and write the tombstone over just that.

use std::sync::Arc;

use perennial_core::record::{Phase, Record};

use crate::memory::Reading;
use crate::state::{Ending, Replica, State};
use crate::system::{Sabotage, System};
use crate::values::Stored;

impl System {
    pub(crate) fn read_to_end(&self, state: &mut State, replica: usize) -> bool {
        let record = state.record.clone();
        let ended = state.is_ended();
        let Replica::End { read, reason, .. } = &mut state.replicas[replica] else { return false };
        let refused = matches!(record.as_ref().map(|r| &r.0.phase), Some(Phase::Refused { .. }));
        let looks = self.sabotage != Some(Sabotage::EndsWithoutALookAtTheRecord);
        if ended || looks && *reason == Ending::Refused && !refused {
            state.replicas[replica] = Replica::Idle;
        } else {
            *read = Some((record, Reading::CURRENT));
        }
        true
    }

    pub(crate) fn write_end(&self, state: &mut State, replica: usize) -> bool {
        let Replica::End { cookie, reason, read: Some((read, reading)) } = state.replicas[replica].clone() else {
            return false;
        };
        if !reading.is_current() && self.sabotage != Some(Sabotage::DropsCompareAndSwap) {
            state.replicas[replica] = Replica::End { cookie, reason, read: None };
            return true;
        }
        let generation = read.map_or(cookie.generation, |read| read.0.generation.max(cookie.generation));
        state.write(replica, Stored(Arc::new(Record::ended(None, generation, reason.reason(), state.now))));
        state.replicas[replica] = Replica::Idle;
        if reason != Ending::Refused {
            state.provider.revoke();
        }
        true
    }
}
