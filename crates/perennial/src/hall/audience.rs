//! The hall for a request whose upstream wants an access token of another audience than the session's own (RFC 8707).
//!
//! The same steps, decided by the age of that token. One refresh token buys them all, so a session's renewals queue up behind
//! each other whatever they are for; requests for one audience share one of them.

use std::sync::Arc;

use http::{HeaderMap, Method};
use perennial_core::condition::{Condition, Progress};
use perennial_core::record::EndReason;
use perennial_core::renewal::{Verdict, judge_audience_token};
use perennial_core::session::{Audience, AudienceToken, SessionState};

use super::{Door, Entry, Found, RETRY_SOON, Request};
use crate::auth::Auth;
use crate::engine::Inner;
use crate::event::RenewalReason;
use crate::outcome::{Ask, Outcome};
use crate::refusal::Refusal;
use crate::session::{Bearer, Session};

impl Auth {
    /// Takes a request's headers through the hall as [`enter`](Self::enter) does, for an upstream that wants a token of
    /// `audience`: [`Session::bearer`] is that token then, never the session's own.
    ///
    /// The token is fetched at first use and renewed like the session's own. What the provider does not give, `bearer` refuses
    /// with [`Refusal::AudienceRefused`]; the session stays.
    pub async fn enter_for(&self, method: &Method, headers: &HeaderMap, door: Door, audience: &Arc<Audience>) -> Entry {
        let inner = &self.inner;
        let (opened, state, source) = match inner.arrive(headers).await {
            Ok(arrived) => arrived,
            Err(entry) => return *entry,
        };
        let (found, bearer) = inner.find_for(&state, door, audience).await;
        let entry = inner.leave(opened, source, found, Request { method, headers, door }).await;
        Entry { session: entry.session.map(|session| session.with_bearer(bearer)), ..entry }
    }

