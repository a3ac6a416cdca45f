//! What a session is made of, and how it lies in the claims of the session cookie.
//!
//! The claims are flat and carry Auth.js's names (`name`, `email`, `picture`, `sub`, and `access_token`,
//! `refresh_token`, `expires_at` as in its refresh guide), so that an Auth.js app on the same secret reads them. What is
//! ours alone lies under one name, `perennial`. A cookie without it was begun by Auth.js and is adopted.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::Zeroize;

use crate::names::{ProviderId, Scope};
use crate::random::{SecureRandom, random_bytes};
use crate::secret::{AccessToken, IdToken, RefreshToken};
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
    /// Auth.js's `token` without the provider's tokens: `name`, `email`, `picture`, `sub` and what the `jwt` callback added.
    pub claims: Map<String, Value>,
    /// The provider's tokens, or `None` for a session adopted from a cookie that kept none.
    pub tokens: Option<TokenSet>,
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
            id: SessionId(random_bytes(random)),
            share: KeyShare(random_bytes(random)),
            generation: Generation(0),
            provider,
            started_at: now,
            claims: without_reserved(claims),
            tokens: Some(tokens),
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

    /// The claims to be sealed: Auth.js's names beside our own.
    pub fn to_claims(&self) -> Map<String, Value> {
        let mut claims = self.claims.clone();
        let mut own = OwnClaims {
            v: FORMAT,
            sid: URL_SAFE_NO_PAD.encode(self.id.0),
            key: URL_SAFE_NO_PAD.encode(self.share.0).into(),
            gen_: self.generation.0,
            provider: self.provider.clone(),
            started: self.started_at,
            issued: None,
            expires: None,
            refresh_expires: None,
        };
        if let Some(tokens) = &self.tokens {
            own.issued = Some(tokens.issued_at);
            own.expires = tokens.expires_at;
            own.refresh_expires = tokens.refresh_token_expires_at;
            tokens.write(&mut claims);
        }
        // Plain strings, numbers and options: serialising them cannot fail.
        claims.insert(OWN.into(), serde_json::to_value(own).unwrap_or(Value::Null));
        claims
    }

    /// Reads sealed claims back.
    ///
    /// `fallback` is the provider of a session that Auth.js began and that does not say where it signed in.
    ///
    /// # Errors
    /// [`NotASession`] when our own part is there but of a format this version does not know.
    pub fn from_claims(mut claims: Map<String, Value>, fallback: &ProviderId) -> Result<Self, NotASession> {
        match claims.remove(OWN) {
            None => Self::adopt(claims, fallback),
            Some(own) => {
                let own: OwnClaims = serde_json::from_value(own).map_err(|_| NotASession)?;
                if own.v != FORMAT {
                    return Err(NotASession);
                }
                let tokens = own
                    .issued
                    .and_then(|issued_at| TokenSet::read(&mut claims, issued_at, own.expires, own.refresh_expires));
                Ok(Self {
                    id: SessionId(decode(&own.sid)?),
                    share: KeyShare(decode(&own.key)?),
                    generation: Generation(own.gen_),
                    provider: own.provider,
                    started_at: own.started,
                    claims: without_reserved(claims),
                    tokens,
                })
            }
        }
    }

    /// A session that Auth.js began. Id and share are derived from what the cookie alone knows, so that two requests
    /// with the same cookie meet in the same record.
    fn adopt(mut claims: Map<String, Value>, fallback: &ProviderId) -> Result<Self, NotASession> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        // Auth.js gives every cookie a `jti`; without one, and without a token, strangers' cookies could not be told apart.
        let seed = match (text("refresh_token"), text("jti")) {
            (Some(token), _) => format!("refresh_token\n{token}"),
            (None, Some(jti)) => format!("jti\n{jti}"),
            (None, None) => return Err(NotASession),
        };
        let issued_at = Timestamp::from_unix_seconds(claims.get("iat").and_then(Value::as_i64).unwrap_or(0));
        let expires_at = claims.get("expires_at").and_then(Value::as_i64).map(Timestamp::from_unix_seconds);
        let provider = match claims.get("provider").and_then(Value::as_str) {
            Some(id) => ProviderId::new(id),
            None => fallback.clone(),
        };
        let tokens = TokenSet::read(&mut claims, issued_at, expires_at, None);
        let mut id = [0; 16];
        id.copy_from_slice(&derive("perennial adopted session", &seed)[..16]);
        Ok(Self {
            id: SessionId(id),
            share: KeyShare(derive("perennial adopted share", &seed)),
            generation: Generation(0),
            provider,
            started_at: issued_at,
            claims: without_reserved(claims),
            tokens,
        })
    }
}

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

    fn rotated(&self, response: TokenResponse, lifetime: Option<Duration>) -> Self {
        let mut next = Self::new(response, lifetime);
        if next.refresh_token.is_none() {
            next.refresh_token.clone_from(&self.refresh_token);
            next.refresh_token_expires_at = next.refresh_token_expires_at.or(self.refresh_token_expires_at);
        }
        next.id_token = next.id_token.or_else(|| self.id_token.clone());
        next.scope = next.scope.or_else(|| self.scope.clone());
        next
    }

    fn write(&self, claims: &mut Map<String, Value>) {
        let mut put = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                claims.insert(name.into(), value.into());
            }
        };
        put("access_token", Some(self.access_token.expose_secret()));
        put("token_type", Some(&self.token_type));
        put("refresh_token", self.refresh_token.as_ref().map(RefreshToken::expose_secret));
        put("id_token", self.id_token.as_ref().map(IdToken::expose_secret));
        put("scope", self.scope.as_ref().map(Scope::as_str));
        if let Some(at) = self.expires_at {
            claims.insert("expires_at".into(), at.unix_seconds().into());
        }
    }

    fn read(
        claims: &mut Map<String, Value>,
        issued_at: Timestamp,
        expires_at: Option<Timestamp>,
        refresh_token_expires_at: Option<Timestamp>,
    ) -> Option<Self> {
        let mut take = |name: &str| match claims.remove(name) {
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

/// 128 random bits that name a session. Known to the cookie and the engine; stores and logs see digests of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId([u8; 16]);

impl SessionId {
    /// The key of this session's record: a digest, so that a store does not learn the id.
    pub fn record_key(self) -> [u8; 32] {
        derive("perennial record", &URL_SAFE_NO_PAD.encode(self.0))
    }

    /// Eight of the random bytes, for hashing without allocation.
    pub(crate) fn leading_bits(self) -> u64 {
        self.0.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }

    /// Twelve characters that name the session in logs and headers: the beginning of its record's key, so that whoever has them
    /// finds the record (`perennial explain`). Useless for opening it.
    pub fn fingerprint(self) -> String {
        URL_SAFE_NO_PAD.encode(&self.record_key()[..FINGERPRINT_BYTES])
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({})", self.fingerprint())
    }
}

/// Bytes of a record's key that make a session's fingerprint.
pub const FINGERPRINT_BYTES: usize = 9;

/// 256 random bits that only the cookie carries: without them a record does not open.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyShare([u8; 32]);

impl KeyShare {
    /// The bytes, for key derivation.
    pub fn expose_secret(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for KeyShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyShare([redacted])")
    }
}

impl Drop for KeyShare {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Counts the renewals of a session; never decreases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl Generation {
    /// The one after this.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// The sealed claims carry our name but not a session of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session cookie has a format this version does not know")]
pub struct NotASession;

/// Names in the sealed claims that only the engine writes: registered claims of RFC 7519 §4.1 that are about the cookie
/// itself, the provider's tokens, and our own part. Neither a callback nor an update may set them.
pub const RESERVED_CLAIMS: [&str; 11] =
    ["iat", "exp", "nbf", "jti", "access_token", "refresh_token", "id_token", "token_type", "scope", "expires_at", OWN];

const OWN: &str = "perennial";
const FORMAT: u8 = 1;

#[derive(Serialize, Deserialize)]
struct OwnClaims {
    v: u8,
    sid: String,
    key: zeroize::Zeroizing<String>,
    #[serde(rename = "gen")]
    gen_: u64,
    provider: ProviderId,
    started: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    issued: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_expires: Option<Timestamp>,
}

fn without_reserved(mut claims: Map<String, Value>) -> Map<String, Value> {
    claims.retain(|name, _| !RESERVED_CLAIMS.contains(&name.as_str()));
    claims
}

fn decode<const N: usize>(text: &str) -> Result<[u8; N], NotASession> {
    URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(NotASession)
}

fn derive(label: &str, seed: &str) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, format!("{label}\n{seed}").as_bytes()).as_ref());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    struct Fixed(u8);

    impl SecureRandom for Fixed {
        fn fill(&self, out: &mut [u8]) {
            out.fill(self.0);
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().cloned().expect("the fixture is an object")
    }

    fn response(refresh_token: Option<&str>, id_token: Option<&str>, scope: Option<&str>) -> TokenResponse {
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

    fn session() -> SessionState {
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

    fn read(claims: Map<String, Value>) -> Result<SessionState, NotASession> {
        SessionState::from_claims(claims, &ProviderId::new("fallback"))
    }

    #[test]
    fn a_session_survives_its_claims() {
        let session = SessionState { generation: Generation(41), ..session() };
        let back = read(session.to_claims()).expect("our own claims");
        assert_eq!((back.id, &back.share, back.generation), (session.id, &session.share, session.generation));
        assert_eq!(
            (back.provider, back.started_at, back.claims),
            (session.provider, session.started_at, session.claims)
        );
        let (tokens, kept) = (session.tokens.expect("the fixture has them"), back.tokens.expect("they were written"));
        assert_eq!(kept.access_token, tokens.access_token);
        assert_eq!(kept.refresh_token, tokens.refresh_token);
        assert_eq!(kept.id_token, tokens.id_token);
        assert_eq!((kept.issued_at, kept.expires_at), (tokens.issued_at, tokens.expires_at));
        assert_eq!(kept.refresh_token_expires_at, tokens.refresh_token_expires_at);
        assert_eq!(kept.scope.map(|scope| scope.as_str().to_owned()).as_deref(), Some("openid email"));
    }

    #[test]
    fn an_authjs_app_finds_its_own_names() {
        let claims = session().to_claims();
        for (name, value) in [
            ("sub", json!("u1")),
            ("access_token", json!("planted-at")),
            ("refresh_token", json!("planted-rt")),
            ("expires_at", json!(301)),
        ] {
            assert_eq!(claims.get(name), Some(&value), "{name}");
        }
    }

    #[test]
    fn no_callback_sets_a_reserved_claim() {
        let mut wanted = object(json!({ "sub": "u1", "theme": "dark" }));
        for name in RESERVED_CLAIMS {
            wanted.insert(name.into(), "forged".into());
        }
        let began = SessionState { claims: session().with_claims(wanted.clone()).claims, ..session() };
        assert_eq!(Value::from(began.claims.clone()), json!({ "sub": "u1", "theme": "dark" }));
        let tokens = session().tokens.expect("the fixture has them");
        let fresh = SessionState::begin(ProviderId::new("idp"), wanted, tokens, at(1), &Fixed(1));
        assert_eq!(Value::from(fresh.claims), json!({ "sub": "u1", "theme": "dark" }));
        let sealed = began.to_claims();
        assert!(sealed.values().all(|value| value != "forged"), "{sealed:?}");
    }

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
    fn a_cookie_of_authjs_is_adopted() {
        let authjs = object(json!({
            "name": "Ada", "sub": "u1", "iat": 100, "exp": 900, "jti": "6c8d", "provider": "github",
            "access_token": "at-1", "refresh_token": "rt-1", "id_token": "idt-1", "expires_at": 250, "scope": "openid",
        }));
        let session = read(authjs.clone()).expect("adopted");
        let tokens = session.tokens.clone().expect("they lie under flat names");
        assert_eq!(tokens.access_token, AccessToken::new("at-1"));
        assert_eq!(tokens.refresh_token, Some(RefreshToken::new("rt-1")));
        assert_eq!((tokens.issued_at, tokens.expires_at), (at(100), Some(at(250))));
        assert_eq!(
            (session.provider.as_str(), session.generation, session.started_at),
            ("github", Generation(0), at(100))
        );
        assert_eq!(Value::from(session.claims.clone()), json!({ "name": "Ada", "sub": "u1", "provider": "github" }));

        // Two requests with this cookie meet in one record; another cookie does not.
        let again = read(authjs.clone()).expect("adopted");
        assert_eq!((session.id, &session.share), (again.id, &again.share));
        let mut other = authjs.clone();
        other.insert("refresh_token".into(), "rt-2".into());
        assert_ne!(read(other).expect("adopted").id, session.id);
        // Auth.js reseals with a new jti on each read: the refresh token says that it is still the same session.
        let mut resealed = authjs;
        resealed.insert("jti".into(), "77aa".into());
        assert_eq!(read(resealed).expect("adopted").id, session.id);
    }

    #[test]
    fn an_adopted_cookie_without_tokens_is_a_session_without_them() {
        let bare = |jti: &str| read(object(json!({ "sub": "u1", "jti": jti, "iat": 5 }))).expect("adopted");
        assert!(bare("a").tokens.is_none());
        assert_eq!(bare("a").provider.as_str(), "fallback");
        assert_eq!(bare("a").id, bare("a").id);
        assert_ne!(bare("a").id, bare("b").id);
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
    fn a_lifetime_stands_in_for_an_absent_expires_in_and_counts_from_the_request() {
        let silent = || TokenResponse { expires_at: None, ..response(None, None, None) };
        let tokens = TokenSet::new(silent(), Some(Duration::from_secs(60)));
        assert_eq!(tokens.expires_at, Some(at(260)));
        assert_eq!(TokenSet::new(silent(), None).expires_at, None);
        assert_eq!(TokenSet::new(response(None, None, None), Some(Duration::from_secs(60))).expires_at, Some(at(500)));
    }

    #[test]
    fn a_part_of_ours_that_is_not_understood_is_refused() {
        let good = session().to_claims();
        for (member, value) in [("v", json!(2)), ("sid", json!("short")), ("key", json!("!")), ("gen", json!(-1))] {
            let mut claims = good.clone();
            claims[OWN][member] = value;
            assert!(read(claims).is_err(), "{member}");
        }
        for own in [json!(null), json!("x"), json!({}), json!([])] {
            let mut claims = good.clone();
            claims.insert(OWN.into(), own);
            assert!(read(claims).is_err());
        }
    }

    #[test]
    fn debug_prints_no_secret() {
        let session = session();
        let share = URL_SAFE_NO_PAD.encode(session.share.expose_secret());
        let id = URL_SAFE_NO_PAD.encode(session.id.0);
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
