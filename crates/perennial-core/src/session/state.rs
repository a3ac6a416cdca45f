//! A session with its tokens at one generation, and what becomes of it.

use std::time::Duration;

use serde_json::{Map, Value};

use super::claims::without_reserved;
use super::{AudienceToken, Epoch, Generation, Handle, KeyShare, SessionId, Subject, TokenSet};
use crate::names::ProviderId;
use crate::random::{SecureRandom, random_bytes};
use crate::secret::{IdToken, RefreshToken};
use crate::time::Timestamp;
use crate::token::TokenResponse;

/// A session with its tokens at one generation: what is sealed into the cookie and into the record.
#[derive(Clone, Debug)]
pub struct SessionState {
    /// Which session.
    pub id: SessionId,
    /// The half of the at-rest key that only the cookie carries.
    pub share: KeyShare,
    /// How many renewals lie behind it.
    pub generation: Generation,
    /// Where the user signed in.
    pub provider: ProviderId,
    /// When the user signed in; the absolute lifetime counts from here.
    pub started_at: Timestamp,
    /// The last moment known at which a person used it; the idle lifetime counts from here.
    pub active_at: Timestamp,
    /// The epoch of the deployment in which the provider last vouched for it.
    pub epoch: Epoch,
    /// Whom it is about, by the provider's names; `None` where those were never told.
    pub subject: Option<Subject>,
    /// Auth.js's `token` without the provider's tokens: `name`, `email`, `picture`, `sub` and what the `jwt` callback added.
    pub claims: Map<String, Value>,
    /// The provider's tokens, or `None` for a session adopted from a cookie that kept none.
    pub tokens: Option<TokenSet>,
    /// Access tokens for other audiences, oldest first. Only the record has them.
    pub audiences: Vec<AudienceToken>,
}

impl SessionState {
    /// A new session at generation 0.
    pub fn begin(
        provider: ProviderId,
        claims: Map<String, Value>,
        tokens: TokenSet,
        now: Timestamp,
        random: &dyn SecureRandom,
    ) -> Self {
        Self {
            id: SessionId::new(random_bytes(random)),
            share: KeyShare(random_bytes(random)),
            generation: Generation(0),
            provider,
            started_at: now,
            active_at: now,
            epoch: Epoch::default(),
            subject: None,
            claims: without_reserved(claims),
            tokens: Some(tokens),
            audiences: Vec::new(),
        }
    }

    /// The next generation of this session, holding the tokens of `response`.
    ///
    /// A refresh token that was not replaced is kept (RFC 6749 §6), and so are the scope and the ID token.
    /// `lifetime` stands in for an absent `expires_in`.
    pub fn renewed(&self, response: TokenResponse, lifetime: Option<Duration>) -> Self {
        let tokens = match &self.tokens {
            Some(previous) => previous.rotated(response, lifetime),
            None => TokenSet::new(response, lifetime),
        };
        Self { generation: self.generation.next(), tokens: Some(tokens), ..self.clone() }
    }

    /// The next generation of this session when an answer brought a refresh token and nothing else of use.
    pub fn with_refresh_token(&self, refresh_token: RefreshToken) -> Self {
        let tokens = self.tokens.clone().map(|tokens| TokenSet { refresh_token: Some(refresh_token), ..tokens });
        Self { generation: self.generation.next(), tokens, ..self.clone() }
    }

    /// The same session with another ID token.
    pub fn with_id_token(self, id_token: IdToken) -> Self {
        let tokens = self.tokens.map(|tokens| TokenSet { id_token: Some(id_token), ..tokens });
        Self { tokens, ..self }
    }

    /// The same session without its ID token.
    pub fn without_id_token(&self) -> Self {
        let tokens = self.tokens.clone().map(|tokens| TokenSet { id_token: None, ..tokens });
        Self { tokens, ..self.clone() }
    }

    /// The same session, used by a person at `at` or later.
    pub fn active(&self, at: Timestamp) -> Self {
        Self { active_at: self.active_at.max(at), ..self.clone() }
    }

    /// The same session, vouched for by the provider in `epoch` or later.
    pub fn proven_in(self, epoch: Epoch) -> Self {
        Self { epoch: self.epoch.max(epoch), ..self }
    }

    /// The same session, about `subject`.
    pub fn known_as(self, subject: Subject) -> Self {
        Self { subject: Some(subject), ..self }
    }

