//! Steps 5 and 7: the `jwt` callback on reads, the visit noted, and the cookie a request leaves with.

use std::sync::Arc;

use http::HeaderValue;
use perennial_core::Timestamp;
use perennial_core::condition::Condition;
use perennial_core::cookie;
use perennial_core::record::{EndReason, Loss, Successor};
use perennial_core::session::{Carried, SessionState};

use super::arrival::Leaving;
use super::recognising::Source;
use super::{Arrival, Challenge, Entry, Found, Opened, Request};
use crate::alarm::AlarmCode;
use crate::callbacks::{Callbacks, JwtCallback};
use crate::engine::Inner;
use crate::event::Event;
use crate::flight::Gate;
use crate::ledger::Amended;
use crate::refusal::Refusal;
use crate::session::Session;
use crate::settings::SessionStrategy;

/// Whether a request feeds the idle clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Visit {
    /// It does: whoever it speaks for was there.
    Noted,
    /// It says nothing about anybody being there.
    Unnoted,
}

/// What a session cookie is to carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// The session.
    Whole,
    /// The way to its record.
    Handle,
}

impl Inner {
    /// Steps 5 and 7, for a session that was found in `source`.
    pub(super) async fn leave(
        self: &Arc<Self>,
        opened: Arc<Opened>,
        source: Source,
        found: Found,
        request: Request<'_>,
    ) -> Entry {
        let (state, bearer, renewed, source, flown) = match found {
            Found::Ended(reason) => return self.farewell(&opened, reason, None),
            Found::Refused { state, claims } => {
                self.end_in_background(state, EndReason::Refused);
                return self.farewell(&opened, EndReason::Refused, claims.map(Challenge));
            }
            Found::Unproven { retry_after } => return Entry::unavailable(Refusal::RenewalSuspended { retry_after }),
            Found::Serve { state, renewed, condition, flown } => (state, Ok(condition), renewed, source, flown),
            Found::Unsaved { state, flown } => (state, Ok(Condition::Fresh), true, Source::Cookie, Some(flown)),
            Found::Suspended { state, retry_after } => {
                self.metrics.suspended(&state.provider);
                (state, Err(Refusal::RenewalSuspended { retry_after }), false, source, None)
            }
            Found::Reauthenticate { state } => (state, Err(Refusal::ReauthenticationRequired), false, source, None),
        };
        if let Some(presented) = opened.presented().filter(|presented| !renewed && state.generation > *presented) {
            self.stale_cookies.saved(state.id);
            self.emit(Event::StaleCookieSaved {
                at: self.now(),
                session: state.id.fingerprint(),
                presented,
                newest: state.generation,
            });
        }
        let Some(state) = self.asked_on_read(&state).await else {
            self.end_in_background(state, EndReason::Callback);
            return self.farewell(&opened, EndReason::Callback, None);
        };
        let now = self.now();
        let (state, set_cookies) = match self.form(source) {
            Form::Whole => self.leave_whole(&opened, state, (request, now), flown.as_deref()),
            Form::Handle => match self.leave_handle(&opened, state, request, now).await {
                Ok(left) => left,
                Err(reason) => return self.farewell(&opened, reason, None),
            },
        };
        let lifetimes = self.settings.lifetimes();
        let session = match bearer {
            Ok(condition) => Session::new(state, lifetimes, now, condition),
            Err(why) => Session::suspended(state, lifetimes, why),
        };
        if session.condition() != Condition::Fresh {
            tracing::debug!(session = session.fingerprint(), condition = session.condition().as_str(), "not fresh");
        }
        Entry { session: Some(session), set_cookies, renewed, ..Entry::stranger() }
    }

    /// A stranger leaves, where a session came in; with what the provider wants of the next sign-in.
    pub(super) fn farewell(&self, opened: &Opened, reason: EndReason, challenge: Option<Challenge>) -> Entry {
        // Nothing is written about it, because other replicas may be able to open the record.
        if let (EndReason::SecretGone, Carried::Whole(state)) = (reason, &opened.carried) {
            self.metrics.lost(&state.provider, Loss::SecretGone);
        }
        tracing::info!(session = opened.id().fingerprint(), ?reason, "session over, cookie cleared");
        let mut set_cookies = self.names.forget_session(&opened.names);
        set_cookies.extend(challenge.as_ref().and_then(|challenge| self.remember_challenge(challenge)));
        Entry { set_cookies, challenge, ..Entry::stranger() }
    }

    /// What the cookie of a session found in `source` is to carry. Tokens that the store would not take go with the cookie,
    /// whatever the strategy: it is the only other place that outlives this process.
    fn form(&self, source: Source) -> Form {
        match (self.settings.strategy, source) {
            (SessionStrategy::Database, Source::Record) => Form::Handle,
            (SessionStrategy::Database, Source::Cookie) | (SessionStrategy::Jwt, _) => Form::Whole,
        }
    }

    /// `Set-Cookie` lines for a session whose newest generation is in the store.
    pub(crate) fn cookies_of_stored(&self, state: &SessionState, present: &[String]) -> Vec<HeaderValue> {
        self.session_cookies(state, self.form(Source::Record), present)
    }

