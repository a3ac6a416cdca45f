//! RFC 8707 · RFC 6749 §6: access tokens for other audiences than the session's own, bought with its one refresh token.
//!
//! They belong to the generation at which they were issued and lie in the record alone: a cookie has no room for them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Generation, SessionState};
use crate::limits::SESSION_AUDIENCES;
use crate::names::Scope;
use crate::secret::AccessToken;
use crate::time::Timestamp;
use crate::token::TokenResponse;

/// What an access token is for, beside the session's own: an API at the provider, with all or part of what was granted.
///
/// Two are the same when they name the same API and the same scope tokens, in whatever order.
///
/// ```
/// use perennial_core::session::Audience;
///
/// let orders = Audience::new("https://orders.example").scope("orders:read orders:write");
/// assert_eq!(orders, Audience::new("https://orders.example").scope("orders:write orders:read"));
/// assert_ne!(orders, Audience::new("https://orders.example"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Audience {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<Scope>,
}

impl Audience {
    /// An API by the name the provider knows it by: RFC 8707's `resource`, an absolute URI, or Auth0's `audience`.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), scope: None }
    }

    /// No API by name, but a token of this scope: how Microsoft tells APIs apart, or a token that may do less.
    pub fn of_scope(scope: &str) -> Self {
        Self { name: None, scope: None }.scope(scope)
    }

    /// The same API with no more than these space-separated scope tokens.
    #[must_use]
    pub fn scope(self, scope: &str) -> Self {
        let mut tokens: Vec<&str> = scope.split_ascii_whitespace().collect();
        tokens.sort_unstable();
        tokens.dedup();
        Self { scope: (!tokens.is_empty()).then(|| Scope::new(tokens.join(" "))), ..self }
    }

    /// The name of the API, where it has one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// What is asked for, where it is less than all that was granted.
    pub fn requested_scope(&self) -> Option<&Scope> {
        self.scope.as_ref()
    }

    /// Whether a token of `granted` scope is what was asked for; an answer that names no scope granted it (RFC 6749 §5.1).
    pub fn is_met_by(&self, granted: Option<&Scope>) -> bool {
        match (&self.scope, granted) {
            (Some(asked), Some(granted)) => asked.as_str().split(' ').all(|token| granted.contains(token)),
            _ => true,
        }
    }
}

/// An access token for one audience.
#[derive(Clone, Debug)]
pub struct AudienceToken {
    /// What it is for.
    pub audience: Audience,
    /// What upstreams accept.
    pub access_token: AccessToken,
    /// The generation that its request brought the session to.
    pub generation: Generation,
    /// When it was asked for.
    pub issued_at: Timestamp,
    /// When it dies; `None` when nobody says.
    pub expires_at: Option<Timestamp>,
}

impl AudienceToken {
    /// Whether it is still good at `now`.
    pub fn alive_at(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|at| now < at)
    }
}

impl SessionState {
    /// The newest access token for `audience` that the session has, dead or alive.
    pub fn audience_token(&self, audience: &Audience) -> Option<&AudienceToken> {
        self.audiences.iter().find(|token| token.audience == *audience)
    }

    /// The next generation of this session, to which `response` brought an access token for `audience`.
    ///
    /// The session's own access token stays; a refresh token that was replaced is. The token itself is kept only if it
    /// [is what was asked for](Audience::is_met_by). Of more than [`SESSION_AUDIENCES`], the oldest goes.
    pub fn renewed_for(&self, audience: &Audience, response: TokenResponse, lifetime: Option<Duration>) -> Self {
        let generation = self.generation.next();
        let met = audience.is_met_by(response.scope.as_ref());
        let token = AudienceToken {
            audience: audience.clone(),
            access_token: response.access_token,
            generation,
            issued_at: response.requested_at,
            expires_at: response.expires_at.or_else(|| lifetime.map(|lifetime| response.requested_at + lifetime)),
        };
        let tokens = self.tokens.clone().map(|own| match response.refresh_token {
            Some(refresh_token) => super::TokenSet {
                refresh_token: Some(refresh_token),
                refresh_token_expires_at: response.refresh_token_expires_at,
                ..own
            },
            None => own,
        });
        let mut audiences = self.audiences.clone();
        audiences.retain(|kept| kept.audience != *audience && kept.alive_at(token.issued_at));
        if met {
            audiences.push(token);
        }
        let surplus = audiences.len().saturating_sub(SESSION_AUDIENCES);
        audiences.drain(..surplus);
        Self { generation, tokens, audiences, ..self.clone() }
    }
}

