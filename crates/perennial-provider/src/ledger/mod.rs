//! The books: codes, refresh-token families and access tokens. Pure: now comes in by argument.
//! RFC 6749 §4.1.2 (codes), §6 (refresh), RFC 9700 §4.14.2 (rotation and reuse).

mod family;
pub(crate) mod refresh;
mod verdict;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::{Duration, SystemTime};

pub(crate) use family::FamilyRecord;
pub use family::{Family, RefreshTokenState, RefreshTokenView, RevocationReason};

use crate::event::Outcome;
use crate::limits::{ACCESS_TOKENS, CODE_LIFETIME, CODES, FAMILIES};
use crate::random::{opaque, s256, same};

/// What a person allowed a client to do: everything the tokens of one family have in common.
#[derive(Clone)]
pub(crate) struct Grant {
    pub(crate) client: String,
    pub(crate) subject: String,
    pub(crate) scope: String,
    pub(crate) nonce: Option<String>,
    pub(crate) audience: Option<String>,
    pub(crate) auth_time: SystemTime,
    pub(crate) sid: String,
}

impl Grant {
    pub(crate) fn has_scope(&self, wanted: &str) -> bool {
        self.scope.split(' ').any(|scope| scope == wanted)
    }
}

/// Tokens that were just committed.
pub(crate) struct Issued {
    pub(crate) outcome: Outcome,
    pub(crate) family: u64,
    /// The serial of the refresh token that was presented, or the first one of a new family.
    pub(crate) serial: Option<u64>,
    /// The serial of the refresh token in the answer.
    pub(crate) issued_serial: Option<u64>,
    pub(crate) refresh_token: Option<String>,
    /// The epoch of the family that access tokens of this answer belong to.
    pub(crate) epoch: u64,
    pub(crate) grant: Grant,
}

/// A presented code or refresh token that was refused.
pub(crate) struct Rejected {
    pub(crate) outcome: Outcome,
    pub(crate) family: Option<u64>,
    pub(crate) serial: Option<u64>,
    pub(crate) why: &'static str,
}

struct CodeRecord {
    grant: Grant,
    redirect_uri: String,
    challenge: String,
    expires_at: SystemTime,
    /// The family it was redeemed for.
    spent_on: Option<u64>,
}

/// An access token and what it is good for.
#[derive(Clone)]
pub(crate) struct AccessRecord {
    pub(crate) client: String,
    pub(crate) subject: String,
    pub(crate) scope: String,
    pub(crate) audience: Option<String>,
    pub(crate) issued_at: SystemTime,
    pub(crate) expires_at: SystemTime,
    /// The family and the refresh token it came with; machines have neither.
    pub(crate) family: Option<u64>,
    pub(crate) serial: Option<u64>,
    /// The family's epoch when it was committed.
    pub(crate) epoch: u64,
    pub(crate) killed: bool,
}

/// The books of one provider.
#[derive(Default)]
pub(crate) struct Ledger {
    codes: HashMap<String, CodeRecord>,
    codes_by_age: VecDeque<String>,
    families: BTreeMap<u64, FamilyRecord>,
    last_family: u64,
    /// Which family and serial a refresh token is.
    refresh_tokens: HashMap<String, (u64, u64)>,
    access_tokens: HashMap<String, AccessRecord>,
    access_by_age: VecDeque<String>,
}

/// What a client shows to redeem a code.
pub(crate) struct CodeProof<'a> {
    pub(crate) client: &'a str,
    pub(crate) redirect_uri: &'a str,
    pub(crate) verifier: &'a str,
}

impl Ledger {
    pub(crate) fn mint_code(
        &mut self,
        grant: Grant,
        redirect_uri: String,
        challenge: String,
        now: SystemTime,
    ) -> String {
        let code = opaque("ac_");
        let expires_at = now + CODE_LIFETIME;
        self.codes.insert(code.clone(), CodeRecord { grant, redirect_uri, challenge, expires_at, spent_on: None });
        self.codes_by_age.push_back(code.clone());
        while self.codes_by_age.len() > CODES {
            if let Some(oldest) = self.codes_by_age.pop_front() {
                self.codes.remove(&oldest);
            }
        }
        code
    }

    /// Redeems a code once; `refresh_lifetime` is `None` when the client gets no refresh token.
    pub(crate) fn redeem_code(
        &mut self,
        code: &str,
        proof: &CodeProof<'_>,
        now: SystemTime,
        refresh_lifetime: impl FnOnce(&Grant) -> Option<Duration>,
    ) -> Result<Issued, Rejected> {
        let rejected = |outcome, family, why| Rejected { outcome, family, serial: None, why };
        let Some(record) = self.codes.get_mut(code) else {
            return Err(rejected(Outcome::CodeRejected, None, "The code is unknown."));
        };
        if record.grant.client != proof.client {
            return Err(rejected(Outcome::CodeRejected, None, "The code is unknown."));
        }
        if let Some(family) = record.spent_on {
            self.revoke_family(family, RevocationReason::CodeReused, now);
            return Err(rejected(
                Outcome::CodeReuseDetected,
                Some(family),
                "The code was used before; its tokens are revoked.",
            ));
        }
        let why = if now >= record.expires_at {
            Some("The code has expired.")
        } else if record.redirect_uri != proof.redirect_uri {
            Some("The redirect_uri is not the one of the authorization request.")
        } else if !same(&s256(proof.verifier), &record.challenge) {
            Some("The code_verifier does not fit the code_challenge.")
        } else {
            None
        };
        if let Some(why) = why {
            return Err(rejected(Outcome::CodeRejected, None, why));
        }
        self.last_family += 1;
        let family = self.last_family;
        record.spent_on = Some(family);
        let grant = record.grant.clone();
        let mut opened = FamilyRecord::open(family, grant.clone(), now);
        let first = refresh_lifetime(&grant).map(|lifetime| opened.add_link(None, now, lifetime));
        if let Some(link) = &first {
            self.refresh_tokens.insert(link.token.clone(), (family, link.serial));
        }
        self.families.insert(family, opened);
        self.forget_old_families();
        let serial = first.as_ref().map(|link| link.serial);
        Ok(Issued {
            outcome: Outcome::Issued,
            family,
            serial,
            issued_serial: serial,
            refresh_token: first.map(|link| link.token),
            epoch: 0,
            grant,
        })
    }

