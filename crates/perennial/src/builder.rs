//! The configuration of an engine, checked as a whole: all faults are reported at once, each with key, place and remedy.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use perennial_core::SecureRandom;
use perennial_core::limits::HISTORY_WORD_CHARS;
use perennial_core::names::ProviderId;
use perennial_core::outage::{PER_SECOND_MAX, SLOTS_AHEAD};
use perennial_core::provider::{Provider, ProviderBuilder, ProviderFault, RefreshClass};
use perennial_core::renewal::RenewalPolicy;
use perennial_core::secret::{BackendSecret, CookieSecret};
use perennial_core::session::{Epoch, IdleFedBy};
use perennial_store::{Durability, MemoryStore, SessionStore};
use url::Url;

use crate::alarm::Alarms;
use crate::auth::Auth;
use crate::callbacks::{
    CallbackError, CallbackSet, Callbacks, Claims, JwtCallback, SessionCallback, SignInCallback, SignInVerdict,
};
use crate::config_error::{ConfigError, ConfigFault, Places};
use crate::cookies::CookieNames;
use crate::edge::{Clock, DatedClient, Edges, HttpClient, HyperClient, SystemClock, SystemRandom};
use crate::engine::{Inner, Listener};
use crate::event::Event;
use crate::flight::Flights;
use crate::hall::SeenCookies;
use crate::happened::StaleCookies;
use crate::issuer::IssuerClient;
use crate::keys::KeyChest;
use crate::metrics::Metrics;
use crate::pages::Theme;
use crate::settings::{CookieFormat, Pages, SessionStrategy, Settings};

/// Collects a configuration; [`build`](Self::build) checks it.
#[must_use]
pub struct AuthBuilder {
    secrets: Vec<CookieSecret>,
    backend_secrets: Vec<BackendSecret>,
    public_url: Option<String>,
    base_path: String,
    providers: Vec<Result<Provider, Vec<ProviderFault>>>,
    store: Option<Arc<dyn SessionStore>>,
    replicas: u32,
    strategy: SessionStrategy,
    max_age: Duration,
    update_age: Duration,
    absolute_max_age: Option<Duration>,
    idle_fed_by: IdleFedBy,
    epoch: Epoch,
    secret_roll_out: Duration,
    renewal: RenewalPolicy,
    return_origins: Vec<String>,
    updatable_claims: Vec<String>,
    kept_claims: Vec<String>,
    cookie_format: CookieFormat,
    compat_routes: bool,
    sign_out_at_provider: bool,
    replica_name: Option<String>,
    dangerous_allow_http: bool,
    pages: Pages,
    theme: Theme,
    callbacks: CallbackSet,
    listeners: Vec<Listener>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn SecureRandom>,
    http: Option<Arc<dyn HttpClient>>,
    place: &'static str,
    places: Places,
    faults: Vec<ConfigFault>,
}

impl AuthBuilder {
    pub(crate) fn new() -> Self {
        Self {
            secrets: Vec::new(),
            backend_secrets: Vec::new(),
            public_url: None,
            base_path: "/auth".into(),
            providers: Vec::new(),
            store: None,
            replicas: 1,
            strategy: SessionStrategy::default(),
            max_age: DAY * 30,
            update_age: DAY,
            absolute_max_age: None,
            idle_fed_by: IdleFedBy::default(),
            epoch: Epoch::default(),
            secret_roll_out: Duration::from_secs(600),
            renewal: RenewalPolicy::default(),
            return_origins: Vec::new(),
            updatable_claims: ["name", "nickname", "picture", "locale"].map(String::from).to_vec(),
            kept_claims: Vec::new(),
            cookie_format: CookieFormat::default(),
            compat_routes: false,
            sign_out_at_provider: false,
            replica_name: None,
            dangerous_allow_http: false,
            pages: Pages::default(),
            theme: Theme::default(),
            callbacks: CallbackSet::default(),
            listeners: Vec::new(),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            http: None,
            place: "configuration",
            places: Places::default(),
            faults: Vec::new(),
        }
    }

    /// Adds a secret that seals cookies, at least 16 bytes, better 32 random ones. The first seals, all open: put a new
    /// one in front and keep the old until its sessions are over.
    pub fn secret(mut self, secret: CookieSecret) -> Self {
        self.secrets.push(secret);
        self
    }

    /// How long replicas that share a store may take until all of them know a new secret; 10 minutes. Until then the secret
    /// behind the first goes on sealing. A process that has its store for itself changes over at once.
    pub fn secret_roll_out(mut self, time: Duration) -> Self {
        self.secret_roll_out = time;
        self
    }

    /// Where browsers reach this site: `https://app.example`, an origin without a path.
    pub fn public_url(mut self, url: impl Into<String>) -> Self {
        self.public_url = Some(url.into());
        self
    }

    /// Where our endpoints lie; `/auth`.
    pub fn base_path(mut self, path: impl Into<String>) -> Self {
        self.base_path = path.into();
        self
    }

