//! The development provider as the house uses it: faults with an end, and books kept per family.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request};
use http_body_util::{BodyExt, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use perennial::secret::RefreshToken;
use perennial_provider::{
    Behaviour, Control, EventKind, Family, Outcome, ProviderEvent, RefreshClass, RefreshTokenState, RefreshTokenView,
};

use super::house::Plan;
use super::view::{FamilyView, Link, Outcome as OutcomeView, ProviderView};

/// Links of the chain that are drawn; the older ones are a number.
const LINKS: usize = 14;
/// Seconds for which the lenient provider of one experiment takes a token again, as Okta and Hydra do by their settings.
pub(super) const LENIENCY: Duration = Duration::from_secs(10);
/// Bytes read of a token answer.
const ANSWER: usize = 64 << 10;

/// The provider's controls and what it has told so far.
#[derive(Debug)]
pub(super) struct Provider {
    control: Control,
    books: Mutex<Books>,
    this_second: AtomicU32,
}

#[derive(Debug, Default)]
struct Books {
    families: BTreeMap<u64, Counts>,
    /// What struck before the provider knew whose request it was.
    nobodys: Counts,
    of_session: BTreeMap<String, Standing>,
}

/// Where a session stands in the books.
#[derive(Clone, Copy, Debug)]
struct Standing {
    family: u64,
    /// What was nobody's before the session began.
    before: Counts,
}

/// Requests with a refresh token, by what came of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) rotated: u64,
    /// Redeemed before and accepted again.
    pub(super) again: u64,
    /// Failed on purpose, nothing spent.
    pub(super) failed: u64,
    /// Spent on purpose without an answer.
    pub(super) lost: u64,
    /// Of a family that was revoked before, or otherwise no good.
    pub(super) refused: u64,
    /// Spent before: the family is revoked.
    pub(super) reused: u64,
}

impl Counts {
    /// What came in since `before`.
    pub(super) fn since(&self, before: &Self) -> Self {
        Self {
            rotated: self.rotated - before.rotated,
            again: self.again - before.again,
            failed: self.failed - before.failed,
            lost: self.lost - before.lost,
            refused: self.refused - before.refused,
            reused: self.reused - before.reused,
        }
    }

    /// Requests that carried a refresh token, however they ended.
    pub(super) fn redemptions(&self) -> u64 {
        self.rotated + self.again + self.failed + self.lost + self.refused + self.reused
    }

    fn plus(&self, other: &Self) -> Self {
        Self {
            rotated: self.rotated + other.rotated,
            again: self.again + other.again,
            failed: self.failed + other.failed,
            lost: self.lost + other.lost,
            refused: self.refused + other.refused,
            reused: self.reused + other.reused,
        }
    }

    /// The column that an outcome belongs to; codes and machines have none.
    fn of(&mut self, outcome: Outcome) -> Option<&mut u64> {
        match outcome {
            Outcome::Rotated => Some(&mut self.rotated),
            Outcome::ReusedOk(_) => Some(&mut self.again),
            Outcome::FaultedStatus | Outcome::Misanswered | Outcome::Dropped | Outcome::InvalidClient => {
                Some(&mut self.failed)
            }
            Outcome::ReplyLost => Some(&mut self.lost),
            Outcome::RejectedExpired | Outcome::RejectedRevoked | Outcome::RejectedSpent | Outcome::RejectedUnknown => {
                Some(&mut self.refused)
            }
            Outcome::ReuseDetectedFamilyRevoked => Some(&mut self.reused),
            _ => None,
        }
    }

    fn views(&self) -> Vec<OutcomeView> {
        [
            ("rotated", "Rotated", self.rotated, "good"),
            ("again", "Used again, answered again", self.again, "fault"),
            ("failed", "Failed on purpose", self.failed, "fault"),
            ("lost", "Reply lost on purpose", self.lost, "fault"),
            ("refused", "Refused", self.refused, "damage"),
            ("reuse", "Re-use: family revoked", self.reused, "damage"),
        ]
        .map(|(key, label, count, tone)| OutcomeView {
            key: key.into(),
            label: label.into(),
            count,
            tone: if count > 0 { tone.into() } else { String::new() },
        })
        .into()
    }
}

