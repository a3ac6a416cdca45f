//! The memory of a provider's failures: what concerns all its sessions holds them all back for a while.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use perennial_core::Timestamp;
use perennial_core::renewal::backoff;
use perennial_core::token::{TokenFailure, Verdict};

use super::IssuerClient;
use crate::edge::Edges;

#[derive(Default)]
pub(super) struct Outage {
    failures: u32,
    until: Option<Timestamp>,
}

impl IssuerClient {
    /// Until when the provider is left alone, after failures that concern all sessions alike.
    pub(crate) fn held_until(&self, now: Timestamp) -> Option<Timestamp> {
        // Further ahead than anybody is ever held: the clock was set back since.
        self.outage().until.filter(|until| now < *until && *until <= now + OUTAGE_HOLD_MAX)
    }

    /// Takes note of a failure: what concerns all sessions holds them all back. Answers with what an operator must mend.
    #[must_use]
    pub(crate) fn note_failure(&self, edges: &Edges, failure: &TokenFailure) -> Option<String> {
        match &failure.verdict {
            Verdict::Ambiguous | Verdict::Rejected | Verdict::Reauthenticate { .. } => return None,
            Verdict::InDoubt | Verdict::Misconfigured | Verdict::NotProcessed { .. } | Verdict::NotSent => {}
        }
        let mut outage = self.outage();
        outage.failures += 1;
        let wait = backoff(outage.failures, failure.retry_after(), edges.roll());
        outage.until = Some(edges.now() + wait.min(OUTAGE_HOLD_MAX));
        self.to_mend(failure)
    }

    /// What an operator must mend, if that is why the provider refused.
    pub(crate) fn to_mend(&self, failure: &TokenFailure) -> Option<String> {
        (failure.verdict == Verdict::Misconfigured).then(|| {
            format!(
                "{} refuses our client ({}): check client id, secret and grant types there. Sessions are kept.",
                self.provider.id,
                failure.error.as_deref().unwrap_or("no reason given"),
            )
        })
    }

    pub(super) fn outage(&self) -> MutexGuard<'_, Outage> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The longest all sessions are held back because of one failure: a probe every few seconds notices recovery.
const OUTAGE_HOLD_MAX: Duration = Duration::from_secs(5);
