//! Which behaviour applies to a request, and how its faults count down.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::behaviour::Behaviour;
use crate::faults::{Faults, GrantType, IdTokenDefect, Times};

/// The behaviour of everyone and of single clients; a client's own replaces everyone's wholly.
pub(crate) struct Script {
    initial: Behaviour,
    everyone: Armed,
    clients: BTreeMap<String, Armed>,
}

struct Armed {
    behaviour: Behaviour,
    /// When `respond_for_ms` began to run.
    since: SystemTime,
}

/// A fault that strikes before anything is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Early {
    InvalidClient,
    Status { status: u16, retry_after: Option<u32> },
    Drop,
    Redirect,
    Html,
}

/// What is to happen to a request that has just arrived.
pub(crate) struct Arrival {
    pub(crate) delay: Duration,
    pub(crate) early: Option<Early>,
}

/// What is to happen to an answer whose tokens are committed.
#[derive(Default)]
pub(crate) struct Departure {
    pub(crate) delay: Duration,
    pub(crate) lose: bool,
    pub(crate) cut: bool,
    pub(crate) oversized: bool,
    pub(crate) omit_expires_in: bool,
    pub(crate) expires_in_as_string: bool,
    pub(crate) omit_refresh_token: bool,
    pub(crate) omit_id_token: bool,
    pub(crate) id_token_skew_seconds: i64,
    pub(crate) defect: Option<IdTokenDefect>,
}

impl Script {
    pub(crate) fn new(initial: Behaviour, now: SystemTime) -> Self {
        Self { everyone: Armed { behaviour: initial.clone(), since: now }, initial, clients: BTreeMap::new() }
    }

    /// Back to the behaviour of the builder, for everyone.
    pub(crate) fn reset(&mut self, now: SystemTime) {
        *self = Self::new(self.initial.clone(), now);
    }

    /// The behaviour of one client, or of everyone without a behaviour of their own.
    pub(crate) fn of(&self, client: Option<&str>) -> &Behaviour {
        &self.armed(client).behaviour
    }

    fn armed(&self, client: Option<&str>) -> &Armed {
        client.and_then(|client| self.clients.get(client)).unwrap_or(&self.everyone)
    }

    /// Replaces a behaviour; the time of `respond_for_ms` begins to run.
    pub(crate) fn set(&mut self, client: Option<&str>, behaviour: Behaviour, now: SystemTime) {
        let armed = Armed { behaviour, since: now };
        match client {
            None => self.everyone = armed,
            Some(client) => drop(self.clients.insert(client.to_owned(), armed)),
        }
    }

    /// Changes a behaviour; the time of `respond_for_ms` runs on unless its fault was changed.
    pub(crate) fn adjust(&mut self, client: Option<&str>, change: impl FnOnce(&mut Behaviour), now: SystemTime) {
        let armed = self.armed(client);
        let (mut behaviour, since) = (armed.behaviour.clone(), armed.since);
        let outage = |faults: &Faults| (faults.respond_status, faults.respond_for_ms);
        let before = outage(&behaviour.faults);
        change(&mut behaviour);
        let since = if outage(&behaviour.faults) == before { since } else { now };
        self.set(client, behaviour, since);
    }

    /// Takes away the outages whose time is over.
    pub(crate) fn settle(&mut self, now: SystemTime) {
        for armed in std::iter::once(&mut self.everyone).chain(self.clients.values_mut()) {
            let faults = &mut armed.behaviour.faults;
            if faults.respond_for_ms.is_some_and(|ms| now >= armed.since + Duration::from_millis(ms)) {
                faults.end_outage();
            }
        }
    }

    /// Lets a client behave as everyone again.
    pub(crate) fn unset(&mut self, client: &str) {
        self.clients.remove(client);
    }

    pub(crate) fn of_clients(&self) -> BTreeMap<String, Behaviour> {
        self.clients.iter().map(|(client, armed)| (client.clone(), armed.behaviour.clone())).collect()
    }

    pub(crate) fn arrival(&mut self, client: &str, grant: GrantType, now: SystemTime) -> Arrival {
        self.settle(now);
        let armed = self.clients.get_mut(client).unwrap_or(&mut self.everyone);
        let faults = &mut armed.behaviour.faults;
        if !strikes_at(faults, grant) {
            return Arrival { delay: Duration::ZERO, early: None };
        }
        Arrival { delay: Duration::from_millis(faults.delay_ms), early: early(faults) }
    }

