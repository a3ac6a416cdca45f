//! Sessions, answers and moments that the tests of this folder share.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::*;
use crate::names::{ProviderId, Scope};
use crate::random::SecureRandom;
use crate::secret::{AccessToken, IdToken, RefreshToken};
use crate::time::Timestamp;
use crate::token::TokenResponse;

pub(super) struct Fixed(pub(super) u8);

impl SecureRandom for Fixed {
    fn fill(&self, out: &mut [u8]) {
        out.fill(self.0);
    }
}

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(seconds)
}

pub(super) fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().expect("the fixture is an object")
}

pub(super) fn response(refresh_token: Option<&str>, id_token: Option<&str>, scope: Option<&str>) -> TokenResponse {
    TokenResponse {
        access_token: AccessToken::new("planted-at-2"),
        token_type: "Bearer".into(),
        refresh_token: refresh_token.map(RefreshToken::new),
        id_token: id_token.map(IdToken::new),
        scope: scope.map(Scope::new),
        requested_at: at(200),
        expires_in: Some(Duration::from_secs(300)),
        expires_at: Some(at(500)),
        refresh_token_expires_at: None,
        extra: Map::new(),
    }
}

pub(super) fn session() -> SessionState {
    let tokens = TokenSet {
        access_token: AccessToken::new("planted-at"),
        token_type: "Bearer".into(),
        refresh_token: Some(RefreshToken::new("planted-rt")),
        id_token: Some(IdToken::new("planted-idt")),
        scope: Some(Scope::new("openid email")),
        issued_at: Timestamp::from_unix_millis(1_500),
        expires_at: Some(at(301)),
        refresh_token_expires_at: Some(at(9_000)),
    };
    let claims = object(json!({ "sub": "u1", "name": "Ada", "roles": ["a", "b"] }));
    SessionState::begin(ProviderId::new("idp"), claims, tokens, at(1), &Fixed(0x5a))
}

pub(super) fn read(claims: Map<String, Value>) -> Result<SessionState, NotASession> {
    SessionState::from_claims(claims, &ProviderId::new("fallback"))
}