    /// A cookie that carries the session is set anew when something in it moved, or a visit is to be noted in it.
    fn leave_whole(
        self: &Arc<Self>,
        opened: &Opened,
        state: Arc<SessionState>,
        (request, now): (Request<'_>, Timestamp),
        flown: Option<&Arrival>,
    ) -> (Arc<SessionState>, Vec<HeaderValue>) {
        let moved = match &opened.carried {
            // The very one that came: nothing need be compared.
            Carried::Whole(before) if Arc::ptr_eq(before, &state) => false,
            Carried::Whole(before) => {
                let forked = || {
                    let [ours, theirs] = [before, &state].map(|state| state.tokens.as_ref().and_then(Successor::of));
                    ours.zip(theirs).is_some_and(|(ours, theirs)| ours.refresh_token != theirs.refresh_token)
                };
                let (newer, changed) = (state.generation > before.generation, state.claims != before.claims);
                newer || changed || forked()
            }
            Carried::Handle(_) => true,
        };
        let noted = self.wants_note(&state, opened, request, now);
        if !moved && !noted && opened.well_sealed {
            return (state, Vec::new());
        }
        let visit = if noted { Visit::Noted } else { self.visit(request) };
        let seal = || {
            let state = if visit == Visit::Noted { Arc::new(state.active(now)) } else { state.clone() };
            let set_cookies = self.session_cookies(&state, Form::Whole, &opened.names);
            Leaving { state, set_cookies }
        };
        let Leaving { state, set_cookies } = match flown {
            Some(arrival) => arrival.leaving(&state, (&opened.names, visit), now, seal),
            None => seal(),
        };
        if noted {
            self.note_in_background(state.clone());
        }
        (state, set_cookies)
    }

    /// Whether a request is a visit that is worth noting.
    fn wants_note(&self, state: &SessionState, opened: &Opened, request: Request<'_>, now: Timestamp) -> bool {
        self.settings.lifetimes().wants_note(state, opened.issued, now) && self.visit(request) == Visit::Noted
    }

    /// Brings a visit into the record, so that the answer of a slower request, or a renewal by another cookie of the session,
    /// knows of it. Of many at the same time one is enough: a thousand would only take the record out of each other's hands.
    fn note_in_background(self: &Arc<Self>, state: Arc<SessionState>) {
        let Gate::First(noting) = self.notes.board(state.id) else { return };
        let inner = self.clone();
        tokio::spawn(async move {
            // A session that is over has no visits.
            let _ = inner.amend(&state, |newest| newest.active(state.active_at)).await;
            drop(noting);
        });
    }

    /// A handle stays what it is; it is set anew when a visit is noted in the record. `Err`: the session ended meanwhile.
    async fn leave_handle(
        &self,
        opened: &Opened,
        state: Arc<SessionState>,
        request: Request<'_>,
        now: Timestamp,
    ) -> Result<(Arc<SessionState>, Vec<HeaderValue>), EndReason> {
        let noted = self.wants_note(&state, opened, request, now);
        let mut due = matches!(opened.carried, Carried::Whole(_));
        let mut state = state;
        // The record is sealed anew together with its handle, so that an older secret can be taken off the list.
        if (noted || !opened.well_sealed)
            // Whoever comes while another is at it leaves that to them.
            && let Gate::First(_noting) = self.notes.board(state.id)
        {
            let active_at = if noted { now } else { state.active_at };
            match self.amended(&state, |newest| newest.active(active_at)).await {
                Amended::Written(written) => (state, due) = (written, true),
                // Not this time; the next visit tries again.
                Amended::Unwritten(_) => {}
                Amended::Over(reason) => return Err(reason),
            }
        }
        let cookies = if due { self.session_cookies(&state, Form::Handle, &opened.names) } else { Vec::new() };
        Ok((state, cookies))
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

    /// `Set-Cookie` lines that carry `state` in that form, replacing the cookies called `present`.
    fn session_cookies(&self, state: &SessionState, form: Form, present: &[String]) -> Vec<HeaderValue> {
        let now = self.now();
        let ends_at = self.settings.lifetimes().ends_at(state, now);
        let (keys, lasting) = (&self.keys().session, ends_at.since(now));
        let split = |sealed: String| cookie::split(&self.names.session, &sealed, present);
        let whole = |state: &SessionState| split(cookie::seal(keys, state, now, lasting, self.random()));
        let written = match form {
            Form::Handle => split(cookie::seal(keys, &state.handle().to_claims(), now, lasting, self.random())),
            // The ID token is the largest part that a session can do without.
            Form::Whole => whole(state).or_else(|_| whole(&state.without_id_token())),
        };
        match written {
            Ok(mut writes) => {
                // Left behind in the other format, it would hold tokens that are spent by now, or will be.
                writes.extend(cookie::clear(&self.names.other_session, present));
                self.names.chunks(&writes, ends_at)
            }
            Err(_) => {
                self.alarm(AlarmCode::CookieTooLarge, "A session does not fit into its cookie.");
                Vec::new()
            }
        }
    }
}
