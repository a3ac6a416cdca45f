//! A call that brought no tokens: what it says about the refresh token, and what becomes of the session.

use std::sync::Arc;

use perennial_core::record::{Attempted, Intent, RenewalEntry, RenewalVerdict, What};
use perennial_core::renewal::backoff;
use perennial_core::secret::RefreshToken;
use perennial_core::session::SessionState;
use perennial_core::token::{TokenFailure, Verdict as FailureVerdict};

use super::Call;
use super::settle::{Held, Landed};
use crate::alarm::AlarmCode;
use crate::engine::Inner;
use crate::event::RenewalOutcome;
use crate::outcome::Outcome;

impl Inner {
    pub(super) async fn note_failure(
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
            return match self.settle(newest, Held::Unknown(intent), |_| (spared.clone(), refused.clone())).await {
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
            FailureVerdict::Ambiguous if !self.was_ambiguous_before(newest, intent).await => {
                (not_spent(), RenewalVerdict::Ambiguous)
            }
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
        match (self.settle(newest, Held::Unknown(intent), |_| (attempted.clone(), entry.clone())).await, &attempted) {
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

    /// Whether the attempt before this one was refused without saying why, too. A store that does not say so leaves the
    /// session another try.
    pub(super) async fn was_ambiguous_before(&self, newest: &SessionState, intent: &Intent) -> bool {
        let stored = self.load(newest).await.ok().flatten();
        let record = self.readable(stored.as_ref()).ok().flatten();
        record.is_some_and(|record| record.history.was_ambiguous_before(&intent.attempt, newest.generation))
    }

    /// An answer of no other use brought a refresh token: it may be the only one that is still good, so it is kept.
    pub(super) async fn salvage(
        self: &Arc<Self>,
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
        match self.settle_tokens(newest, Held::Unknown(intent), &mut next, &entry).await {
            Ok(Landed::Superseded) => self.superseded(newest).await,
            Ok(Landed::Ended(reason)) => {
                self.owe_and_revoke(issuer, &next).await;
                (Outcome::Ended(reason), RenewalOutcome::Ended)
            }
            Ok(Landed::Written) | Err(_) => {
                let kept = RenewalOutcome::Kept { why: "salvaged" };
                (Outcome::Kept { state: Arc::new(next), retry_after: self.settings.renewal.min_interval }, kept)
            }
        }
    }
}
