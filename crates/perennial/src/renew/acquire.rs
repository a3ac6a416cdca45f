//! From a session that is due to an intent that is ours, or to nothing to do: join → plan → write the intent.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use perennial_core::Timestamp;
use perennial_core::limits::REPLICA_CLOCK_SKEW;
use perennial_core::provider::ResolvedProvider;
use perennial_core::record::{Attempt, Circumstances, Entry, Intent, Phase, Plan, Record, Replicas, plan, seal_state};
use perennial_core::renewal::{Verdict, decide, judge_audience_token};
use perennial_core::session::SessionState;
use perennial_store::{StoreError, Swap, Version};

use crate::engine::Inner;
use crate::event::RenewalReason;
use crate::issuer::{Denied, RefreshPass};
use crate::ledger::{Standing, record_key};
use crate::outcome::{Ask, Outcome};

pub(super) enum Acquired {
    /// Nothing to call for.
    Landed(Outcome),
    /// The intent is written: call.
    Permit { newest: Arc<SessionState>, begun: Box<Begun>, provider: Arc<ResolvedProvider>, pass: RefreshPass },
}

/// An attempt whose intent is in the store, and the record as it was written there.
pub(super) struct Begun {
    pub(super) intent: Intent,
    pub(super) record: Record,
    pub(super) version: Version,
}

impl Inner {
    /// Until there is nothing to do or the intent is ours.
    pub(super) async fn acquire(self: &Arc<Self>, cookie: &Arc<SessionState>, ask: &Ask) -> Acquired {
        let give_up_at = self.now() + self.settings.renewal.wait_max;
        let (mut told, mut pass, mut unmarked) = (None, None, false);
        loop {
            let standing = match self.standing(cookie).await {
                Ok(Ok(standing)) => standing,
                Ok(Err(reason)) => return Acquired::Landed(Outcome::Ended(reason)),
                Err(error) => return Acquired::Landed(self.store_failed(cookie.clone(), &error)),
            };
            let (newest, now) = (standing.newest.clone(), self.now());
            if !self.is_due(&newest, standing.phase.as_ref(), ask, now) {
                return Acquired::Landed(Outcome::Newest { state: newest, renewed: false });
            }
            if !std::mem::replace(&mut unmarked, true)
                && let Some(landed) = self.over_by_mark(&newest).await
            {
                return Acquired::Landed(landed);
            }
            let kept = |until: Timestamp| {
                Acquired::Landed(Outcome::Kept { state: newest.clone(), retry_after: until.since(now) })
            };
            let Some(issuer) = self.issuer(&newest.provider) else { return kept(now + Duration::from_secs(60)) };
            if let Some(audience) = &ask.audience
                && self.audience_tokens.refused_until(&newest.provider, audience, now).is_some()
            {
                return Acquired::Landed(Outcome::AudienceRefused { state: newest, audience: audience.clone() });
            }
            // Had before the intent is written: discovery may take as long as a call, and the lease covers one call.
            let provider = match issuer.resolved(&self.edges).await {
                Ok(provider) => provider,
                Err(error) => {
                    tracing::warn!(%error, session = newest.id.fingerprint(), "renewal put off");
                    return kept(now + Duration::from_secs(1));
                }
            };
            let now = self.now();
            // An answer counts for the version of the record it was asked about: somebody may have called since.
            let told_now = told.filter(|(about, _)| *about == standing.version).map(|(_, told)| told);
            let at = Circumstances { told: told_now, ..self.circumstances(&newest, &provider, now) };
            let planned = plan(standing.phase.as_ref(), Attempt::new(self.random()), &at);
            match planned {
                Plan::Refused { claims } => return Acquired::Landed(Outcome::Refused { state: newest, claims }),
                Plan::Reauthenticate => return Acquired::Landed(Outcome::Reauthenticate { state: newest }),
                Plan::Ask(question) => {
                    let answer = issuer.ask(&self.edges, &provider, question, &newest).await;
                    told = Some((standing.version, (question, answer)));
                }
                Plan::Note(phase) => {
                    if let Err(error) = self.write_phase(&standing, phase, None).await {
                        return Acquired::Landed(self.store_failed(newest, &error));
                    }
                }
                Plan::Hold(until) => return kept(until),
                Plan::Wait(until) if now >= give_up_at => return kept(until.min(now + Duration::from_secs(1))),
                Plan::Wait(until) => {
                    // Others may go meanwhile.
                    pass = None;
                    self.wait_for_change(&newest, standing.version, until.min(give_up_at)).await;
                }
                Plan::Call(intent) => {
                    let granted = match pass.take() {
                        Some(granted) => granted,
                        None => match issuer.admit(&self.edges, intent.turn(), give_up_at.since(now)).await {
                            // Whatever the record says by now.
                            Ok(granted) if granted.waited => {
                                pass = Some(granted);
                                continue;
                            }
                            Ok(granted) => granted,
                            Err(Denied { until, waited: false }) => return kept(until),
                            Err(Denied { until, waited: true }) => {
                                return Acquired::Landed(self.turned_away(cookie, newest, ask, until).await);
                            }
                        },
                    };
                    let intent = intent.counted(standing.record.as_ref());
                    match self.write_intent(&newest, &intent, &standing, &at, ask).await {
                        Ok((Swap::Stored(version), record)) => {
                            let begun = Box::new(Begun { intent, record, version });
                            return Acquired::Permit { newest, begun, provider, pass: granted };
                        }
                        Ok((Swap::Conflict(_), _)) => pass = Some(granted),
                        Err(error) => return Acquired::Landed(self.store_failed(newest, &error)),
                    }
                }
            }
        }
    }

