//! The access tokens for other audiences that this process has seen: asked on requests for such an audience, so without a lock.
//!
//! The record is what keeps them; a token that is not here is looked for there, before anybody asks the provider.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use perennial_core::Timestamp;
use perennial_core::names::ProviderId;
use perennial_core::session::{Audience, AudienceToken, SessionId};

/// Tokens by session and audience, and which audiences a provider gives none for.
#[derive(Default)]
pub(crate) struct AudienceTokens {
    tokens: papaya::HashMap<(SessionId, Arc<Audience>), Arc<AudienceToken>>,
    refused: papaya::HashMap<(ProviderId, Arc<Audience>), Timestamp>,
    inserts: AtomicUsize,
}

impl AudienceTokens {
    /// The newest token seen for `audience`, if it is alive at `now`.
    pub(crate) fn find(&self, id: SessionId, audience: &Arc<Audience>, now: Timestamp) -> Option<Arc<AudienceToken>> {
        let tokens = self.tokens.pin();
        tokens.get(&(id, audience.clone())).filter(|token| token.alive_at(now)).cloned()
    }

    /// Remembers a token of session `id`, unless a later one is here.
    pub(crate) fn insert(&self, id: SessionId, audience: &Arc<Audience>, token: &AudienceToken, now: Timestamp) {
        let tokens = self.tokens.pin();
        let later = |kept: &Arc<AudienceToken>| kept.generation >= token.generation;
        let token = Arc::new(token.clone());
        tokens.update_or_insert(
            (id, audience.clone()),
            |kept| if later(kept) { kept.clone() } else { token.clone() },
            token.clone(),
        );
        if self.inserts.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            // One that nobody says the end of goes too: the record has it.
            tokens.retain(|_, kept| kept.expires_at.is_some() && kept.alive_at(now));
        }
    }

    /// Forgets what a session had; it is over.
    pub(crate) fn forget(&self, id: SessionId) {
        if !self.tokens.is_empty() {
            self.tokens.pin().retain(|(of, _), _| *of != id);
        }
    }

    /// Until when `provider` is not asked for `audience` again, because it gave nobody a token for it.
    pub(crate) fn refused_until(
        &self,
        provider: &ProviderId,
        audience: &Arc<Audience>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        if self.refused.is_empty() {
            return None;
        }
        let refused = self.refused.pin();
        // Further ahead than anybody waits: the clock was set back since.
        let until = refused.get(&(provider.clone(), audience.clone())).copied();
        until.filter(|until| now < *until && *until <= now + REFUSAL_HOLD)
    }

    /// `provider` gives no token for `audience`: a matter of its configuration, the same for every session.
    pub(crate) fn refuse(&self, provider: &ProviderId, audience: &Arc<Audience>, now: Timestamp) {
        // As many as there are audiences in the configuration and in the application's code.
        self.refused.pin().insert((provider.clone(), audience.clone()), now + REFUSAL_HOLD);
    }
}

/// Inserts between two sweeps of what has died.
const SWEEP_EVERY: usize = 1024;

/// How long a provider that gives no token for an audience is not asked for it again: until an operator has had time to mend it.
const REFUSAL_HOLD: std::time::Duration = std::time::Duration::from_secs(60);
