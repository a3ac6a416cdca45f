//! The provider itself: its settings, its state behind locks, and what every endpoint needs of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::response::Redirect;
use axum::routing::{any, get, post};
use tokio::sync::{broadcast, watch};
use url::Url;

use crate::account::Account;
use crate::behaviour::Behaviour;
use crate::builder::{Clock, DevProviderBuilder};
use crate::client::Client;
use crate::control::Control;
use crate::event::{EventKind, Outcome, ProviderEvent};
use crate::keys::{Alg, KeyRing};
use crate::ledger::Ledger;
use crate::script::Script;
use crate::tally::Tally;
use crate::visitors::Visitors;
use crate::{admin, authorize, discovery, end_session, limits, page, resource, revocation, serve, token};

/// A running development provider, to be mounted as a [`Router`]; see the crate's page for what it is.
#[derive(Clone)]
pub struct DevProvider {
    pub(crate) state: Arc<State>,
}

impl DevProvider {
    /// A builder with Alice, Bob and Carol and no client.
    pub fn builder() -> DevProviderBuilder {
        DevProviderBuilder::default()
    }

    /// The issuer, exactly as it was given.
    pub fn issuer(&self) -> &str {
        &self.state.settings.issuer
    }

    /// What a test or a demo holds in the same process: faults, counters, families, events.
    pub fn control(&self) -> Control {
        Control::new(self.state.clone())
    }

    /// All endpoints, under the path of the issuer.
    pub fn router(&self) -> Router {
        let routes = Router::new()
            .route("/", get(page::home))
            .route("/.well-known/openid-configuration", get(discovery::metadata))
            .route("/jwks", get(discovery::jwks))
            .route("/authorize", get(authorize::by_query).post(authorize::by_form))
            .route("/authorize/choose", post(authorize::choose))
            .route("/token", post(token::endpoint))
            .route("/token/elsewhere", any(token::elsewhere))
            .route("/userinfo", get(resource::userinfo).post(resource::userinfo))
            .route("/api", any(resource::api))
            .route("/revoke", post(revocation::revoke))
            .route("/introspect", post(revocation::introspect))
            .route("/end-session", get(end_session::by_query).post(end_session::by_form))
            .route("/end-session/confirm", post(end_session::confirm))
            .route("/provider.css", get(page::stylesheet))
            .nest("/admin", admin::routes(self.state.clone()))
            .layer(DefaultBodyLimit::max(limits::BODY_BYTES))
            .layer(middleware::from_fn_with_state(self.state.clone(), serve::refuse_foreign_hosts))
            .with_state(self.state.clone());
        match self.state.settings.path() {
            "" => routes,
            // A nested `/` is the path without its slash.
            path => Router::new().nest(path, routes).route(&format!("{path}/"), get(Redirect::temporary(path))),
        }
    }
}

/// Everything that does not change while the provider runs.
pub(crate) struct Settings {
    pub(crate) issuer: String,
    pub(crate) issuer_url: Url,
    pub(crate) clients: Vec<Client>,
    pub(crate) accounts: Vec<Account>,
    pub(crate) access_token_lifetime: Duration,
    pub(crate) refresh_token_lifetime: Duration,
    pub(crate) id_token_lifetime: Duration,
    pub(crate) alg: Alg,
    pub(crate) auto_sign_in: bool,
    pub(crate) always_issue_refresh_token: bool,
    pub(crate) jwt_access_tokens: bool,
    pub(crate) admin_token: Option<String>,
    pub(crate) allow_remote: bool,
}

impl Settings {
    /// The path of the issuer without a trailing slash; empty when it has none.
    pub(crate) fn path(&self) -> &str {
        self.issuer_url.path().trim_end_matches('/')
    }

    /// The absolute URL of an endpoint; `path` begins with a slash.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.issuer.trim_end_matches('/'))
    }

    pub(crate) fn client(&self, id: &str) -> Option<&Client> {
        self.clients.iter().find(|client| client.id == id)
    }

    pub(crate) fn account(&self, id: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.id == id)
    }
}

/// The provider as its endpoints share it. No lock is held across an await, and none while another is taken.
pub(crate) struct State {
    pub(crate) settings: Settings,
    clock: Clock,
    ledger: Mutex<Ledger>,
    script: Mutex<Script>,
    tally: Mutex<Tally>,
    visitors: Mutex<Visitors>,
    keys: Mutex<KeyRing>,
    sequence: Mutex<u64>,
    events: broadcast::Sender<ProviderEvent>,
    /// Turns true when the server shuts down, so that event streams end.
    pub(crate) closing: watch::Sender<bool>,
}

impl State {
    pub(crate) fn new(settings: Settings, clock: Clock, behaviour: Behaviour, keys: KeyRing) -> Self {
        let now = clock();
        Self {
            settings,
            clock,
            ledger: Mutex::default(),
            script: Mutex::new(Script::new(behaviour, now)),
            tally: Mutex::default(),
            visitors: Mutex::default(),
            keys: Mutex::new(keys),
            sequence: Mutex::new(0),
            events: broadcast::Sender::new(limits::EVENTS),
            closing: watch::Sender::new(false),
        }
    }

    pub(crate) fn now(&self) -> SystemTime {
        (self.clock)()
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }

    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        lock(&self.script)
    }

    pub(crate) fn tally(&self) -> MutexGuard<'_, Tally> {
        lock(&self.tally)
    }

    pub(crate) fn visitors(&self) -> MutexGuard<'_, Visitors> {
        lock(&self.visitors)
    }

    pub(crate) fn keys(&self) -> MutexGuard<'_, KeyRing> {
        lock(&self.keys)
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<ProviderEvent> {
        self.events.subscribe()
    }

    /// Tells everyone who listens, and the log.
    pub(crate) fn tell(&self, news: News<'_>) {
        tracing::debug!(kind = ?news.kind, client = news.client, family = news.family, "{}", news.text);
        // The number is drawn and sent under one lock, so that listeners see the numbers in order.
        let mut sequence = lock(&self.sequence);
        *sequence += 1;
        let event = ProviderEvent {
            sequence: *sequence,
            at_ms: unix_millis(self.now()),
            kind: news.kind,
            client: news.client.map(str::to_owned),
            family: news.family,
            serial: news.serial,
            outcome: news.outcome,
            duration_ms: news.began.map_or(0, |began| u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)),
            text: news.text,
        };
        // Nobody listening is no error.
        let _ = self.events.send(event);
    }
}

/// An event before it has a number and a time.
pub(crate) struct News<'a> {
    pub(crate) kind: EventKind,
    pub(crate) client: Option<&'a str>,
    pub(crate) family: Option<u64>,
    pub(crate) serial: Option<u64>,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) began: Option<Instant>,
    pub(crate) text: String,
}

impl News<'_> {
    pub(crate) fn new(kind: EventKind, text: impl Into<String>) -> Self {
        Self { kind, client: None, family: None, serial: None, outcome: None, began: None, text: text.into() }
    }
}

/// A panic elsewhere leaves the books as they were; a development provider goes on with them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

pub(crate) fn unix_millis(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