    pub(crate) fn departure(&mut self, client: &str, grant: GrantType, with_id_token: bool) -> Departure {
        let faults = &mut self.clients.get_mut(client).unwrap_or(&mut self.everyone).behaviour.faults;
        if !strikes_at(faults, grant) {
            return Departure::default();
        }
        let spoil = with_id_token && faults.defect.is_some() && faults.defect_times.strike();
        let defect = faults.defect.filter(|_| spoil);
        if faults.defect_times == Times::Never {
            (faults.defect, faults.defect_times) = (None, Times::Always);
        }
        Departure {
            delay: Duration::from_millis(faults.delay_after_commit_ms),
            lose: faults.lose_reply.strike(),
            cut: faults.cut_reply.strike(),
            oversized: faults.oversized.strike(),
            omit_expires_in: faults.omit_expires_in.strike(),
            expires_in_as_string: faults.expires_in_as_string.strike(),
            omit_refresh_token: faults.omit_refresh_token.strike(),
            omit_id_token: with_id_token && faults.omit_id_token.strike(),
            id_token_skew_seconds: faults.id_token_skew_seconds,
            defect,
        }
    }
}

fn strikes_at(faults: &Faults, grant: GrantType) -> bool {
    faults.grant.is_none_or(|only| only == grant)
}

/// At most one fault of this kind strikes, so that counts of others are not spent on the same request.
fn early(faults: &mut Faults) -> Option<Early> {
    if faults.invalid_client.strike() {
        return Some(Early::InvalidClient);
    }
    if let Some(status) = faults.respond_status
        && faults.respond_times.strike()
    {
        let retry_after = faults.retry_after_seconds;
        if faults.respond_times == Times::Never {
            faults.end_outage();
        }
        return Some(Early::Status { status, retry_after });
    }
    if faults.drop_before_commit.strike() {
        Some(Early::Drop)
    } else if faults.redirect.strike() {
        Some(Early::Redirect)
    } else if faults.html.strike() {
        Some(Early::Html)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(ms)
    }

    fn arrivals(script: &str, grants: &[(GrantType, u64)]) -> Vec<Option<Early>> {
        let mut script = Script::new(script.parse().expect("a script"), at(0));
        grants.iter().map(|(grant, ms)| script.arrival("app", *grant, at(*ms)).early).collect()
    }

    #[test]
    fn faults_strike_by_number_by_time_and_by_grant() {
        use GrantType::{AuthorizationCode as Code, RefreshToken as Refresh};
        let status = Some(Early::Status { status: 503, retry_after: None });
        for (script, grants, expected) in [
            ("respond_status=503,respond_times=1", &[(Refresh, 0), (Refresh, 0)][..], &[status, None][..]),
            (
                "respond_status=503,respond_for_ms=100",
                &[(Refresh, 0), (Refresh, 99), (Refresh, 100)],
                &[status, status, None],
            ),
            (
                "drop_before_commit=1,grant=refresh_token",
                &[(Code, 0), (Refresh, 0), (Refresh, 0)],
                &[None, Some(Early::Drop), None],
            ),
            (
                "html=1,redirect=1",
                &[(Code, 0), (Code, 0), (Code, 0)],
                &[Some(Early::Redirect), Some(Early::Html), None],
            ),
            ("invalid_client", &[(Code, 0), (Code, 0)], &[Some(Early::InvalidClient); 2]),
        ] {
            assert_eq!(arrivals(script, grants), expected, "{script}");
        }
    }

    #[test]
    fn a_clients_own_behaviour_replaces_everyones() {
        let mut script = Script::new("lose_reply=1".parse().expect("a script"), at(0));
        script.set(Some("app"), Behaviour::default(), at(0));
        assert!(!script.departure("app", GrantType::RefreshToken, false).lose);
        assert!(script.departure("other", GrantType::RefreshToken, false).lose);
        assert!(!script.departure("other", GrantType::RefreshToken, false).lose);
        script.reset(at(0));
        assert!(script.departure("app", GrantType::RefreshToken, false).lose);
    }
}
