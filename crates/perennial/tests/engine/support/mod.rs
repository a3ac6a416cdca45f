//! A provider, an application and browsers: what every story needs.

mod browser;
mod clock;
mod store;
mod wire;

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::SET_COOKIE;
use http::{HeaderMap, Method};
use perennial::provider::{ConsentPrompt, RefreshClass};
use perennial::secret::{ClientSecret, CookieSecret};
use perennial::store::{MemoryStore, SessionStore};
use perennial::{
    Audience, Auth, AuthBuilder, BearerToken, Door, Event, Generation, Provider, ProviderBuilder, Refusal, Renewal,
    RenewalOutcome, RenewalPolicy, Session,
};
use perennial_provider::{Client, Control, DevProvider};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::broadcast;

pub(crate) use browser::{Answer, Browser};
pub(crate) use clock::{Skew, TestClock};
pub(crate) use store::Flaky;
pub(crate) use wire::Wire;

pub(crate) const SECRET: &str = "planted-cookie-secret-of-32-bytes";
pub(crate) const CLIENT_SECRET: &str = "planted-client-secret";

/// The provider's access tokens live this long; sessions become due 30 to 60 s before the end of it.
pub(crate) const LIFETIME: Duration = Duration::from_secs(300);

/// Inside the renewal window of a token that was just issued.
pub(crate) const DUE: Duration = Duration::from_secs(275);

/// A token that was just issued is dead by then.
pub(crate) const DEAD: Duration = Duration::from_secs(301);

/// A provider and an engine that share a clock.
pub(crate) struct World {
    pub(crate) clock: TestClock,
    pub(crate) provider: Control,
    pub(crate) wire: Wire,
    pub(crate) store: Arc<dyn SessionStore>,
    pub(crate) engine: Engine,
    issuer: String,
    public_url: String,
    class: RefreshClass,
    rules: Rules,
}

/// Further settings of the provider.
pub(crate) type Rules = fn(ProviderBuilder) -> ProviderBuilder;

impl World {
    /// Reuse revokes the family, at the provider and in the engine's belief; everything else as by default.
    pub(crate) async fn start() -> Self {
        Self::of(RefreshClass::Family, |auth| auth).await
    }

    pub(crate) async fn of(class: RefreshClass, configure: impl FnOnce(AuthBuilder) -> AuthBuilder) -> Self {
        Self::on(Arc::new(MemoryStore::new()), class, configure).await
    }

    pub(crate) async fn on(
        store: Arc<dyn SessionStore>,
        class: RefreshClass,
        configure: impl FnOnce(AuthBuilder) -> AuthBuilder,
    ) -> Self {
        Self::with_rules(store, class, |provider| provider, configure).await
    }

    pub(crate) async fn with_rules(
        store: Arc<dyn SessionStore>,
        class: RefreshClass,
        rules: Rules,
        configure: impl FnOnce(AuthBuilder) -> AuthBuilder,
    ) -> Self {
        let clock = TestClock::new();
        let wire = Wire::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let issuer = format!("http://{}", listener.local_addr().expect("bound"));
        let app = bind();
        let public_url = format!("http://{}", app.local_addr().expect("bound"));
        let provider = DevProvider::builder()
            .issuer(&issuer)
            .client(
                Client::confidential("app", CLIENT_SECRET)
                    .redirect_uri(format!("{public_url}/auth/callback/oidc"))
                    .post_logout_redirect_uri(format!("{public_url}/auth/signout/callback"))
                    .backchannel_logout_uri(format!("{public_url}/auth/backchannel-logout")),
            )
            .access_token_lifetime(LIFETIME)
            .auto_sign_in(true)
            .clock(clock.of_provider())
            .build()
            .expect("the settings are right");
        let control = provider.control();
        control.script(&format!("class={}", provider_class(class))).expect("a known class");
        tokio::spawn(async move { provider.serve(listener, std::future::pending()).await });
        let provider_settings = rules(provider_settings(&issuer, class));
        let builder = builder(&clock, &wire, &store, provider_settings, &public_url);
        let builder = configure(builder.secret(CookieSecret::new(SECRET)));
        let engine = Engine::start(builder, app);
        Self { clock, provider: control, wire, store, engine, issuer, public_url, class, rules }
    }

    /// Where browsers believe to be.
    pub(crate) fn origin(&self) -> String {
        self.public_url.clone()
    }

    /// A browser that has never been here.
    pub(crate) fn browser(&self) -> Browser {
        Browser::new(self.engine.address, &self.public_url)
    }

