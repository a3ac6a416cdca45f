//! Redeeming a refresh token, by class: RFC 6749 §6, RFC 9700 §4.14.2.

use std::time::{Duration, SystemTime};

use super::family::{Link, RevocationReason};
use super::verdict::{Verdict, judge};
use super::{Issued, Ledger, Rejected};
use crate::behaviour::RefreshClass;
use crate::event::Outcome;

/// How refresh tokens are treated just now.
pub(crate) struct RefreshTerms {
    pub(crate) class: RefreshClass,
    pub(crate) at_kill: bool,
    pub(crate) lifetime: Duration,
}

impl Ledger {
    /// Redeems a refresh token; the whole decision and its commit are one step.
    pub(crate) fn redeem_refresh(
        &mut self,
        token: &str,
        client: &str,
        terms: &RefreshTerms,
        now: SystemTime,
    ) -> Result<Issued, Rejected> {
        let unknown = Rejected {
            outcome: Outcome::RejectedUnknown,
            family: None,
            serial: None,
            why: "The refresh token is unknown.",
        };
        let Some(&(id, serial)) = self.refresh_tokens.get(token) else {
            return Err(unknown);
        };
        let Some(family) = self.families.get_mut(&id).filter(|family| family.grant.client == client) else {
            return Err(unknown);
        };
        let rejected = |outcome, why| Rejected { outcome, family: Some(id), serial: Some(serial), why };
        let revoked = family.revoked.is_some();
        let Some(link) = family.link_mut(serial) else {
            return Err(unknown);
        };
        link.presented += 1;
        if revoked {
            return Err(rejected(Outcome::RejectedRevoked, "The refresh token was revoked."));
        }
        if now >= link.expires_at {
            return Err(rejected(Outcome::RejectedExpired, "The refresh token has expired."));
        }
        let link = link.clone();
        let successors: Vec<Link> = family.successors(serial).cloned().collect();
        let verdict = judge(terms.class, &link, &successors, now);
        match verdict {
            Verdict::Refuse => {
                return Err(rejected(Outcome::RejectedSpent, "The refresh token was used before."));
            }
            Verdict::RevokeFamily => {
                self.revoke_family(id, RevocationReason::RefreshTokenReused, now);
                return Err(rejected(
                    Outcome::ReuseDetectedFamilyRevoked,
                    "The refresh token was used before; all tokens of this sign-in are revoked.",
                ));
            }
            Verdict::Keep | Verdict::Rotate | Verdict::RotateAgain | Verdict::Repeat { .. } => {}
        }
        Ok(self.commit(id, &link, &verdict, terms, now))
    }

    fn commit(&mut self, id: u64, link: &Link, verdict: &Verdict, terms: &RefreshTerms, now: SystemTime) -> Issued {
        let family = self.families.get_mut(&id).expect("the family was found under the same lock");
        family.epoch += u64::from(terms.at_kill);
        let answer = match verdict {
            Verdict::Repeat { serial } => family.link_mut(*serial).map(|successor| {
                successor.undelivered = false;
                successor.clone()
            }),
            Verdict::Rotate | Verdict::RotateAgain => Some(family.add_link(Some(link.serial), now, terms.lifetime)),
            Verdict::Keep | Verdict::Refuse | Verdict::RevokeFamily => None,
        };
        if let Some(presented) = family.link_mut(link.serial) {
            presented.redeemed_at.get_or_insert(now);
            presented.used = true;
            presented.undelivered = false;
            presented.spent |= answer.is_some();
        }
        let outcome = match verdict {
            Verdict::Rotate => Outcome::Rotated,
            _ => Outcome::ReusedOk(terms.class),
        };
        let answer = answer.unwrap_or_else(|| link.clone());
        let issued = Issued {
            outcome,
            family: id,
            serial: Some(link.serial),
            issued_serial: Some(answer.serial),
            refresh_token: Some(answer.token.clone()),
            epoch: family.epoch,
            grant: family.grant.clone(),
        };
        let dropped = family.drop_oldest();
        self.refresh_tokens.insert(answer.token, (id, answer.serial));
        if let Some(forgotten) = dropped {
            self.refresh_tokens.remove(&forgotten.token);
        }
        issued
    }

    /// Notes that one more request carries this token, and until when; returns the numbers under way.
    pub(crate) fn enter(&mut self, token: &str) -> Option<InFlight> {
        let &(family, serial) = self.refresh_tokens.get(token)?;
        let (of_token, of_family) = self.families.get_mut(&family)?.enter(serial);
        Some(InFlight { family, serial, of_token, of_family })
    }

    pub(crate) fn leave(&mut self, in_flight: &InFlight) {
        if let Some(family) = self.families.get_mut(&in_flight.family) {
            family.leave(in_flight.serial);
        }
    }

    /// Notes that the answer which carried this token was withheld.
    pub(crate) fn mark_lost(&mut self, family: u64, serial: u64) {
        if let Some(link) = self.families.get_mut(&family).and_then(|family| family.link_mut(serial)) {
            link.undelivered = true;
        }
    }
}

/// A request under way that carries a refresh token.
pub(crate) struct InFlight {
    pub(crate) family: u64,
    pub(crate) serial: u64,
    pub(crate) of_token: u32,
    pub(crate) of_family: u32,
}