    /// Whether it has a refresh token, so that the provider can be asked about it.
    pub fn is_renewable(&self) -> bool {
        self.tokens.as_ref().is_some_and(|tokens| tokens.refresh_token.is_some())
    }

    /// What opens its record.
    pub fn handle(&self) -> Handle {
        Handle { id: self.id, share: self.share.clone() }
    }

    /// The same session with other claims; names that only the engine may set are dropped.
    pub fn with_claims(&self, claims: Map<String, Value>) -> Self {
        Self { claims: without_reserved(claims), ..self.clone() }
    }

    /// The same session with what changed from `before` to `after`, so that claims which others changed meanwhile stay.
    pub fn with_changes(&self, before: &Map<String, Value>, after: &Map<String, Value>) -> Self {
        let mut claims = self.claims.clone();
        claims.retain(|name, _| after.contains_key(name) || !before.contains_key(name));
        let changed = after.iter().filter(|(name, value)| before.get(*name) != Some(*value));
        claims.extend(changed.map(|(name, value)| (name.clone(), value.clone())));
        self.with_claims(claims)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::*;
    use super::*;
    use crate::secret::AccessToken;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::json;

    #[test]
    fn a_change_leaves_alone_what_others_changed_meanwhile() {
        let before = object(json!({ "sub": "u1", "theme": "light", "old": 1 }));
        let after = object(json!({ "sub": "u1", "theme": "dark", "new": 2, "exp": 3 }));
        for (meanwhile, expected) in [
            (json!({ "sub": "u1", "theme": "light", "old": 1 }), json!({ "sub": "u1", "theme": "dark", "new": 2 })),
            (
                json!({ "sub": "u1", "theme": "blue", "old": 9, "count": 7 }),
                json!({ "sub": "u1", "theme": "dark", "count": 7, "new": 2 }),
            ),
            (json!({ "sub": "u2" }), json!({ "sub": "u2", "theme": "dark", "new": 2 })),
        ] {
            let session = session().with_claims(object(meanwhile.clone()));
            assert_eq!(Value::from(session.with_changes(&before, &after).claims), expected, "{meanwhile}");
        }
    }

    #[test]
    fn what_an_answer_does_not_replace_is_kept() {
        let kept = session().renewed(response(None, None, None), None);
        assert_eq!(kept.generation, Generation(1));
        let tokens = kept.tokens.expect("renewed");
        assert_eq!(tokens.access_token, AccessToken::new("planted-at-2"));
        assert_eq!(tokens.refresh_token, Some(RefreshToken::new("planted-rt")));
        assert_eq!(tokens.refresh_token_expires_at, Some(at(9_000)));
        assert_eq!(tokens.id_token, Some(IdToken::new("planted-idt")));
        assert_eq!(tokens.scope.map(|scope| scope.as_str().to_owned()).as_deref(), Some("openid email"));

        let replaced = session().renewed(response(Some("rt-2"), Some("idt-2"), Some("openid")), None);
        let tokens = replaced.tokens.expect("renewed");
        assert_eq!(tokens.refresh_token, Some(RefreshToken::new("rt-2")));
        // The old one's expiry says nothing about the new one.
        assert_eq!(tokens.refresh_token_expires_at, None);
        assert_eq!(tokens.id_token, Some(IdToken::new("idt-2")));
    }

    #[test]
    fn activity_and_epoch_never_go_back() {
        let session = session().active(at(50)).proven_in(Epoch(3));
        assert_eq!((session.started_at, session.active_at, session.epoch), (at(1), at(50), Epoch(3)));
        let later = session.renewed(response(None, None, None), None).active(at(20)).proven_in(Epoch(2));
        assert_eq!((later.active_at, later.epoch), (at(50), Epoch(3)), "a renewal is no visit");
    }

    #[test]
    fn debug_prints_no_secret() {
        let session = session();
        let share = URL_SAFE_NO_PAD.encode(session.share.expose_secret());
        let id = URL_SAFE_NO_PAD.encode(session.id.as_bytes());
        let shown = format!(
            "{session:?} {:#?} {:?}",
            session,
            session.renewed(response(Some("planted-rt-2"), None, None), None)
        );
        assert!(shown.contains("Ada") && shown.contains(&session.id.fingerprint()), "{shown}");
        for secret in ["planted", share.as_str(), id.as_str(), "90, 90, 90", "5a5a5a"] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
    }
}
