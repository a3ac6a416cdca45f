//! What may happen next in a state.

use std::time::Duration;

use perennial_core::Timestamp;
use perennial_core::provider::{DRAIN_DEFAULT, LastResort, RefreshClass};
use perennial_core::record::Lost;
use perennial_core::renewal::{RenewalPolicy, Verdict};
use perennial_core::session::Generation;
use stateright::{Model, Property};

use crate::driver::{fingerprint, spend_fault};
use crate::laws;
use crate::memory::Past;
use crate::provider::{Answer, Provider};
use crate::state::{Came, Clock, Ending, Line, Replica, State, Witness};
use crate::values::Tokens;

/// Some replicas, one session, a provider of one class, and a number of things that may go wrong.
#[derive(Clone, Debug)]
pub(crate) struct System {
    pub(crate) class: RefreshClass,
    /// Whether the provider tells about refresh tokens.
    pub(crate) introspects: bool,
    pub(crate) last_resort: LastResort,
    /// One means that there is nobody else: `Replicas::One`.
    pub(crate) replicas: usize,
    /// How far replicas' clocks may be off; each goes by any of these in each attempt.
    pub(crate) clocks: &'static [Clock],
    /// How many renewals: one leaves a trace, a second finds it.
    pub(crate) renewals: u64,
    /// Crashes, lost or late requests and answers, failed writes, slow preparations: so many in all.
    pub(crate) faults: u8,
    /// Whether the store may lose the last of what it acknowledged, once.
    pub(crate) forgets: bool,
    /// Whether the user signs out at some time.
    pub(crate) sign_out: bool,
    /// Whether the provider may once answer with somebody else's tokens, and say so in the ID token.
    pub(crate) mistakes: bool,
    pub(crate) sabotage: Option<Sabotage>,
    pub(crate) policy: RenewalPolicy,
}

impl System {
    /// How far two clocks may be apart.
    pub(crate) fn skew(&self) -> Duration {
        let offsets = || self.clocks.iter().map(|clock| clock.0);
        let apart = offsets().max().unwrap_or_default() - offsets().min().unwrap_or_default();
        Duration::from_millis(apart.unsigned_abs())
    }
}

/// A step done wrong on purpose: the laws must notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// Writes go through whatever the record has become since it was read.
    DropsCompareAndSwap,
    /// A lease that ran out is taken to mean that nobody has called.
    TakesAnExpiredLeaseForFree,
    /// The lease ends before the call can.
    LeaseShorterThanTheCall,
    /// A request that was given up is taken to be gone.
    SkipsTheDrain,
    /// Whoever has to wait for another's renewal is told to sign in.
    SignsTheLoserOut,
    /// Received tokens are validated before they are written down.
    ValidatesBeforeItCommits,
    /// The request is sent however long its preparation took.
    SendsWithoutALookAtTheLease,
    /// A refusal ends the session whatever the record has become since.
    EndsWithoutALookAtTheRecord,
    /// Of two successors at one generation each cookie goes on with its own.
    OverlooksForks,
    /// Tokens that come late become the newest generation, whatever generation they are of.
    PutsLateTokensOnTop,
    /// Tokens are taken whoever their ID token speaks of.
    TakesAnyIdentity,
    /// Whoever was overtaken goes on with the generation that was the newest before.
    ServesWhatItReadBefore,
    /// An access token is handed out without a look at its age.
    HandsOutTheDead,
}

/// One step of somebody. A replica's number is its place in the state it steps from: places are sorted after each step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Time passes until the next moment that makes a difference.
    TimePasses,
    /// A request with this cookie arrives; `on_demand`: to renew although nothing is due.
    Request {
        replica: usize,
        cookie: Tokens,
        on_demand: bool,
        clock: Clock,
    },
    SignOut {
        replica: usize,
        cookie: Tokens,
    },
    /// Write the intent, and if that succeeds in time, send the request.
    Claim(usize),
    /// The provider processes what is on the line.
    Process(usize),
    /// The same, and the new tokens and their ID token are somebody else's.
    ProcessForAnother(usize),
    /// The provider answers 429.
    TurnAway(usize),
    /// The provider answers 500, before or after it did its work.
    Botch(usize),
    Receive(usize),
    /// A reset, or the deadline: no answer.
    GiveUp(usize),
    /// A request given up arrives after all.
    StrayArrives(usize),
    Settle {
        replica: usize,
        reply_arrives: bool,
    },
    /// The store refuses the write until the driver gives up trying.
    SettleFails {
        replica: usize,
        reply_arrives: bool,
    },
    /// An ID token that does not verify (only where it is looked at first).
    ValidationFails(usize),
    ReadToEnd(usize),
    WriteEnd(usize),
    Crash(usize),
    /// The store loses its last writes: so many.
    StoreForgets(u8),
}

