//! The one place that sends a refresh token.
//!
//! join → plan → write the intent → call → commit → validate → `jwt` callback. Received tokens are durable before anything
//! else that may fail; every decision is a pure function of `perennial_core::record`.

use std::sync::Arc;
use std::time::Duration;

use perennial_core::condition::Progress;
use perennial_core::provider::ResolvedProvider;
use perennial_core::record::{EndReason, Intent, RenewalEntry, RenewalVerdict};
use perennial_core::renewal::due_at;
use perennial_core::secret::IdToken;
use perennial_core::session::{Audience, SessionState};
use perennial_core::token::TokenResponse;

use crate::alarm::AlarmCode;
use crate::callbacks::{Account, Callbacks, Claims, JwtCallback, JwtTrigger};
use crate::doubts::DOUBT_PAUSE;
use crate::engine::Inner;
use crate::event::{Event, Renewal, RenewalOutcome, RenewalReason};
use crate::flight::Departure;
use crate::hall::Arrival;
use crate::happened::without_echo;
use crate::issuer::{Identity, IssuerClient, RefreshPass};
use crate::outcome::{Ask, Outcome};
use crate::trace::{note_attempt, note_outcome};

mod acquire;
mod failure;
mod owed;
mod revocation;
mod settle;

use acquire::{Acquired, Begun};
pub(crate) use owed::Debts;
use settle::{Held, Landed};

impl Inner {
    /// Brings the session of `cookie` to its newest generation, calling the provider if `ask` requires it, and lands the
    /// flight with the outcome.
    pub(crate) async fn renew(self: Arc<Self>, cookie: Arc<SessionState>, ask: Ask, flight: Departure<Arrival>) {
        match self.acquire(&cookie, &ask).await {
            Acquired::Landed(outcome) => flight.tell(Arrival::of(outcome)),
            Acquired::Permit { newest, begun, provider, pass } => {
                note_attempt(begun.intent.attempt.short());
                let Flown { outcome, unsaved, in_doubt } =
                    self.fly_with(&newest, &begun, &provider, pass, &ask, &flight).await;
                flight.tell(Arrival::of(outcome));
                if let Some((unsaved, entry)) = unsaved {
                    // Until they are in the record, whoever comes with the spent cookie gets the tokens from this flight.
                    self.save_late(&newest, &begun.intent, unsaved, &entry).await;
                }
                // Begun before the flight lands, so that a shutdown sees the one or the other.
                let errand = (in_doubt && ask.reason != RenewalReason::Doubt).then(|| self.errands.begin()).flatten();
                drop(flight);
                if let Some(errand) = errand {
                    // Hardly anybody forgives a second request at once.
                    errand.pause(DOUBT_PAUSE).await;
                    self.clear_doubt(&newest, &ask, &errand).await;
                }
            }
        }
    }

    /// The intent is ours: call, commit, then validate and ask the callback. Answers with the generation that the store would
    /// not take, too.
    async fn fly_with(
        self: &Arc<Self>,
        newest: &Arc<SessionState>,
        begun: &Begun,
        provider: &ResolvedProvider,
        pass: RefreshPass,
        ask: &Ask,
        flight: &Departure<Arrival>,
    ) -> Flown {
        // Both were there when the intent was planned.
        let (Some(issuer), Some(refresh_token)) =
            (self.issuer(&newest.provider), newest.tokens.as_ref().and_then(|tokens| tokens.refresh_token.as_ref()))
        else {
            let outcome = Outcome::Kept { state: newest.clone(), retry_after: Duration::from_secs(60) };
            return Flown { outcome, unsaved: None, in_doubt: false };
        };
        let (intent, mut unsaved) = (&begun.intent, None);
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
            Ok(response) => self.commit(newest, begun, &call, response, &mut unsaved).await,
            Err(failure) => match &failure.salvaged {
                Some(refresh_token) => self.salvage(newest, &call, refresh_token, &failure).await,
                None => self.note_failure(newest, &call, &failure).await,
            },
        };
        let outcome = if unsaved.is_some() { outcome.unsaved() } else { outcome };
        let in_doubt = told == RenewalOutcome::Kept { why: RenewalVerdict::InDoubt.code() };
        self.report(newest, &outcome, told, &entry);
        Flown { outcome, unsaved: unsaved.map(|next| (next, entry)), in_doubt }
    }

    /// Makes received tokens durable, and only then looks at them.
    async fn commit(
        self: &Arc<Self>,
        spent: &Arc<SessionState>,
        begun: &Begun,
        call: &Call<'_>,
        mut response: TokenResponse,
        unsaved: &mut Option<SessionState>,
    ) -> (Outcome, RenewalOutcome) {
        let Call { issuer, ask, entry, .. } = *call;
        let lifetime = issuer.lifetime(&self.settings.renewal);
        // The record keeps the ID token that was verified; a new one takes its place in the cookie once it is.
        let id_token = response.id_token.take();
        let extra = response.extra.clone();
        let next = match &ask.audience {
            None => spent.renewed(response, lifetime),
            Some(audience) => spent.renewed_for(audience, response, lifetime),
        };
        let mut next = next.proven_in(self.settings.epoch);
        match self.settle_tokens(spent, Held::Known(begun), &mut next, entry).await {
            Ok(Landed::Written) => {}
            Ok(Landed::Superseded) => return self.superseded(spent).await,
            Ok(Landed::Ended(reason)) => {
                self.owe_and_revoke(issuer, &next).await;
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
        self: &Arc<Self>,
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
    async fn asked_at_renewal(
        self: &Arc<Self>,
        next: Arc<SessionState>,
        extra: Claims,
    ) -> Result<Arc<SessionState>, EndReason> {
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

/// What a flight with an intent came to.
struct Flown {
    outcome: Outcome,
    /// The generation that the store would not take, and what is to be noted of it.
    unsaved: Option<(SessionState, RenewalEntry)>,
    /// Whether nobody knows if the refresh token was spent.
    in_doubt: bool,
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

/// A call of the provider that has come back: under which intent, to whom, what for, and what is to be noted of it.
struct Call<'a> {
    intent: &'a Intent,
    issuer: &'a IssuerClient,
    ask: &'a Ask,
    entry: &'a RenewalEntry,
}
