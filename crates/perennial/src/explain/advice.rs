//! What to do about a session's state: one sentence, and where the documentation says more.

use perennial_core::record::{EndReason, Loss, Phase, Record, RenewalVerdict};
use serde::{Deserialize, Serialize};

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advice {
    /// One sentence.
    pub sentence: String,
    /// Where the documentation says more: a path and a heading.
    pub docs: String,
}

/// What to do about `record`; `None` where all is as it should be.
pub(super) fn advice(record: &Record) -> Option<Advice> {
    let (sentence, docs) = match &record.phase {
        Phase::Ended { reason, .. } => ended(record, *reason)?,
        Phase::Refused { .. } => refused(record.history.loss(EndReason::Refused, record.generation)),
        Phase::InDoubt(_) => (
            "An answer of the provider was lost; what can be done about the refresh token is a matter of the provider's class.",
            "docs/renewal.md#classes-of-providers",
        ),
        Phase::Idle { failures: 0, .. } | Phase::Intent(_) => return None,
        Phase::Idle { .. } => match super::newest(&record.history, record.generation, |_| true) {
            Some((_, failed)) if failed.verdict == RenewalVerdict::Misconfigured => (
                "The provider refuses our client: compare client id, secret, authentication method and grant types with what it has.",
                "docs/observability.md#provider_refuses_client",
            ),
            _ => (
                "The provider cannot be reached or is busy: see whether it is up; the session is kept and tried again by itself.",
                "docs/renewal.md#when-things-fail",
            ),
        },
    };
    Some(Advice { sentence: sentence.to_owned(), docs: docs.to_owned() })
}

fn ended(record: &Record, reason: EndReason) -> Option<(&'static str, &'static str)> {
    match reason {
        EndReason::Refused => Some(refused(record.history.loss(reason, record.generation))),
        EndReason::IdentityChanged => Some((
            "See at the provider why a refresh of this user's token brought an ID token about another user, issuer or client.",
            "docs/renewal.md#when-things-fail",
        )),
        EndReason::SecretGone => Some((
            "Put the secret that was taken out back at the end of the list until its sessions are over.",
            "docs/configuration.md#several-secrets",
        )),
        EndReason::Unproven => Some((
            "Have the provider issue refresh tokens, by which it can vouch for sessions when the epoch is raised.",
            "docs/stores.md#after-a-restore-raise-the-epoch",
        )),
        EndReason::SignedOut
        | EndReason::Callback
        | EndReason::Elsewhere
        | EndReason::TooOld
        | EndReason::ProviderSignedOut
        | EndReason::OperatorEnded => None,
    }
}

fn refused(loss: Option<Loss>) -> (&'static str, &'static str) {
    match loss {
        Some(Loss::RefusedAfterDoubt) => (
            "Have the provider forgive a lost answer: reusable refresh tokens for a confidential client, or an overlap of 30 s or more.",
            "docs/renewal.md#settings-at-the-provider",
        ),
        _ => (
            "Look at the provider for what ended the grant: the refresh token's lifetime, an administrator, a changed password, or a limit on tokens per user.",
            "docs/renewal.md#what-cannot-be-saved",
        ),
    }
}
