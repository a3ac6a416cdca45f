//! Alarms: what a person must look at. One table of stable codes with their remedies, each told at most once a minute.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use perennial_core::Timestamp;
use perennial_core::names::ProviderId;

use crate::auth::Auth;
use crate::engine::Inner;
use crate::event::Event;

/// What a person must look at. docs/observability.md has the same table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AlarmCode {
    /// The provider gives no access token for an audience.
    AudienceRefused,
    /// A changed configuration has faults, so that it does not come into force.
    ConfigurationRefused,
    /// A session does not fit into its cookie.
    CookieTooLarge,
    /// The provider refuses our client.
    ProviderRefusesClient,
    /// The provider's metadata cannot be had, so that nobody can sign in.
    ProviderUnreachable,
    /// A session's record opens under none of the secrets.
    RecordSealedElsewhere,
    /// The store knows nothing of a session that lies in it alone.
    RecordMissing,
    /// A session's record was written by a later version.
    RecordNewer,
    /// A session's record is damaged.
    RecordUnreadable,
    /// A secret stands behind the first although it is newer, and seals nothing.
    SecretMisplaced,
    /// The proxy that asks about requests does not hand our `Set-Cookie` to browsers.
    SetCookieDropped,
    /// The store has forgotten a write that it acknowledged.
    StoreLostAWrite,
    /// The store cannot tell what other replicas do.
    StoreOutOfTouch,
    /// The store fails.
    StoreUnavailable,
    /// Received tokens did not reach the store, so that only cookies hold them.
    TokensUnsaved,
}

impl AlarmCode {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::AudienceRefused,
        Self::ConfigurationRefused,
        Self::CookieTooLarge,
        Self::ProviderRefusesClient,
        Self::ProviderUnreachable,
        Self::RecordMissing,
        Self::RecordNewer,
        Self::RecordSealedElsewhere,
        Self::RecordUnreadable,
        Self::SecretMisplaced,
        Self::SetCookieDropped,
        Self::StoreLostAWrite,
        Self::StoreOutOfTouch,
        Self::StoreUnavailable,
        Self::TokensUnsaved,
    ];

    /// The stable code.
    pub fn code(self) -> &'static str {
        self.row().0
    }

    /// What to do, in one sentence.
    pub fn remedy(self) -> &'static str {
        self.row().1
    }

    /// Where the documentation says more.
    pub fn docs(self) -> String {
        format!("docs/observability.md#{}", self.code())
    }

    fn row(self) -> (&'static str, &'static str) {
        match self {
            Self::AudienceRefused => (
                "audience_refused",
                "Allow audience and scope for this client at the provider, or correct the configuration; sessions are kept.",
            ),
            Self::ConfigurationRefused => (
                "configuration_refused",
                "Correct what `perennial check` says is wrong: until then the configuration before it stays in force.",
            ),
            Self::CookieTooLarge => (
                "cookie_too_large",
                "Keep fewer claims in the jwt callback, have the provider issue smaller tokens, or keep sessions in the store.",
            ),
            Self::ProviderRefusesClient => (
                "provider_refuses_client",
                "Compare client id, secret, authentication method and grant types with what the provider has; sessions are kept meanwhile.",
            ),
            Self::ProviderUnreachable => (
                "provider_unreachable",
                "Run `perennial check`, and see whether the provider and the way to it are up.",
            ),
            Self::RecordSealedElsewhere => (
                "record_sealed_elsewhere",
                "Put the secret that was taken out back at the end of the list, on every replica, until its sessions are over.",
            ),
            Self::RecordMissing => (
                "record_missing",
                "Find out how the store lost it, and restore it if you can: its user is a stranger until then.",
            ),
            Self::RecordNewer => {
                ("record_newer", "Update this replica, or take the later version back: their sessions wait until then.")
            }
            Self::RecordUnreadable => (
                "record_unreadable",
                "See whether another version of Perennial or another program writes to this store.",
            ),
            Self::SecretMisplaced => (
                "secret_misplaced",
                "Put the new secret first, on every replica; one that is only to open older sessions may stay behind.",
            ),
            Self::SetCookieDropped => (
                "set_cookie_dropped",
                "Have the proxy hand on the Set-Cookie of forward-auth answers, as the ready configurations do; sessions renew meanwhile.",
            ),
            Self::StoreLostAWrite => (
                "store_lost_a_write",
                "Have the store acknowledge a write once it is safe: see the advice on durability for yours.",
            ),
            Self::StoreOutOfTouch => (
                "store_out_of_touch",
                "See whether the store is up and lets this process subscribe: until then ends elsewhere are noticed late.",
            ),
            Self::StoreUnavailable => {
                ("store_unavailable", "Bring the store back: until then nothing renews, and living tokens serve on.")
            }
            Self::TokensUnsaved => (
                "tokens_unsaved",
                "Bring the store back before the process ends: who loses these cookies has to sign in again.",
            ),
        }
    }
}