impl Model for System {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let first = Tokens { generation: Generation(0), refresh_token: 0, issued_at: Timestamp::from_unix_seconds(0) };
        vec![State {
            now: Timestamp::from_unix_seconds(5),
            record: None,
            past: self.forgets.then(Past::default),
            replicas: vec![Replica::Idle; self.replicas],
            cookies: vec![first],
            provider: Provider::signed_in(),
            strays: Vec::new(),
            faults: self.faults,
            signing_out: false,
            witness: Witness::default(),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if self.is_told(state) {
            return;
        }
        actions.push(Action::TimePasses);
        for (replica, place) in state.replicas.iter().enumerate() {
            match place {
                Replica::Idle => {
                    for cookie in state.cookies.iter().copied() {
                        for clock in self.clocks.iter().copied() {
                            let now = clock.shows(state.now);
                            let on_demand = cookie.verdict(&self.policy, now) == Verdict::Fresh;
                            actions.push(Action::Request { replica, cookie, on_demand, clock });
                        }
                        if self.sign_out && !state.signing_out {
                            actions.push(Action::SignOut { replica, cookie });
                        }
                    }
                    continue;
                }
                Replica::Claim { .. } => actions.push(Action::Claim(replica)),
                Replica::Call { line, .. } => {
                    actions.extend([Action::Botch(replica), Action::GiveUp(replica)]);
                    match line {
                        Line::Out => {
                            actions.extend([Action::Process(replica), Action::TurnAway(replica)]);
                            if self.mistakes && !state.provider.knows_another() {
                                actions.push(Action::ProcessForAnother(replica));
                            }
                        }
                        Line::Back(_) => actions.push(Action::Receive(replica)),
                    }
                }
                Replica::Settle { .. } => {
                    for reply_arrives in [true, false] {
                        actions.push(Action::Settle { replica, reply_arrives });
                        actions.push(Action::SettleFails { replica, reply_arrives });
                    }
                    actions.push(Action::ValidationFails(replica));
                }
                Replica::End { read: None, .. } => actions.push(Action::ReadToEnd(replica)),
                Replica::End { .. } => actions.push(Action::WriteEnd(replica)),
            }
            actions.push(Action::Crash(replica));
        }
        actions.extend((0..state.strays.len()).map(Action::StrayArrives));
        let lost_at_most = state.past.as_ref().map_or(0, Past::lost_at_most);
        actions.extend((1..=lost_at_most).map(Action::StoreForgets));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        let happens = match action {
            Action::TimePasses => self.time_passes(&mut state),
            Action::Request { replica, cookie, on_demand, clock } => {
                self.request(&mut state, replica, cookie, on_demand, clock)
            }
            Action::SignOut { replica, cookie } => {
                state.signing_out = true;
                state.replicas[replica] = Replica::End { cookie, reason: Ending::SignOut, read: None };
                true
            }
            Action::Claim(replica) => self.claim(&mut state, replica),
            Action::Process(replica) => self.process(&mut state, replica),
            Action::ProcessForAnother(replica) => self.process_for_another(&mut state, replica),
            Action::TurnAway(replica) => {
                laws::forget_send(&mut state, replica);
                spend_fault(&mut state) && self.came(&mut state, replica, Came::NotSpent)
            }
            Action::Botch(replica) => {
                self.lose_answer(&mut state, replica);
                let drained_at = state.clock_of(replica).shows(state.now);
                spend_fault(&mut state)
                    && self.came(&mut state, replica, Came::InDoubt { drained_at, lost: Lost::Answered })
            }
            Action::Receive(replica) => self.receive(&mut state, replica),
            Action::GiveUp(replica) => {
                // A reset lets the engine do more than a timeout does.
                self.lose_line(&mut state, replica);
                let drain = if self.sabotage == Some(Sabotage::SkipsTheDrain) { Duration::ZERO } else { DRAIN_DEFAULT };
                let drained_at = state.clock_of(replica).shows(state.now) + drain;
                spend_fault(&mut state)
                    && self.came(&mut state, replica, Came::InDoubt { drained_at, lost: Lost::Broken })
            }
            Action::StrayArrives(stray) => {
                let stray = state.strays.remove(stray);
                let answer = state.provider.present(self.class, stray.refresh_token, state.now);
                laws::note_lateness(self, &mut state, stray.refresh_token);
                // Nobody waits for it any more.
                state.witness.lost_successor |= matches!(answer, Answer::Tokens { first: true, .. });
                true
            }
            Action::Settle { replica, reply_arrives } => self.settle(&mut state, replica, reply_arrives),
            Action::SettleFails { replica, reply_arrives } => {
                spend_fault(&mut state) && self.settle_fails(&mut state, replica, reply_arrives)
            }
            Action::ValidationFails(replica) => self.validation_fails(&mut state, replica),
            Action::ReadToEnd(replica) => self.read_to_end(&mut state, replica),
            Action::WriteEnd(replica) => self.write_end(&mut state, replica),
            Action::Crash(replica) => {
                self.lose_line(&mut state, replica);
                match state.replicas[replica] {
                    Replica::Settle { came: Came::Tokens(_), .. } => state.witness.lost_successor = true,
                    Replica::End { reason: Ending::AnotherIdentity, cookie, .. } => {
                        state.witness.untended.push(cookie.refresh_token);
                    }
                    _ => {}
                }
                state.replicas[replica] = Replica::Idle;
                spend_fault(&mut state)
            }
            Action::StoreForgets(writes) => state.forget(writes),
        };
        if !happens || state == *last {
            return None;
        }
        // Replicas are alike: which of two is which makes no difference.
        state.replicas.sort_by_cached_key(fingerprint);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        laws::of(self)
    }
}
