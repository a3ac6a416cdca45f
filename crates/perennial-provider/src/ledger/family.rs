//! A family: all refresh tokens that descend from one sign-in, as a chain.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::Grant;
use crate::limits::REFRESH_TOKENS_PER_FAMILY;
use crate::provider::unix_millis;
use crate::random::{fingerprint, opaque};

/// What can be seen of a family from outside; times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Family {
    /// Counts up from 1 in the order of sign-ins.
    pub id: u64,
    /// The client it was issued to.
    pub client: String,
    /// The account that signed in.
    pub account: String,
    /// The granted scope, separated by spaces.
    pub scope: String,
    /// When the code was redeemed.
    pub created_at_ms: u64,
    /// Whether its tokens are good.
    pub alive: bool,
    /// Why and since when they are not.
    pub revoked: Option<RevocationReason>,
    /// When it was revoked.
    pub revoked_at_ms: Option<u64>,
    /// Its refresh tokens, oldest first; empty when the client did not ask for `offline_access`.
    pub refresh_tokens: Vec<RefreshTokenView>,
    /// The most requests that ever carried its refresh tokens at the same time.
    pub max_in_flight: u32,
}

/// What can be seen of a refresh token; never the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefreshTokenView {
    /// Counts up from 1 within the family.
    pub serial: u64,
    /// Four hex characters that tell one token from another.
    pub fingerprint: String,
    /// The serial of the token it replaced.
    pub replaces: Option<u64>,
    /// When it was issued, in milliseconds since 1970.
    pub issued_at_ms: u64,
    /// When it expires, in milliseconds since 1970.
    pub expires_at_ms: u64,
    /// When it was first redeemed, in milliseconds since 1970.
    pub redeemed_at_ms: Option<u64>,
    /// How many requests presented it.
    pub presented: u32,
    /// The most requests that ever presented it at the same time.
    pub max_in_flight: u32,
    /// Whether it is good, and if not, why.
    pub state: RefreshTokenState,
}

/// The state of a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RefreshTokenState {
    /// Too old.
    Expired,
    /// Good.
    Live,
    /// Good, but the answer that carried it was lost by a fault: nobody has it.
    Lost,
    /// Its family is revoked.
    Revoked,
    /// Redeemed; a class with a window may accept it once more.
    Spent,
}

/// Why a family was revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RevocationReason {
    /// Its authorization code was presented twice.
    CodeReused,
    /// Somebody asked for it in the control or the admin API.
    Operator,
    /// A spent refresh token was presented.
    RefreshTokenReused,
    /// The client asked for it (RFC 7009).
    RevokedByClient,
    /// The person signed out at the provider.
    SignedOut,
}

pub(crate) struct FamilyRecord {
    pub(crate) id: u64,
    pub(crate) grant: Grant,
    pub(crate) created_at: SystemTime,
    pub(crate) revoked: Option<(RevocationReason, SystemTime)>,
    pub(crate) links: VecDeque<Link>,
    /// Access tokens of an earlier epoch are dead: AT-KILL moves it on.
    pub(crate) epoch: u64,
    last_serial: u64,
    in_flight: u32,
    max_in_flight: u32,
}

#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) serial: u64,
    pub(crate) token: String,
    pub(crate) replaces: Option<u64>,
    pub(crate) issued_at: SystemTime,
    pub(crate) expires_at: SystemTime,
    pub(crate) redeemed_at: Option<SystemTime>,
    /// Whether a successor took its place; a reusable token is redeemed and not spent.
    pub(crate) spent: bool,
    /// Whether the client showed that it has this token, by it or by the access token that came with it.
    pub(crate) used: bool,
    /// Whether a fault withheld the answer that carried it.
    pub(crate) undelivered: bool,
    pub(crate) presented: u32,
    in_flight: u32,
    max_in_flight: u32,
}