    /// A browser in which Alice has signed in.
    pub(crate) async fn alice(&self) -> Browser {
        let browser = self.browser();
        browser.sign_in("alice").await;
        browser
    }

    /// Another engine beside the first: another replica, or the same one after a restart.
    pub(crate) fn another_engine(
        &self,
        store: Arc<dyn SessionStore>,
        configure: impl FnOnce(AuthBuilder) -> AuthBuilder,
    ) -> Engine {
        let builder = builder(&self.clock, &self.wire, &store, self.provider_settings(), &self.public_url);
        Engine::start(configure(builder.secret(CookieSecret::new(SECRET))), bind())
    }

    /// The engine dies and lets go of its store; in its place is one that knows nothing.
    pub(crate) async fn crash(&mut self) {
        self.store = Arc::new(MemoryStore::new());
        let stranger = self.another_engine(self.store.clone(), |auth| auth);
        std::mem::replace(&mut self.engine, stranger).crash().await;
    }

    /// Another engine on the same store with other secrets, the newest first.
    pub(crate) fn engine_with_secrets(&self, secrets: &[&str]) -> Engine {
        let builder = builder(&self.clock, &self.wire, &self.store, self.provider_settings(), &self.public_url);
        let secrets = secrets.iter().map(|secret| CookieSecret::new(*secret));
        Engine::start(secrets.fold(builder, |builder, secret| builder.secret(secret)), bind())
    }

    fn provider_settings(&self) -> ProviderBuilder {
        (self.rules)(provider_settings(&self.issuer, self.class))
    }

    /// Refresh tokens redeemed at the provider so far.
    pub(crate) fn redemptions(&self) -> u64 {
        self.provider.counters().refreshes_committed
    }

    /// A URL of this site.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.public_url)
    }

    /// A URL of the provider.
    pub(crate) fn provider_url(&self, path: &str) -> String {
        format!("{}{path}", self.issuer)
    }

    /// A browser that has never been anywhere, at the provider.
    pub(crate) fn at_provider(&self) -> Browser {
        let address = self.issuer.strip_prefix("http://").and_then(|a| a.parse().ok()).expect("an address");
        Browser::new(address, &self.issuer)
    }

    /// Whether the provider takes an access token.
    pub(crate) async fn accepts(&self, access_token: &str) -> bool {
        let asked = self.at_provider();
        let authorization = format!("Bearer {access_token}");
        asked.get_with("/userinfo", &[("authorization", &authorization)]).await.status == 200
    }

    /// What the provider says of an access token (RFC 7662): whom it is for, and how far it reaches.
    pub(crate) async fn introspected(&self, access_token: &str) -> (String, String) {
        let asked = self.at_provider();
        let credentials = format!("Basic {}", STANDARD.encode(format!("app:{CLIENT_SECRET}")));
        let headers = [("content-type", "application/x-www-form-urlencoded"), ("authorization", credentials.as_str())];
        let body = format!("token={access_token}");
        let answer = asked.send(Method::POST, "/introspect", &headers, body.into()).await.json();
        assert_eq!(answer["active"], true, "{answer}");
        let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        (text("aud"), text("scope"))
    }

    /// Whether the first sign-in's family of refresh tokens is alive at the provider.
    pub(crate) fn family_alive(&self) -> bool {
        self.provider.families()[0].alive
    }
}

fn provider_settings(issuer: &str, class: RefreshClass) -> ProviderBuilder {
    Provider::preset("oidc")
        .expect("a preset")
        .issuer(issuer)
        .client_id("app")
        .client_secret(ClientSecret::new(CLIENT_SECRET))
        .consent(ConsentPrompt::Never)
        .class(class)
}

fn builder(
    clock: &TestClock,
    wire: &Wire,
    store: &Arc<dyn SessionStore>,
    provider: ProviderBuilder,
    public_url: &str,
) -> AuthBuilder {
    let policy = RenewalPolicy { wait_max: Duration::from_secs(5), ..RenewalPolicy::default() };
    Auth::builder()
        .public_url(public_url)
        .provider(provider)
        .renewal(policy)
        .store(store.clone())
        .strategy(crate::STRATEGY)
        .clock(clock.clone())
        .http_client(wire.clone())
}

