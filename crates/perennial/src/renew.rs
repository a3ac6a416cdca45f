//! The one place that sends a refresh token.
//!
//! join → plan → write the intent → call → commit → validate → `jwt` callback. Received tokens are durable before anything
//! else that may fail; every decision is a pure function of `perennial_core::record`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use perennial_core::Timestamp;
use perennial_core::condition::Progress;
use perennial_core::limits::REPLICA_CLOCK_SKEW;
use perennial_core::provider::ResolvedProvider;
use perennial_core::record::{
    Attempt, Attempted, Circumstances, EndReason, Entry, Intent, Phase, Plan, Record, RenewalEntry, RenewalVerdict,
    Replicas, Settled, What, plan, seal_state, settle,
};
use perennial_core::renewal::{Verdict, backoff, decide, due_at, judge_audience_token};
use perennial_core::secret::{IdToken, RefreshToken};
use perennial_core::session::{Audience, SessionState};
use perennial_core::token::{TokenFailure, TokenResponse, Verdict as FailureVerdict};
use perennial_store::{StoreError, Swap, Version};

use crate::alarm::AlarmCode;
use crate::callbacks::{Account, Callbacks, Claims, JwtCallback, JwtTrigger};
use crate::engine::Inner;
use crate::event::{Event, Renewal, RenewalOutcome};
use crate::flight::Departure;
use crate::happened::without_echo;
use crate::issuer::{Identity, IssuerClient, RefreshPass};
use crate::ledger::record_key;
use crate::outcome::{Ask, Outcome};
use crate::trace::{note_attempt, note_outcome};

impl Inner {
    /// Brings the session of `cookie` to its newest generation, calling the provider if `ask` requires it, and lands the
    /// flight with the outcome.
    pub(crate) async fn renew(self: Arc<Self>, cookie: Arc<SessionState>, ask: Ask, flight: Departure<Outcome>) {
        match self.acquire(&cookie, &ask).await {
            Acquired::Landed(outcome) => flight.tell(outcome),
            Acquired::Permit { newest, intent, provider, pass } => {
                note_attempt(intent.attempt.short());
                let (outcome, unsaved) = self.fly_with(&newest, &intent, &provider, pass, &ask, &flight).await;
                flight.tell(outcome);
                if let Some((unsaved, entry)) = unsaved {
                    // Until they are in the record, whoever comes with the spent cookie gets the tokens from this flight.
                    self.save_late(&newest, &intent, unsaved, &entry).await;
                }
            }
        }
    }

