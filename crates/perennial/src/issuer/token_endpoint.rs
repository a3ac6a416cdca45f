//! RFC 6749 §3.2 · RFC 7009: calls to the token endpoint and the one for revocation.

use std::time::Duration;

use http::Request;
use perennial_core::authorize::AuthorizationResponse;
use perennial_core::outage::News;
use perennial_core::provider::ResolvedProvider;
use perennial_core::record::Intent;
use perennial_core::secret::RefreshToken;
use perennial_core::session::Audience;
use perennial_core::token::{
    RevocableToken, RevocationError, TokenExchange, TokenFailure, TokenResponse, client_credentials_request,
    code_request, read_revocation, read_token_response, refresh_request, revoke_request,
};

use super::{IssuerClient, RefreshPass};
use crate::edge::{Edges, SendError};

/// How an attempt to revoke a token ended.
#[must_use = "a token that is not revoked yet lives"]
pub(crate) enum Revocation {
    /// It is revoked; or it never will be, because the provider has no endpoint for it or refuses.
    Settled,
    /// Not yet: try again, after this long if the provider says so.
    Later(Option<Duration>),
}

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

    /// RFC 7009, once; how it went is logged.
    pub(crate) async fn revoke(&self, edges: &Edges, refresh_token: &RefreshToken) -> Revocation {
        let provider = self.provider.id.as_str();
        let resolved = match self.resolved(edges).await {
            Ok(resolved) => resolved,
            Err(error) => {
                tracing::warn!(%error, provider, "a refresh token could not be revoked yet");
                return Revocation::Later(None);
            }
        };
        let request = revoke_request(&resolved, RevocableToken::Refresh(refresh_token), edges.now(), &*edges.random);
        let answer = match request {
            Ok(Some(request)) => edges.send(request).await,
            Ok(None) => return Revocation::Settled,
            Err(error) => {
                tracing::error!(%error, provider, "a refresh token could not be revoked");
                return Revocation::Settled;
            }
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!(%error, provider, "a refresh token could not be revoked yet");
                return Revocation::Later(None);
            }
        };
        match read_revocation(answer.status(), answer.headers(), answer.body(), edges.now()) {
            Ok(()) => Revocation::Settled,
            Err(RevocationError::Unavailable { retry_after }) => {
                tracing::warn!(provider, status = answer.status().as_u16(), "a refresh token could not be revoked yet");
                Revocation::Later(retry_after)
            }
            Err(error) => {
                tracing::error!(%error, provider, "a refresh token could not be revoked");
                Revocation::Settled
            }
        }
    }
}
