//! Steps 5 and 7: the `jwt` callback on reads, and the cookie a request leaves with.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use perennial_core::Timestamp;
use perennial_core::condition::Condition;
use perennial_core::cookie;
use perennial_core::record::{EndReason, Loss};
use perennial_core::session::SessionState;

use super::{Challenge, Entry, Found, Opened};
use crate::alarm::AlarmCode;
use crate::callbacks::{Callbacks, JwtCallback};
use crate::engine::Inner;
use crate::event::Event;
use crate::refusal::Refusal;
use crate::session::Session;

impl Inner {
    /// Step 6 and the cookie of step 8.
    pub(super) async fn leave(self: &Arc<Self>, opened: Opened, found: Found) -> Entry {
        let now = self.now();
        let (state, bearer, renewed) = match found {
            Found::Ended(reason) => return self.over(&opened, reason, None),
            Found::Refused { claims } => return self.over(&opened, EndReason::Refused, claims.map(Challenge)),
            Found::Serve { state, renewed, condition } => (state, Ok(condition), renewed),
            Found::Suspended { state, retry_after } => (state, Err(Refusal::RenewalSuspended { retry_after }), false),
            Found::Reauthenticate { state } => (state, Err(Refusal::ReauthenticationRequired), false),
        };
        if let Err(Refusal::RenewalSuspended { .. }) = bearer {
            self.metrics.suspended(&state.provider);
        }
        if !renewed && state.generation > opened.state.generation {
            self.stale_cookies.saved(state.id);
            self.emit(Event::StaleCookieSaved {
                at: now,
                session: state.id.fingerprint(),
                presented: opened.state.generation,
                newest: state.generation,
            });
        }
        let Some(state) = self.asked_on_read(&state).await else {
            self.end_in_background(state, EndReason::Callback);
            let writes = cookie::clear(&self.names.session, &opened.names);
            return Entry { set_cookies: self.names.chunks(&writes, now), ..Entry::stranger() };
        };
        let moved = state.generation > opened.state.generation || state.claims != opened.state.claims;
        let rolling = now >= opened.issued + self.settings.update_age;
        let set_cookies = if moved || rolling || !opened.newest_secret {
            self.session_cookies(&state, &opened.names)
        } else {
            Vec::new()
        };
        let session = match bearer {
            Ok(condition) => Session::new(state, now, condition),
            Err(why) => Session::suspended(state, why),
        };
        if session.condition() != Condition::Fresh {
            tracing::debug!(session = session.fingerprint(), condition = session.condition().as_str(), "not fresh");
        }
        Entry { session: Some(session), set_cookies, renewed, challenge: None }
    }

    /// A stranger leaves, where a session came in; with what the provider wants of the next sign-in.
    fn over(self: &Arc<Self>, opened: &Opened, reason: EndReason, challenge: Option<Challenge>) -> Entry {
        match reason {
            EndReason::Refused => self.end_in_background(opened.state.clone(), reason),
            // Nothing is written about it, because other replicas may be able to open the record.
            EndReason::SecretGone => self.metrics.lost(&opened.state.provider, Loss::SecretGone),
            _ => {}
        }
        tracing::info!(session = opened.state.id.fingerprint(), ?reason, "session over, cookie cleared");
        let writes = cookie::clear(&self.names.session, &opened.names);
        let mut set_cookies = self.names.chunks(&writes, self.now());
        set_cookies.extend(challenge.as_ref().and_then(|challenge| self.remember_challenge(challenge)));
        Entry { set_cookies, challenge, ..Entry::stranger() }
    }

    /// Auth.js asks `jwt` on every read. An error leaves the session as it is; `None` ends it.
    async fn asked_on_read(self: &Arc<Self>, state: &Arc<SessionState>) -> Option<Arc<SessionState>> {
        if !self.callbacks.jwt_on_read() {
            return Some(state.clone());
        }
        let ask = JwtCallback {
            token: state.claims.clone(),
            trigger: None,
            user: None,
            account: None,
            profile: None,
            session: None,
        };
        match self.callbacks.jwt(ask).await {
            Ok(Some(claims)) => {
                let changed = Arc::new(state.with_claims(claims));
                if changed.claims == state.claims {
                    return Some(state.clone());
                }
                self.keep_in_background(state.clone(), changed.clone());
                Some(changed)
            }
            Ok(None) => None,
            Err(error) => {
                tracing::error!(%error, "the jwt callback failed on a read; the session goes on as it was");
                Some(state.clone())
            }
        }
    }

    /// Brings what a read changed into the record, so that the next renewal does not lose it; the read need not wait for it.
    fn keep_in_background(self: &Arc<Self>, before: Arc<SessionState>, after: Arc<SessionState>) {
        let inner = self.clone();
        tokio::spawn(async move {
            // A session that is over keeps nothing.
            let _ = inner.amend(&before, |newest| newest.with_changes(&before.claims, &after.claims)).await;
        });
    }

    /// `Set-Cookie` lines that carry `state`, replacing the cookies called `present`.
    pub(crate) fn session_cookies(&self, state: &SessionState, present: &[String]) -> Vec<HeaderValue> {
        let now = self.now();
        let max_age = self.cookie_max_age(state, now);
        let written = |state: &SessionState| {
            let sealed = cookie::seal(&self.session_keys, &state.to_claims(), now, max_age, self.random());
            cookie::split(&self.names.session, &sealed, present)
        };
        // The ID token is the largest part that a session can do without.
        match written(state).or_else(|_| written(&state.without_id_token())) {
            Ok(writes) => self.names.chunks(&writes, now + max_age),
            Err(_) => {
                self.alarm(AlarmCode::CookieTooLarge, "A session does not fit into its cookie.");
                Vec::new()
            }
        }
    }

    fn cookie_max_age(&self, state: &SessionState, now: Timestamp) -> Duration {
        match self.settings.absolute_max_age {
            Some(age) => self.settings.max_age.min((state.started_at + age).since(now)),
            None => self.settings.max_age,
        }
    }
}
