//! The hall every request goes through: open the cookie, decide, renew if due, say who is there.
//!
//! `opening` reads the cookie, `recognising` the record where the session lies there, `boarding` waits for a renewal,
//! `leaving` writes the cookie; here is what lies between them. The fast path, an authentic cookie that carries its session
//! with nothing due, touches no store and takes no lock.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method};
use perennial_core::Timestamp;
use perennial_core::condition::{Condition, Progress};
use perennial_core::record::EndReason;
use perennial_core::renewal::{Verdict, decide, due_at};
use perennial_core::session::{Carried, Generation, SessionState, interaction};

use crate::auth::Auth;
use crate::engine::Inner;
use crate::event::RenewalReason;
use crate::outcome::Ask;
use crate::refusal::Refusal;
use crate::session::Session;

mod arrival;
mod audience;
mod boarding;
mod leaving;
mod opening;
mod recognising;
mod seen;

pub(crate) use arrival::Arrival;
pub(crate) use opening::Opened;
pub(crate) use seen::SeenCookies;

use leaving::Visit;
use recognising::{Known, Source};

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
    /// Somebody is there, but nobody can say who just now: answer with this ([`Auth::refuse`]), not as to a stranger.
    pub unavailable: Option<Refusal>,
    /// What the provider wants of the next sign-in, where it refused to renew this session; put it into the request's
    /// extensions for [`Auth::require`]. Later requests bring it in a cookie.
    pub challenge: Option<Challenge>,
}

/// What a provider wants of the next sign-in: a `claims` parameter (OIDC Core §5.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge(pub(crate) String);

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
    /// Takes a request's method and headers through the hall.
    ///
    /// Waits only when the access token has died, for at most `RenewalPolicy::wait_max`; the request that starts a renewal
    /// ahead of time waits for it up to `RenewalPolicy::patience`. The first requests of a process also wait, for at most 2 s,
    /// until the store has told which sessions ended before.
    pub async fn enter(&self, method: &Method, headers: &HeaderMap, door: Door) -> Entry {
        let inner = &self.inner;
        match inner.arrive(headers).await {
            Ok((opened, state, source)) => {
                let found = inner.find(&state, source, door).await;
                inner.leave(opened, source, found, Request { method, headers, door }).await
            }
            Err(entry) => *entry,
        }
    }

    /// What the cookie says, without a renewal, a store access or a callback. For pages that show a session's state. `None`
    /// also for a session that lies in the store, or that its provider has yet to vouch for.
    pub fn peek(&self, headers: &HeaderMap) -> Option<Peek> {
        let inner = &self.inner;
        let opened = inner.open(headers)?;
        let Carried::Whole(state) = &opened.carried else { return None };
        let over = inner.tombstones.find(state.id).or_else(|| inner.marked_as_known(state));
        if over.is_some() || state.epoch < inner.settings.epoch {
            return None;
        }
        let (tokens, lifetimes) = (state.tokens.as_ref(), inner.settings.lifetimes());
        Some(Peek {
            due_at: tokens.and_then(|tokens| due_at(state.id, state.generation, tokens, &inner.settings.renewal)),
            idle_until: opened.expires,
            absolute_until: lifetimes.absolute_until(state),
            cookie_bytes: opened.bytes,
            chunks: opened.names.len(),
            session: Session::new(state.clone(), lifetimes, inner.now(), inner.condition(state, Progress::Quiet)),
        })
    }
}

/// What tells whether a request is a visit. It is looked at only when a visit may be worth noting, which is seldom.
#[derive(Clone, Copy)]
struct Request<'a> {
    method: &'a Method,
    headers: &'a HeaderMap,
    door: Door,
}

impl Entry {
    fn stranger() -> Self {
        Self { session: None, set_cookies: Vec::new(), renewed: false, unavailable: None, challenge: None }
    }

    fn unavailable(refusal: Refusal) -> Self {
        Self { unavailable: Some(refusal), ..Self::stranger() }
    }
}

/// What the store and the provider made of a session; with the flight that brought it, if one did.
enum Found {
    /// Serve with this generation.
    Serve { state: Arc<SessionState>, renewed: bool, condition: Condition, flown: Option<Arc<Arrival>> },
    /// Serve with this generation, just received, which the store would not take.
    Unsaved { state: Arc<SessionState>, flown: Arc<Arrival> },
    /// The access token has died and there is no other for now.
    Suspended { state: Arc<SessionState>, retry_after: Duration },
    /// The access token has died and there is no other before the provider has seen the user.
    Reauthenticate { state: Arc<SessionState> },
    /// The provider has yet to vouch for the session and cannot just now: it must not be served.
    Unproven { retry_after: Duration },
    /// The session is over.
    Ended(EndReason),
    /// The session is over because the provider refused to renew it; what it wants of the next sign-in, if it said so.
    Refused { state: Arc<SessionState>, claims: Option<String> },
}

impl Inner {
    /// How a session stands whose renewal has come so far.
    pub(crate) fn condition(&self, state: &SessionState, progress: Progress) -> Condition {
        Condition::of(decide(state, &self.settings.renewal, self.now()), progress)
    }

