//! OIDC Back-Channel Logout 1.0 §2.6: a logout token, verified by the provider's keys.

use perennial_core::id_token::{Expectation, IdTokenError, LogoutClaims, LogoutTokenError, verify_logout};
use perennial_core::provider::ResolvedProvider;
use perennial_core::secret::LogoutToken;

use super::keys::{KEYS_AGE_MAX, KEYS_REFETCH_INTERVAL};
use super::{IssuerClient, IssuerError};
use crate::edge::Edges;

impl IssuerClient {
    /// What a logout token of this provider says.
    pub(crate) async fn verify_logout(
        &self,
        edges: &Edges,
        resolved: &ResolvedProvider,
        token: &LogoutToken,
    ) -> Result<LogoutClaims, IssuerError> {
        let expected = Expectation::of(resolved, edges.now())
            .ok_or_else(|| IssuerError("the provider has no issuer to check logout tokens against".into()))?;
        let keys = self.keys(edges, resolved, KEYS_AGE_MAX).await?;
        match verify_logout(token, &expected, &keys) {
            // A key we have not seen: look once more, but not more often than a flood of forgeries could make us.
            Err(LogoutTokenError::Token(IdTokenError::UnknownKid { .. })) => {
                let keys = self.keys(edges, resolved, KEYS_REFETCH_INTERVAL).await?;
                verify_logout(token, &expected, &keys)
            }
            judged => judged,
        }
        .map_err(|error| IssuerError(error.to_string()))
    }
}