    /// Opens `POST /auth/backend/session` to whoever presents this secret, of at least 32 bytes: an application that serves the
    /// browser itself asks there who its visitor is. Several may be given, so that they can be exchanged one by one.
    pub fn backend_secret(mut self, secret: BackendSecret) -> Self {
        self.backend_secrets.push(secret);
        self
    }

    /// Adds a provider.
    pub fn provider(mut self, provider: ProviderBuilder) -> Self {
        self.providers.push(provider.build());
        self
    }

    /// Where sessions are kept; in memory unless said otherwise, which forgets sign-outs at a restart.
    pub fn store(mut self, store: Arc<dyn SessionStore>) -> Self {
        self.store = Some(store);
        self
    }

    /// How many processes serve this site, 1 unless said otherwise. More than one need a store that they can share; a
    /// [`build`](Self::build) with another is refused, because each would redeem the same refresh token.
    pub fn replicas(mut self, replicas: u32) -> Self {
        self.replicas = replicas;
        self
    }

    /// Where sessions lie: in their cookies unless said otherwise. Changing it signs nobody out: a session moves at its next
    /// visit.
    pub fn strategy(mut self, strategy: SessionStrategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// How long a session lasts without a visit; 30 days, from 1 minute to 400 days.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// How old a cookie gets before a visit sets it anew; 1 day, less than `max_age`.
    pub fn update_age(mut self, update_age: Duration) -> Self {
        self.update_age = update_age;
        self
    }

    /// Which requests count as a visit: those that speak for a person unless said otherwise. Choose [`IdleFedBy::Any`] for a
    /// single-page application whose users only cause GETs by script.
    pub fn idle_fed_by(mut self, which: IdleFedBy) -> Self {
        self.idle_fed_by = which;
        self
    }

    /// The deployment's epoch; 0. Raise it by one after the store was restored from a backup, which has forgotten sign-outs:
    /// every session of an older epoch is then renewed once at its provider before it is served again.
    pub fn epoch(mut self, epoch: u64) -> Self {
        self.epoch = Epoch(epoch);
        self
    }

    /// How long a session lasts at all; no end unless set.
    pub fn absolute_max_age(mut self, age: Duration) -> Self {
        self.absolute_max_age = Some(age);
        self
    }

    /// Whose session cookie we write; both are read. Auth.js 5's unless said otherwise.
    pub fn cookie_format(mut self, format: CookieFormat) -> Self {
        self.cookie_format = format;
        self
    }

    /// When and how sessions renew.
    pub fn renewal(mut self, policy: RenewalPolicy) -> Self {
        self.renewal = policy;
        self
    }

    /// Allows return URLs of another origin: `https://www.app.example`.
    pub fn return_origin(mut self, origin: impl Into<String>) -> Self {
        self.return_origins.push(origin.into());
        self
    }

    /// The claims that `POST /api/update-user-data` may set, instead of `name`, `nickname`, `picture` and `locale`.
    pub fn updatable_claims<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.updatable_claims = names.into_iter().map(Into::into).collect();
        self
    }