    /// A pass was waited for in vain. Whoever had one meanwhile may have renewed, here or at another replica, which at some
    /// providers kills the access token of the generation that was newest before the wait.
    async fn turned_away(
        &self,
        cookie: &Arc<SessionState>,
        before: Arc<SessionState>,
        ask: &Ask,
        until: Timestamp,
    ) -> Outcome {
        let standing = self.standing(cookie).await;
        let now = self.now();
        let kept = |state| Outcome::Kept { state, retry_after: until.since(now) };
        match standing {
            Ok(Ok(Standing { newest, phase, .. })) if !self.is_due(&newest, phase.as_ref(), ask, now) => {
                Outcome::Newest { state: newest, renewed: false }
            }
            Ok(Ok(standing)) => kept(standing.newest),
            Ok(Err(reason)) => Outcome::Ended(reason),
            // The store answered before the wait.
            Err(_) => kept(before),
        }
    }

    /// What a session comes to that an end mark in the store ends, or of which the store cannot say so: no refresh token is sent
    /// for it.
    async fn over_by_mark(self: &Arc<Self>, newest: &Arc<SessionState>) -> Option<Outcome> {
        match self.marked_in_store(newest).await {
            Ok(None) => None,
            Ok(Some(reason)) => {
                self.end_in_background(newest.clone(), reason);
                Some(Outcome::Ended(reason))
            }
            Err(error) => Some(self.store_failed(newest.clone(), &error)),
        }
    }

    /// Whether the newest generation, whose record says `phase`, is to be renewed for `ask`.
    fn is_due(&self, newest: &SessionState, phase: Option<&Phase>, ask: &Ask, now: Timestamp) -> bool {
        if ask.reason == RenewalReason::Doubt {
            return matches!(phase, Some(Phase::Intent(_) | Phase::InDoubt(_)));
        }
        if newest.epoch < self.settings.epoch && newest.is_renewable() {
            return true;
        }
        let policy = &self.settings.renewal;
        let renewable = newest.tokens.as_ref().is_some_and(|tokens| tokens.refresh_token.is_some());
        // The token that is asked for: the verdict on it, since when it is there, and at which generation it came.
        let (verdict, issued_at, minted) = match &ask.audience {
            None => {
                let issued_at = newest.tokens.as_ref().map(|tokens| tokens.issued_at);
                (decide(newest, policy, now), issued_at, newest.generation)
            }
            Some(audience) => {
                let token = newest.audience_token(audience);
                let minted = token.map_or(newest.generation, |token| token.generation);
                (judge_audience_token(token, renewable, policy, now), token.map(|token| token.issued_at), minted)
            }
        };
        match verdict {
            Verdict::Due | Verdict::Expired => true,
            Verdict::Bare => false,
            Verdict::Fresh => {
                // A clock that was set back must not bar renewal until it has caught up; one that is merely behind the clock of
                // the replica that renewed last must not renew again at once.
                let set_back = |at| now + REPLICA_CLOCK_SKEW < at;
                let settled = issued_at.is_some_and(|at| set_back(at) || now.since(at) >= policy.min_interval);
                ask.seen.is_some_and(|seen| seen >= minted) && renewable && settled
            }
        }
    }