impl Provider {
    /// The provider behind `control`.
    pub(super) fn new(control: Control) -> Self {
        Self { control, books: Mutex::default(), this_second: AtomicU32::new(0) }
    }

    /// Everything it does from now on.
    pub(super) fn control(&self) -> &Control {
        &self.control
    }

    /// Notes one event; answers with the family it was about, if any.
    pub(super) fn note(&self, event: &ProviderEvent) -> Option<u64> {
        let mut books = self.books();
        let Books { families, nobodys, .. } = &mut *books;
        let counts = match event.family {
            Some(family) => families.entry(family).or_default(),
            None => nobodys,
        };
        if event.kind == EventKind::Token
            && let Some(column) = event.outcome.and_then(|outcome| counts.of(outcome))
        {
            *column += 1;
            self.this_second.fetch_add(1, Ordering::Relaxed);
        }
        event.family
    }

    /// Refresh tokens that came in since the last time this was asked.
    pub(super) fn take_redeemed(&self) -> u32 {
        self.this_second.swap(0, Ordering::Relaxed)
    }

    /// Learns which family a session lives on, by the fingerprint of its refresh token; tells whether that is news.
    pub(super) fn introduce(&self, session: &str, refresh_token: &str) -> bool {
        if self.books().of_session.contains_key(session) {
            return false;
        }
        let families = self.control.families();
        let found = families
            .iter()
            .rev()
            .find(|family| family.refresh_tokens.iter().any(|token| token.fingerprint == refresh_token));
        let Some(family) = found else { return false };
        let mut books = self.books();
        let standing = Standing { family: family.id, before: books.nobodys };
        books.of_session.insert(session.to_owned(), standing);
        true
    }

    /// The sessions of a family; all of them for what is nobody's.
    pub(super) fn sessions_of(&self, family: Option<u64>) -> Vec<String> {
        let books = self.books();
        let ours = books.of_session.iter().filter(|(_, own)| family.is_none_or(|family| family == own.family));
        ours.map(|(session, _)| session.clone()).collect()
    }

    /// What came in for a session so far.
    pub(super) fn counts(&self, session: &str) -> Counts {
        let books = self.books();
        let Some(standing) = books.of_session.get(session) else {
            return Counts::default();
        };
        let own = books.families.get(&standing.family).copied().unwrap_or_default();
        own.plus(&books.nobodys.since(&standing.before))
    }

    /// The third column of a session's page.
    pub(super) fn view(&self, session: &str) -> ProviderView {
        let id = self.books().of_session.get(session).map(|standing| standing.family);
        let family = self.control.families().into_iter().find(|family| Some(family.id) == id);
        ProviderView {
            outcomes: self.counts(session).views(),
            family: family.as_ref().map(family_view).unwrap_or_default(),
        }
    }

    /// The token endpoint answers 503 until the guard is dropped.
    pub(super) fn down(&self) -> Fault {
        self.fault(|behaviour| behaviour.faults.respond_status = Some(503))
    }

    /// The token endpoint takes `delay` longer until the guard is dropped.
    pub(super) fn slow(&self, delay: Duration) -> Fault {
        let delay = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.fault(|behaviour| behaviour.faults.delay_ms = delay)
    }

    /// The next redemption is committed and its answer lost, and until the guard is dropped a token may be used again for
    /// [`LENIENCY`].
    pub(super) fn lose_next_reply(&self) -> Fault {
        self.fault(|behaviour| {
            behaviour.class = RefreshClass::Overlap { seconds: LENIENCY.as_secs() };
            behaviour.faults.lose_reply = 1.into();
        })
    }

