//! OIDC Back-Channel Logout 1.0 §2.5–§2.8: a provider says that a user or a session is over there, and it is over here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use perennial_core::Timestamp;
use perennial_core::id_token::{LoggedOut, LogoutClaims, logout_address};
use perennial_core::limits::ID_TOKEN_CLOCK_SKEW;
use perennial_core::provider::{IssuerRule, ProviderKind};
use perennial_core::record::EndMark;
use perennial_core::secret::LogoutToken;
use perennial_core::session::MarkId;

use crate::engine::Inner;
use crate::hall::RETRY_SOON;
use crate::issuer::IssuerClient;
use crate::refusal::Refusal;

impl Inner {
    /// Ends what `token` says is over.
    ///
    /// # Errors
    /// [`Refusal::LogoutTokenRefused`]; [`Refusal::SessionUnavailable`] while the store fails, so that the provider tries again.
    pub(crate) async fn end_by_logout_token(self: &Arc<Self>, token: &LogoutToken) -> Result<(), Refusal> {
        let (issuer, claims) = self.verified(token).await?;
        let provider = &issuer.provider().id;
        if self.logout_tokens.was_heeded(provider.as_str(), &claims.jti, self.now()) {
            tracing::warn!(provider = provider.as_str(), "a logout token came once more and was refused");
            return Err(Refusal::LogoutTokenRefused);
        }
        let id = match &claims.whom {
            LoggedOut::Session(sid) => MarkId::of_provider_session(provider, sid),
            LoggedOut::User(sub) => MarkId::of_user(provider, sub),
        };
        if self.mark(id, EndMark::by_provider(claims.issued_at)).await.is_err() {
            return Err(Refusal::SessionUnavailable { retry_after: RETRY_SOON });
        }
        self.logout_tokens.heed(provider.as_str(), &claims, self.now());
        let all = matches!(claims.whom, LoggedOut::User(_));
        tracing::info!(provider = provider.as_str(), all_sessions_of_the_user = all, "signed out by the provider");
        Ok(())
    }

    /// What the token says, and by whose keys that was proven.
    async fn verified(&self, token: &LogoutToken) -> Result<(&IssuerClient, LogoutClaims), Refusal> {
        let address = logout_address(token).map_err(|error| refuse(&error))?;
        let addressed = |issuer: &&IssuerClient| {
            let provider = issuer.provider();
            provider.kind == ProviderKind::Oidc
                && address.audiences.iter().any(|aud| aud == provider.client_id.as_str())
        };
        let mut unreachable = None;
        for issuer in self.issuers.iter().filter(addressed) {
            let resolved = match issuer.resolved(&self.edges).await {
                Ok(resolved) => resolved,
                Err(error) => {
                    unreachable = Some(error);
                    continue;
                }
            };
            let accepts = |rule: &IssuerRule| rule.accepts(&address.issuer, address.tenant.as_deref());
            if resolved.issuer.as_ref().is_some_and(accepts) {
                let claims = issuer.verify_logout(&self.edges, &resolved, token).await;
                return claims.map(|claims| (issuer, claims)).map_err(|error| refuse(&error));
            }
        }
        match unreachable {
            Some(error) => {
                tracing::warn!(%error, "a logout token could not be verified");
                Err(Refusal::RenewalSuspended { retry_after: RETRY_SOON })
            }
            None => Err(refuse(&"no provider of this issuer and client is configured")),
        }
    }
}

fn refuse(error: &dyn std::fmt::Display) -> Refusal {
    tracing::warn!(%error, "a logout token was refused");
    Refusal::LogoutTokenRefused
}

/// The logout tokens that were heeded, until they expire. To heed one twice does no harm, because a mark's moment is the token's;
/// what is kept is bounded, then.
#[derive(Default)]
pub(crate) struct LogoutTokens {
    heeded: Mutex<HashMap<(String, String), Timestamp>>,
}

impl LogoutTokens {
    fn was_heeded(&self, provider: &str, jti: &str, now: Timestamp) -> bool {
        let heeded = self.heeded.lock().unwrap_or_else(PoisonError::into_inner);
        heeded.get(&(provider.to_owned(), jti.to_owned())).is_some_and(|until| *until > now)
    }

    fn heed(&self, provider: &str, claims: &LogoutClaims, now: Timestamp) {
        let mut heeded = self.heeded.lock().unwrap_or_else(PoisonError::into_inner);
        if heeded.len() >= LOGOUT_TOKENS {
            heeded.retain(|_, until| *until > now);
        }
        if heeded.len() < LOGOUT_TOKENS && claims.jti.len() <= JTI_CHARS {
            let until = claims.expires_at + ID_TOKEN_CLOCK_SKEW;
            heeded.insert((provider.to_owned(), claims.jti.clone()), until);
        }
    }
}

/// Logout tokens remembered at a time: they live for two minutes, and a provider that signs out hundreds a second has other
/// worries than repetition, which does no harm.
const LOGOUT_TOKENS: usize = 4096;

/// Characters of a `jti` that is remembered: the usual are UUIDs.
const JTI_CHARS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(jti: &str, expires_at: i64) -> LogoutClaims {
        let at = Timestamp::from_unix_seconds;
        let whom = LoggedOut::User("u".into());
        LogoutClaims { whom, issued_at: at(0), expires_at: at(expires_at), jti: jti.to_owned() }
    }

    #[test]
    fn a_token_is_remembered_until_it_expires_and_never_too_many() {
        let at = Timestamp::from_unix_seconds;
        let tokens = LogoutTokens::default();
        tokens.heed("p", &claims("j", 120), at(0));
        for (provider, jti, now, expected) in
            [("p", "j", 179, true), ("p", "j", 180, false), ("q", "j", 0, false), ("p", "k", 0, false)]
        {
            assert_eq!(tokens.was_heeded(provider, jti, at(now)), expected, "{provider} {jti} {now}");
        }
        for (length, remembered) in [(JTI_CHARS, true), (JTI_CHARS + 1, false)] {
            let long = "x".repeat(length);
            tokens.heed("p", &claims(&long, 120), at(0));
            assert_eq!(tokens.was_heeded("p", &long, at(0)), remembered, "{length}");
        }
        for number in 2..=LOGOUT_TOKENS {
            tokens.heed("p", &claims(&number.to_string(), 500), at(0));
        }
        assert!(tokens.was_heeded("p", &(LOGOUT_TOKENS - 1).to_string(), at(0)));
        assert!(!tokens.was_heeded("p", &LOGOUT_TOKENS.to_string(), at(0)), "one more than there is room for");
        // Those that have run out make room.
        tokens.heed("p", &claims("late", 900), at(180));
        assert!(tokens.was_heeded("p", "late", at(180)));
    }
}