/// How one lies in the sealed record.
#[derive(Serialize, Deserialize)]
pub(super) struct AudienceClaims {
    #[serde(flatten)]
    audience: Audience,
    token: zeroize::Zeroizing<String>,
    #[serde(rename = "gen")]
    generation: Generation,
    issued: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
}

impl From<&AudienceToken> for AudienceClaims {
    fn from(token: &AudienceToken) -> Self {
        Self {
            audience: token.audience.clone(),
            token: token.access_token.expose_secret().to_owned().into(),
            generation: token.generation,
            issued: token.issued_at,
            expires: token.expires_at,
        }
    }
}

impl From<AudienceClaims> for AudienceToken {
    fn from(claims: AudienceClaims) -> Self {
        Self {
            audience: claims.audience,
            access_token: AccessToken::new(claims.token.as_str()),
            generation: claims.generation,
            issued_at: claims.issued,
            expires_at: claims.expires,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::*;
    use super::*;
    use crate::secret::RefreshToken;

    fn orders() -> Audience {
        Audience::new("https://orders.example").scope("read write")
    }

    #[test]
    fn a_token_for_an_audience_leaves_the_sessions_own_token_and_takes_over_the_refresh_token() {
        let session = session();
        for (refresh_token, kept) in [(Some("rt-2"), "rt-2"), (None, "planted-rt")] {
            let next = session.renewed_for(&orders(), response(refresh_token, Some("ignored"), None), None);
            assert_eq!(next.generation, Generation(1));
            let own = next.tokens.as_ref().expect("the fixture has them");
            assert_eq!(own.access_token, AccessToken::new("planted-at"));
            assert_eq!(own.refresh_token, Some(RefreshToken::new(kept)));
            let token = next.audience_token(&orders()).expect("it was bought");
            assert_eq!(
                (token.access_token.clone(), token.generation),
                (AccessToken::new("planted-at-2"), Generation(1))
            );
            assert_eq!((token.issued_at, token.expires_at), (at(200), Some(at(500))));
        }
    }

    #[test]
    fn nobody_is_handed_a_token_for_another_audience_or_of_less_scope() {
        let next = session().renewed_for(&orders(), response(None, None, Some("write read more")), None);
        for (other, found) in [
            (orders(), true),
            (Audience::new("https://orders.example").scope("write  read read"), true),
            (Audience::new("https://orders.example").scope("read"), false),
            (Audience::new("https://orders.example"), false),
            (Audience::new("https://orders.example/").scope("read write"), false),
            (Audience::of_scope("read write"), false),
        ] {
            assert_eq!(next.audience_token(&other).is_some(), found, "{other:?}");
        }
        let less = session().renewed_for(&orders(), response(Some("rt-2"), None, Some("read")), None);
        assert!(less.audience_token(&orders()).is_none(), "less than was asked for");
        let refresh_token = less.tokens.and_then(|tokens| tokens.refresh_token);
        assert_eq!(refresh_token, Some(RefreshToken::new("rt-2")), "the refresh token is kept all the same");
    }

    #[test]
    fn the_record_keeps_them_and_the_cookie_does_not() {
        let session = session().renewed_for(&orders(), response(None, None, None), None);
        let back = SessionState::of_record_text(&session.to_record_text(), &session.handle()).expect("our own claims");
        let token = back.audience_token(&orders()).expect("the record keeps it");
        assert_eq!(token.access_token, AccessToken::new("planted-at-2"));
        assert_eq!((token.generation, token.issued_at, token.expires_at), (Generation(1), at(200), Some(at(500))));
        assert!(read(session.to_claims()).expect("our own claims").audiences.is_empty());
        assert!(!format!("{session:?}").contains("planted"), "{session:?}");
    }

    #[test]
    fn the_dead_and_the_surplus_go_oldest_first() {
        let mut session = session();
        let named = |number: usize| Audience::new(format!("urn:api:{number}"));
        for number in 0..=SESSION_AUDIENCES {
            session = session.renewed_for(&named(number), response(None, None, None), None);
        }
        assert_eq!(session.audiences.len(), SESSION_AUDIENCES);
        assert!(session.audience_token(&named(0)).is_none());
        assert!(session.audience_token(&named(1)).is_some());
        let late = TokenResponse { requested_at: at(500), expires_at: Some(at(800)), ..response(None, None, None) };
        let alone = session.renewed_for(&named(99), late, None);
        assert_eq!(alone.audiences.len(), 1, "the others died at 500");
    }
}
