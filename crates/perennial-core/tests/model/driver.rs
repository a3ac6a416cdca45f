//! The steps of the driver (`renew`, `ledger`, `hall` of the crate `perennial`) around the engine's own functions.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use perennial_core::Timestamp;
use perennial_core::provider::{DRAIN_DEFAULT, DoubtRules, Introspection};
use perennial_core::record::{
    Circumstances, Joined, Kept, Phase, Plan, Question, Record, Replicas, Settled, Told, fork, join, plan, settle,
};
use perennial_core::renewal::Verdict;
use perennial_core::session::Generation;

use crate::laws;
use crate::memory::{Past, Reading};
use crate::provider::Answer;
use crate::state::{Came, Clock, Ending, Law, Line, Replica, State};
use crate::system::{Sabotage, System};
use crate::values::{Held, Stored, Tokens, new_attempt};

impl System {
    /// `Auth::enter` up to the end of `acquire`, when there is something to do. Whoever has to wait comes again: a wait is a request that changes
    /// nothing, and a conflict is one that is repeated.
    pub(crate) fn request(
        &self,
        state: &mut State,
        replica: usize,
        cookie: Tokens,
        on_demand: bool,
        clock: Clock,
    ) -> bool {
        let now = clock.shows(state.now);
        if let Joined::Ended(_) = join(cookie.generation, state.record()) {
            return false;
        }
        let (newest, phase) = self.standing(state, cookie);
        if !self.is_due(newest, cookie, on_demand, now) {
            self.served(state, cookie, newest, clock, true);
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
        match self.planned(state, newest, phase.as_ref(), now) {
            Plan::Ask(_) => unreachable!("it was answered"),
            Plan::Note(phase) => {
                let mut record = Record::idle(newest.generation, newest.sealed());
                record.phase = phase;
                state.write(replica, Stored(Arc::new(record)));
            }
            Plan::Reauthenticate => self.served(state, cookie, newest, clock, true),
            Plan::Refused { .. } if now < newest.die_at() => self.served(state, cookie, newest, clock, true),
            Plan::Refused { .. } => {
                self.signed_out(state);
                laws::judge_end(state, cookie, newest);
                state.replicas[replica] = Replica::End { cookie, reason: Ending::Refused, read: None };
            }
            Plan::Wait(_) if self.sabotage == Some(Sabotage::SignsTheLoserOut) => self.signed_out(state),
            Plan::Hold(_) | Plan::Wait(_) => self.served(state, cookie, newest, clock, true),
            Plan::Call(_) if newest.generation.0 >= self.renewals => return false,
            Plan::Call(intent) => {
                state.replicas[replica] =
                    Replica::Claim { newest, intent: Held(intent), clock, reading: Reading::CURRENT };
            }
        }
        true
    }

    /// What `Inner::standing` makes of cookie and record: the newest generation, and the phase it is in.
    fn standing(&self, state: &mut State, cookie: Tokens) -> (Tokens, Option<Phase>) {
        let Some(record) = state.record().filter(|record| record.generation >= cookie.generation) else {
            return (cookie, None);
        };
        let (theirs, phase) = (Tokens::opened(record).unwrap_or(cookie), record.phase.clone());
        let forked = (theirs.generation == cookie.generation)
            .then(|| fork(&cookie.successor(), &theirs.successor(), &phase))
            .flatten();
        state.witness.forked = forked.or(state.witness.forked);
        match forked {
            Some(_) if self.sabotage == Some(Sabotage::OverlooksForks) => (cookie, None),
            Some(Kept::Cookie) => (cookie, Some(phase).filter(|phase| matches!(phase, Phase::Idle { .. }))),
            Some(Kept::Record) | None => (theirs, Some(phase)),
        }
    }

    /// The plan, the provider having told the truth about what it was asked. Asking and planning are one step here: whoever
    /// plans by an answer writes its intent over the version of the record it asked about, or not at all.
    fn planned(&self, state: &State, newest: Tokens, phase: Option<&Phase>, now: Timestamp) -> Plan {
        let mut circumstances = self.circumstances(newest, now);
        loop {
            match plan(phase, new_attempt(attempts(state)), &circumstances) {
                Plan::Ask(question @ Question::Introspection(_)) => {
                    let told = match state.provider.introspect(newest.refresh_token) {
                        true => Told::Unspent,
                        false => Told::Spent,
                    };
                    circumstances.told = Some((question, told));
                }
                planned => return planned,
            }
        }
    }

    fn is_due(&self, newest: Tokens, cookie: Tokens, on_demand: bool, now: Timestamp) -> bool {
        match newest.verdict(&self.policy, now) {
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
        let introspection = if self.introspects { Introspection::WithHint } else { Introspection::None };
        let drain = if self.sabotage == Some(Sabotage::SkipsTheDrain) { Duration::ZERO } else { DRAIN_DEFAULT };
        let rules =
            DoubtRules { introspection, last_resort: self.last_resort, drain, ..DoubtRules::of_class(self.class) };
        let access_token_expires_at = Some(newest.die_at());
        Circumstances { now, rules, access_token_expires_at, lease, replicas, told: None }
    }

    /// The request goes on with the newest generation, whose access token is used.
    fn served(&self, state: &mut State, cookie: Tokens, newest: Tokens, clock: Clock, reply_arrives: bool) {
        let seen = state.record().map(|record| record.generation);
        self.hand_out(state, newest, seen, clock);
        self.keep(state, cookie, newest, reply_arrives);
    }

    /// The access token goes to an upstream. One that has died does not: 503.
    fn hand_out(&self, state: &mut State, tokens: Tokens, seen: Option<Generation>, clock: Clock) {
        let shown = clock.shows(state.now);
        if shown < tokens.die_at() || self.sabotage == Some(Sabotage::HandsOutTheDead) {
            laws::judge_hand_out(state, tokens, seen, shown);
        }
    }

    /// The browser that came with `cookie` is given the newest generation.
    fn keep(&self, state: &mut State, cookie: Tokens, newest: Tokens, reply_arrives: bool) {
        if newest.refresh_token != cookie.refresh_token {
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

    pub(crate) fn claim(&self, state: &mut State, replica: usize) -> bool {
        let Replica::Claim { newest, intent, clock, reading } = state.replicas[replica].clone() else {
            return false;
        };
        if !reading.is_current() && self.sabotage != Some(Sabotage::DropsCompareAndSwap) {
            state.replicas[replica] = Replica::Idle;
            return true;
        }
        // Not counted (`Intent::counted`): attempts have names, and a count would make states differ that do not.
        let phase = Phase::Intent(intent.0.clone());
        let record = Record::following(state.record(), newest.generation, newest.sealed(), phase);
        state.write(replica, Stored(Arc::new(record)));
        self.send(state, replica, newest, intent, clock)
    }

    fn send(&self, state: &mut State, replica: usize, newest: Tokens, intent: Held, clock: Clock) -> bool {
        let sent_at = state.now;
        let dares =
            matches!(self.sabotage, Some(Sabotage::SendsWithoutALookAtTheLease | Sabotage::LeaseShorterThanTheCall));
        if !dares && !intent.0.covers(clock.shows(sent_at) + self.policy.call_deadline) {
            self.judge(state, replica, newest, intent, clock, Came::NotSpent);
            return true;
        }
        laws::judge_send(self, state, replica, newest, clock.when(intent.0.started));
        state.replicas[replica] = Replica::Call { newest, intent, clock, sent_at, line: Line::Out };
        true
    }

    pub(crate) fn process(&self, state: &mut State, replica: usize) -> bool {
        let now = state.now;
        let Replica::Call { newest, line, .. } = &mut state.replicas[replica] else { return false };
        *line = Line::Back(state.provider.present(self.class, newest.refresh_token, now));
        let presented = newest.refresh_token;
        laws::note_lateness(self, state, presented);
        true
    }

    pub(crate) fn process_for_another(&self, state: &mut State, replica: usize) -> bool {
        self.process(state, replica);
        let Replica::Call { line: Line::Back(Answer::Tokens { refresh_token, .. }), .. } = state.replicas[replica]
        else {
            return false;
        };
        state.provider.give_to_another(refresh_token);
        true
    }

    pub(crate) fn receive(&self, state: &mut State, replica: usize) -> bool {
        let Replica::Call { newest, sent_at, clock, line: Line::Back(answer), .. } = state.replicas[replica] else {
            return false;
        };
        let came = match answer {
            Answer::Tokens { refresh_token, .. } => {
                let generation = newest.generation.next();
                Came::Tokens(Tokens { generation, refresh_token, issued_at: clock.shows(sent_at) })
            }
            Answer::Refused => Came::Refused,
        };
        self.came(state, replica, came)
    }

    /// The caller goes: an answer under way is lost, a request under way may arrive later.
    pub(crate) fn lose_line(&self, state: &mut State, replica: usize) {
        if let Replica::Call { newest, line: Line::Out, .. } = state.replicas[replica] {
            let until = state.now + DRAIN_DEFAULT;
            state.stray(newest.refresh_token, until);
        }
        self.lose_answer(state, replica);
    }

    pub(crate) fn lose_answer(&self, state: &mut State, replica: usize) {
        if let Replica::Call { line: Line::Back(Answer::Tokens { first: true, .. }), .. } = state.replicas[replica] {
            state.witness.lost_successor = true;
        }
    }

    /// The first half of the driver's `settle`: read the record and judge.
    pub(crate) fn came(&self, state: &mut State, replica: usize, came: Came) -> bool {
        let Replica::Call { newest, intent, clock, .. } = state.replicas[replica].clone() else { return false };
        self.judge(state, replica, newest, intent, clock, came);
        true
    }

    fn judge(&self, state: &mut State, replica: usize, newest: Tokens, intent: Held, clock: Clock, came: Came) {
        let (mut spent, mut came) = (newest.generation, came);
        if let (Some(Sabotage::PutsLateTokensOnTop), Came::Tokens(late), Some(record)) =
            (self.sabotage, came, state.record())
        {
            spent = spent.max(record.generation);
            came = Came::Tokens(Tokens { generation: spent.next(), ..late });
        }
        let now = clock.shows(state.now);
        state.replicas[replica] = match settle(state.record(), &intent.0, spent, came.attempted(), now) {
            Settled::Write(record) => {
                let judged = Stored(Arc::new(record));
                Replica::Settle { newest, intent, clock, came, judged, reading: Reading::CURRENT }
            }
            Settled::Superseded => {
                self.overtaken(state, newest, clock);
                Replica::Idle
            }
            Settled::Ended(_) => {
                if let Came::Tokens(_) = came {
                    state.provider.revoke();
                }
                Replica::Idle
            }
        };
    }

    /// Another attempt has brought the session further: whoever waits for this one is given what there is by now. Its cookie
    /// is that of a request that comes again at this moment.
    fn overtaken(&self, state: &mut State, before: Tokens, clock: Clock) {
        let now = match self.sabotage {
            Some(Sabotage::ServesWhatItReadBefore) => before,
            _ => self.standing(state, before).0,
        };
        let seen = state.record().map(|record| record.generation);
        self.hand_out(state, now, seen, clock);
    }

    /// The second half: write the verdict, or judge anew.
    pub(crate) fn settle(&self, state: &mut State, replica: usize, reply_arrives: bool) -> bool {
        let Replica::Settle { newest, intent, clock, came, judged, reading } = state.replicas[replica].clone() else {
            return false;
        };
        if !reading.is_current() && self.sabotage != Some(Sabotage::DropsCompareAndSwap) {
            self.judge(state, replica, newest, intent, clock, came);
            return true;
        }
        state.write(replica, judged);
        state.replicas[replica] = Replica::Idle;
        match came {
            Came::Tokens(tokens) if self.is_anothers(state, tokens) => self.end_for_identity(state, replica, tokens),
            Came::Tokens(tokens) => self.served(state, newest, tokens, clock, reply_arrives),
            Came::NotSpent | Came::InDoubt { .. } | Came::Refused => {
                let seen = state.record().map(|record| record.generation);
                self.hand_out(state, newest, seen, clock);
            }
        }
        true
    }

    pub(crate) fn settle_fails(&self, state: &mut State, replica: usize, reply_arrives: bool) -> bool {
        let Replica::Settle { newest, clock, came, .. } = state.replicas[replica].clone() else { return false };
        state.replicas[replica] = Replica::Idle;
        // A store that does not answer tells nothing of what others did.
        let Came::Tokens(tokens) = came else {
            self.hand_out(state, newest, None, clock);
            return true;
        };
        state.witness.uncommitted = true;
        state.witness.lost_successor |= !reply_arrives;
        if self.is_anothers(state, tokens) {
            self.end_for_identity(state, replica, tokens);
        } else {
            self.hand_out(state, tokens, None, clock);
            self.keep(state, newest, tokens, reply_arrives);
        }
        true
    }

    /// What the driver learns from the ID token that came along: it looks at that when the tokens are durable.
    fn is_anothers(&self, state: &State, tokens: Tokens) -> bool {
        self.sabotage != Some(Sabotage::TakesAnyIdentity) && state.provider.is_anothers(tokens.refresh_token)
    }

    fn end_for_identity(&self, state: &mut State, replica: usize, tokens: Tokens) {
        state.replicas[replica] = Replica::End { cookie: tokens, reason: Ending::AnotherIdentity, read: None };
    }

    pub(crate) fn validation_fails(&self, state: &mut State, replica: usize) -> bool {
        let Replica::Settle { came: Came::Tokens(_), .. } = state.replicas[replica] else { return false };
        if self.sabotage != Some(Sabotage::ValidatesBeforeItCommits) {
            return false;
        }
        state.witness.accuse(Law::S8);
        state.replicas[replica] = Replica::Idle;
        true
    }
}

pub(crate) fn fingerprint(place: &Replica) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    place.hash(&mut hasher);
    hasher.finish()
}

pub(crate) fn spend_fault(state: &mut State) -> bool {
    state.faults.checked_sub(1).inspect(|left| state.faults = *left).is_some()
}

fn attempts(state: &State) -> impl Iterator<Item = &perennial_core::record::Attempt> {
    let records = state.record.iter().chain(state.past.iter().flat_map(Past::records));
    let of_records = records.filter_map(|record| match &record.0.phase {
        Phase::Intent(intent) => Some(&intent.attempt),
        _ => None,
    });
    let of_replicas = state.replicas.iter().filter_map(|place| match place {
        Replica::Claim { intent, .. } | Replica::Call { intent, .. } | Replica::Settle { intent, .. } => {
            Some(&intent.0.attempt)
        }
        _ => None,
    });
    of_records.chain(of_replicas)
}
