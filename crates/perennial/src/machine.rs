//! RFC 6749 §4.4: a token of the application itself, beside the users' and never instead of one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use perennial_core::Timestamp;
use perennial_core::secret::AccessToken;
use perennial_core::token::TokenFailure;
use tokio::sync::Mutex;

use crate::auth::Auth;
use crate::issuer::IssuerClient;

/// Why there is no machine token.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MachineTokenError {
    /// No provider of that id is configured.
    #[error("no provider called `{0}` is configured")]
    UnknownProvider(String),
    /// The provider gave none.
    #[error("{0}; allow the client_credentials grant for this client at the provider")]
    Refused(TokenFailure),
}

impl Auth {
    /// A token of the application itself from `provider`, for `audience` where the provider wants one named. Kept until shortly
    /// before it expires; parallel callers get one. It stands for nobody: never hand it to a browser.
    ///
    /// # Errors
    /// [`MachineTokenError`].
    pub async fn machine_token(
        &self,
        provider: &str,
        audience: Option<&str>,
    ) -> Result<Arc<AccessToken>, MachineTokenError> {
        let issuer = self.inner.issuers.iter().find(|issuer| issuer.provider().id.as_str() == provider);
        let issuer = issuer.ok_or_else(|| MachineTokenError::UnknownProvider(provider.to_owned()))?;
        issuer.machine_tokens.token(issuer, self, audience).await
    }
}

/// The machine tokens of one provider, by audience.
#[derive(Default)]
pub(crate) struct MachineTokens(Mutex<HashMap<Option<String>, Kept>>);

struct Kept {
    token: Arc<AccessToken>,
    until: Timestamp,
}

impl MachineTokens {
    /// Holds the map while it calls, so that a burst of callers makes one call.
    async fn token(
        &self,
        issuer: &IssuerClient,
        auth: &Auth,
        audience: Option<&str>,
    ) -> Result<Arc<AccessToken>, MachineTokenError> {
        let edges = &auth.inner.edges;
        let mut tokens = self.0.lock().await;
        tokens.retain(|_, kept| edges.now() < kept.until);
        if let Some(kept) = tokens.get(&audience.map(str::to_owned)) {
            return Ok(kept.token.clone());
        }
        let answer = issuer.client_credentials(edges, audience).await.map_err(MachineTokenError::Refused)?;
        let token = Arc::new(answer.access_token);
        // Without an expiry nobody can say how long it is good: it is used once.
        if let Some(expires_at) = answer.expires_at {
            let until = expires_at - MARGIN.min(expires_at.since(answer.requested_at) / 3);
            tokens.insert(audience.map(str::to_owned), Kept { token: token.clone(), until });
        }
        Ok(token)
    }
}

/// Kept back from a token's life for its way to where it is used.
const MARGIN: Duration = Duration::from_secs(60);
