//! The driver of `perennial`, step by step, around the engine's real functions: what may happen next in a state.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use perennial_core::Timestamp;
use perennial_core::provider::RefreshClass;
use perennial_core::record::{
    Circumstances, EndReason, Joined, Phase, Plan, Record, Replicas, Settled, join, plan, settle,
};
use perennial_core::renewal::{RenewalPolicy, Verdict, decide};
use perennial_core::session::Generation;
use stateright::{Model, Property};

use crate::laws;
use crate::provider::{Answer, Provider};
use crate::state::{Came, Ending, Law, Line, Replica, State, Witness};
use crate::values::{Held, Stored, Tokens, new_attempt};

/// Some replicas, one session, a provider of one class, and a number of things that may go wrong.
#[derive(Clone, Debug)]
pub(crate) struct System {
    pub(crate) class: RefreshClass,
    pub(crate) replicas: usize,
    /// Crashes, lost or late requests and answers, failed writes, slow preparations: so many in all.
    pub(crate) faults: u8,
    /// Whether the user signs out at some time.
    pub(crate) sign_out: bool,
    pub(crate) sabotage: Option<Sabotage>,
    pub(crate) policy: RenewalPolicy,
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
}

/// One step of somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Time passes until the next moment that makes a difference.
    TimePasses,
    /// A request with this cookie arrives; `on_demand`: to renew although nothing is due.
    Request { replica: usize, cookie: Tokens, on_demand: bool },
    SignOut { replica: usize, cookie: Tokens },
    /// Write the intent, and if that succeeds in time, send the request.
    Claim(usize),
    /// The provider processes what is on the line.
    Process(usize),
    /// The provider answers 429.
    TurnAway(usize),
    /// The provider answers 500, before or after it did its work.
    Botch(usize),
    Receive(usize),
    /// A reset, or the deadline: no answer.
    GiveUp(usize),
    /// A request given up arrives after all.
    StrayArrives(usize),
    Settle { replica: usize, reply_arrives: bool },
    /// The store refuses the write until the driver gives up trying.
    SettleFails { replica: usize, reply_arrives: bool },
    /// An ID token that does not verify (only where it is looked at first).
    ValidationFails(usize),
    ReadToEnd(usize),
    WriteEnd(usize),
    Crash(usize),
}

