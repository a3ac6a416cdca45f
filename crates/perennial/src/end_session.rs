//! OIDC RP-Initiated Logout 1.0 §2, §3: where a browser goes once its session is over here, by way of the provider if wanted.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use perennial_core::authorize::end_session_url;
use perennial_core::provider::ResolvedProvider;
use perennial_core::secret::State;
use perennial_core::session::SessionState;
use url::Url;

use crate::auth::Auth;
use crate::engine::Inner;
use crate::issuer::IssuerClient;

/// Where a browser has to go to sign out, and what it has to forget.
#[derive(Clone)]
#[non_exhaustive]
pub struct SignOutStart {
    /// The provider's end-session URL, which may hold the ID token and must not be logged; or the return URL.
    pub location: String,
    /// `Set-Cookie` lines for the answer that sends the browser there.
    pub set_cookies: Vec<HeaderValue>,
}

impl Auth {
    /// [`sign_out`](Self::sign_out), and where to go then: to `return_to`, a URL of this site that the caller has judged; by way
    /// of the provider, which ends its own session with the user, where
    /// [`sign_out_at_provider`](crate::AuthBuilder::sign_out_at_provider) says so and the provider has an endpoint for it.
    ///
    /// The session here is over first, whatever the provider does.
    pub async fn begin_sign_out(&self, headers: &HeaderMap, return_to: &str) -> SignOutStart {
        let newest = self.inner.sign_out(headers).await;
        let by_way_of = match newest {
            Some(newest) if self.inner.settings.sign_out_at_provider => {
                self.inner.end_session_location(&newest, return_to).await
            }
            _ => None,
        };
        let location = by_way_of.map_or_else(|| return_to.to_owned(), String::from);
        SignOutStart { location, set_cookies: self.inner.cleared(headers) }
    }
}

impl Inner {
    /// The URL that ends the user's session at the provider of `state` and comes back to our own endpoint, which goes on to
    /// `return_to`; `None` where the provider has none.
    async fn end_session_location(&self, state: &SessionState, return_to: &str) -> Option<Url> {
        let provider = self.resolved_soon(self.issuer(&state.provider)?).await?;
        let hint = state.tokens.as_ref().and_then(|tokens| tokens.id_token.as_ref());
        let back = self.settings.endpoint_url(POST_LOGOUT_PATH);
        // Judged again when it comes back, so that it need not be secret and cannot lead anywhere else.
        let url = end_session_url(&provider, hint, Some(&back), Some(&State::new(return_to)));
        if url.is_none() {
            let provider = state.provider.as_str();
            tracing::info!(provider, "signed out here alone: the provider has no end-session endpoint");
        }
        url
    }

    /// Where forms that sign out may lead, which browsers count as the form's action too.
    pub(crate) async fn end_session_origins(&self) -> Vec<String> {
        if !self.settings.sign_out_at_provider {
            return Vec::new();
        }
        let resolved =
            futures_util::future::join_all(self.issuers.iter().map(|issuer| self.resolved_soon(issuer))).await;
        let endpoints = resolved.into_iter().flatten().filter_map(|provider| provider.end_session.clone());
        let mut origins: Vec<_> = endpoints.map(|endpoint| endpoint.url().origin().ascii_serialization()).collect();
        origins.sort();
        origins.dedup();
        origins
    }

    /// The provider's endpoints as they are known, or are known soon: nobody waits for them who only wants to leave.
    async fn resolved_soon(&self, issuer: &IssuerClient) -> Option<Arc<ResolvedProvider>> {
        let provider = issuer.provider().id.as_str();
        match tokio::time::timeout(METADATA_PATIENCE, issuer.resolved(&self.edges)).await {
            Ok(Ok(resolved)) => Some(resolved),
            Ok(Err(error)) => {
                tracing::warn!(%error, provider, "signed out here alone: the provider cannot be asked for its endpoints");
                None
            }
            Err(_) => {
                tracing::warn!(provider, "signed out here alone: the provider takes too long to tell its endpoints");
                None
            }
        }
    }
}

/// Not derived: the location may hold an ID token.
impl fmt::Debug for SignOutStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignOutStart").finish_non_exhaustive()
    }
}

/// Where the provider sends the browser back to, below the base path; to be registered there.
pub(crate) const POST_LOGOUT_PATH: &str = "/signout/callback";

/// How long a sign-out waits for metadata that are not known yet: a person who leaves looks at a blank page meanwhile.
const METADATA_PATIENCE: Duration = Duration::from_secs(1);
