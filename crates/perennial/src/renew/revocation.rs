//! RFC 7009: a refresh token of a session that is over is revoked, also when the provider is down just then.

use std::sync::Arc;
use std::time::Duration;

use perennial_core::names::ProviderId;
use perennial_core::renewal::backoff;
use perennial_core::secret::RefreshToken;
use perennial_core::session::SessionState;

use crate::engine::Inner;
use crate::errands::Pause;
use crate::issuer::{IssuerClient, Revocation};

impl Inner {
    /// Revokes the refresh token of a session that is over. What the provider cannot take just now is tried again in the
    /// background.
    pub(crate) async fn revoke(self: &Arc<Self>, issuer: &IssuerClient, state: &SessionState) {
        if let Some(refresh_token) = state.tokens.as_ref().and_then(|tokens| tokens.refresh_token.as_ref()) {
            self.revoke_token(issuer, refresh_token).await;
        }
    }

    /// The same for a refresh token that no session was given.
    pub(crate) async fn revoke_token(self: &Arc<Self>, issuer: &IssuerClient, refresh_token: &RefreshToken) {
        if let Revocation::Later(after) = issuer.revoke(&self.edges, refresh_token).await {
            self.revoke_later(&issuer.provider().id, refresh_token.clone(), after);
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

    /// The token is kept in memory alone: in the store it would lie open to whoever has the store and the secrets, because the
    /// share that seals a record went with the cookie. So what this process does not get done nobody does.
    fn revoke_later(self: &Arc<Self>, provider: &ProviderId, refresh_token: RefreshToken, after: Option<Duration>) {
        let Some(errand) = self.errands.begin() else { return gave_up(provider, 1) };
        let (inner, provider, mut after) = (self.clone(), provider.clone(), after);
        tokio::spawn(async move {
            let Some(issuer) = inner.issuer(&provider) else { return };
            let give_up_at = inner.now() + REVOCATION_TIME;
            for failures in 1..REVOCATION_TRIES {
                let pause = errand.pause(backoff(failures, after, inner.edges.roll())).await;
                match issuer.revoke(&inner.edges, &refresh_token).await {
                    Revocation::Settled => return,
                    Revocation::Later(asked) => after = asked,
                }
                if pause == Pause::CutShort || inner.now() >= give_up_at {
                    return gave_up(&provider, failures + 1);
                }
            }
            gave_up(&provider, REVOCATION_TRIES);
        });
    }
}

fn gave_up(provider: &ProviderId, tries: u32) {
    tracing::error!(
        provider = provider.as_str(),
        tries,
        "the refresh token of a session that is over was not revoked: it lives at the provider until it expires"
    );
}

/// How often a revocation is tried in all: with pauses of up to half a minute, for some ten minutes.
const REVOCATION_TRIES: u32 = 40;

/// No try is made later than this after the first, however long the provider asks to be left alone in between.
const REVOCATION_TIME: Duration = Duration::from_secs(30 * 60);
