//! [`Auth`]: the engine with its edges, built once and cloned freely.

use std::sync::Arc;

use perennial_core::Timestamp;
use perennial_core::identity::IdentityKeys;
use perennial_core::names::ProviderId;
use perennial_core::random::random_token;
use tokio::sync::broadcast;

use crate::builder::AuthBuilder;
use crate::engine::Inner;
use crate::event::Event;
use crate::issuer::ProviderReport;
use crate::layer::SessionLayer;
use crate::settings::Settings;

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

    /// The keys that sign what an application behind us is told of its visitors.
    pub fn identity_keys(&self) -> &IdentityKeys {
        &self.inner.keys().identity
    }

    /// Whether an application's server may ask for its visitors' sessions, because a backend secret is configured.
    pub fn serves_backends(&self) -> bool {
        !self.inner.backend_secrets.is_empty()
    }

    /// The time, as the engine sees it.
    pub fn now(&self) -> Timestamp {
        self.inner.now()
    }

    /// An unguessable name of 256 random bits, from the engine's randomness.
    pub fn random_id(&self) -> String {
        random_token(self.inner.random())
    }

    /// Whether the store answers: for readiness probes.
    ///
    /// # Errors
    /// The store's own.
    pub async fn check_store(&self) -> Result<(), perennial_store::StoreError> {
        self.inner.store.check().await
    }

    /// The providers that are left alone for the moment because they failed: renewals and sign-ins there wait, living sessions do
    /// not.
    pub fn held_providers(&self) -> impl Iterator<Item = &ProviderId> {
        let now = self.inner.now();
        let held = self.inner.issuers.iter().filter(move |issuer| issuer.held_until(now).is_some());
        held.map(|issuer| &issuer.provider().id)
    }

    /// Reaches every provider and says what was found: for a check before anybody depends on it.
    pub async fn inspect_providers(&self) -> Vec<ProviderReport> {
        let mut reports = Vec::new();
        for issuer in &self.inner.issuers {
            reports.push(issuer.inspect(&self.inner.edges).await);
        }
        reports
    }

    /// Lets the store forget what has expired, and takes up revocations that a process left owing when it died; call it at the
    /// start and then every few minutes. Answers with how many records went.
    ///
    /// # Errors
    /// The store's own.
    pub async fn sweep(&self) -> Result<usize, perennial_store::StoreError> {
        self.inner.hear_what_ended().await;
        self.inner.take_up_debts();
        self.inner.store.sweep(self.inner.now()).await
    }

    /// Resolves once it is known which sessions ended before this engine was built, at the latest after 2 s. Without it the
    /// first requests wait for that; an engine that takes over from a running one calls it before.
    pub async fn catch_up(&self) {
        self.inner.hear_what_ended().await;
    }

    /// Resolves when no renewal is under way, and what was left for later (a revocation, an end, a lost answer) has been done or
    /// tried a last time: call it after the last request, before the process ends.
    pub async fn drain(&self) {
        self.inner.flights.all_landed().await;
        self.inner.errands.finish().await;
        // Those that an errand began.
        self.inner.flights.all_landed().await;
    }
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth").field("settings", &self.inner.settings).finish_non_exhaustive()
    }
}
