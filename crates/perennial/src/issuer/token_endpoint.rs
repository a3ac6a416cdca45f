//! RFC 6749 §3.2 · RFC 7009: calls to the token endpoint and the one for revocation.

use http::Request;
use perennial_core::authorize::AuthorizationResponse;
use perennial_core::outage::News;
use perennial_core::provider::ResolvedProvider;
use perennial_core::record::Intent;
use perennial_core::secret::RefreshToken;
use perennial_core::session::Audience;
use perennial_core::token::{
    RevocableToken, TokenExchange, TokenFailure, TokenResponse, client_credentials_request, code_request,
    read_revocation, read_token_response, refresh_request, revoke_request,
};

use super::{IssuerClient, IssuerError, RefreshPass};
use crate::edge::{Edges, SendError};

impl IssuerClient {
    /// Exchanges a code that came back to its sign-in.
    pub(crate) async fn exchange(
        &self,
        edges: &Edges,
        code: AuthorizationResponse,
    ) -> Result<TokenResponse, TokenFailure> {
        let resolved = self.resolved(edges).await.map_err(|_| TokenFailure::not_sent())?;
        let request = code_request(&resolved, code, edges.now(), &*edges.random);
        self.call_token_endpoint(edges, request.map_err(|_| TokenFailure::not_sent())?, None).await
    }

    /// Sends a refresh token, and nothing before it. Called by `renew` alone, after its intent is written.
    pub(crate) async fn refresh(
        &self,
        edges: &Edges,
        resolved: &ResolvedProvider,
        refresh_token: &RefreshToken,
        audience: Option<&Audience>,
        intent: &Intent,
        pass: RefreshPass,
    ) -> Result<TokenResponse, TokenFailure> {
        let request = refresh_request(resolved, refresh_token, audience, edges.now(), &*edges.random);
        let request = request.map_err(|_| TokenFailure::not_sent())?;
        // Too late when the store or discovery took so long that somebody else may call before our call is over.
        if !intent.covers(edges.now() + edges.call_deadline) {
            tracing::warn!(provider = self.provider.id.as_str(), "the lease was nearly over before the call: not sent");
            return Err(TokenFailure::not_sent());
        }
        let answer = self.call_token_endpoint(edges, request, Some(refresh_token)).await;
        let news = match &answer {
            Ok(_) => News::Renewed,
            // Refused is the audience alone, by a provider that is at work.
            Err(failure) if audience.is_some() && failure.may_be_about_the_audience() => News::AtWork,
            Err(failure) => News::of(failure),
        };
        pass.report(news, edges.now(), edges.roll());
        answer
    }

    /// RFC 6749 §4.4.2.
    pub(crate) async fn client_credentials(
        &self,
        edges: &Edges,
        audience: Option<&str>,
    ) -> Result<TokenResponse, TokenFailure> {
        let resolved = self.resolved(edges).await.map_err(|_| TokenFailure::not_sent())?;
        let request = client_credentials_request(&resolved, audience, edges.now(), &*edges.random);
        self.call_token_endpoint(edges, request.map_err(|_| TokenFailure::not_sent())?, None).await
    }

    async fn call_token_endpoint(
        &self,
        edges: &Edges,
        request: Request<Vec<u8>>,
        presented: Option<&RefreshToken>,
    ) -> Result<TokenResponse, TokenFailure> {
        let started = edges.now();
        let answer = edges.send(request).await.map_err(|error| {
            tracing::warn!(%error, provider = self.provider.id.as_str(), "no answer from the token endpoint");
            match error {
                SendError::NotSent(_) => TokenFailure::not_sent(),
                SendError::InDoubt(_) => TokenFailure::no_answer(),
                SendError::TimedOut(_) => TokenFailure::timed_out(),
            }
        })?;
        let exchange = TokenExchange { provider: &self.provider, presented, started, answered: edges.now() };
        read_token_response(&exchange, answer.status(), answer.headers(), answer.body())
    }

    /// RFC 7009; whether it worked is logged and otherwise of no consequence.
    pub(crate) async fn revoke(&self, edges: &Edges, refresh_token: &RefreshToken) {
        let revoked = async {
            let resolved = self.resolved(edges).await?;
            let token = RevocableToken::Refresh(refresh_token);
            let request = revoke_request(&resolved, token, edges.now(), &*edges.random);
            let Some(request) = request.map_err(|error| IssuerError(error.to_string()))? else { return Ok(()) };
            let answer = edges.send(request).await.map_err(|error| IssuerError(error.to_string()))?;
            read_revocation(answer.status(), answer.headers(), answer.body(), edges.now())
                .map_err(|error| IssuerError(error.to_string()))
        };
        if let Err(error) = revoked.await {
            tracing::warn!(%error, provider = self.provider.id.as_str(), "a refresh token could not be revoked");
        }
    }
}