impl Auth {
    /// Tells a person, as the engine itself does: for those who serve it and see what it cannot.
    pub fn alarm(&self, code: AlarmCode, message: &str) {
        self.inner.alarm(code, message);
    }
}

impl Inner {
    /// Tells a person.
    pub(crate) fn alarm(&self, code: AlarmCode, message: &str) {
        self.raise(code, None, message);
    }

    /// Tells a person about `provider`.
    pub(crate) fn alarm_about(&self, code: AlarmCode, provider: &ProviderId, message: &str) {
        self.raise(code, Some(provider), message);
    }

    fn raise(&self, code: AlarmCode, provider: Option<&ProviderId>, message: &str) {
        self.metrics.alarm(code);
        let at = self.now();
        let Some(held_back) = self.alarms.admit(code, provider, at) else { return };
        let (provider, docs) = (provider.map(ToString::to_string), code.docs());
        let (code, remedy) = (code.code(), code.remedy());
        tracing::error!(code, provider, message, remedy, docs, held_back, "alarm");
        self.emit(Event::Alarm { at, code, provider, message: message.to_owned(), remedy, held_back });
    }
}

/// Which alarms were told when; as many as there are codes and configured providers.
#[derive(Default)]
pub(crate) struct Alarms {
    told: Mutex<HashMap<(AlarmCode, Option<ProviderId>), Told>>,
}

struct Told {
    at: Timestamp,
    held_back: u64,
}

impl Alarms {
    /// Whether to tell this one: how many were held back since the last, or `None` if this one is held back as well.
    fn admit(&self, code: AlarmCode, provider: Option<&ProviderId>, now: Timestamp) -> Option<u64> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(last) = told.get_mut(&(code, provider.cloned())) else {
            told.insert((code, provider.cloned()), Told { at: now, held_back: 0 });
            return Some(0);
        };
        // A clock that was set back must not silence anything until it has caught up.
        if last.at <= now && now < last.at + ALARM_INTERVAL {
            last.held_back += 1;
            return None;
        }
        last.at = now;
        Some(std::mem::take(&mut last.held_back))
    }
}

/// The same alarm is told once in this time.
const ALARM_INTERVAL: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_is_told_once_a_minute_for_each_provider_and_counted_in_between() {
        let alarms = Alarms::default();
        let (one, two) = (ProviderId::new("one"), ProviderId::new("two"));
        use AlarmCode::{ProviderRefusesClient as Refuses, StoreUnavailable as Store};
        for (second, code, provider, expected) in [
            (100, Refuses, Some(&one), Some(0)),
            (100, Refuses, Some(&two), Some(0)),
            (100, Refuses, None, Some(0)),
            (100, Store, None, Some(0)),
            (101, Refuses, Some(&one), None),
            (159, Refuses, Some(&one), None),
            (159, Store, None, None),
            (160, Refuses, Some(&one), Some(2)),
            (219, Refuses, Some(&one), None),
            (220, Refuses, Some(&one), Some(1)),
            // Set back by an hour: told, and from then on once a minute again.
            (-3_380, Refuses, Some(&one), Some(0)),
            (-3_379, Refuses, Some(&one), None),
        ] {
            let admitted = alarms.admit(code, provider, Timestamp::from_unix_seconds(second));
            assert_eq!(admitted, expected, "{code:?} about {provider:?} at {second}");
        }
    }

    #[test]
    fn the_documentation_has_every_code_and_no_other() {
        let page = include_str!("../../../docs/observability.md");
        let headings: Vec<&str> =
            page.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`')).collect();
        let codes: Vec<&str> = AlarmCode::ALL.iter().map(|alarm| alarm.code()).collect();
        assert_eq!(headings, codes);
        for alarm in AlarmCode::ALL {
            assert!(page.contains(alarm.remedy()), "the remedy of {}", alarm.code());
            assert!(alarm.docs().ends_with(alarm.code()));
        }
    }
}