    /// Writes the intent; before that, where nobody would look at it in time, the word that it is there.
    async fn write_intent(
        &self,
        newest: &SessionState,
        intent: &Intent,
        standing: &Standing,
        at: &Circumstances,
        ask: &Ask,
    ) -> Result<(Swap, Record), StoreError> {
        if let Some(window) = at.window_after_crash()
            && decide(newest, &self.settings.renewal, at.now) == Verdict::Fresh
        {
            self.announce_doubt(newest, window).await?;
        }
        let (phase, begun) = (Phase::Intent(intent.clone()), self.begun(newest, intent, ask, standing.fork));
        self.write_phase(standing, phase, Some(begun)).await
    }

    fn circumstances(&self, newest: &SessionState, provider: &ResolvedProvider, now: Timestamp) -> Circumstances {
        Circumstances {
            now,
            rules: provider.doubt_rules(),
            access_token_expires_at: newest.tokens.as_ref().and_then(|tokens| tokens.expires_at),
            lease: self.settings.renewal.lease(),
            replicas: if self.store.shared() { Replicas::Many } else { Replicas::One },
            told: None,
        }
    }

    pub(super) async fn wait_for_change(&self, newest: &SessionState, since: Option<Version>, until: Timestamp) {
        let now = self.now();
        let changed = self.store.changed(record_key(newest), since, now);
        let _ = tokio::time::timeout(until.since(now) + Duration::from_millis(1), changed).await;
    }

    /// Writes `phase` into the record, with `entry` in its history; answers with the record that was to stand there, too.
    pub(super) async fn write_phase(
        &self,
        standing: &Standing,
        phase: Phase,
        entry: Option<Entry>,
    ) -> Result<(Swap, Record), StoreError> {
        let newest = &standing.newest;
        // What lies there sealed already need not be sealed again.
        let sealed = match &standing.sealed {
            Some(sealed) => sealed.clone(),
            None => seal_state(&self.keys().record, newest, self.random()),
        };
        let record = Record::following(standing.record.as_ref(), newest.generation, sealed, phase);
        let told = entry.as_ref().map_or(0, |entry| entry.stale_cookies);
        let record = match entry {
            None => record,
            Some(entry) => record.noting(entry),
        };
        let swapped = self.swap(newest, standing.version, &record).await?;
        if matches!(swapped, Swap::Stored(_)) {
            self.stale_cookies.told(newest.id, told);
        }
        Ok((swapped, record))
    }

    /// Prolongs the lease of an intent whose call is under way, until this future is dropped: a slow provider, and a slow
    /// store after it, must not make other replicas take a living attempt for a lost one.
    ///
    /// Nothing depends on it: no call goes out that the first lease does not cover. So a beat that fails is left out.
    pub(super) async fn keep_lease(&self, newest: &SessionState, intent: &Intent) -> Infallible {
        let lease = self.settings.renewal.lease();
        while self.store.shared() {
            tokio::time::sleep(lease / 3).await;
            let beat = async {
                let stored = self.load(newest).await.ok()??;
                let prolonged = Record::decode(&stored.bytes).ok()?.prolonged(intent, lease, self.now())?;
                Some(self.swap(newest, Some(stored.version), &prolonged).await)
            };
            if let Some(Err(error)) = beat.await {
                tracing::warn!(%error, session = newest.id.fingerprint(), "a lease was not prolonged");
            }
        }
        std::future::pending().await
    }
}
