//! The provider's tokens of one generation, and how a renewal's answer replaces them (RFC 6749 §5.1 and §6).

use std::time::Duration;

use serde_json::Value;

use crate::names::Scope;
use crate::secret::{AccessToken, IdToken, RefreshToken};
use crate::time::Timestamp;
use crate::token::TokenResponse;

/// The tokens of one generation.
#[derive(Clone, Debug)]
pub struct TokenSet {
    /// What upstreams accept.
    pub access_token: AccessToken,
    /// RFC 6749 §7.1, as received.
    pub token_type: String,
    /// What the next generation is bought with; a provider may give none.
    pub refresh_token: Option<RefreshToken>,
    /// The newest ID token, kept for OIDC Core §12.2 and as `id_token_hint` at sign-out.
    pub id_token: Option<IdToken>,
    /// The granted scope.
    pub scope: Option<Scope>,
    /// When the request for these tokens was sent: lifetimes count from here, never from the answer.
    pub issued_at: Timestamp,
    /// When the access token dies; `None` when neither the provider nor the configuration says.
    pub expires_at: Option<Timestamp>,
    /// When the refresh token dies, where the provider says so.
    pub refresh_token_expires_at: Option<Timestamp>,
}

impl TokenSet {
    /// The tokens of a first answer. `lifetime` stands in for an absent `expires_in`.
    pub fn new(response: TokenResponse, lifetime: Option<Duration>) -> Self {
        Self {
            expires_at: response.expires_at.or_else(|| lifetime.map(|lifetime| response.requested_at + lifetime)),
            access_token: response.access_token,
            token_type: response.token_type,
            refresh_token: response.refresh_token,
            id_token: response.id_token,
            scope: response.scope,
            issued_at: response.requested_at,
            refresh_token_expires_at: response.refresh_token_expires_at,
        }
    }

    /// Whether the access token is still good at `now`.
    pub fn alive_at(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|at| now < at)
    }

    pub(super) fn rotated(&self, response: TokenResponse, lifetime: Option<Duration>) -> Self {
        let mut next = Self::new(response, lifetime);
        if next.refresh_token.is_none() {
            next.refresh_token.clone_from(&self.refresh_token);
            next.refresh_token_expires_at = next.refresh_token_expires_at.or(self.refresh_token_expires_at);
        }
        next.id_token = next.id_token.or_else(|| self.id_token.clone());
        next.scope = next.scope.or_else(|| self.scope.clone());
        next
    }

    /// Those among the claims that `take` takes out.
    pub(super) fn read(
        mut take: impl FnMut(&str) -> Option<Value>,
        issued_at: Timestamp,
        expires_at: Option<Timestamp>,
        refresh_token_expires_at: Option<Timestamp>,
    ) -> Option<Self> {
        let mut take = |name: &str| match take(name) {
            Some(Value::String(text)) if !text.is_empty() => Some(text),
            _ => None,
        };
        Some(Self {
            access_token: AccessToken::new(take("access_token")?),
            token_type: take("token_type").unwrap_or_else(|| "Bearer".into()),
            refresh_token: take("refresh_token").map(RefreshToken::new),
            id_token: take("id_token").map(IdToken::new),
            scope: take("scope").map(Scope::new),
            issued_at,
            expires_at,
            refresh_token_expires_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::*;
    use super::*;

    #[test]
    fn a_lifetime_stands_in_for_an_absent_expires_in_and_counts_from_the_request() {
        let silent = || TokenResponse { expires_at: None, ..response(None, None, None) };
        let tokens = TokenSet::new(silent(), Some(Duration::from_secs(60)));
        assert_eq!(tokens.expires_at, Some(at(260)));
        assert_eq!(TokenSet::new(silent(), None).expires_at, None);
        assert_eq!(TokenSet::new(response(None, None, None), Some(Duration::from_secs(60))).expires_at, Some(at(500)));
    }
}