    /// The same session with an access token for `audience`, for code that calls an API in the user's name.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use perennial::{Audience, Auth, Refusal, Session};
    /// async fn orders(auth: &Auth, session: Session) -> Result<String, Refusal> {
    ///     let audience = Arc::new(Audience::new("https://orders.example").scope("orders:read"));
    ///     let session = auth.for_audience(&session, &audience).await?;
    ///     Ok(format!("Bearer {}", session.bearer()?.expose_secret()))
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Refusal::NotSignedIn`] when the session is over, [`Refusal::RenewalSuspended`] when no token can be had just now,
    /// [`Refusal::AudienceRefused`] when the provider gives none for it, [`Refusal::NoAccessToken`] when the session has no
    /// refresh token to buy one with.
    pub async fn for_audience(&self, session: &Session, audience: &Arc<Audience>) -> Result<Session, Refusal> {
        let state = session.state();
        self.inner.hear_what_ended().await;
        let over = match self.inner.tombstones.find(state.id) {
            Some(reason) => Some(reason),
            None => self.inner.marked(state).await,
        };
        let (found, bearer) = match over {
            Some(reason) => (Found::Ended(reason), Bearer::Absent),
            None => self.inner.bearer_for(state, Door::Ordinary, audience).await,
        };
        let (state, condition) = match found {
            Found::Refused { state, .. } => {
                self.inner.end_in_background(state, EndReason::Refused);
                return Err(Refusal::NotSignedIn);
            }
            Found::Ended(_) => return Err(Refusal::NotSignedIn),
            Found::Unproven { retry_after } => return Err(Refusal::RenewalSuspended { retry_after }),
            Found::Serve { state, condition, .. } => (state, condition),
            Found::Unsaved { state, .. } => (state, Condition::Fresh),
            Found::Suspended { state, .. } | Found::Reauthenticate { state } => (state, Condition::Suspended),
        };
        let (now, lifetimes) = (self.inner.now(), self.inner.settings.lifetimes());
        let session = Session::new(state, lifetimes, now, condition).with_bearer(bearer);
        session.bearer()?;
        Ok(session)
    }
}

impl Inner {
    async fn find_for(
        self: &Arc<Self>,
        state: &Arc<SessionState>,
        door: Door,
        audience: &Arc<Audience>,
    ) -> (Found, Bearer) {
        match self.barred(state, self.now()).await {
            None => self.bearer_for(state, door, audience).await,
            // The provider has just vouched for it.
            Some(Found::Serve { state, .. }) => self.bearer_for(&state, door, audience).await,
            Some(found) => (found, Bearer::Absent),
        }
    }

    /// The token for `audience` of the session of `cookie`: from this process, from the record, or from the provider.
    async fn bearer_for(
        self: &Arc<Self>,
        cookie: &Arc<SessionState>,
        door: Door,
        audience: &Arc<Audience>,
    ) -> (Found, Bearer) {
        // Where each refresh kills the access tokens before it, two audiences would take each other's away in turn.
        if self.at_kill(&cookie.provider) {
            let (state, condition) = (cookie.clone(), self.condition(cookie, Progress::Quiet));
            let found = Found::Serve { state, renewed: false, condition, flown: None };
            return (found, Bearer::AudienceRefused);
        }
        let policy = &self.settings.renewal;
        let known = self.audience_tokens.find(cookie.id, audience, self.now());
        let renewable = cookie.tokens.as_ref().is_some_and(|tokens| tokens.refresh_token.is_some());
        let verdict = judge_audience_token(known.as_deref(), renewable, policy, self.now());
        let (ask, patience) = match (door, verdict) {
            (Door::Ordinary, Verdict::Fresh) => return serve(cookie, known, Condition::Fresh),
            (Door::Ordinary, Verdict::Due) if self.flights.under_way(cookie.id) => {
                return serve(cookie, known, Condition::Renewing);
            }
            (Door::Ordinary, Verdict::Due) => (Ask::due(RenewalReason::AheadOfTime), policy.patience),
            (Door::Ordinary, Verdict::Expired | Verdict::Bare) => (Ask::due(RenewalReason::Audience), policy.wait_max),
            (Door::Refresh, _) => (Ask::now(RenewalReason::OnDemand, cookie.generation), policy.wait_max),
            (Door::Unauthorized(seen), _) => (Ask::now(RenewalReason::Unauthorized, seen), policy.wait_max),
        };
        let flown = self.flown(cookie, &ask.for_audience(audience), patience).await;
        let Some(arrival) = flown else { return self.without_token(cookie, known) };
        let token = arrival.outcome.state().and_then(|state| state.audience_token(audience));
        if let Some(token) = token {
            self.audience_tokens.insert(cookie.id, audience, token, self.now());
        }
        // The newest that lives, whether this flight brought it or an earlier one.
        let bearer = match (self.audience_tokens.find(cookie.id, audience, self.now()), &arrival.outcome) {
            (Some(token), _) => Bearer::Audience(token),
            (None, Outcome::AudienceRefused { .. }) => Bearer::AudienceRefused,
            (None, Outcome::Kept { retry_after, .. }) => {
                Bearer::Refused(Refusal::RenewalSuspended { retry_after: *retry_after })
            }
            (None, Outcome::Reauthenticate { .. }) => Bearer::Refused(Refusal::ReauthenticationRequired),
            (None, Outcome::Newest { .. } | Outcome::Unsaved { .. } | Outcome::Refused { .. } | Outcome::Ended(_)) => {
                Bearer::Absent
            }
        };
        (self.found(cookie, &arrival), bearer)
    }

    /// No news in time: what is known goes on as long as it lives.
    fn without_token(&self, cookie: &Arc<SessionState>, known: Option<Arc<AudienceToken>>) -> (Found, Bearer) {
        match known.filter(|token| token.alive_at(self.now())) {
            Some(token) => serve(cookie, Some(token), Condition::Renewing),
            None => {
                let retry_after = RETRY_SOON;
                let bearer = Bearer::Refused(Refusal::RenewalSuspended { retry_after });
                (self.without_news(cookie.clone(), retry_after, Progress::UnderWay), bearer)
            }
        }
    }
}

fn serve(state: &Arc<SessionState>, token: Option<Arc<AudienceToken>>, condition: Condition) -> (Found, Bearer) {
    let found = Found::Serve { state: state.clone(), renewed: false, condition, flown: None };
    (found, token.map_or(Bearer::Absent, Bearer::Audience))
}
