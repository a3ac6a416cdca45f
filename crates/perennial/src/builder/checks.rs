//! What is wrong with a configuration, and what to do about it.

use std::time::Duration;

use perennial_core::limits::HISTORY_WORD_CHARS;
use perennial_core::outage::{PER_SECOND_MAX, SLOTS_AHEAD};
use perennial_core::provider::{Provider, RefreshClass};
use perennial_store::Durability;
use url::Url;

use super::{AuthBuilder, DAY};
use crate::config_error::ConfigFault;

impl AuthBuilder {
    pub(super) fn check_secrets(&self, faults: &mut Vec<ConfigFault>) {
        if self.secrets.is_empty() {
            faults.push(missing_secret(self.place));
        }
        if self.secrets.iter().any(|secret| secret.expose_secret().len() < 16) {
            let remedy = "use at least 16 bytes, better the 32 random ones that `perennial secret` prints";
            faults.push(ConfigFault::new("AUTH_SECRET", self.place, remedy));
        }
        if self.backend_secrets.iter().any(|secret| secret.expose_secret().len() < BACKEND_SECRET_BYTES) {
            let remedy =
                "use at least 32 bytes, such as the output of `perennial secret`: it opens every visitor's session";
            faults.push(ConfigFault::new("AUTH_BACKEND_SECRET", self.place, remedy));
        }
    }

    pub(super) fn checked_public_url(&self, faults: &mut Vec<ConfigFault>) -> Option<Url> {
        let mut fault = |remedy: &str| faults.push(ConfigFault::new("public_url", self.place, remedy));
        let Some(text) = &self.public_url else {
            fault("set it (or AUTH_URL) to where browsers reach this site, such as https://app.example");
            return None;
        };
        match Url::parse(text) {
            Ok(url) if !matches!(url.scheme(), "http" | "https") || url.host().is_none() => {
                fault("write it with https:// and a host, such as https://app.example");
                None
            }
            Ok(url) if url.scheme() == "http" && !is_loopback(&url) && !self.dangerous_allow_http => {
                fault("use https, or dangerous_allow_http if you accept that cookies and codes travel in clear");
                None
            }
            Ok(url) if Url::parse(&url.origin().ascii_serialization()).ok().as_ref() != Some(&url) => {
                fault(
                    "leave out what follows host and port; base_path, or the path of AUTH_URL, says where the endpoints lie",
                );
                None
            }
            Ok(url) => Some(url),
            Err(_) => {
                fault("write a whole URL, such as https://app.example");
                None
            }
        }
    }

    pub(super) fn check_paths_and_times(&self, faults: &mut Vec<ConfigFault>) {
        let path = &self.base_path;
        let plain = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.'));
        if !path.starts_with('/') || path.len() < 2 || path.ends_with('/') || path.contains("//") || !plain {
            faults.push(ConfigFault::new(
                "base_path",
                self.place,
                "write a plain path without a slash at its end, such as /auth",
            ));
        }
        for (key, page) in
            [("sign_in", &self.pages.sign_in), ("sign_out", &self.pages.sign_out), ("error", &self.pages.error)]
        {
            if page
                .as_ref()
                .is_some_and(|page| !page.starts_with('/') || page.contains(['?', '#', '\\']) || page.starts_with("//"))
            {
                let remedy = "write a path of this site without a query, such as /login";
                faults.push(ConfigFault::new(format!("pages.{key}"), self.place, remedy));
            }
        }
        if self.max_age < Duration::from_secs(60) || self.max_age > DAY * 400 {
            faults.push(ConfigFault::new("session.max_age", self.place, "choose from 1 minute to 400 days"));
        }
        if self.update_age >= self.max_age {
            faults.push(ConfigFault::new("session.update_age", self.place, "choose less than session.max_age"));
        }
        if self.replica_name.as_ref().is_some_and(|name| !is_replica_name(name)) {
            let remedy = "write 1 to 32 of A-Z a-z 0-9 . _ -, such as gateway-1";
            faults.push(ConfigFault::new("replica_name", self.place, remedy));
        }
        let deadline = self.renewal.call_deadline;
        if deadline < Duration::from_millis(100) || deadline > Duration::from_secs(60) {
            faults.push(ConfigFault::new("renewal.call_deadline", self.place, "choose from 100 ms to 60 s"));
        }
        for (key, value, most, range) in [
            ("renewal.max_per_second", self.renewal.max_per_second, PER_SECOND_MAX, "from 1 to 10000"),
            ("renewal.max_at_once", self.renewal.max_at_once, AT_ONCE_MAX, "from 1 to 1024"),
        ] {
            if value == 0 || value > most {
                faults.push(ConfigFault::new(key, self.place, format!("choose {range}")));
            }
        }
        if self.renewal.renew_before.is_zero() {
            faults.push(ConfigFault::new("renewal.renew_before", self.place, "choose more than zero, such as 60s"));
        }
    }