#[cfg(test)]
mod tests {
    use super::super::{CodeProof, Grant, RefreshTokenState};
    use super::*;
    use crate::limits::{FAMILIES, REFRESH_TOKENS_PER_FAMILY};
    use crate::random::s256;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
    }

    fn open(ledger: &mut Ledger) -> (u64, String) {
        let grant = Grant {
            client: "app".into(),
            subject: "alice".into(),
            scope: "openid offline_access".into(),
            nonce: None,
            audience: None,
            auth_time: at(0),
            sid: "sid".into(),
        };
        let code = ledger.mint_code(grant, "http://localhost/cb".into(), s256("v"), at(0));
        let proof = CodeProof { client: "app", redirect_uri: "http://localhost/cb", verifier: "v" };
        let issued = ledger.redeem_code(&code, &proof, at(0), |_| Some(HOUR)).ok().expect("a good code");
        (issued.family, issued.refresh_token.expect("a refresh token"))
    }

    /// Presents serials at given seconds; `1` is the first token, later numbers are successors in order of issue.
    fn play(class: RefreshClass, script: &[(usize, u64)]) -> Vec<String> {
        let mut ledger = Ledger::default();
        let (_, first) = open(&mut ledger);
        let mut tokens = vec![first];
        let terms = RefreshTerms { class, at_kill: false, lifetime: HOUR };
        script
            .iter()
            .map(|(serial, seconds)| {
                let token = tokens[serial - 1].clone();
                match ledger.redeem_refresh(&token, "app", &terms, at(*seconds)) {
                    Ok(issued) => {
                        let answer = issued.refresh_token.expect("always one");
                        let number = tokens.iter().position(|known| *known == answer).unwrap_or_else(|| {
                            tokens.push(answer);
                            tokens.len() - 1
                        });
                        format!("{} -> {}", issued.outcome, number + 1)
                    }
                    Err(rejected) => rejected.outcome.to_string(),
                }
            })
            .collect()
    }

    #[test]
    fn every_class_answers_as_its_model() {
        use RefreshClass::*;
        for (class, script, expected) in [
            (
                Rotating,
                &[(1, 0), (2, 1), (1, 2), (3, 3)][..],
                &["rotated -> 2", "rotated -> 3", "reuse_detected_family_revoked", "rejected_revoked"][..],
            ),
            (SingleUse, &[(1, 0), (1, 1), (2, 2)], &["rotated -> 2", "rejected_spent", "rotated -> 3"]),
            (
                Reusable,
                &[(1, 0), (1, 1), (1, 2)],
                &["reused_ok_reusable -> 1", "reused_ok_reusable -> 1", "reused_ok_reusable -> 1"],
            ),
            (
                Overlap { seconds: 10 },
                &[(1, 0), (1, 9), (2, 9), (3, 9)],
                &["rotated -> 2", "reused_ok_overlap:10 -> 3", "rotated -> 4", "rotated -> 5"],
            ),
            (
                Overlap { seconds: 10 },
                &[(1, 0), (1, 9), (1, 10), (3, 11)],
                &["rotated -> 2", "reused_ok_overlap:10 -> 3", "reuse_detected_family_revoked", "rejected_revoked"],
            ),
            (
                Idempotent { seconds: 3 },
                &[(1, 0), (1, 2), (2, 2), (1, 2), (3, 3)],
                &["rotated -> 2", "reused_ok_idempotent:3 -> 2", "rotated -> 3", "rejected_spent", "rotated -> 4"],
            ),
            (Idempotent { seconds: 3 }, &[(1, 0), (1, 3), (2, 4)], &["rotated -> 2", "rejected_spent", "rotated -> 3"]),
            (
                Acknowledged,
                &[(1, 0), (1, 99), (3, 99), (1, 99), (2, 99)],
                &["rotated -> 2", "reused_ok_acknowledged -> 3", "rotated -> 4", "rejected_spent", "rotated -> 5"],
            ),
            (Rotating, &[(1, 3600)], &["rejected_expired"]),
        ] {
            assert_eq!(play(class, script), expected, "{class} {script:?}");
        }
    }

    #[test]
    fn another_client_finds_nothing_and_kills_nothing() {
        let mut ledger = Ledger::default();
        let (family, token) = open(&mut ledger);
        let terms = RefreshTerms { class: RefreshClass::Rotating, at_kill: false, lifetime: HOUR };
        let stranger = ledger.redeem_refresh(&token, "other", &terms, at(1));
        assert_eq!(stranger.err().map(|rejected| rejected.outcome), Some(Outcome::RejectedUnknown));
        assert!(ledger.redeem_refresh(&token, "app", &terms, at(1)).is_ok());
        assert!(ledger.families(at(1)).iter().any(|view| view.id == family && view.alive));
    }

    #[test]
    fn memory_is_bounded() {
        let mut ledger = Ledger::default();
        let (_, mut token) = open(&mut ledger);
        let terms = RefreshTerms { class: RefreshClass::Rotating, at_kill: false, lifetime: HOUR };
        for _ in 0..REFRESH_TOKENS_PER_FAMILY + 10 {
            token = ledger
                .redeem_refresh(&token, "app", &terms, at(1))
                .ok()
                .and_then(|issued| issued.refresh_token)
                .expect("rotated");
        }
        let chain = &ledger.families(at(1))[0].refresh_tokens;
        assert_eq!(chain.len(), REFRESH_TOKENS_PER_FAMILY);
        assert_eq!(chain.last().map(|link| link.state), Some(RefreshTokenState::Live));
        assert_eq!(ledger.refresh_tokens.len(), REFRESH_TOKENS_PER_FAMILY);
        for _ in 0..FAMILIES + 5 {
            open(&mut ledger);
        }
        assert_eq!(ledger.families.len(), FAMILIES);
        assert_eq!(ledger.refresh_tokens.len(), FAMILIES, "the first family is forgotten whole");
    }
}
