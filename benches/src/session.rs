//! One person's session, and the forms in which it is sealed.

use std::time::Duration;

use perennial::cookie::{KeyRing, RecordKeys, chunk, seal};
use perennial::names::{ProviderId, Scope};
use perennial::record::{Entry, Record, What, seal_state};
use perennial::secret::{AccessToken, CookieSecret, RefreshToken};
use perennial::store::RecordKey;
use perennial::{SecureRandom, SystemRandom, Timestamp, random_token};
use perennial_core::session::{SessionState, TokenSet};
use serde_json::{Map, Value, json};

/// The session cookie on plain http, as Auth.js calls it.
pub const COOKIE_NAME: &str = "authjs.session-token";

/// How long an access token lives.
pub const LIFETIME: Duration = Duration::from_secs(3600);

/// How long cookies and records last.
const MAX_AGE: Duration = Duration::from_secs(30 * 86_400);

/// Somebody who has just signed in. The tokens are opaque; sealed, the session makes a cookie of about 1,000 characters.
pub fn person(now: Timestamp) -> SessionState {
    person_by(&SystemRandom, now)
}

/// The same person in a session that follows from `random`.
pub fn person_by(random: &dyn SecureRandom, now: Timestamp) -> SessionState {
    let token = || random_token(random);
    let tokens = TokenSet {
        access_token: AccessToken::new(token()),
        token_type: "Bearer".into(),
        refresh_token: Some(RefreshToken::new(token())),
        id_token: None,
        scope: Some(Scope::new("openid profile email offline_access")),
        issued_at: now,
        expires_at: Some(now + LIFETIME),
        refresh_token_expires_at: None,
    };
    let claims = json!({ "name": "Alice Archer", "email": "alice@example.test", "sub": "248289761001" });
    let claims: Map<String, Value> = claims.as_object().cloned().unwrap_or_default();
    SessionState::begin(ProviderId::new("oidc"), claims, tokens, now, random)
}

/// The keys of one secret, and what the engine would seal with them.
pub struct Sealer {
    /// Of the session cookie.
    pub cookie: KeyRing,
    /// Of records in the store.
    pub record: RecordKeys,
}

impl Sealer {
    /// The keys of the secret that [`engine`](crate::engine) uses as well.
    pub fn new() -> Self {
        let secrets = [CookieSecret::new(SECRET)];
        Self {
            cookie: KeyRing::new(&secrets, COOKIE_NAME).expect("there is a secret"),
            record: RecordKeys::new(&secrets).expect("there is a secret"),
        }
    }

    /// A `Cookie` header that carries the whole session.
    pub fn whole(&self, state: &SessionState, now: Timestamp) -> String {
        header(&self.session(state, now))
    }

    /// A `Cookie` header that carries the way to the record.
    pub fn handle(&self, state: &SessionState, now: Timestamp) -> String {
        header(&seal(&self.cookie, &state.handle().to_claims(), now, MAX_AGE, &SystemRandom))
    }

    /// The value of a cookie that carries the whole session, before it is cut into chunks.
    pub fn session(&self, state: &SessionState, now: Timestamp) -> String {
        seal(&self.cookie, state, now, MAX_AGE, &SystemRandom)
    }

    /// The record of a session after its sign-in: its key, and its bytes.
    pub fn record(&self, state: &SessionState, now: Timestamp) -> (RecordKey, Vec<u8>) {
        let expires_at = state.tokens.as_ref().and_then(|tokens| tokens.expires_at);
        let entry = Entry {
            at: now,
            generation: state.generation,
            expires_at,
            stale_cookies: 0,
            fork: None,
            what: What::SignedIn,
        };
        let sealed = seal_state(&self.record, state, &SystemRandom);
        let record = Record::idle(state.generation, sealed).noting(entry);
        (RecordKey::from_digest(state.id.record_key()), record.encode())
    }
}

fn header(value: &str) -> String {
    let writes = chunk::split(COOKIE_NAME, value, &[]).expect("it is short");
    let pairs = writes.iter().filter_map(|write| Some(format!("{}={}", write.name, write.value.as_ref()?)));
    pairs.collect::<Vec<_>>().join("; ")
}

impl Default for Sealer {
    fn default() -> Self {
        Self::new()
    }
}

/// Seals nothing but what is measured.
pub(crate) const SECRET: &str = "a secret of 32 bytes for measurements";
