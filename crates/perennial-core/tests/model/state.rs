//! A state of the whole: the store, the replicas, the browsers, the network, the provider, and what a witness noted.

use perennial_core::Timestamp;
use perennial_core::record::{Attempted, EndReason, Kept, Lost, Phase, Record};
use perennial_core::session::Generation;

use crate::memory::{Past, Reading};
use crate::provider::{Answer, Provider, Serial};
use crate::values::{Held, Stored, Tokens};

/// One moment of one session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) now: Timestamp,
    pub(crate) record: Option<Stored>,
    /// What the record was before; `None` where the store forgets nothing, or has already.
    pub(crate) past: Option<Past>,
    pub(crate) replicas: Vec<Replica>,
    /// Every cookie that ever reached a browser. A request may bring any of them: tabs, clones of the jar, and a
    /// `Set-Cookie` that arrives late and puts an older one back are all this.
    pub(crate) cookies: Vec<Tokens>,
    pub(crate) provider: Provider,
    /// Requests that their senders gave up and that may still reach the provider.
    pub(crate) strays: Vec<Stray>,
    /// How many more things may go wrong.
    pub(crate) faults: u8,
    pub(crate) signing_out: bool,
    pub(crate) witness: Witness,
}

/// Where a replica stands: the steps of the driver's `renew`, and of its `end`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Replica {
    /// No flight for this session.
    Idle,
    /// Planned to call; the intent is not written yet.
    Claim { newest: Tokens, intent: Held, clock: Clock, reading: Reading },
    /// The request is out.
    Call { newest: Tokens, intent: Held, clock: Clock, sent_at: Timestamp, line: Line },
    /// Something came of it and was judged by the record as it was read; the verdict is not written yet.
    Settle { newest: Tokens, intent: Held, clock: Clock, came: Came, judged: Stored, reading: Reading },
    /// On the way to write the tombstone; the record is read once more before.
    End { cookie: Tokens, reason: Ending, read: Option<(Option<Stored>, Reading)> },
}

/// How far a replica's clock is from the true time, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Clock(pub(crate) i64);

impl Clock {
    /// What this clock shows at a moment of the true time.
    pub(crate) fn shows(self, at: Timestamp) -> Timestamp {
        Timestamp::from_unix_millis(at.unix_millis() + self.0)
    }

    /// The moment of the true time at which this clock shows `shown`.
    pub(crate) fn when(self, shown: Timestamp) -> Timestamp {
        Timestamp::from_unix_millis(shown.unix_millis() - self.0)
    }
}

/// What there is between a caller and the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Line {
    /// The request is on its way.
    Out,
    /// The answer is on its way.
    Back(Answer),
}

/// What came of a call, as the driver sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Came {
    Tokens(Tokens),
    NotSpent,
    InDoubt { drained_at: Timestamp, lost: Lost },
    Refused,
}

/// Why a session is being ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Ending {
    SignOut,
    Refused,
    /// Its new tokens came with an ID token that speaks of somebody else.
    AnotherIdentity,
}

/// A request given up by its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Stray {
    pub(crate) refresh_token: Serial,
    /// It arrives before that or never.
    pub(crate) until: Timestamp,
}

/// What nobody in the system can know and the laws speak of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Witness {
    /// Laws broken so far.
    pub(crate) broken: Vec<Law>,
    /// A refresh token was spent and its successor reached neither record nor replica.
    pub(crate) lost_successor: bool,
    /// A refresh token went out again when its class's window was over.
    pub(crate) missed_window: bool,
    /// Received tokens could not be written into the record: a cookie carries them.
    pub(crate) uncommitted: bool,
    /// Refresh tokens that went out and may be spent.
    pub(crate) sent: Vec<Sent>,
    /// Refresh tokens that went out under an intent the store has forgotten: nobody can know that they did.
    pub(crate) untold: Vec<Serial>,
    /// Cookie and record held two successors at one generation, and this one's went on.
    pub(crate) forked: Option<Kept>,
    /// Refresh tokens of somebody else's whose receiver died before it could end the session for them.
    pub(crate) untended: Vec<Serial>,
}

/// A refresh token that went out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Sent {
    pub(crate) refresh_token: Serial,
    pub(crate) generation: Generation,
    /// When it did first.
    pub(crate) first: Timestamp,
    /// How often, without the times it came back unspent for certain.
    pub(crate) times: u8,
}

/// The invariants that are about a step rather than about a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Law {
    S1,
    S2,
    S3,
    S4,
    S5,
    S6,
    S7,
    S8,
    S10,
    S12,
    S13,
}

