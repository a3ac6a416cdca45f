//! From a configuration to an engine.

use std::sync::Arc;

use perennial_core::names::ProviderId;
use perennial_core::provider::Provider;
use perennial_core::renewal::RenewalPolicy;
use perennial_store::MemoryStore;
use tokio::sync::broadcast;

use super::AuthBuilder;
use super::checks::missing_secret;
use crate::alarm::Alarms;
use crate::auth::Auth;
use crate::config_error::{ConfigError, ConfigFault};
use crate::cookies::CookieNames;
use crate::edge::{Clock, DatedClient, Edges, HttpClient, HyperClient};
use crate::engine::Inner;
use crate::flight::Flights;
use crate::hall::SeenCookies;
use crate::happened::StaleCookies;
use crate::issuer::IssuerClient;
use crate::keys::KeyChest;
use crate::metrics::Metrics;
use crate::settings::Settings;

impl AuthBuilder {
    /// Checks everything and builds the engine. Nothing is contacted yet: providers are discovered at first use.
    ///
    /// # Errors
    /// [`ConfigError`] with every fault found.
    pub fn build(mut self) -> Result<Auth, ConfigError> {
        let mut faults = std::mem::take(&mut self.faults);
        self.check_secrets(&mut faults);
        let public_url = self.checked_public_url(&mut faults);
        self.check_paths_and_times(&mut faults);
        let return_origins = self.checked_return_origins(&mut faults);
        let providers = self.checked_providers(&mut faults);
        self.check_replicas(&providers, &mut faults);
        let http = match self.http.take() {
            Some(client) => Some(client),
            None => match HyperClient::new(self.renewal.call_deadline / 3) {
                Ok(client) => Some(Arc::new(client) as Arc<dyn HttpClient>),
                Err(error) => {
                    let remedy =
                        format!("install the system's certificate authorities (package ca-certificates): {error}");
                    faults.push(ConfigFault::new("certificates", "system", remedy));
                    None
                }
            },
        };
        if let Some(url) = &public_url {
            faults.extend(
                self.theme
                    .faults(url)
                    .into_iter()
                    .map(|(setting, remedy)| ConfigFault::new(format!("theme.{setting}"), self.place, remedy)),
            );
        }
        let (Some(public_url), Some(http), true) = (public_url, http, faults.is_empty()) else {
            self.places.correct(&mut faults, self.place);
            return Err(ConfigError { faults });
        };
        let names = CookieNames::new(public_url.scheme() == "https").in_format(self.cookie_format);
        let store = self.store.unwrap_or_else(|| Arc::new(MemoryStore::default()));
        let Ok(chest) = KeyChest::new(self.secrets, &names, self.cookie_format, &*store, self.secret_roll_out) else {
            return Err(ConfigError { faults: vec![missing_secret(self.place)] });
        };
        let call_deadline = self.renewal.call_deadline;
        let running = self.predecessor.as_ref().map(|running| &*running.inner);
        let ids = providers.iter().map(|provider| &provider.id);
        let metrics = match running {
            Some(running) => running.metrics.clone().with_providers(ids),
            None => Arc::new(Metrics::new(ids)),
        };
        let http = dated(http, self.clock.clone(), metrics.clone());
        let settings = Settings {
            public_url,
            base_path: self.base_path,
            strategy: self.strategy,
            max_age: self.max_age,
            update_age: self.update_age,
            absolute_max_age: self.absolute_max_age,
            idle_fed_by: self.idle_fed_by,
            epoch: self.epoch,
            secret_roll_out: self.secret_roll_out,
            renewal: self.renewal,
            return_origins,
            updatable_claims: self.updatable_claims,
            kept_claims: self.kept_claims,
            pages: self.pages,
            theme: self.theme,
            compat_routes: self.compat_routes,
            sign_out_at_provider: self.sign_out_at_provider,
            replica_name: self.replica_name,
        };
        Ok(Auth {
            inner: Arc::new(Inner {
                default_provider: providers.first().map_or_else(|| ProviderId::new(""), |first| first.id.clone()),
                issuers: providers.into_iter().map(|each| issuer(each, &settings, running)).collect(),
                settings,
                names,
                chest,
                backend_secrets: self.backend_secrets,
                store,
                edges: Edges { clock: self.clock, random: self.random, http, call_deadline },
                callbacks: self.callbacks,
                stale_cookies: StaleCookies::default(),
                alarms: Alarms::default(),
                metrics,
                events: running.map_or_else(|| broadcast::channel(1024).0, |running| running.events.clone()),
                listeners: self.listeners,
                // One flight per session in a process, whichever engine it was begun by.
                flights: running.map_or_else(Flights::new, |running| running.flights.clone()),
                notes: Flights::new(),
                seen_cookies: SeenCookies::new(),
                tombstones: running.map(|running| running.tombstones.handed_on()).unwrap_or_default(),
                doubts: Default::default(),
                marks: Default::default(),
                logout_tokens: Default::default(),
                forks: Default::default(),
                errands: running.map(|running| running.errands.clone()).unwrap_or_default(),
                debts: running.map(|running| running.debts.clone()).unwrap_or_default(),
                unwritten_ends: running.map(|running| running.unwritten_ends.clone()).unwrap_or_default(),
                audience_tokens: Default::default(),
            }),
        })
    }
}

/// The client of a provider. One that goes on under the same limits keeps its turn at the gate, so that a provider meets the
/// stated rate and an outage is remembered.
fn issuer(provider: Provider, settings: &Settings, running: Option<&Inner>) -> IssuerClient {
    let limits = |policy: &RenewalPolicy| (policy.max_per_second, policy.max_at_once);
    let same = running.filter(|running| limits(&running.settings.renewal) == limits(&settings.renewal));
    let known = same.and_then(|running| running.issuers.iter().find(|known| known.provider().id == provider.id));
    let client = IssuerClient::new(provider, &settings.renewal);
    match known {
        Some(known) => client.at_the_gate_of(known),
        None => client,
    }
}

/// `client`, which tells `metrics` what it sees of providers' clocks.
fn dated(client: Arc<dyn HttpClient>, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Arc<dyn HttpClient> {
    let listener = Box::new(move |host: &str, ahead: f64| metrics.clock_skew(host, ahead));
    Arc::new(DatedClient { client, clock, listener })
}