fn provider_class(class: RefreshClass) -> String {
    match class {
        RefreshClass::Acknowledged => "acknowledged".into(),
        RefreshClass::Family | RefreshClass::Unknown => "rotating".into(),
        RefreshClass::Idempotent(window) => format!("idempotent:{}", window.as_secs()),
        RefreshClass::Overlap(window) => format!("overlap:{}", window.as_secs()),
        RefreshClass::Reusable => "reusable".into(),
        RefreshClass::SingleUse => "single_use".into(),
    }
}

fn bind() -> std::net::TcpListener {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("tokio asks for it");
    listener
}

/// An engine behind a small application, in a runtime of its own, so that it can die at once with all its tasks.
pub(crate) struct Engine {
    pub(crate) auth: Auth,
    pub(crate) address: SocketAddr,
    runtime: Option<Runtime>,
    events: Mutex<broadcast::Receiver<Event>>,
}

impl Engine {
    fn start(builder: AuthBuilder, listener: std::net::TcpListener) -> Self {
        let auth = builder.build().expect("the configuration is right");
        let address = listener.local_addr().expect("bound");
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let app = application(&auth);
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).expect("a listener");
            axum::serve(listener, app).await
        });
        let events = Mutex::new(auth.subscribe());
        Self { auth, address, runtime: Some(runtime), events }
    }

    /// Dies where it stands: no task runs on, nothing is cleaned up.
    async fn crash(mut self) {
        let runtime = self.runtime.take().expect("it lived");
        let stopped = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(Duration::from_secs(10)));
        stopped.await.expect("the runtime stops");
    }

    /// What has happened since this was last asked.
    pub(crate) fn events(&self) -> Vec<Event> {
        let mut receiver = self.events.lock().expect("no test panics while it reads");
        std::iter::from_fn(|| receiver.try_recv().ok()).collect()
    }

    /// How renewals ended since events were last asked for.
    pub(crate) fn renewals(&self) -> Vec<RenewalOutcome> {
        self.told_renewals().into_iter().map(|renewal| renewal.outcome).collect()
    }

    /// All that was told of renewals since events were last asked for.
    pub(crate) fn told_renewals(&self) -> Vec<Renewal> {
        let renewal = |event| if let Event::Renewal(renewal) = event { Some(renewal) } else { None };
        self.events().into_iter().filter_map(renewal).collect()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn application(auth: &Auth) -> Router {
    let members = Router::new().route("/page", get(front).post(front)).layer(auth.require_sign_in());
    let calling = Router::new().route("/for", get(for_audience)).with_state(auth.clone());
    Router::new()
        .merge(calling)
        .route("/", get(front))
        .route("/me", get(me))
        .route("/data", get(data))
        .nest("/members", members)
        .merge(auth.router())
        .layer(auth.layer())
}

/// Stands for a route whose upstream wants a token for `?name=` and `?scope=`; tells which would go there.
async fn for_audience(
    State(auth): State<Auth>,
    Query(asked): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let of = |name: &str| asked.get(name).map_or("", String::as_str);
    let audience = match of("name") {
        "" => Audience::of_scope(of("scope")),
        name => Audience::new(name).scope(of("scope")),
    };
    let door = asked
        .get("refused_at")
        .and_then(|seen| seen.parse().ok())
        .map_or(Door::Ordinary, |seen| Door::Unauthorized(Generation(seen)));
    let entry = auth.enter_for(&http::Method::GET, &headers, door, &Arc::new(audience)).await;
    let mut response = match entry.session.as_ref().map(Session::bearer) {
        None => Refusal::NotSignedIn.into_response(),
        Some(Err(refusal)) => refusal.into_response(),
        Some(Ok(token)) => Json(json!({ "bearer": token.expose_secret() })).into_response(),
    };
    for cookie in entry.set_cookies {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

async fn front(session: Option<Session>) -> String {
    session.map_or("stranger".into(), |session| session.user().name.unwrap_or_default())
}

async fn me(session: Session) -> Json<Value> {
    Json(json!({ "claims": session.claims(), "generation": session.generation(), "live": session.bearer().is_ok() }))
}

/// Stands for a call to an upstream: tells which token would go there.
async fn data(BearerToken(token): BearerToken) -> Json<Value> {
    Json(json!({ "bearer": token.expose_secret() }))
}

/// Whether somebody was told that the store fails.
pub(crate) fn alarmed(events: Vec<Event>) -> bool {
    events.iter().any(|event| matches!(event, Event::Alarm { code: "store_unavailable", .. }))
}

/// Waits until `holds`; for what other tasks do in their own time.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    for _ in 0..500 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came true that {what}");
}