impl FamilyRecord {
    pub(crate) fn open(id: u64, grant: Grant, now: SystemTime) -> Self {
        Self {
            id,
            grant,
            created_at: now,
            revoked: None,
            links: VecDeque::new(),
            epoch: 0,
            last_serial: 0,
            in_flight: 0,
            max_in_flight: 0,
        }
    }

    /// Adds a refresh token to the chain and returns a copy of it.
    pub(crate) fn add_link(&mut self, replaces: Option<u64>, now: SystemTime, lifetime: Duration) -> Link {
        self.last_serial += 1;
        let link = Link {
            serial: self.last_serial,
            token: opaque("rt_"),
            replaces,
            issued_at: now,
            expires_at: now + lifetime,
            redeemed_at: None,
            spent: false,
            used: false,
            undelivered: false,
            presented: 0,
            in_flight: 0,
            max_in_flight: 0,
        };
        self.links.push_back(link.clone());
        link
    }

    /// The token to forget because the chain has grown over its limit.
    pub(crate) fn drop_oldest(&mut self) -> Option<Link> {
        (self.links.len() > REFRESH_TOKENS_PER_FAMILY).then(|| self.links.pop_front()).flatten()
    }

    pub(crate) fn link(&self, serial: u64) -> Option<&Link> {
        self.links.iter().rev().find(|link| link.serial == serial)
    }

    pub(crate) fn link_mut(&mut self, serial: u64) -> Option<&mut Link> {
        self.links.iter_mut().rev().find(|link| link.serial == serial)
    }

    pub(crate) fn successors(&self, serial: u64) -> impl DoubleEndedIterator<Item = &Link> {
        self.links.iter().filter(move |link| link.replaces == Some(serial))
    }

    /// One more request carries this token; returns how many carry it, and how many one of the family, now.
    pub(crate) fn enter(&mut self, serial: u64) -> (u32, u32) {
        self.in_flight += 1;
        self.max_in_flight = self.max_in_flight.max(self.in_flight);
        let family = self.in_flight;
        let token = self.link_mut(serial).map_or(0, |link| {
            link.in_flight += 1;
            link.max_in_flight = link.max_in_flight.max(link.in_flight);
            link.in_flight
        });
        (token, family)
    }

    pub(crate) fn leave(&mut self, serial: u64) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(link) = self.link_mut(serial) {
            link.in_flight = link.in_flight.saturating_sub(1);
        }
    }

    pub(crate) fn view(&self, now: SystemTime) -> Family {
        Family {
            id: self.id,
            client: self.grant.client.clone(),
            account: self.grant.subject.clone(),
            scope: self.grant.scope.clone(),
            created_at_ms: unix_millis(self.created_at),
            alive: self.revoked.is_none(),
            revoked: self.revoked.map(|(reason, _)| reason),
            revoked_at_ms: self.revoked.map(|(_, at)| unix_millis(at)),
            refresh_tokens: self.links.iter().map(|link| self.link_view(link, now)).collect(),
            max_in_flight: self.max_in_flight,
        }
    }

    fn link_view(&self, link: &Link, now: SystemTime) -> RefreshTokenView {
        RefreshTokenView {
            serial: link.serial,
            fingerprint: fingerprint(&link.token),
            replaces: link.replaces,
            issued_at_ms: unix_millis(link.issued_at),
            expires_at_ms: unix_millis(link.expires_at),
            redeemed_at_ms: link.redeemed_at.map(unix_millis),
            presented: link.presented,
            max_in_flight: link.max_in_flight,
            state: self.state(link, now),
        }
    }

    /// What was redeemed stays "spent" after a revocation, so that the chain still tells how it came to it.
    pub(crate) fn state(&self, link: &Link, now: SystemTime) -> RefreshTokenState {
        match link {
            link if link.spent => RefreshTokenState::Spent,
            _ if self.revoked.is_some() => RefreshTokenState::Revoked,
            link if now >= link.expires_at => RefreshTokenState::Expired,
            link if link.undelivered => RefreshTokenState::Lost,
            _ => RefreshTokenState::Live,
        }
    }
}