    /// Until there is nothing to do or the intent is ours.
    async fn acquire(&self, cookie: &Arc<SessionState>, ask: &Ask) -> Acquired {
        let give_up_at = self.now() + self.settings.renewal.wait_max;
        let (mut told, mut pass) = (None, None);
        loop {
            let standing = match self.standing(cookie).await {
                Ok(Ok(standing)) => standing,
                Ok(Err(reason)) => return Acquired::Landed(Outcome::Ended(reason)),
                Err(error) => return Acquired::Landed(self.store_failed(cookie.clone(), &error)),
            };
            let (newest, now) = (standing.newest, self.now());
            if !self.is_due(&newest, ask, now) {
                return Acquired::Landed(Outcome::Newest { state: newest, renewed: false });
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
                    if let Err(error) =
                        self.write_phase(&newest, phase, standing.record.as_ref(), standing.version, None).await
                    {
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
                            Err(until) => return kept(until),
                        },
                    };
                    let intent = intent.counted(standing.record.as_ref());
                    let (previous, begun) = (standing.record.as_ref(), self.begun(&newest, &intent, ask));
                    let phase = Phase::Intent(intent.clone());
                    match self.write_phase(&newest, phase, previous, standing.version, Some(begun)).await {
                        Ok(Swap::Stored(_)) => return Acquired::Permit { newest, intent, provider, pass: granted },
                        Ok(Swap::Conflict(_)) => pass = Some(granted),
                        Err(error) => return Acquired::Landed(self.store_failed(newest, &error)),
                    }
                }
            }
        }
    }

    fn is_due(&self, newest: &SessionState, ask: &Ask, now: Timestamp) -> bool {
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

    async fn wait_for_change(&self, newest: &SessionState, since: Option<Version>, until: Timestamp) {
        let now = self.now();
        let changed = self.store.changed(record_key(newest), since, now);
        let _ = tokio::time::timeout(until.since(now) + Duration::from_millis(1), changed).await;
    }

    async fn write_phase(
        &self,
        newest: &SessionState,
        phase: Phase,
        previous: Option<&Record>,
        version: Option<Version>,
        entry: Option<Entry>,
    ) -> Result<Swap, StoreError> {
        let sealed = seal_state(&self.keys().record, newest, self.random());
        let record = Record::following(previous, newest.generation, sealed, phase);
        let told = entry.as_ref().map_or(0, |entry| entry.stale_cookies);
        let swapped = match entry {
            None => self.swap(newest, version, &record).await,
            Some(entry) => self.swap(newest, version, &record.noting(entry)).await,
        };
        if matches!(swapped, Ok(Swap::Stored(_))) {
            self.stale_cookies.told(newest.id, told);
        }
        swapped
    }

    /// Prolongs the lease of an intent whose call is under way, until this future is dropped: a slow provider, and a slow
    /// store after it, must not make other replicas take a living attempt for a lost one.
    ///
    /// Nothing depends on it: no call goes out that the first lease does not cover. So a beat that fails is left out.
    async fn keep_lease(&self, newest: &SessionState, intent: &Intent) -> Infallible {
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

    /// The intent is ours: call, commit, then validate and ask the callback. Answers with the generation that the store would
    /// not take, too.
    async fn fly_with(
        &self,
        newest: &Arc<SessionState>,
        intent: &Intent,
        provider: &ResolvedProvider,
        pass: RefreshPass,
        ask: &Ask,
        flight: &Departure<Outcome>,
    ) -> (Outcome, Option<(SessionState, RenewalEntry)>) {
        // Both were there when the intent was planned.
        let (Some(issuer), Some(refresh_token)) =
            (self.issuer(&newest.provider), newest.tokens.as_ref().and_then(|tokens| tokens.refresh_token.as_ref()))
        else {
            return (Outcome::Kept { state: newest.clone(), retry_after: Duration::from_secs(60) }, None);
        };
        let mut unsaved = None;
        let called_at = self.now();
        let answer = tokio::select! {
            // In this order, and not by tokio's own dice: a simulation replays it.
            biased;
            answer = issuer.refresh(&self.edges, provider, refresh_token, ask.audience.as_deref(), intent, pass) => answer,
            never = self.keep_lease(newest, intent) => match never {},
        };
        let answer = answer.map_err(|failure| without_echo(failure, refresh_token));
        let provider_time = self.now().since(called_at);
        let entry = self.renewal_entry(intent, ask, flight.passengers(), provider_time, answer.as_ref().err());
        let call = Call { intent, issuer, ask, entry: &entry };
        let (outcome, told) = match answer {
            Ok(response) => self.commit(newest, &call, response, &mut unsaved).await,
            Err(failure) => match &failure.salvaged {
                Some(refresh_token) => self.salvage(newest, &call, refresh_token, &failure).await,
                None => self.note_failure(newest, &call, &failure).await,
            },
        };
        let outcome = if unsaved.is_some() { outcome.unsaved() } else { outcome };
        self.report(newest, &outcome, told, &entry);
        let unsaved = unsaved.map(|next| (next, entry));
        (outcome, unsaved)
    }

    /// Brings tokens into the record that the store would not take when they came.
    async fn save_late(
        &self,
        spent: &Arc<SessionState>,
        intent: &Intent,
        mut next: SessionState,
        entry: &RenewalEntry,
    ) {
        for _ in 0..LATE_COMMITS {
            tokio::time::sleep(LATE_COMMIT_INTERVAL).await;
            match self.settle_tokens(spent, intent, &mut next, entry).await {
                Ok(Landed::Written | Landed::Superseded) => return,
                Ok(Landed::Ended(_)) => {
                    if let Some(issuer) = self.issuer(&next.provider) {
                        self.revoke(issuer, &next).await;
                    }
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, session = next.id.fingerprint(), "received tokens are not in the store yet")
                }
            }
        }
        let message = "Received tokens never reached the store: only cookies hold them.";
        tracing::error!(session = next.id.fingerprint(), message);
        self.alarm(AlarmCode::TokensUnsaved, message);
    }

    /// Makes received tokens durable, and only then looks at them.
    async fn commit(
        &self,
        spent: &Arc<SessionState>,
        call: &Call<'_>,
        mut response: TokenResponse,
        unsaved: &mut Option<SessionState>,
    ) -> (Outcome, RenewalOutcome) {
        let Call { intent, issuer, ask, entry } = *call;
        let lifetime = issuer.lifetime(&self.settings.renewal);
        // The record keeps the ID token that was verified; a new one takes its place in the cookie once it is.
        let id_token = response.id_token.take();
        let extra = response.extra.clone();
        let next = match &ask.audience {
            None => spent.renewed(response, lifetime),
            Some(audience) => spent.renewed_for(audience, response, lifetime),
        };
        let mut next = next.proven_in(self.settings.epoch);
        match self.settle_tokens(spent, intent, &mut next, entry).await {
            Ok(Landed::Written) => {}
            Ok(Landed::Superseded) => return self.superseded(spent).await,
            Ok(Landed::Ended(reason)) => {
                self.revoke(issuer, &next).await;
                return (Outcome::Ended(reason), RenewalOutcome::Ended);
            }
            // The cookie is a durable copy too: who is still waiting gets it with this answer. For the others it is kept.
            Err(error) => {
                self.store_failed(spent.clone(), &error);
                *unsaved = Some(next.clone());
            }
        }
        if let Some(audience) = &ask.audience {
            return self.landed_for(audience, Arc::new(next));
        }
        let next = match self.with_proven_identity(spent, next, issuer, id_token).await {
            Ok(next) => self.asked_at_renewal(Arc::new(next), extra).await,
            Err(reason) => Err(reason),
        };
        match next {
            Ok(state) => (Outcome::Newest { state, renewed: true }, RenewalOutcome::Renewed),
            Err(reason) => {
                *unsaved = None;
                (Outcome::Ended(reason), RenewalOutcome::Ended)
            }
        }
    }

    /// The tokens are safe. Whether the one that was wanted is among them: a provider may answer with less than it was asked for.
    fn landed_for(&self, audience: &Arc<Audience>, next: Arc<SessionState>) -> (Outcome, RenewalOutcome) {
        match next.audience_token(audience) {
            Some(_) => (Outcome::Newest { state: next, renewed: true }, RenewalOutcome::Renewed),
            None => self.audience_refused(audience, next),
        }
    }

    /// The provider gives no token for `audience`, to this session or any other: told once, and not asked again for a while.
    fn audience_refused(&self, audience: &Arc<Audience>, state: Arc<SessionState>) -> (Outcome, RenewalOutcome) {
        self.audience_tokens.refuse(&state.provider, audience, self.now());
        let message = format!(
            "{} gives no access token for the audience {} with the scope {}. Sessions are kept.",
            state.provider,
            audience.name().unwrap_or("(none)"),
            audience.requested_scope().map_or("(all that was granted)", |scope| scope.as_str()),
        );
        self.alarm_about(AlarmCode::AudienceRefused, &state.provider, &message);
        let refused = Outcome::AudienceRefused { state, audience: audience.clone() };
        (refused, RenewalOutcome::Kept { why: "audience_refused" })
    }

    /// `next` with the ID token that came with its tokens, if it is proven; the end, if it is about somebody else.
    async fn with_proven_identity(
        &self,
        spent: &SessionState,
        next: SessionState,
        issuer: &IssuerClient,
        id_token: Option<IdToken>,
    ) -> Result<SessionState, EndReason> {
        let Some(id_token) = id_token else { return Ok(next) };
        match issuer.judge_renewed(&self.edges, spent, &next, &id_token).await {
            Identity::Same => Ok(next.with_id_token(id_token)),
            Identity::Unproven => Ok(next),
            Identity::Changed => {
                self.end_and_revoke(&Arc::new(next), EndReason::IdentityChanged).await;
                Err(EndReason::IdentityChanged)
            }
        }
    }

    /// The `jwt` callback with trigger `renewal`; what it changes is written after the tokens, which are safe already.
    async fn asked_at_renewal(&self, next: Arc<SessionState>, extra: Claims) -> Result<Arc<SessionState>, EndReason> {
        let Some(tokens) = next.tokens.clone() else { return Ok(next) };
        let subject = next.claims.get("sub").and_then(|sub| sub.as_str()).unwrap_or_default();
        let ask = JwtCallback {
            token: next.claims.clone(),
            trigger: Some(JwtTrigger::Renewal),
            user: None,
            account: Some(Account {
                provider: next.provider.as_str().to_owned(),
                provider_account_id: subject.to_owned(),
                tokens,
                extra,
            }),
            profile: None,
            session: None,
        };
        match self.callbacks.jwt(ask).await {
            Ok(Some(claims)) if claims == next.claims => Ok(next),
            Ok(Some(claims)) => self.amend(&next, |newest| newest.with_changes(&next.claims, &claims)).await,
            Ok(None) => {
                self.end_and_revoke(&next, EndReason::Callback).await;
                Err(EndReason::Callback)
            }
            Err(error) => {
                tracing::error!(%error, "the jwt callback failed at renewal; the claims stay as they were");
                Ok(next)
            }
        }
    }

    async fn note_failure(
        &self,
        newest: &Arc<SessionState>,
        call: &Call<'_>,
        failure: &TokenFailure,
    ) -> (Outcome, RenewalOutcome) {
        let Call { intent, issuer, ask, entry } = *call;
        let now = self.now();
        if let Some(audience) = ask.audience.as_ref().filter(|_| failure.may_be_about_the_audience()) {
            let spared = Attempted::NotSpent { not_before: now };
            let refused = RenewalEntry { verdict: RenewalVerdict::AudienceRefused, ..entry.clone() };
            let refused = self.entry(newest, What::Renewal(refused), 0);
            return match self.settle(newest, intent, |_| (spared.clone(), refused.clone())).await {
                Ok(Landed::Ended(reason)) => (Outcome::Ended(reason), RenewalOutcome::Ended),
                Ok(Landed::Written | Landed::Superseded) | Err(_) => self.audience_refused(audience, newest.clone()),
            };
        }
        let pause = backoff(intent.failures + 1, failure.retry_after(), self.edges.roll());
        let not_before = now + pause;
        // What was answered, even with 500, has arrived; what was not may be on its way still.
        let drained_at = if failure.status.is_some() { now } else { now + issuer.provider().drain };
        let lost = failure.lost.unwrap_or_default();
        let not_spent = || Attempted::NotSpent { not_before };
        let (attempted, verdict) = match &failure.verdict {
            FailureVerdict::NotSent => (not_spent(), RenewalVerdict::NotSent),
            FailureVerdict::NotProcessed { .. } => (not_spent(), RenewalVerdict::NotProcessed),
            FailureVerdict::Misconfigured => (not_spent(), RenewalVerdict::Misconfigured),
            FailureVerdict::InDoubt => (Attempted::InDoubt { not_before, drained_at, lost }, RenewalVerdict::InDoubt),
            // Servers that answer so mean either "try again" or "no": one more try tells which.
            FailureVerdict::Ambiguous if intent.failures == 0 => (not_spent(), RenewalVerdict::Ambiguous),
            FailureVerdict::Ambiguous | FailureVerdict::Rejected => {
                (Attempted::Refused { claims: None }, RenewalVerdict::Refused)
            }
            FailureVerdict::Reauthenticate { claims } => {
                (Attempted::Refused { claims: claims.clone() }, RenewalVerdict::Refused)
            }
        };
        if let Some(message) = issuer.to_mend(failure) {
            self.alarm_about(AlarmCode::ProviderRefusesClient, &newest.provider, &message);
        }
        let why = verdict.code();
        tracing::warn!(session = newest.id.fingerprint(), why, error = failure.error.as_deref(), "renewal failed");
        let entry = self.entry(newest, What::Renewal(RenewalEntry { verdict, ..entry.clone() }), 0);
        match (self.settle(newest, intent, |_| (attempted.clone(), entry.clone())).await, &attempted) {
            (Ok(Landed::Superseded), _) => self.superseded(newest).await,
            (Ok(Landed::Ended(reason)), _) => (Outcome::Ended(reason), RenewalOutcome::Ended),
            (Ok(Landed::Written), Attempted::Refused { claims }) => {
                (Outcome::Refused { state: newest.clone(), claims: claims.clone() }, RenewalOutcome::Refused)
            }
            (Ok(Landed::Written) | Err(_), _) => {
                (Outcome::Kept { state: newest.clone(), retry_after: pause }, RenewalOutcome::Kept { why })
            }
        }
    }

    /// An answer of no other use brought a refresh token: it may be the only one that is still good, so it is kept.
    async fn salvage(
        &self,
        newest: &Arc<SessionState>,
        call: &Call<'_>,
        refresh_token: &RefreshToken,
        failure: &TokenFailure,
    ) -> (Outcome, RenewalOutcome) {
        let Call { intent, issuer, entry, .. } = *call;
        tracing::warn!(session = newest.id.fingerprint(), %failure, "renewal failed, but its refresh token was saved");
        if let Some(message) = issuer.to_mend(failure) {
            self.alarm_about(AlarmCode::ProviderRefusesClient, &newest.provider, &message);
        }
        let mut next = newest.with_refresh_token(refresh_token.clone());
        let entry = RenewalEntry { verdict: RenewalVerdict::Salvaged, ..entry.clone() };
        match self.settle_tokens(newest, intent, &mut next, &entry).await {
            Ok(Landed::Superseded) => self.superseded(newest).await,
            Ok(Landed::Ended(reason)) => {
                self.revoke(issuer, &next).await;
                (Outcome::Ended(reason), RenewalOutcome::Ended)
            }
            Ok(Landed::Written) | Err(_) => {
                let kept = RenewalOutcome::Kept { why: "salvaged" };
                (Outcome::Kept { state: Arc::new(next), retry_after: self.settings.renewal.min_interval }, kept)
            }
        }
    }

    /// Writes received tokens into the record. Claims that were changed there while the provider was asked go along.
    async fn settle_tokens(
        &self,
        spent: &Arc<SessionState>,
        intent: &Intent,
        next: &mut SessionState,
        entry: &RenewalEntry,
    ) -> Result<Landed, StoreError> {
        self.settle(spent, intent, |record| {
            let kept = record.filter(|record| record.generation == spent.generation);
            if let Some(kept) = kept.and_then(|record| self.opened(record, spent)) {
                *next = next.with_claims(kept.claims);
            }
            let sealed = seal_state(&self.keys().record, next, self.random());
            let entry = self.entry(next, What::Renewal(entry.clone()), 0);
            (Attempted::Tokens { generation: next.generation, sealed }, entry)
        })
        .await
    }

    /// Writes the outcome of an attempt into the record, whatever others wrote meanwhile.
    async fn settle(
        &self,
        spent: &SessionState,
        intent: &Intent,
        mut outcome: impl FnMut(Option<&Record>) -> (Attempted, Entry),
    ) -> Result<Landed, StoreError> {
        let mut failures = 0;
        loop {
            let settled = async {
                let stored = self.load(spent).await?;
                let version = stored.as_ref().map(|stored| stored.version);
                let record = self.readable(stored.as_ref())?;
                if Record::is_behind(record.as_ref(), intent) {
                    self.alarm(AlarmCode::StoreLostAWrite, LOST_A_WRITE);
                }
                let (outcome, entry) = outcome(record.as_ref().filter(|record| !record.sealed.is_empty()));
                match settle(record.as_ref(), intent, spent.generation, outcome, self.now()) {
                    Settled::Superseded => Ok::<_, StoreError>(Some(Landed::Superseded)),
                    Settled::Ended(reason) => Ok(Some(Landed::Ended(reason))),
                    Settled::Write(record) => match self.swap(spent, version, &record.noting(entry)).await? {
                        Swap::Stored(_) => Ok(Some(Landed::Written)),
                        Swap::Conflict(_) => Ok(None),
                    },
                }
            };
            match settled.await {
                Ok(Some(landed)) => return Ok(landed),
                Ok(None) => {}
                Err(error) if failures < COMMIT_RETRIES && error.is_retryable() => {
                    failures += 1;
                    tokio::time::sleep(Duration::from_millis(50 << failures)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Somebody else brought the session further: take that.
    async fn superseded(&self, cookie: &Arc<SessionState>) -> (Outcome, RenewalOutcome) {
        match self.standing(cookie).await {
            Ok(Ok(standing)) => {
                (Outcome::Newest { state: standing.newest, renewed: false }, RenewalOutcome::Kept { why: "superseded" })
            }
            Ok(Err(reason)) => (Outcome::Ended(reason), RenewalOutcome::Ended),
            Err(error) => {
                (self.store_failed(cookie.clone(), &error), RenewalOutcome::Kept { why: "store_unavailable" })
            }
        }
    }

    /// Revokes the refresh token of a session that is over (RFC 7009); best effort.
    pub(crate) async fn revoke(&self, issuer: &IssuerClient, state: &SessionState) {
        let refresh_token: Option<&RefreshToken> = state.tokens.as_ref().and_then(|t| t.refresh_token.as_ref());
        if let Some(refresh_token) = refresh_token {
            issuer.revoke(&self.edges, refresh_token).await;
        }
    }

    fn report(&self, before: &SessionState, outcome: &Outcome, told: RenewalOutcome, entry: &RenewalEntry) {
        let state = outcome.state().map_or(before, |state| state);
        note_outcome(&told, state.generation);
        let tokens = state.tokens.as_ref();
        self.emit(Event::Renewal(Renewal {
            at: self.now(),
            session: before.id.fingerprint(),
            generation: state.generation,
            provider: before.provider.to_string(),
            attempt: entry.attempt.clone(),
            reason: entry.reason,
            provider_time: Duration::from_millis(entry.provider_millis.into()),
            waiters: usize::try_from(entry.waiters).unwrap_or(usize::MAX),
            condition: self.condition(state, progress_after(outcome)),
            resend: entry.resend,
            outcome: told,
            access_token_fingerprint: tokens.map(|tokens| tokens.access_token.fingerprint()),
            issued_at: tokens.map(|tokens| tokens.issued_at),
            expires_at: tokens.and_then(|tokens| tokens.expires_at),
            due_at: tokens.and_then(|t| due_at(state.id, state.generation, t, &self.settings.renewal)),
        }));
    }
}

/// What a renewal's end says about the next one.
fn progress_after(outcome: &Outcome) -> Progress {
    match outcome {
        Outcome::Newest { .. } | Outcome::Unsaved { .. } | Outcome::AudienceRefused { .. } => Progress::Quiet,
        Outcome::Kept { .. } | Outcome::Reauthenticate { .. } => Progress::Failing,
        Outcome::Refused { .. } => Progress::Refused,
        Outcome::Ended(_) => Progress::Ended,
    }
}

enum Acquired {
    /// Nothing to call for.
    Landed(Outcome),
    /// The intent is written: call.
    Permit { newest: Arc<SessionState>, intent: Intent, provider: Arc<ResolvedProvider>, pass: RefreshPass },
}

/// A call of the provider that has come back: under which intent, to whom, what for, and what is to be noted of it.
struct Call<'a> {
    intent: &'a Intent,
    issuer: &'a IssuerClient,
    ask: &'a Ask,
    entry: &'a RenewalEntry,
}

enum Landed {
    Written,
    Superseded,
    Ended(EndReason),
}

/// For an operator whose store is not as durable as it says.
const LOST_A_WRITE: &str = "The store has lost an intent that it had acknowledged, so that a refresh token could be sent twice: let writes reach disk or replicas before they are acknowledged (docs/stores.md).";

/// How often a commit of received tokens is tried again while the store fails, over 3 s.
const COMMIT_RETRIES: u32 = 5;

/// How often, after that, tokens are brought to a store that stays down, and how long lies between: some four minutes.
const LATE_COMMITS: u32 = 60;

/// See [`LATE_COMMITS`].
const LATE_COMMIT_INTERVAL: Duration = Duration::from_secs(1);