    /// Step 2: who is there, or with what a request leaves that brings nobody.
    async fn arrive(
        self: &Arc<Self>,
        headers: &HeaderMap,
    ) -> Result<(Arc<Opened>, Arc<SessionState>, Source), Box<Entry>> {
        self.learn_of_secrets();
        let Some(opened) = self.open(headers) else { return Err(Entry::stranger().into()) };
        self.hear_what_ended().await;
        let known = match self.tombstones.find(opened.id()) {
            Some(reason) => Known::Over(reason),
            None => self.recognise(&opened).await,
        };
        match known {
            Known::Session { state, source } => match self.marked(&state).await {
                None => Ok((opened, state, source)),
                Some(reason) => {
                    self.end_in_background(state, reason);
                    Err(self.farewell(&opened, reason, None).into())
                }
            },
            Known::Over(reason) => Err(self.farewell(&opened, reason, None).into()),
            Known::Nobody => Err(Entry::stranger().into()),
            Known::Unreachable => {
                Err(Entry::unavailable(Refusal::SessionUnavailable { retry_after: RETRY_SOON }).into())
            }
        }
    }

    /// Steps 3 and 4: decide, and ask the record and the provider only when something is due.
    async fn find(self: &Arc<Self>, state: &Arc<SessionState>, source: Source, door: Door) -> Found {
        let now = self.now();
        if let Some(found) = self.barred(state, now).await {
            return found;
        }
        let policy = &self.settings.renewal;
        // Where a refresh kills the previous access token at once, an older generation is of no use to anybody: neither is one
        // that looks good by its age, nor one whose successor somebody is just fetching.
        let lasting = !self.at_kill(&state.provider);
        let as_it_is = |condition| Found::Serve { state: state.clone(), renewed: false, condition, flown: None };
        let verdict = decide(state, policy, now);
        if (door, verdict) == (Door::Ordinary, Verdict::Fresh) && self.takes_up_doubt(state.id) {
            self.look_into(state);
            // Where a renewal kills the access token it may be dead: then this request waits with the look.
            return match lasting {
                true => as_it_is(Condition::Fresh),
                false => self.fly(state, Ask::now(RenewalReason::Doubt, state.generation), policy.patience).await,
            };
        }
        match (door, verdict) {
            // What was just read from the record is the newest there is.
            (Door::Ordinary, Verdict::Fresh | Verdict::Bare) if source == Source::Record => as_it_is(Condition::Fresh),
            (Door::Ordinary, Verdict::Fresh) if lasting => as_it_is(Condition::Fresh),
            (Door::Ordinary, Verdict::Due) if lasting && self.flights.under_way(state.id) => {
                as_it_is(Condition::Renewing)
            }
            (Door::Ordinary, Verdict::Fresh | Verdict::Due) => {
                self.fly(state, Ask::due(RenewalReason::AheadOfTime), policy.patience).await
            }
            (Door::Ordinary, Verdict::Expired | Verdict::Bare) => {
                self.fly(state, Ask::due(RenewalReason::Expired), policy.wait_max).await
            }
            (Door::Refresh, _) => {
                self.fly(state, Ask::now(RenewalReason::OnDemand, state.generation), policy.wait_max).await
            }
            (Door::Unauthorized(seen), _) => {
                self.fly(state, Ask::now(RenewalReason::Unauthorized, seen), policy.wait_max).await
            }
        }
    }

    /// What a session comes to that may not be served as it is: it has reached its absolute lifetime, or is of an older epoch.
    async fn barred(self: &Arc<Self>, state: &Arc<SessionState>, now: Timestamp) -> Option<Found> {
        if self.settings.lifetimes().is_too_old(state, now) {
            self.end_in_background(state.clone(), EndReason::TooOld);
            return Some(Found::Ended(EndReason::TooOld));
        }
        if state.epoch < self.settings.epoch { Some(self.prove(state).await) } else { None }
    }

    /// A session of an older epoch may be one whose end the store has forgotten: its provider has to vouch for it, by a
    /// renewal, before anything of it is served, its living access token included.
    async fn prove(self: &Arc<Self>, state: &Arc<SessionState>) -> Found {
        let (epoch, wait_max) = (self.settings.epoch, self.settings.renewal.wait_max);
        match self.fly(state, Ask::due(RenewalReason::Epoch), wait_max).await {
            Found::Serve { state, .. } if state.epoch < epoch && !state.is_renewable() => {
                self.end_in_background(state, EndReason::Unproven);
                Found::Ended(EndReason::Unproven)
            }
            Found::Serve { state, .. } if state.epoch < epoch => Found::Unproven { retry_after: RETRY_SOON },
            Found::Suspended { state, retry_after } if state.epoch < epoch => Found::Unproven { retry_after },
            // Only the user can have the provider vouch for it: by signing in.
            Found::Reauthenticate { state } if state.epoch < epoch => {
                self.end_in_background(state, EndReason::Unproven);
                Found::Ended(EndReason::Unproven)
            }
            proven => proven,
        }
    }

    /// Whether a request counts as a visit. A renewal on demand does only if a form on a page asked for it: programs ask by
    /// themselves.
    fn visit(&self, Request { method, headers, door }: Request<'_>) -> Visit {
        let method = if door == Door::Refresh { &Method::GET } else { method };
        match self.settings.idle_fed_by.takes(interaction(method, headers)) {
            true => Visit::Noted,
            false => Visit::Unnoted,
        }
    }
}

/// When nothing better is known about the next attempt.
pub(crate) const RETRY_SOON: Duration = Duration::from_secs(1);
