//! [`Auth`]: the engine with its edges, built once and cloned freely.

use std::sync::Arc;
use std::time::Duration;

use perennial_core::cookie::{KeyRing, RecordKeys};
use perennial_core::names::ProviderId;
use perennial_core::renewal::RenewalPolicy;
use perennial_core::secret::CookieSecret;
use perennial_core::{SecureRandom, Timestamp};
use perennial_store::SessionStore;
use tokio::sync::broadcast;
use url::Url;

use crate::builder::AuthBuilder;
use crate::callbacks::CallbackSet;
use crate::cookies::CookieNames;
use crate::edge::{Clock, HttpClient};
use crate::event::Event;
use crate::flight::Flights;
use crate::issuer::{IssuerClient, ProviderReport};
use crate::layer::SessionLayer;
use crate::renew::Outcome;
use crate::tombstones::Tombstones;

/// Keeps users signed in: sign-in, sessions, renewal. Cheap to clone; all clones are one engine.
///
/// ```
/// use axum::{Router, routing::get};
/// use perennial::{Auth, Provider, Session, secret::{ClientSecret, CookieSecret}};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let auth = Auth::builder()
///     .secret(CookieSecret::new("32 random bytes or more, from the environment"))
///     .public_url("http://localhost:3000")
///     .provider(
///         Provider::preset("auth0")?
///             .issuer("https://tenant.eu.auth0.com/")
///             .client_id("my-app")
///             .client_secret(ClientSecret::new("from the environment")),
///     )
///     .build()?;
///
/// let app: Router = Router::new()
///     .route("/", get(|session: Option<Session>| async move {
///         session.map_or("Hello stranger".to_owned(), |session| format!("Hello {:?}", session.user().name))
///     }))
///     .merge(auth.router())
///     .layer(auth.layer());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Auth {
    pub(crate) inner: Arc<Inner>,
}

impl Auth {
    /// Starts a configuration.
    pub fn builder() -> AuthBuilder {
        AuthBuilder::new()
    }

    /// The tower layer that gives every request its session, renewed when due.
    pub fn layer(&self) -> SessionLayer {
        SessionLayer { auth: self.clone() }
    }

    /// Events from now on. A receiver that falls more than 1024 events behind misses the oldest.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.inner.events.subscribe()
    }

    /// The settings in force.
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// The ids of the configured providers, in order.
    pub fn providers(&self) -> impl Iterator<Item = &ProviderId> {
        self.inner.issuers.iter().map(|issuer| &issuer.provider().id)
    }

    /// Whether the store answers: for readiness probes.
    ///
    /// # Errors
    /// The store's own.
    pub async fn check_store(&self) -> Result<(), perennial_store::StoreError> {
        self.inner.store.check().await
    }

    /// Reaches every provider and says what was found: for a check before anybody depends on it.
    pub async fn inspect_providers(&self) -> Vec<ProviderReport> {
        let mut reports = Vec::new();
        for issuer in &self.inner.issuers {
            reports.push(issuer.inspect(&self.inner).await);
        }
        reports
    }

    /// Lets the store forget what has expired; call it every few minutes. Answers with how many records went.
    ///
    /// # Errors
    /// The store's own.
    pub async fn sweep(&self) -> Result<usize, perennial_store::StoreError> {
        self.inner.store.sweep(self.inner.now()).await
    }

    /// Resolves when no renewal is under way: call it after the last request, before the process ends.
    pub async fn drain(&self) {
        self.inner.flights.all_landed().await;
    }
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth").field("settings", &self.inner.settings).finish_non_exhaustive()
    }
}

/// What an engine was built with, secrets aside.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Where browsers reach this site; the origin of every URL we make.
    pub public_url: Url,
    /// Where our endpoints lie: `/auth`, or `/api/auth` for clients of next-auth.
    pub base_path: String,
    /// How long a session lasts without an interactive visit; 30 days, at most 400 (browsers keep cookies no longer).
    pub max_age: Duration,
    /// How old a cookie gets before a visit renews its `max_age`; 1 day.
    pub update_age: Duration,
    /// How long a session lasts at all; `None` (the default) for no end.
    pub absolute_max_age: Option<Duration>,
    /// When and how sessions renew.
    pub renewal: RenewalPolicy,
    /// Other origins that return URLs may lead to; none.
    pub return_origins: Vec<url::Origin>,
    /// Claims that `POST /api/update-user-data` may set; `name`, `nickname`, `picture`, `locale`.
    pub updatable_claims: Vec<String>,
    /// Whether the four `/api/...` routes of the SvelteKitAuth recipe are served; no.
    pub compat_routes: bool,
}

impl Settings {
    /// The origin of `public_url`, as browsers write it.
    pub fn origin(&self) -> String {
        self.public_url.origin().ascii_serialization()
    }

    /// Whether browsers reach us by https, and cookies are `Secure`.
    pub fn secure(&self) -> bool {
        self.public_url.scheme() == "https"
    }

    /// The URL of one of our endpoints, as text.
    pub(crate) fn endpoint(&self, path: &str) -> String {
        format!("{}{}{path}", self.origin(), self.base_path)
    }

    /// The URL of one of our endpoints.
    pub(crate) fn endpoint_url(&self, path: &str) -> Url {
        let mut url = self.public_url.clone();
        url.set_path(&format!("{}{path}", self.base_path));
        url.set_query(None);
        url.set_fragment(None);
        url
    }
}

pub(crate) struct Inner {
    pub(crate) settings: Settings,
    pub(crate) names: CookieNames,
    pub(crate) secrets: Vec<CookieSecret>,
    pub(crate) session_keys: KeyRing,
    pub(crate) flow_keys: KeyRing,
    pub(crate) record_keys: RecordKeys,
    pub(crate) issuers: Vec<IssuerClient>,
    pub(crate) default_provider: ProviderId,
    pub(crate) store: Arc<dyn SessionStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn SecureRandom>,
    pub(crate) http: Arc<dyn HttpClient>,
    pub(crate) callbacks: CallbackSet,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) flights: Arc<Flights<Outcome>>,
    pub(crate) tombstones: Tombstones,
}

impl Inner {
    pub(crate) fn issuer(&self, id: &ProviderId) -> Option<&IssuerClient> {
        let found = self.issuers.iter().find(|issuer| issuer.provider().id == *id);
        if found.is_none() {
            tracing::error!(
                provider = id.as_str(),
                "a session was begun at a provider that is no longer configured: it cannot be renewed"
            );
        }
        found
    }

    pub(crate) fn at_kill(&self, id: &ProviderId) -> bool {
        self.issuers.iter().any(|issuer| issuer.provider().id == *id && issuer.provider().at_kill)
    }

    pub(crate) fn emit(&self, event: Event) {
        // Nobody listening is fine.
        let _ = self.events.send(event);
    }

    pub(crate) fn alarm(&self, code: &'static str, message: &str) {
        tracing::error!(code, message, "alarm");
        self.emit(Event::Alarm { at: self.clock.now(), code, message: message.to_owned() });
    }

    /// A number in [0, 1).
    pub(crate) fn roll(&self) -> f64 {
        let bytes: [u8; 4] = perennial_core::random::random_bytes(&*self.random);
        f64::from(u32::from_be_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
