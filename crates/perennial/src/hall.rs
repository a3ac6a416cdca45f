//! The hall every request goes through: open the cookie, decide, renew if due, say who is there.
//!
//! The fast path, an authentic cookie with nothing due, touches no store and takes no lock.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use perennial_core::Timestamp;
use perennial_core::cookie;
use perennial_core::record::EndReason;
use perennial_core::renewal::{Verdict, decide, due_at};
use perennial_core::session::{Generation, SessionState};
use serde_json::Value;

use crate::auth::Auth;
use crate::callbacks::{Callbacks, JwtCallback};
use crate::cookies::RequestCookies;
use crate::engine::Inner;
use crate::event::{Event, RenewalReason};
use crate::flight::{Gate, Passenger};
use crate::outcome::{Ask, Outcome};
use crate::session::Session;

/// Why a request enters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// To be served.
    Ordinary,
    /// To renew now: a person pressed the button, or a program asked.
    Refresh,
    /// Again, because the upstream refused the access token of this generation (RFC 6750 §3.1 `invalid_token`).
    Unauthorized(Generation),
}

/// What a request leaves the hall with.
#[derive(Debug)]
pub struct Entry {
    /// Who is there; `None` for a stranger.
    pub session: Option<Session>,
    /// `Set-Cookie` lines for the answer. An answer that carries them must not be cached.
    pub set_cookies: Vec<HeaderValue>,
    /// Whether this very request saw a renewal come to a good end.
    pub renewed: bool,
}

/// A look at a session that changes nothing: see [`Auth::peek`].
#[derive(Clone, Debug)]
pub struct Peek {
    /// The session as the cookie holds it.
    pub session: Session,
    /// When the session becomes due for renewal.
    pub due_at: Option<Timestamp>,
    /// When the cookie expires unless it is set anew.
    pub idle_until: Timestamp,
    /// When the session ends whatever happens.
    pub absolute_until: Option<Timestamp>,
    /// Bytes of cookie value.
    pub cookie_bytes: usize,
    /// Number of cookies the session is spread over.
    pub chunks: usize,
}

impl Auth {
    /// Takes a request's headers through the hall.
    ///
    /// Waits only when the access token has died, for at most `RenewalPolicy::wait_max`; the request that starts a renewal
    /// ahead of time waits for it up to `RenewalPolicy::patience`.
    pub async fn enter(&self, headers: &HeaderMap, door: Door) -> Entry {
        let Some(opened) = self.inner.open(headers) else { return Entry::stranger() };
        let found = match self.inner.tombstones.find(opened.state.id) {
            Some(reason) => Found::Ended(reason),
            None => self.inner.find(&opened, door).await,
        };
        self.inner.leave(opened, found).await
    }

    /// What the cookie says, without a renewal, a store access or a callback. For pages that show a session's state.
    pub fn peek(&self, headers: &HeaderMap) -> Option<Peek> {
        let inner = &self.inner;
        let opened = inner.open(headers)?;
        if inner.tombstones.find(opened.state.id).is_some() {
            return None;
        }
        let state = opened.state;
        let tokens = state.tokens.as_ref();
        Some(Peek {
            due_at: tokens.and_then(|tokens| due_at(state.id, state.generation, tokens, &inner.settings.renewal)),
            idle_until: opened.expires,
            absolute_until: inner.settings.absolute_max_age.map(|age| state.started_at + age),
            cookie_bytes: opened.bytes,
            chunks: opened.names.len(),
            session: Session::new(state.clone(), inner.now()),
        })
    }
}

impl Entry {
    fn stranger() -> Self {
        Self { session: None, set_cookies: Vec::new(), renewed: false }
    }
}

/// A session cookie that opened.
pub(crate) struct Opened {
    pub(crate) state: Arc<SessionState>,
    /// The names of the cookies it came in, for replacing them.
    pub(crate) names: Vec<String>,
    issued: Timestamp,
    expires: Timestamp,
    newest_secret: bool,
    bytes: usize,
}

/// What the store and the provider made of an opened cookie.
enum Found {
    /// Serve with this generation.
    Serve { state: Arc<SessionState>, renewed: bool },
    /// The access token has died and there is no other for now.
    Suspended { state: Arc<SessionState>, retry_after: Duration },
    /// The session is over.
    Ended(EndReason),
}

impl Inner {
    /// Step 2: from cookie lines to a session, or nothing. A cookie that does not open is left where it is: it may be
    /// another replica's, on a newer secret.
    pub(crate) fn open(&self, headers: &HeaderMap) -> Option<Opened> {
        let cookies = RequestCookies::read(headers);
        let joined = cookie::join(&self.names.session, cookies.iter())?;
        let now = self.now();
        let opened = joined.open(&self.session_keys, now).ok()?;
        let second = |name| opened.claims.get(name).and_then(Value::as_i64).map(Timestamp::from_unix_seconds);
        let (issued, expires) = (second("iat").unwrap_or(now), second("exp").unwrap_or(now));
        let names = joined.names;
        let bytes =
            cookies.iter().filter(|(name, _)| names.iter().any(|own| own == name)).map(|(_, value)| value.len()).sum();
        let state = SessionState::from_claims(opened.claims, &self.default_provider).ok()?;
        Some(Opened { state: Arc::new(state), names, issued, expires, newest_secret: opened.newest_secret, bytes })
    }