impl Came {
    /// In the engine's words. A failed call may be repeated at once: the least `backoff` there is.
    pub(crate) fn attempted(self) -> Attempted {
        let not_before = Timestamp::from_unix_seconds(0);
        match self {
            Came::Tokens(tokens) => Attempted::Tokens { generation: tokens.generation, sealed: tokens.sealed() },
            Came::NotSpent => Attempted::NotSpent { not_before },
            Came::InDoubt { drained_at, lost } => Attempted::InDoubt { not_before, drained_at, lost },
            Came::Refused => Attempted::Refused { claims: None },
        }
    }
}

impl Ending {
    pub(crate) fn reason(self) -> EndReason {
        match self {
            Ending::SignOut => EndReason::SignedOut,
            Ending::Refused => EndReason::Refused,
            Ending::AnotherIdentity => EndReason::IdentityChanged,
        }
    }
}

impl Replica {
    /// How current what it has read of the record is, if it is about to write by that.
    pub(crate) fn reading(&mut self) -> Option<&mut Reading> {
        match self {
            Self::Claim { reading, .. } | Self::Settle { reading, .. } | Self::End { read: Some((_, reading)), .. } => {
                Some(reading)
            }
            Self::Idle | Self::Call { .. } | Self::End { read: None, .. } => None,
        }
    }
}

impl Witness {
    pub(crate) fn accuse(&mut self, law: Law) {
        if !self.broken.contains(&law) {
            self.broken.push(law);
            self.broken.sort_unstable();
        }
    }
}

impl State {
    pub(crate) fn record(&self) -> Option<&Record> {
        self.record.as_ref().map(|stored| &*stored.0)
    }

    /// The clock that a replica's attempt goes by.
    pub(crate) fn clock_of(&self, replica: usize) -> Clock {
        match self.replicas[replica] {
            Replica::Claim { clock, .. } | Replica::Call { clock, .. } | Replica::Settle { clock, .. } => clock,
            Replica::Idle | Replica::End { .. } => Clock(0),
        }
    }

    pub(crate) fn phase(&self) -> Option<&Phase> {
        self.record().map(|record| &record.phase)
    }

    /// Whether the session is lost to a refusal.
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self.phase(), Some(Phase::Refused { .. } | Phase::Ended { reason: EndReason::Refused, .. }))
    }

    pub(crate) fn is_ended(&self) -> bool {
        matches!(self.phase(), Some(Phase::Ended { .. }))
    }

    /// A write into the store that went through; every other replica's reading is out of date from here on.
    pub(crate) fn write(&mut self, writer: usize, new: Stored) {
        if !self.may_install(writer, &new.0) {
            self.witness.accuse(Law::S4);
        }
        if let Some(old) = self.record() {
            let grew = old.generation <= new.0.generation;
            let revived = matches!(old.phase, Phase::Ended { .. });
            let newest_refused = match new.0.phase {
                Phase::Refused { .. } => old.generation == new.0.generation && old.sealed == new.0.sealed,
                Phase::Ended { reason: EndReason::Refused, .. } => matches!(old.phase, Phase::Refused { .. }),
                _ => true,
            };
            for (law, holds) in [(Law::S3, grew), (Law::S5, !revived), (Law::S6, newest_refused)] {
                if !holds {
                    self.witness.accuse(law);
                }
            }
        }
        let old = self.record.replace(new);
        let remembered = self.past.as_mut().map(|past| past.note(old)).is_some();
        for replica in (0..self.replicas.len()).filter(|replica| *replica != writer) {
            if let Some(reading) = self.replicas[replica].reading() {
                *reading = if remembered { reading.behind() } else { Reading::STALE };
            }
        }
    }

    /// Whether the tokens of a new record are those that were there, a cookie's, or what the writer's own attempt has bought.
    fn may_install(&self, writer: usize, new: &Record) -> bool {
        let Some(tokens) = Tokens::opened(new) else { return true };
        let stood = self.record().and_then(Tokens::opened) == Some(tokens);
        let bought =
            matches!(self.replicas[writer], Replica::Settle { came: Came::Tokens(bought), .. } if bought == tokens);
        stood || bought || self.cookies.binary_search(&tokens).is_ok()
    }

    /// A `Set-Cookie` reaches a browser.
    pub(crate) fn set_cookie(&mut self, tokens: Tokens) {
        if let Err(place) = self.cookies.binary_search(&tokens) {
            self.cookies.insert(place, tokens);
        }
    }

    /// A request that its sender gave up may arrive later.
    pub(crate) fn stray(&mut self, refresh_token: Serial, until: Timestamp) {
        self.strays.push(Stray { refresh_token, until });
        self.strays.sort_unstable();
    }
}
