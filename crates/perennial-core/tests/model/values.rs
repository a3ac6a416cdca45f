//! The engine's own values as parts of a state: the record, hashed, and the tokens that lie sealed in it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use perennial_core::names::ProviderId;
use perennial_core::record::{Attempt, Intent, Phase, Record, Successor};
use perennial_core::renewal::{RenewalPolicy, Verdict, decide};
use perennial_core::secret::{AccessToken, RefreshToken};
use perennial_core::session::{Generation, SessionState, TokenSet};
use perennial_core::{SecureRandom, Timestamp};

use crate::provider::Serial;

/// What a cookie carries or a record seals: one generation of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Tokens {
    pub(crate) generation: Generation,
    pub(crate) refresh_token: Serial,
    pub(crate) issued_at: Timestamp,
}

impl Tokens {
    /// Sealing is no part of this model: what is sealed can be read back.
    pub(crate) fn sealed(self) -> Vec<u8> {
        let mut sealed = vec![self.refresh_token];
        sealed.extend(self.issued_at.unix_millis().to_be_bytes());
        sealed
    }

    pub(crate) fn opened(record: &Record) -> Option<Self> {
        let (refresh_token, issued_at) = record.sealed.split_first()?;
        let issued_at = Timestamp::from_unix_millis(i64::from_be_bytes(issued_at.try_into().ok()?));
        Some(Self { generation: record.generation, refresh_token: *refresh_token, issued_at })
    }

    /// What tells these tokens from others of the same generation.
    pub(crate) fn successor(self) -> Successor<Serial> {
        Successor { issued_at: self.issued_at, refresh_token: self.refresh_token }
    }

    /// When the access token dies.
    pub(crate) fn die_at(self) -> Timestamp {
        self.issued_at + ACCESS_TOKEN_LIFETIME
    }

    /// What the engine's `decide` makes of it. Sessions are kept: the model asks millions of times about a few.
    pub(crate) fn verdict(self, policy: &RenewalPolicy, now: Timestamp) -> Verdict {
        thread_local!(static SESSIONS: RefCell<HashMap<Tokens, SessionState>> = RefCell::default());
        SESSIONS.with_borrow_mut(|known| decide(known.entry(self).or_insert_with(|| self.session()), policy, now))
    }

    fn session(self) -> SessionState {
        let tokens = TokenSet {
            access_token: AccessToken::new("at"),
            token_type: String::new(),
            refresh_token: Some(RefreshToken::new("rt")),
            id_token: None,
            scope: None,
            issued_at: self.issued_at,
            expires_at: Some(self.die_at()),
            refresh_token_expires_at: None,
        };
        let provider = ProviderId::new("p");
        let begun = SessionState::begin(provider, serde_json::Map::new(), tokens, self.issued_at, &Fixed(7));
        SessionState { generation: self.generation, ..begun }
    }
}

/// A record in the store. Equal records are equal states, so no version number: who has read an older one knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored(pub(crate) Arc<Record>);

impl Hash for Stored {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.0.generation.hash(hasher);
        self.0.sealed.hash(hasher);
        std::mem::discriminant(&self.0.phase).hash(hasher);
        match &self.0.phase {
            Phase::Idle { failures, not_before } => (failures, not_before).hash(hasher),
            Phase::Intent(intent) => hash_intent(intent, hasher),
            Phase::InDoubt(doubt) => doubt.hash(hasher),
            Phase::Refused { at, claims } => (at, claims).hash(hasher),
            Phase::Ended { at, reason } => {
                at.hash(hasher);
                std::mem::discriminant(reason).hash(hasher);
            }
        }
    }
}

/// The same for an intent that a replica holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held(pub(crate) Intent);

impl Hash for Held {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hash_intent(&self.0, hasher);
    }
}

fn hash_intent<H: Hasher>(intent: &Intent, hasher: &mut H) {
    let Intent { attempt, fence, started, lease_until, first_sent, drained_at, failures, resend } = intent;
    (attempt_index(attempt), fence, started, lease_until, first_sent, drained_at, failures, resend).hash(hasher);
}

fn attempt_index(attempt: &Attempt) -> usize {
    ATTEMPTS.iter().position(|name| name == attempt).expect("attempts are named from the list")
}

/// A name that neither the record nor a replica uses; one that nobody remembers is as good as new.
pub(crate) fn new_attempt<'a>(used: impl Iterator<Item = &'a Attempt>) -> Attempt {
    let used: Vec<_> = used.collect();
    ATTEMPTS.iter().find(|name| !used.contains(name)).expect("more names than attempts at a time").clone()
}

static ATTEMPTS: LazyLock<Vec<Attempt>> = LazyLock::new(|| (0..7).map(|seed| Attempt::new(&Fixed(seed))).collect());

struct Fixed(u8);

impl SecureRandom for Fixed {
    fn fill(&self, out: &mut [u8]) {
        out.fill(self.0);
    }
}

/// Long enough for a provider call to fail and drain while the access token lives, if it begins early.
pub(crate) const ACCESS_TOKEN_LIFETIME: Duration = Duration::from_secs(60);