    fn fault(&self, change: impl FnOnce(&mut Behaviour)) -> Fault {
        let before = self.control.behaviour();
        let mut during = before.clone();
        change(&mut during);
        self.control.set_behaviour(during);
        Fault { control: self.control.clone(), before }
    }

    /// Posts a refresh token to the token endpoint, past the gateway.
    pub(super) async fn present(&self, plan: &Plan, token: &RefreshToken) -> Result<Loot, String> {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "refresh_token")
            .append_pair("refresh_token", token.expose_secret())
            .finish();
        let mut request = Request::new(Body::from(form));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = format!("{}/token", plan.issuer).parse().map_err(|_| "The issuer is no URL.")?;
        let mut authorization = plan.client_authorization();
        authorization.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, authorization);
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(CONTENT_TYPE, form);
        let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build_http();
        let (head, body) = client.request(request).await.map_err(|error| error.to_string())?.into_parts();
        let body = Limited::new(body, ANSWER).collect().await.map_err(|error| error.to_string())?.to_bytes();
        let answer: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let error = answer["error"].as_str().unwrap_or("no error");
        Ok(Loot { got_tokens: head.status.is_success(), words: format!("{} {error}", head.status.as_u16()) })
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a thief got for a stolen token.
#[derive(Clone, Debug)]
pub(super) struct Loot {
    pub(super) got_tokens: bool,
    /// Status and error code.
    pub(super) words: String,
}

/// A fault; it ends when this is dropped, however the experiment ended.
#[derive(Debug)]
#[must_use]
pub(super) struct Fault {
    control: Control,
    before: Behaviour,
}

impl Drop for Fault {
    fn drop(&mut self) {
        self.control.set_behaviour(self.before.clone());
    }
}

fn family_view(family: &Family) -> FamilyView {
    let tokens = &family.refresh_tokens;
    let first = tokens.len().saturating_sub(LINKS);
    let spent = tokens.iter().filter(|token| token.state == RefreshTokenState::Spent).count();
    let lost = tokens.iter().filter(|token| token.state == RefreshTokenState::Lost).count();
    let words = match (family.alive, lost) {
        (false, _) => "Revoked: none of its tokens is good any more.".to_owned(),
        (true, 0) => format!("Alive: {} refresh tokens, {spent} spent, the last one counts.", tokens.len()),
        (true, _) => format!("Alive: {} refresh tokens, {spent} spent, {lost} lost on the way.", tokens.len()),
    };
    FamilyView {
        state: if family.alive { "alive" } else { "revoked" }.into(),
        words,
        hidden: if first > 0 { format!("{first} older") } else { String::new() },
        links: tokens[first..].iter().map(link).collect(),
    }
}

fn link(token: &RefreshTokenView) -> Link {
    let state = match token.state {
        RefreshTokenState::Live => "current",
        RefreshTokenState::Lost => "lost",
        RefreshTokenState::Expired | RefreshTokenState::Revoked => "revoked",
        RefreshTokenState::Spent => "spent",
    };
    Link {
        key: format!("r{}", token.serial),
        state: state.into(),
        label: format!("Refresh token {} ({}): {state}", token.serial, token.fingerprint),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_redemption_is_in_one_column() {
        let mut counts = Counts::default();
        for outcome in [
            Outcome::Rotated,
            Outcome::ReusedOk(RefreshClass::Overlap { seconds: 1 }),
            Outcome::FaultedStatus,
            Outcome::Dropped,
            Outcome::ReplyLost,
            Outcome::RejectedRevoked,
            Outcome::ReuseDetectedFamilyRevoked,
        ] {
            *counts.of(outcome).expect("a column") += 1;
        }
        assert_eq!(counts.of(Outcome::Issued), None);
        assert_eq!(counts.redemptions(), 7);
        assert_eq!(counts.since(&counts), Counts::default());
        assert_eq!(counts.views().iter().map(|view| view.count).sum::<u64>(), 7);
    }
}
