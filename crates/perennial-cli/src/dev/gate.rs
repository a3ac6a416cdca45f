//! The gateway of the house, in a runtime of its own, so that it can be killed with everything that runs in it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Extension;
use http::{Request, Response};
use perennial::secret::{ClientSecret, CookieSecret};
use perennial::{Auth, Event, Provider, RenewalPolicy, provider::RefreshClass, store};
use perennial_gateway::{Access, Admin, Answers, Config, Gateway, PathPattern, Route, Upstream, serve};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tower_service::Service;
use url::Url;

use super::front;
use super::house::{House, Plan};
use super::provider::LENIENCY;
use super::state::Story;

/// The id of the one provider, as in `/auth/signin/dev`.
pub(super) const PROVIDER: &str = "dev";
/// Sessions of the demo end after a day whatever happens, and after eight hours without a visit.
const ABSOLUTE: Duration = Duration::from_secs(24 * 3600);
const IDLE: Duration = Duration::from_secs(8 * 3600);
const COOKIE_AGE: Duration = Duration::from_secs(3600);
/// Between two renewals of a session; short, so that the button may be pressed twice.
pub(super) const MIN_INTERVAL: Duration = Duration::from_millis(200);

/// A gateway that is open.
pub(super) struct Gate {
    runtime: Runtime,
    auth: Auth,
}

/// Why a gateway did not open.
#[derive(Debug)]
pub(super) struct GateError(String);

impl Gate {
    /// Opens the gateway: store, engine, routes, listener. Blocks while the store's file is read.
    pub(super) fn open(house: &Arc<House>, secrets: &[CookieSecret]) -> Result<Self, GateError> {
        let plan = house.plan();
        let runtime = Builder::new_multi_thread().worker_threads(2).thread_name("gateway").enable_all().build()?;
        let inside = runtime.enter();
        let listener = asynchronous(std::net::TcpListener::bind(plan.listen)?)?;
        // The same one each time: nobody else can take its port while the gateway is away.
        let admin = asynchronous(plan.admin.try_clone()?)?;
        let gateway = Gateway::build(config(plan, secrets)?).map_err(GateError::said)?;
        let auth = gateway.auth();
        drop(inside);
        runtime.spawn(listen(auth.subscribe(), house.shared_story()));
        let passed_on = Router::new().fallback(pass).with_state(gateway.clone());
        let front = Front(front::router(house, passed_on));
        runtime.spawn(serve(listener, front, std::future::pending()));
        let address = admin.local_addr()?;
        runtime.spawn(Admin::new(gateway, address).serve(admin, std::future::pending()));
        Ok(Self { runtime, auth })
    }

    /// The engine inside.
    pub(super) fn auth(&self) -> &Auth {
        &self.auth
    }

    /// Ends it at once: no connection is drained, no task comes to its end, nothing in memory is kept.
    pub(super) fn kill(self) {
        self.runtime.shutdown_background();
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").field("auth", &self.auth).finish_non_exhaustive()
    }
}

impl GateError {
    /// Takes another error's words.
    pub(super) fn said(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

impl std::fmt::Display for GateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<std::io::Error> for GateError {
    fn from(error: std::io::Error) -> Self {
        Self::said(error)
    }
}

/// Hands a listener to the runtime that is entered.
fn asynchronous(listener: std::net::TcpListener) -> std::io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

fn config(plan: &Plan, secrets: &[CookieSecret]) -> Result<Config, GateError> {
    let path = plan.store.to_string_lossy().into_owned();
    let provider = Provider::oidc(PROVIDER)
        .name("the development provider")
        .issuer(&plan.issuer)
        .client_id(&plan.client_id)
        .client_secret(ClientSecret::new(&plan.client_secret))
        .scope("openid profile email offline_access")
        .class(RefreshClass::Overlap(LENIENCY));
    let renewal = RenewalPolicy { min_interval: MIN_INTERVAL, ..RenewalPolicy::default() };
    let auth = secrets.iter().fold(Auth::builder(), |auth, secret| auth.secret(secret.clone()));
    let auth = auth
        .public_url(format!("http://{}", plan.public_host))
        .provider(provider)
        .max_age(IDLE)
        .update_age(COOKIE_AGE)
        .absolute_max_age(ABSOLUTE)
        .renewal(renewal)
        .store(store::open(&path).map_err(GateError::said)?);
    let upstream = Url::parse(&format!("http://{}", plan.upstream)).map_err(GateError::said)?;
    let upstream = Upstream::at(upstream).map_err(GateError::said)?;
    let route = |path: &str, access| {
        let path = PathPattern::parse(path).map_err(GateError::said)?;
        Ok::<_, GateError>(Route { path, access, ..Route::to(upstream.clone()) })
    };
    let routes = vec![
        route("/", Access::Optional)?,
        route("/demo/assets", Access::Public)?,
        route("/demo/me", Access::Required)?,
    ];
    Ok(Config { listen: plan.listen, store: path, ..Config::new(auth, routes) })
}

/// Tells the story what the engine reports.
async fn listen(mut events: Receiver<Event>, story: Arc<Story>) {
    loop {
        match events.recv().await {
            Ok(Event::Renewal(renewal)) => story.renewal(&renewal),
            Ok(Event::StaleCookieSaved { session, presented, newest, .. }) => {
                story.rescue(&session, presented.0, newest.0);
            }
            Ok(Event::Ended { session, reason, .. }) => story.ended(&session, reason),
            Ok(Event::Alarm { message, .. }) => story.alarm(&message),
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

async fn pass(
    axum::extract::State(gateway): axum::extract::State<Gateway>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request<Body>,
) -> Response<Body> {
    gateway.handle(request, peer).await
}

/// Who is at the other end of the connection.
#[derive(Clone, Copy, Debug)]
struct Peer(SocketAddr);

/// The routes of the public port in the shape that the gateway's server wants.
#[derive(Clone, Debug)]
struct Front(Router);

impl Answers for Front {
    async fn answer(&self, mut request: Request<Body>, peer: SocketAddr) -> Response<Body> {
        request.extensions_mut().insert(Peer(peer));
        match self.0.clone().call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}