impl Model for System {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let first = Tokens { generation: Generation(0), refresh_token: 0, issued_at: Timestamp::from_unix_seconds(0) };
        vec![State {
            now: Timestamp::from_unix_seconds(5),
            record: None,
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
        if is_told(state) {
            return;
        }
        actions.push(Action::TimePasses);
        for (replica, place) in state.replicas.iter().enumerate() {
            match place {
                Replica::Idle => {
                    for cookie in state.cookies.iter().copied() {
                        let on_demand = decide(&cookie.session(), &self.policy, state.now) == Verdict::Fresh;
                        actions.push(Action::Request { replica, cookie, on_demand });
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
                        Line::Out => actions.extend([Action::Process(replica), Action::TurnAway(replica)]),
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
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        let happens = match action {
            Action::TimePasses => self.time_passes(&mut state),
            Action::Request { replica, cookie, on_demand } => self.request(&mut state, replica, cookie, on_demand),
            Action::SignOut { replica, cookie } => {
                state.signing_out = true;
                state.replicas[replica] = Replica::End { cookie, reason: Ending::SignOut, read: None };
                true
            }
            Action::Claim(replica) => self.claim(&mut state, replica),
            Action::Process(replica) => self.process(&mut state, replica),
            Action::TurnAway(replica) => spend_fault(&mut state) && self.came(&mut state, replica, Came::NotSpent),
            Action::Botch(replica) => {
                self.lose_answer(&mut state, replica);
                let drained_at = state.now;
                spend_fault(&mut state) && self.came(&mut state, replica, Came::InDoubt { drained_at })
            }
            Action::Receive(replica) => self.receive(&mut state, replica),
            Action::GiveUp(replica) => {
                self.lose_line(&mut state, replica);
                let drain = if self.sabotage == Some(Sabotage::SkipsTheDrain) { Duration::ZERO } else { DRAIN };
                let drained_at = state.now + drain;
                spend_fault(&mut state) && self.came(&mut state, replica, Came::InDoubt { drained_at })
            }
            Action::StrayArrives(stray) => {
                let stray = state.strays.remove(stray);
                let answer = state.provider.present(self.class, stray.refresh_token, state.now);
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
                if let Replica::Settle { came: Came::Tokens(_), .. } = state.replicas[replica] {
                    state.witness.lost_successor = true;
                }
                state.replicas[replica] = Replica::Idle;
                spend_fault(&mut state)
            }
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

impl System {
    /// `Auth::enter` up to the end of `acquire`. Whoever has to wait comes again: a wait is a request that changes
    /// nothing, and a conflict is one that is repeated.
    fn request(
        &self,
        state: &mut State,
        replica: usize,
        cookie: Tokens,
        on_demand: bool,
    ) -> bool {
        let now = state.now;
        if !on_demand && decide(&cookie.session(), &self.policy, now) == Verdict::Fresh {
            return false;
        }
        if let Joined::Ended(_) = join(cookie.generation, state.record()) {
            return false;
        }
        let newest = match state.record() {
            Some(record) if record.generation >= cookie.generation => Tokens::opened(record).unwrap_or(cookie),
            _ => cookie,
        };
        let phase = state.record().filter(|record| record.generation == newest.generation).map(|r| r.phase.clone());
        if !self.is_due(newest, cookie, on_demand, now) {
            self.served(state, cookie, newest, true);
            return true;
        }
        let phase = match phase {
            Some(Phase::Intent(lost))
                if self.sabotage == Some(Sabotage::TakesAnExpiredLeaseForFree) && now >= lost.lease_until =>
            {
                None
            }
            phase => phase,
        };
        match plan(phase.as_ref(), new_attempt(attempts(state)), &self.circumstances(newest, now)) {
            Plan::Refused if now < newest.die_at() => self.served(state, cookie, newest, true),
            Plan::Refused => {
                self.signed_out(state);
                state.replicas[replica] = Replica::End { cookie, reason: Ending::Refused, read: None };
            }
            Plan::Wait(_) if self.sabotage == Some(Sabotage::SignsTheLoserOut) => self.signed_out(state),
            Plan::Hold(_) | Plan::Wait(_) => self.served(state, cookie, newest, true),
            Plan::Call(_) if newest.generation >= GENERATIONS_MAX => return false,
            Plan::Call(intent) => {
                state.replicas[replica] = Replica::Claim { newest, intent: Held(intent), read_is_current: true };
            }
        }
        true
    }

    fn is_due(&self, newest: Tokens, cookie: Tokens, on_demand: bool, now: Timestamp) -> bool {
        match decide(&newest.session(), &self.policy, now) {
            Verdict::Due | Verdict::Expired => true,
            Verdict::Bare => false,
            Verdict::Fresh => {
                on_demand
                    && cookie.generation >= newest.generation
                    && now.since(newest.issued_at) >= self.policy.min_interval
            }
        }
    }

    fn circumstances(&self, newest: Tokens, now: Timestamp) -> Circumstances {
        let lease = match self.sabotage {
            Some(Sabotage::LeaseShorterThanTheCall) => self.policy.call_deadline / 2,
            _ => self.policy.lease(),
        };
        let replicas = if self.replicas == 1 { Replicas::One } else { Replicas::Many };
        Circumstances { now, class: self.class, access_token_expires_at: Some(newest.die_at()), lease, replicas }
    }

    /// The request goes on with the newest generation, whose access token is used.
    fn served(&self, state: &mut State, cookie: Tokens, newest: Tokens, reply_arrives: bool) {
        if newest.generation > cookie.generation {
            state.provider.access_token_used(self.class, newest.refresh_token);
            if reply_arrives {
                state.set_cookie(newest);
            }
        }
    }

    /// Somebody is told to sign in again: only a refusal of the newest refresh token or a sign-out gives the right.
    fn signed_out(&self, state: &mut State) {
        if !state.is_refused() && !state.is_ended() {
            state.witness.accuse(Law::S7);
        }
    }

    fn claim(&self, state: &mut State, replica: usize) -> bool {
        let Replica::Claim { newest, intent, read_is_current } = state.replicas[replica].clone() else { return false };
        if !read_is_current && self.sabotage != Some(Sabotage::DropsCompareAndSwap) {
            state.replicas[replica] = Replica::Idle;
            return true;
        }
        let mut record = Record::idle(newest.generation, newest.sealed());
        record.phase = Phase::Intent(intent.0.clone());
        state.write(replica, Stored(Arc::new(record)));
        self.send(state, replica, newest, intent)
    }

    fn send(&self, state: &mut State, replica: usize, newest: Tokens, intent: Held) -> bool {
        let looks = !matches!(
            self.sabotage,
            Some(Sabotage::SendsWithoutALookAtTheLease | Sabotage::LeaseShorterThanTheCall)
        );
        let sent_at = state.now;
        if looks && std::env::var("LOOK").is_ok() && intent.0.lease_until < sent_at + self.policy.call_deadline {
            state.replicas[replica] = Replica::Call { newest, intent, sent_at, line: Line::Out };
            return self.came(state, replica, Came::NotSpent);
        }
        laws::judge_send(self, state, replica, newest.refresh_token, intent.0.first_sent);
        state.replicas[replica] = Replica::Call { newest, intent, sent_at, line: Line::Out };
        true
    }

    fn process(&self, state: &mut State, replica: usize) -> bool {
        let now = state.now;
        let Replica::Call { newest, line, .. } = &mut state.replicas[replica] else { return false };
        *line = Line::Back(state.provider.present(self.class, newest.refresh_token, now));
        let presented = newest.refresh_token;
        laws::judge_presentation(self, state, presented);
        true
    }

    fn receive(&self, state: &mut State, replica: usize) -> bool {
        let Replica::Call { newest, sent_at, line: Line::Back(answer), .. } = state.replicas[replica] else {
            return false;
        };
        let came = match answer {
            Answer::Tokens { refresh_token, .. } => {
                let generation = newest.generation.next();
                Came::Tokens(Tokens { generation, refresh_token, issued_at: sent_at })
            }
            Answer::Refused => Came::Refused,
        };
        self.came(state, replica, came)
    }

    /// The caller goes: an answer under way is lost, a request under way may arrive later.
    fn lose_line(&self, state: &mut State, replica: usize) {
        if let Replica::Call { newest, line: Line::Out, .. } = state.replicas[replica] {
            let until = state.now + DRAIN;
            state.stray(newest.refresh_token, until);
        }
        self.lose_answer(state, replica);
    }

    fn lose_answer(&self, state: &mut State, replica: usize) {
        if let Replica::Call { line: Line::Back(Answer::Tokens { first: true, .. }), .. } = state.replicas[replica] {
            state.witness.lost_successor = true;
        }
    }

    /// The first half of the driver's `settle`: read the record and judge.
    fn came(&self, state: &mut State, replica: usize, came: Came) -> bool {
        let (newest, intent) = match &state.replicas[replica] {
            Replica::Call { newest, intent, .. } | Replica::Settle { newest, intent, .. } => (*newest, intent.clone()),
            _ => return false,
        };
        if came == Came::NotSpent {
            laws::forget_send(state, newest.refresh_token, &intent.0);
        }
        let attempted = came.attempted(state.now);
        state.replicas[replica] =
            match settle(state.record(), &intent.0.attempt, newest.generation, attempted, state.now) {
                Settled::Write(record) => {
                    let judged = Stored(Arc::new(record));
                    Replica::Settle { newest, intent, came, judged, read_is_current: true }
                }
                Settled::Superseded => Replica::Idle,
                Settled::Ended(_) => {
                    if let Came::Tokens(_) = came {
                        state.provider.revoke();
                    }
                    Replica::Idle
                }
            };
        true
    }

    /// The second half: write the verdict, or judge anew.
    fn settle(&self, state: &mut State, replica: usize, reply_arrives: bool) -> bool {
        let Replica::Settle { newest, came, judged, read_is_current, .. } = state.replicas[replica].clone() else {
            return false;
        };
        if !read_is_current && self.sabotage != Some(Sabotage::DropsCompareAndSwap) {
            return self.came(state, replica, came);
        }
        state.write(replica, judged);
        state.replicas[replica] = Replica::Idle;
        if let Came::Tokens(tokens) = came {
            self.served(state, newest, tokens, reply_arrives);
        }
        true
    }

    fn settle_fails(&self, state: &mut State, replica: usize, reply_arrives: bool) -> bool {
        let Replica::Settle { newest, came, .. } = state.replicas[replica].clone() else { return false };
        state.replicas[replica] = Replica::Idle;
        if let Came::Tokens(tokens) = came {
            state.witness.uncommitted = true;
            state.witness.lost_successor |= !reply_arrives;
            self.served(state, newest, tokens, reply_arrives);
        }
        true
    }

    fn validation_fails(&self, state: &mut State, replica: usize) -> bool {
        let Replica::Settle { came: Came::Tokens(_), .. } = state.replicas[replica] else { return false };
        if self.sabotage != Some(Sabotage::ValidatesBeforeItCommits) {
            return false;
        }
        state.witness.accuse(Law::S8);
        state.replicas[replica] = Replica::Idle;
        true
    }

    fn read_to_end(&self, state: &mut State, replica: usize) -> bool {
        let record = state.record.clone();
        let ended = state.is_ended();
        let Replica::End { read, reason, .. } = &mut state.replicas[replica] else { return false };
        let refused = matches!(record.as_ref().map(|r| &r.0.phase), Some(Phase::Refused { .. }));
        if ended || *reason == Ending::Refused && !refused {
            state.replicas[replica] = Replica::Idle;
        } else {
            *read = Some((record, true));
        }
        true
    }

    fn write_end(&self, state: &mut State, replica: usize) -> bool {
        let Replica::End { cookie, reason, read: Some((read, is_current)) } = state.replicas[replica].clone() else {
            return false;
        };
        if !is_current && self.sabotage != Some(Sabotage::DropsCompareAndSwap) {
            state.replicas[replica] = Replica::End { cookie, reason, read: None };
            return true;
        }
        let generation = read.map_or(cookie.generation, |read| read.0.generation.max(cookie.generation));
        state.write(replica, Stored(Arc::new(Record::ended(generation, reason.reason(), state.now))));
        state.replicas[replica] = Replica::Idle;
        if reason.reason() == EndReason::SignedOut {
            state.provider.revoke();
        }
        true
    }

    /// Nothing but a call and a preparation takes time; the latter by a fault.
    fn time_passes(&self, state: &mut State) -> bool {
        let Some(then) = self.next_moment(state) else { return false };
        let mut dawdle = false;
        for place in &state.replicas {
            match place {
                Replica::Idle => {}
                Replica::Call { sent_at, .. } if state.now < *sent_at + self.policy.call_deadline => {}
                Replica::Claim { .. } => dawdle = true,
                _ => return false,
            }
        }
        state.now = then;
        state.strays.retain(|stray| then < stray.until);
        !dawdle || spend_fault(state)
    }

    /// The next moment at which anybody would do anything else than now.
    fn next_moment(&self, state: &State) -> Option<Timestamp> {
        let record = state.record();
        let mut moments: Vec<_> = state.strays.iter().map(|stray| stray.until).collect();
        for tokens in state.cookies.iter().copied().chain(record.and_then(Tokens::opened)) {
            moments.push(tokens.die_at());
        }
        for place in &state.replicas {
            if let Replica::Call { sent_at, .. } = place {
                moments.push(*sent_at + self.policy.call_deadline);
            }
        }
        match state.phase() {
            Some(Phase::Intent(intent)) => {
                moments.extend([intent.lease_until, intent.lease_until + DRAIN]);
                moments.extend(self.window().map(|window| intent.first_sent + window));
            }
            Some(Phase::InDoubt { first_sent, drained_at, not_before, .. }) => {
                moments.extend([*drained_at, *not_before]);
                moments.extend(self.window().map(|window| *first_sent + window));
            }
            _ => {}
        }
        moments.into_iter().filter(|moment| *moment > state.now && *moment <= HORIZON).min()
    }

    pub(crate) fn window(&self) -> Option<Duration> {
        match self.class {
            RefreshClass::Overlap(window) | RefreshClass::Idempotent(window) => Some(window),
            _ => None,
        }
    }
}

/// Whether nothing more can be learnt from here: a law is broken, the last renewal done, or the session over.
fn is_told(state: &State) -> bool {
    let idle = state.replicas.iter().all(|place| *place == Replica::Idle);
    let last = state.record().is_some_and(|record| record.generation >= GENERATIONS_MAX);
    !state.witness.broken.is_empty() || last && !state.is_ended() || state.is_ended() && idle
}

fn fingerprint(place: &Replica) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    place.hash(&mut hasher);
    hasher.finish()
}

fn spend_fault(state: &mut State) -> bool {
    state.faults.checked_sub(1).inspect(|left| state.faults = *left).is_some()
}

fn attempts(state: &State) -> impl Iterator<Item = &perennial_core::record::Attempt> {
    let of_record = match state.phase() {
        Some(Phase::Intent(intent)) => Some(&intent.attempt),
        _ => None,
    };
    let of_replicas = state.replicas.iter().filter_map(|place| match place {
        Replica::Claim { intent, .. }
        | Replica::Call { intent, .. }
        | Replica::Settle { intent, .. } => Some(&intent.0.attempt),
        _ => None,
    });
    of_record.into_iter().chain(of_replicas)
}

/// As the driver: how long after our deadline a request we gave up may still reach the provider.
pub(crate) const DRAIN: Duration = Duration::from_secs(30);

/// Two renewals show everything: one that leaves a trace, and one that finds it.
const GENERATIONS_MAX: Generation = Generation(2);

/// Long enough for both.
const HORIZON: Timestamp = Timestamp::from_unix_seconds(200);