    pub(crate) fn record_access(&mut self, token: String, record: AccessRecord) {
        self.access_by_age.push_back(token.clone());
        self.access_tokens.insert(token, record);
        while self.access_by_age.len() > ACCESS_TOKENS {
            if let Some(oldest) = self.access_by_age.pop_front() {
                self.access_tokens.remove(&oldest);
            }
        }
    }

    /// The record of an access token that is good now.
    pub(crate) fn live_access(&self, token: &str, now: SystemTime) -> Option<&AccessRecord> {
        let record = self.access_tokens.get(token)?;
        let family_lives = match record.family {
            None => true,
            Some(family) => self
                .families
                .get(&family)
                .is_some_and(|family| family.revoked.is_none() && record.epoch >= family.epoch),
        };
        (!record.killed && family_lives && now < record.expires_at).then_some(record)
    }

    /// As [`Ledger::live_access`], and notes that the client has evidently received what came with it.
    pub(crate) fn use_access(&mut self, token: &str, now: SystemTime) -> Option<AccessRecord> {
        let record = self.live_access(token, now)?.clone();
        if let (Some(family), Some(serial)) = (record.family, record.serial)
            && let Some(link) = self.families.get_mut(&family).and_then(|family| family.link_mut(serial))
        {
            link.used = true;
        }
        Some(record)
    }

    pub(crate) fn kill_access(&mut self, token: &str) {
        if let Some(record) = self.access_tokens.get_mut(token) {
            record.killed = true;
        }
    }

    pub(crate) fn access_record(&self, token: &str) -> Option<&AccessRecord> {
        self.access_tokens.get(token)
    }

    pub(crate) fn revoke_family(&mut self, family: u64, reason: RevocationReason, now: SystemTime) -> bool {
        match self.families.get_mut(&family) {
            Some(record) if record.revoked.is_none() => {
                record.revoked = Some((reason, now));
                true
            }
            _ => false,
        }
    }

    /// Revokes what was granted within one sign-in at the provider; tells which families.
    /// The clients that got tokens within a sign-in, each with the user's name there.
    pub(crate) fn clients_of_session(&self, sid: &str) -> Vec<(String, String)> {
        let of_session = self.families.values().filter(|family| family.grant.sid == sid);
        let clients = of_session.map(|family| (family.grant.client.clone(), family.grant.subject.clone()));
        clients.collect::<BTreeSet<_>>().into_iter().collect()
    }

    pub(crate) fn revoke_session(&mut self, sid: &str, now: SystemTime) -> Vec<u64> {
        let of_session: Vec<u64> =
            self.families.values().filter(|family| family.grant.sid == sid).map(|family| family.id).collect();
        of_session.into_iter().filter(|family| self.revoke_family(*family, RevocationReason::SignedOut, now)).collect()
    }

    /// A refresh token and its client, as a thief would have them: the one with this serial, or else the last that was spent.
    pub(crate) fn steal(&self, family: u64, serial: Option<u64>) -> Option<(String, String)> {
        let family = self.families.get(&family)?;
        let link = match serial {
            Some(serial) => family.link(serial)?,
            None => family.links.iter().rev().find(|link| link.spent)?,
        };
        Some((link.token.clone(), family.grant.client.clone()))
    }

    /// The family and serial of a refresh token that is remembered.
    pub(crate) fn find_refresh(&self, token: &str) -> Option<(&FamilyRecord, u64)> {
        let (family, serial) = self.refresh_tokens.get(token)?;
        Some((self.families.get(family)?, *serial))
    }

    pub(crate) fn families(&self, now: SystemTime) -> Vec<Family> {
        self.families.values().map(|family| family.view(now)).collect()
    }

    /// Drops what is over the limit: first the oldest revoked family, then the oldest.
    fn forget_old_families(&mut self) {
        while self.families.len() > FAMILIES {
            let revoked = self.families.values().find(|family| family.revoked.is_some()).map(|family| family.id);
            let Some(oldest) = revoked.or_else(|| self.families.keys().next().copied()) else {
                return;
            };
            if let Some(gone) = self.families.remove(&oldest) {
                for link in gone.links {
                    self.refresh_tokens.remove(&link.token);
                }
            }
        }
    }
}
