//! A store that loses the last of what it acknowledged: once, as after a fail-over, the record is again what it was.

use perennial_core::record::Phase;

use crate::state::{Replica, State};
use crate::values::{Stored, Tokens};

/// What the record was before each of its last writes, the latest last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Past(Vec<Option<Stored>>);

impl Past {
    /// The record `was` this before a write.
    pub(crate) fn note(&mut self, was: Option<Stored>) {
        self.0.push(was);
        if self.0.len() > TAIL {
            self.0.remove(0);
        }
    }

    /// How many writes can be lost.
    pub(crate) fn lost_at_most(&self) -> u8 {
        self.0.len() as u8
    }

    /// All records it remembers.
    pub(crate) fn records(&self) -> impl Iterator<Item = &Stored> {
        self.0.iter().flatten()
    }
}

/// How many writes of others have followed what was read of the record: by compare-and-swap none may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Reading(u8);

impl Reading {
    pub(crate) const CURRENT: Self = Self(0);
    /// Never again what the store holds.
    pub(crate) const STALE: Self = Self(u8::MAX);

    pub(crate) fn is_current(self) -> bool {
        self == Self::CURRENT
    }

    /// After one more write.
    pub(crate) fn behind(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// After the loss of so many writes. What is current again is so because the store has again the very version that was
    /// read; versions of lost writes are drawn at random and never come back.
    fn after_loss_of(self, writes: u8) -> Self {
        if self.0 == writes { Self::CURRENT } else { Self::STALE }
    }
}

impl State {
    /// The store loses its last `writes`, and is not to lose any more.
    pub(crate) fn forget(&mut self, writes: u8) -> bool {
        let Some(Past(mut past)) = self.past.take() else { return false };
        let mut undone = self.record.take();
        let generation = undone.as_ref().map(|record| record.0.generation);
        for _ in 0..writes {
            self.note_untold(undone.as_ref());
            let Some(was) = past.pop() else { return false };
            undone = was;
        }
        self.record = undone;
        self.witness.uncommitted |= self.record().map(|record| record.generation) < generation;
        for reading in self.replicas.iter_mut().filter_map(Replica::reading) {
            *reading = reading.after_loss_of(writes);
        }
        true
    }

    /// What went out under an intent that is lost.
    fn note_untold(&mut self, undone: Option<&Stored>) {
        let Some(record) = undone.filter(|record| matches!(record.0.phase, Phase::Intent(_))) else { return };
        let Some(tokens) = Tokens::opened(&record.0) else { return };
        let untold = &mut self.witness.untold;
        if let Err(place) = untold.binary_search(&tokens.refresh_token) {
            untold.insert(place, tokens.refresh_token);
        }
    }
}

/// Intent and commit of one renewal.
const TAIL: usize = 2;