    /// Claims that a session keeps of what its provider tells at sign-in, besides its name, email and picture: `groups` that UserInfo
    /// alone has, which is asked for them then. The claims of the newest ID token are known without.
    pub fn kept_claims<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.kept_claims = names.into_iter().map(Into::into).collect();
        self
    }

    /// Serves the four `/api/...` routes of the SvelteKitAuth recipe.
    pub fn compat_routes(mut self, on: bool) -> Self {
        self.compat_routes = on;
        self
    }

    /// Signs out at the provider as well (OIDC RP-Initiated Logout): a sign-out leads to the provider's end-session endpoint and
    /// back. Off unless set; register `<public URL><base path>/signout/callback` there as post-logout redirect URI first.
    pub fn sign_out_at_provider(mut self, on: bool) -> Self {
        self.sign_out_at_provider = on;
        self
    }

    /// What this process is called in the histories of sessions, 1 to 32 of `A-Z a-z 0-9 . _ -`: tells replicas apart.
    pub fn replica_name(mut self, name: impl Into<String>) -> Self {
        self.replica_name = Some(name.into());
        self
    }

    /// Accepts a public URL with plain http on a host other than loopback: cookies and codes then travel in clear.
    pub fn dangerous_allow_http(mut self) -> Self {
        self.dangerous_allow_http = true;
        self
    }

    /// All callbacks at once; a closure given for one of them goes before it.
    pub fn callbacks(mut self, callbacks: impl Callbacks) -> Self {
        self.callbacks.base = Arc::new(callbacks);
        self
    }

    /// Auth.js's `signIn` callback.
    pub fn on_sign_in<F>(mut self, callback: impl Fn(SignInCallback) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<SignInVerdict, CallbackError>> + Send + 'static,
    {
        self.callbacks.sign_in = Some(Arc::new(move |ask| -> BoxFuture<'static, _> { Box::pin(callback(ask)) }));
        self
    }

    /// Auth.js's `jwt` callback: also asked on every read of a session.
    pub fn jwt<F>(mut self, callback: impl Fn(JwtCallback) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Option<Claims>, CallbackError>> + Send + 'static,
    {
        self.callbacks.jwt = Some(Arc::new(move |ask| -> BoxFuture<'static, _> { Box::pin(callback(ask)) }));
        self
    }

    /// Auth.js's `session` callback.
    pub fn session<F>(mut self, callback: impl Fn(SessionCallback) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Option<Claims>, CallbackError>> + Send + 'static,
    {
        self.callbacks.session = Some(Arc::new(move |ask| -> BoxFuture<'static, _> { Box::pin(callback(ask)) }));
        self
    }

    /// Auth.js's `redirect` callback.
    pub fn redirect(mut self, callback: impl Fn(&str, &str) -> String + Send + Sync + 'static) -> Self {
        self.callbacks.redirect = Some(Arc::new(callback));
        self
    }

    /// Tells `listener` of every event as it happens (Auth.js `events`). It must not block; to take one's time there is
    /// [`Auth::subscribe`].
    pub fn on_event(mut self, listener: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.listeners.push(Arc::new(listener));
        self
    }

    /// The application's own pages instead of ours.
    pub fn pages(mut self, pages: Pages) -> Self {
        self.pages = pages;
        self
    }

    /// How our own pages look: colours and a logo, as Auth.js's `theme`.
    pub fn theme(mut self, theme: Theme) -> Self {
        self.theme = theme;
        self
    }

    /// Another clock, for simulations.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Other randomness, for simulations.
    pub fn random(mut self, random: impl SecureRandom + 'static) -> Self {
        self.random = Arc::new(random);
        self
    }

    /// Another HTTP client.
    pub fn http_client(mut self, client: impl HttpClient) -> Self {
        self.http = Some(Arc::new(client));
        self
    }

    /// Adds a fault found elsewhere, so that all are reported together.
    pub fn fault(mut self, fault: ConfigFault) -> Self {
        self.faults.push(fault);
        self
    }

    /// Says where settings stand, as pairs of key and place: `("session.max_age", "perennial.toml:12")`. A fault of a setting
    /// that is not among them is said to be where the section above it stands.
    pub fn places(mut self, places: impl IntoIterator<Item = (String, String)>) -> Self {
        self.places.extend(places);
        self
    }

    /// What faults name as their place from here on, where nothing better is known: `environment`.
    pub(crate) fn place(mut self, place: &'static str) -> Self {
        self.place = place;
        self
    }

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
        let Ok(chest) = KeyChest::new(self.secrets, &names, self.cookie_format, store.shared(), self.secret_roll_out)
        else {
            return Err(ConfigError { faults: vec![missing_secret(self.place)] });
        };
        let call_deadline = self.renewal.call_deadline;
        let metrics = Arc::new(Metrics::new(providers.iter().map(|provider| &provider.id)));
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
                issuers: providers.into_iter().map(|each| IssuerClient::new(each, &settings.renewal)).collect(),
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
                events: tokio::sync::broadcast::channel(1024).0,
                listeners: self.listeners,
                flights: Flights::new(),
                seen_cookies: SeenCookies::new(),
                tombstones: Default::default(),
                doubts: Default::default(),
                marks: Default::default(),
                logout_tokens: Default::default(),
                forks: Default::default(),
                errands: Default::default(),
                unwritten_ends: Default::default(),
                audience_tokens: Default::default(),
            }),
        })
    }

    fn check_secrets(&self, faults: &mut Vec<ConfigFault>) {
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

    fn checked_public_url(&self, faults: &mut Vec<ConfigFault>) -> Option<Url> {
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

    fn check_paths_and_times(&self, faults: &mut Vec<ConfigFault>) {
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

    fn check_replicas(&self, providers: &[Provider], faults: &mut Vec<ConfigFault>) {
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

    fn checked_return_origins(&self, faults: &mut Vec<ConfigFault>) -> Vec<url::Origin> {
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

    fn checked_providers(&mut self, faults: &mut Vec<ConfigFault>) -> Vec<Provider> {
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

/// `client`, which tells `metrics` what it sees of providers' clocks.
fn dated(client: Arc<dyn HttpClient>, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Arc<dyn HttpClient> {
    let listener = Box::new(move |host: &str, ahead: f64| metrics.clock_skew(host, ahead));
    Arc::new(DatedClient { client, clock, listener })
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

fn missing_secret(place: &str) -> ConfigFault {
    ConfigFault::new("AUTH_SECRET", place, "set it to the output of `perennial secret`; it seals the session cookies")
}

fn is_replica_name(name: &str) -> bool {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    plain && (1..=HISTORY_WORD_CHARS).contains(&name.len())
}

/// Whether a URL's host is this machine, where plain http harms nobody.
pub(crate) fn is_loopback(url: &Url) -> bool {
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

const DAY: Duration = Duration::from_secs(24 * 3600);