    pub(super) fn check_replicas(&self, providers: &[Provider], faults: &mut Vec<ConfigFault>) {
        // A store that did not open has a fault of its own.
        let opened = self.store.is_some() || !faults.iter().any(|fault| fault.key == "store");
        let durability = self.store.as_ref().map(|store| store.durability());
        let shared = self.store.as_ref().is_some_and(|store| store.shared());
        let told = match self.replicas {
            0 => "say how many processes serve this site, 1 or more".to_owned(),
            1 => return,
            _ if shared || !opened => return,
            replicas => not_shared(replicas, durability, providers),
        };
        faults.push(ConfigFault::new("replicas", self.place, told));
    }

    pub(super) fn checked_return_origins(&self, faults: &mut Vec<ConfigFault>) -> Vec<url::Origin> {
        let mut parsed = Vec::new();
        for origin in &self.return_origins {
            match Url::parse(origin) {
                Ok(url) if matches!(url.scheme(), "http" | "https") && url.path() == "/" => parsed.push(url.origin()),
                _ => faults.push(ConfigFault::new(
                    "return_origins",
                    self.place,
                    "write each as an origin without a path, such as https://www.app.example",
                )),
            }
        }
        parsed
    }

    pub(super) fn checked_providers(&mut self, faults: &mut Vec<ConfigFault>) -> Vec<Provider> {
        let mut providers: Vec<Provider> = Vec::new();
        // One that is misspelt is there all the same.
        let none = self.providers.is_empty() && !faults.iter().any(|fault| fault.key.starts_with("providers"));
        for provider in std::mem::take(&mut self.providers) {
            match provider {
                Ok(provider) if providers.iter().any(|other| other.id == provider.id) => {
                    let remedy = format!("give the second provider `{}` another id", provider.id);
                    faults.push(ConfigFault::new("providers", self.place, remedy));
                }
                Ok(provider) => providers.push(provider),
                Err(found) => faults.extend(found.into_iter().map(|fault| ConfigFault {
                    key: format!("providers.{}.{}", fault.provider, fault.setting),
                    place: self.place.to_owned(),
                    remedy: format!("{}; {}", fault.problem, fault.remedy),
                })),
            }
        }
        if none {
            let remedy = "configure at least one provider, such as AUTH_OIDC_ISSUER, AUTH_OIDC_ID and AUTH_OIDC_SECRET";
            faults.push(ConfigFault::new("providers", self.place, remedy));
        }
        providers
    }
}

/// What to do about several replicas on a store of one process, and what would happen otherwise.
fn not_shared(replicas: u32, durability: Option<Durability>, providers: &[Provider]) -> String {
    let store = match durability {
        Some(Durability::Process) => "memory: is",
        Some(_) => "the file is",
        None => "memory: and files are",
    };
    let remedy = format!(
        "give all {replicas} replicas one store, redis:// or postgres:// ({store} for one process), or run one replica"
    );
    let harmless = |class| matches!(class, RefreshClass::Reusable | RefreshClass::Acknowledged);
    let endangered = providers.iter().filter(|provider| !harmless(provider.class)).map(|provider| provider.id.as_str());
    match endangered.collect::<Vec<_>>()[..] {
        [] => remedy,
        ref ids => format!(
            "{remedy}; each replica would redeem the same refresh token, and {} may then end the session everywhere",
            ids.join(", ")
        ),
    }
}

pub(super) fn missing_secret(place: &str) -> ConfigFault {
    ConfigFault::new("AUTH_SECRET", place, "set it to the output of `perennial secret`; it seals the session cookies")
}

fn is_replica_name(name: &str) -> bool {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    plain && (1..=HISTORY_WORD_CHARS).contains(&name.len())
}

/// Whether a URL's host is this machine, where plain http harms nobody.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// A backend secret can be guessed at over the network, where nothing slows a guesser down.
const BACKEND_SECRET_BYTES: usize = 32;

/// As many as may wait for a slot at a time.
const AT_ONCE_MAX: u32 = SLOTS_AHEAD as u32;
