//! The configuration of an engine, checked as a whole: all faults are reported at once, each with key, place and remedy.

mod build;
mod checks;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use perennial_core::SecureRandom;
use perennial_core::provider::{Provider, ProviderBuilder, ProviderFault};
use perennial_core::renewal::RenewalPolicy;
use perennial_core::secret::{BackendSecret, CookieSecret};
use perennial_core::session::{Epoch, IdleFedBy};
use perennial_store::SessionStore;

use crate::auth::Auth;
use crate::callbacks::{
    CallbackError, CallbackSet, Callbacks, Claims, JwtCallback, SessionCallback, SignInCallback, SignInVerdict,
};
use crate::config_error::{ConfigFault, Places};
use crate::edge::{Clock, HttpClient, SystemClock, SystemRandom};
use crate::engine::Listener;
use crate::event::Event;
use crate::pages::Theme;
use crate::settings::{CookieFormat, Pages, SessionStrategy};

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
    predecessor: Option<Auth>,
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
            predecessor: None,
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

    /// The engine takes over from `running` under another configuration, in the same process: it goes on with its store, its clock
    /// and randomness, its renewals under way, its metrics and those who subscribed to its events. What has begun comes to its end
    /// by the old one; call [`Auth::catch_up`] before the first request.
    pub fn in_place_of(mut self, running: &Auth) -> Self {
        let inner = &running.inner;
        (self.clock, self.random) = (inner.edges.clock.clone(), inner.edges.random.clone());
        self.predecessor = Some(running.clone());
        self.store(inner.store.clone())
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
}

const DAY: Duration = Duration::from_secs(24 * 3600);
