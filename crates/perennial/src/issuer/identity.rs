//! OIDC Core §3.1.3.7, §5.3, §12.2: who signed in, and whether a renewed ID token is about the same person.

use std::time::Duration;

use perennial_core::authorize::PendingSignIn;
use perennial_core::id_token::{
    Expectation, ExpectedNonce, IdTokenClaims, IdTokenError, VerifiedIdToken, check_renewed, read_unverified_claims,
    read_userinfo, verify,
};
use perennial_core::provider::{Profile, ProviderKind, ResolvedProvider};
use perennial_core::secret::{AccessToken, IdToken};
use perennial_core::session::{SessionState, TokenSet};
use perennial_core::token::userinfo_request;

use super::keys::{KEYS_AGE_MAX, KEYS_REFETCH_INTERVAL};
use super::{IssuerClient, IssuerError};
use crate::callbacks::Claims;
use crate::edge::Edges;

/// Whether a renewed ID token is about the same person.
pub(crate) enum Identity {
    /// It is.
    Same,
    /// It could not be verified: it is left aside, as if none had come.
    Unproven,
    /// It is authentic and about somebody else (OIDC Core §12.2).
    Changed,
}

impl IssuerClient {
    /// Who signed in: from the verified ID token, or from UserInfo where there is none. Of the claims `kept` are wanted.
    pub(crate) async fn who_is(
        &self,
        edges: &Edges,
        tokens: &TokenSet,
        pending: &PendingSignIn,
        kept: &[String],
    ) -> Result<(Profile, Claims), IssuerError> {
        let resolved = self.resolved(edges).await?;
        let claims = match (self.provider.kind, &tokens.id_token, &pending.nonce) {
            (ProviderKind::Oidc, Some(id_token), Some(nonce)) => {
                let nonce = ExpectedNonce::Sent(nonce);
                let verified =
                    self.verify(edges, &resolved, id_token, nonce, &tokens.access_token, pending.max_age).await?;
                self.completed(edges, &resolved, tokens, verified.into_claims(), kept).await
            }
            (ProviderKind::Oidc, ..) => return Err(IssuerError("the provider sent no ID token at sign-in".into())),
            (ProviderKind::OAuth, ..) => self.userinfo(edges, &resolved, tokens, None).await?,
        };
        let profile = self.provider.profile.read(&claims).map_err(|error| IssuerError(error.to_string()))?;
        Ok((profile, claims))
    }

    /// OIDC Core §5.4: a provider may tell name, email and others at UserInfo alone. It is asked when the ID token has neither of the
    /// two or lacks one of those that are wanted, and believed about the same subject; without an answer the ID token has to do.
    async fn completed(
        &self,
        edges: &Edges,
        resolved: &ResolvedProvider,
        tokens: &TokenSet,
        id_token: IdTokenClaims,
        kept: &[String],
    ) -> Claims {
        let mut claims = id_token.all;
        let told = self.provider.profile.read(&claims).is_ok_and(|who| who.name.is_some() || who.email.is_some());
        let told = told && kept.iter().all(|name| claims.contains_key(name));
        if told || resolved.userinfo.is_none() {
            return claims;
        }
        match self.userinfo(edges, resolved, tokens, Some(&id_token.sub)).await {
            Ok(info) => {
                for (name, value) in info {
                    claims.entry(name).or_insert(value);
                }
            }
            Err(error) => tracing::warn!(%error, "UserInfo was of no use; the session has what the ID token says"),
        }
        claims
    }

    async fn userinfo(
        &self,
        edges: &Edges,
        resolved: &ResolvedProvider,
        tokens: &TokenSet,
        subject: Option<&str>,
    ) -> Result<Claims, IssuerError> {
        let request = userinfo_request(resolved, &tokens.access_token);
        let request = request.ok_or_else(|| IssuerError("the provider has no userinfo endpoint".into()))?;
        let answer = edges.send(request).await.map_err(|error| IssuerError(error.to_string()))?;
        let info = read_userinfo(answer.status(), answer.body(), subject);
        info.map(|info| info.into_claims()).map_err(|error| IssuerError(error.to_string()))
    }

    /// OIDC Core §12.2: a renewed ID token against the one before.
    pub(crate) async fn judge_renewed(
        &self,
        edges: &Edges,
        before: &SessionState,
        after: &SessionState,
        id_token: &IdToken,
    ) -> Identity {
        let Some(tokens) = &after.tokens else { return Identity::Unproven };
        let verified = async {
            let resolved = self.resolved(edges).await?;
            self.verify(edges, &resolved, id_token, ExpectedNonce::AsBefore, &tokens.access_token, None).await
        };
        let verified = match verified.await {
            Ok(verified) => verified,
            Err(error) => {
                tracing::warn!(%error, session = before.id.fingerprint(), "a renewed ID token could not be verified and is left aside");
                return Identity::Unproven;
            }
        };
        let previous = before.tokens.as_ref().and_then(|tokens| tokens.id_token.as_ref());
        // The one before came out of our own sealed cookie and was verified when it went in.
        let Some(previous) = previous.and_then(|token| read_unverified_claims(token).ok()) else {
            return Identity::Same;
        };
        match check_renewed(&previous, &verified) {
            Ok(()) => Identity::Same,
            Err(error) => {
                tracing::error!(%error, session = before.id.fingerprint(), "a renewed ID token is about somebody else: the session ends");
                Identity::Changed
            }
        }
    }

    async fn verify(
        &self,
        edges: &Edges,
        resolved: &ResolvedProvider,
        id_token: &IdToken,
        nonce: ExpectedNonce<'_>,
        access_token: &AccessToken,
        max_age: Option<Duration>,
    ) -> Result<VerifiedIdToken, IssuerError> {
        let now = edges.now();
        let expected = Expectation::of(resolved, now)
            .ok_or_else(|| IssuerError("the provider has no issuer to check ID tokens against".into()))?;
        let expected = Expectation { nonce, access_token: Some(access_token), max_age, ..expected };
        let keys = self.keys(edges, resolved, KEYS_AGE_MAX).await?;
        match verify(id_token, &expected, &keys) {
            // A key we have not seen: look once more, but not more often than a flood of forgeries could make us.
            Err(IdTokenError::UnknownKid { .. }) => {
                let keys = self.keys(edges, resolved, KEYS_REFETCH_INTERVAL).await?;
                verify(id_token, &expected, &keys)
            }
            judged => judged,
        }
        .map_err(|error| IssuerError(error.to_string()))
    }
}
