//! RFC 7009: a refresh token of a session that is over is revoked, also when the provider is down just then.

use std::sync::Arc;
use std::time::Duration;

use perennial_core::names::ProviderId;
use perennial_core::renewal::backoff;
use perennial_core::secret::RefreshToken;
use perennial_core::session::SessionState;
use perennial_store::RecordKey;

use super::owed::CLAIM;
use crate::engine::Inner;
use crate::errands::{Errand, Pause};
use crate::issuer::{IssuerClient, Revocation};
use crate::ledger::record_key;

impl Inner {
    /// Revokes the refresh token of a session that is over. What the provider cannot take just now is tried again in the
    /// background.
    pub(crate) async fn revoke(self: &Arc<Self>, issuer: &IssuerClient, state: &SessionState) {
        if let Some(refresh_token) = state.tokens.as_ref().and_then(|tokens| tokens.refresh_token.as_ref()) {
            self.revoke_token(issuer, refresh_token, Some(record_key(state))).await;
        }
    }

    /// The same for a refresh token that is owed by the session whose record has the key `session`, or was given to none.
    pub(crate) async fn revoke_token(
        self: &Arc<Self>,
        issuer: &IssuerClient,
        refresh_token: &RefreshToken,
        session: Option<RecordKey>,
    ) {
        match (issuer.revoke(&self.edges, refresh_token).await, session) {
            (Revocation::Settled, None) => {}
            (Revocation::Settled, Some(session)) => self.owe_no_more(session, refresh_token).await,
            (Revocation::Later(after), _) => self.revoke_later(issuer, refresh_token.clone(), session, after),
        }
    }

    /// The same, with nobody waiting for the provider to take note.
    pub(crate) fn revoke_in_background(self: &Arc<Self>, state: Arc<SessionState>) {
        let (inner, errand) = (self.clone(), self.errands.begin());
        tokio::spawn(async move {
            if let Some(issuer) = inner.issuer(&state.provider) {
                inner.revoke(issuer, &state).await;
            }
            drop(errand);
        });
    }

    /// What a session owes is in the store as well, so that others go on where this process ends. A token that no session was
    /// given is kept in memory alone: nothing at rest says that it may be revoked.
    fn revoke_later(
        self: &Arc<Self>,
        issuer: &IssuerClient,
        refresh_token: RefreshToken,
        session: Option<RecordKey>,
        after: Option<Duration>,
    ) {
        let provider = issuer.provider().id.clone();
        let Some(errand) = self.errands.begin() else { return gave_up(&provider, session, 1) };
        let inner = self.clone();
        tokio::spawn(async move {
            let Some(issuer) = inner.issuer(&provider) else { return };
            match (inner.revoke_at_last(issuer, &refresh_token, session, after, &errand).await, session) {
                (Ok(()), None) => {}
                (Ok(()), Some(session)) => inner.owe_no_more(session, &refresh_token).await,
                (Err(tries), session) => {
                    if let Some(session) = session {
                        inner.claim_debt(session, inner.now()).await;
                    }
                    gave_up(&provider, session, tries);
                }
            }
        });
    }

    /// Tries until the provider has taken note; `Err` with the number of tries if it never does.
    async fn revoke_at_last(
        &self,
        issuer: &IssuerClient,
        refresh_token: &RefreshToken,
        session: Option<RecordKey>,
        mut after: Option<Duration>,
        errand: &Errand,
    ) -> Result<(), u32> {
        let give_up_at = self.now() + REVOCATION_TIME;
        for failures in 1..REVOCATION_TRIES {
            let pause = backoff(failures, after, self.edges.roll());
            if let Some(session) = session {
                self.claim_debt(session, self.now() + pause + CLAIM).await;
            }
            let pause = errand.pause(pause).await;
            match issuer.revoke(&self.edges, refresh_token).await {
                Revocation::Settled => return Ok(()),
                Revocation::Later(asked) => after = asked,
            }
            if pause == Pause::CutShort || self.now() >= give_up_at {
                return Err(failures + 1);
            }
        }
        Err(REVOCATION_TRIES)
    }
}

fn gave_up(provider: &ProviderId, session: Option<RecordKey>, tries: u32) {
    let provider = provider.as_str();
    match session {
        Some(_) => tracing::warn!(
            provider,
            tries,
            "the refresh token of a session that is over was not revoked yet: it stays owed in the store, for whoever looks next"
        ),
        None => tracing::error!(
            provider,
            tries,
            "a refresh token that no session was given was not revoked: it lives at the provider until it expires"
        ),
    }
}

/// How often one process tries a revocation in a row: with pauses of up to half a minute, for some ten minutes.
const REVOCATION_TRIES: u32 = 40;

/// No try is made later than this after the first, however long the provider asks to be left alone in between.
const REVOCATION_TIME: Duration = Duration::from_secs(30 * 60);