    /// Steps 3 to 5: decide, and ask the record and the provider only when something is due.
    async fn find(self: &Arc<Self>, opened: &Opened, door: Door) -> Found {
        let (state, now) = (&opened.state, self.now());
        if self.settings.absolute_max_age.is_some_and(|age| now >= state.started_at + age) {
            self.end_in_background(state.clone(), EndReason::TooOld);
            return Found::Ended(EndReason::TooOld);
        }
        let verdict = decide(state, &self.settings.renewal, now);
        match (door, verdict) {
            // Where a refresh kills the previous access token at once, an older generation is of no use to anybody.
            (Door::Ordinary, Verdict::Fresh) if !self.at_kill(&state.provider) => {
                Found::Serve { state: state.clone(), renewed: false }
            }
            (Door::Ordinary, Verdict::Due) if self.flights.under_way(state.id) => {
                Found::Serve { state: state.clone(), renewed: false }
            }
            (Door::Ordinary, Verdict::Fresh | Verdict::Due) => {
                self.fly(state, Ask::due(RenewalReason::AheadOfTime), self.settings.renewal.patience).await
            }
            (Door::Ordinary, Verdict::Expired | Verdict::Bare) => {
                self.fly(state, Ask::due(RenewalReason::Expired), self.settings.renewal.wait_max).await
            }
            (Door::Refresh, _) => {
                self.fly(state, Ask::now(RenewalReason::OnDemand, state.generation), self.settings.renewal.wait_max)
                    .await
            }
            (Door::Unauthorized(seen), _) => {
                self.fly(state, Ask::now(RenewalReason::Unauthorized, seen), self.settings.renewal.wait_max).await
            }
        }
    }

    /// Boards the session's flight, or starts it, and waits no longer than `patience`.
    async fn fly(self: &Arc<Self>, cookie: &Arc<SessionState>, ask: Ask, patience: Duration) -> Found {
        let flown = tokio::time::timeout(patience, async {
            for _ in 0..FLIGHTS_MAX {
                let (seat, started) = self.seat(cookie, ask);
                let outcome = seat.arrival().await?;
                // A flight that began before this request asked may have found nothing due: then fly once more.
                if started || !outcome.leaves_undone(ask) {
                    return Some(outcome);
                }
            }
            None
        });
        match flown.await {
            Ok(Some(outcome)) => self.found(cookie, &outcome),
            Ok(None) | Err(_) => self.without_news(cookie.clone(), RETRY_SOON),
        }
    }

    fn seat(self: &Arc<Self>, cookie: &Arc<SessionState>, ask: Ask) -> (Passenger<Outcome>, bool) {
        match self.flights.board(cookie.id) {
            Gate::Aboard(passenger) => (passenger, false),
            Gate::First(departure) => {
                let seat = departure.seat();
                let (inner, cookie) = (self.clone(), cookie.clone());
                // A task of its own: the caller may hang up, the renewal may not be cut short.
                tokio::spawn(async move { inner.renew(cookie, ask, departure).await });
                (seat, true)
            }
        }
    }

    /// What a flight's outcome means to a request that came with `cookie`, which may hold a later generation than the
    /// flight knew, when the record lags behind.
    fn found(&self, cookie: &Arc<SessionState>, outcome: &Outcome) -> Found {
        match outcome {
            Outcome::Newest { state, .. }
            | Outcome::Kept { state, .. }
            | Outcome::Reauthenticate { state }
            | Outcome::Refused { state, .. }
                if state.generation < cookie.generation =>
            {
                self.without_news(cookie.clone(), RETRY_SOON)
            }
            Outcome::Newest { state, renewed } => match self.without_news(state.clone(), RETRY_SOON) {
                Found::Serve { state, .. } => Found::Serve { state, renewed: *renewed },
                died_meanwhile => died_meanwhile,
            },
            Outcome::Kept { state, retry_after } => self.without_news(state.clone(), *retry_after),
            Outcome::Reauthenticate { state } => self.without_news(state.clone(), RETRY_SOON),
            Outcome::Refused { state, .. } => match self.without_news(state.clone(), RETRY_SOON) {
                Found::Suspended { .. } => Found::Ended(EndReason::Refused),
                serve => serve,
            },
            Outcome::Ended(reason) => Found::Ended(*reason),
        }
    }

    /// No new tokens: go on with what there is, which is good as long as the access token lives.
    fn without_news(&self, state: Arc<SessionState>, retry_after: Duration) -> Found {
        let now = self.now();
        match state.tokens.as_ref() {
            Some(tokens) if !tokens.alive_at(now) && tokens.refresh_token.is_some() => {
                Found::Suspended { state, retry_after }
            }
            _ => Found::Serve { state, renewed: false },
        }
    }

    /// Step 6 and the cookie of step 8.
    async fn leave(self: &Arc<Self>, opened: Opened, found: Found) -> Entry {
        let now = self.now();
        let (state, suspended, renewed) = match found {
            Found::Ended(reason) => {
                if reason == EndReason::Refused {
                    self.end_in_background(opened.state.clone(), reason);
                }
                tracing::info!(session = opened.state.id.fingerprint(), ?reason, "session over, cookie cleared");
                let writes = cookie::clear(&self.names.session, &opened.names);
                return Entry { set_cookies: self.names.chunks(&writes, now), ..Entry::stranger() };
            }
            Found::Serve { state, renewed } => (state, None, renewed),
            Found::Suspended { state, retry_after } => (state, Some(retry_after), false),
        };
        if !renewed && state.generation > opened.state.generation {
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
        let session = match suspended {
            None => Session::new(state, now),
            Some(retry_after) => Session::suspended(state, retry_after),
        };
        Entry { session: Some(session), set_cookies, renewed }
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
                self.alarm(
                    "cookie_too_large",
                    "A session does not fit into its cookie: keep fewer claims in the jwt callback, or ask the provider for smaller tokens.",
                );
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

/// Flights one request boards before it takes what there is.
const FLIGHTS_MAX: usize = 3;

/// When nothing better is known about the next attempt.
const RETRY_SOON: Duration = Duration::from_secs(1);
