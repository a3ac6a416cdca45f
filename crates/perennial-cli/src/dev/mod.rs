//! `perennial dev`: a provider, the gateway and a page that shows both at work, in one process.
//!
//! The page is an app like any other behind the gateway ([`app`]). In front of the gateway stands a door ([`front`]) that
//! sees what passes and hands `/demo/api` to the harness ([`harness`]), which plays other tabs, old cookies and thieves
//! with real requests ([`actions`]). What was seen becomes a picture ([`state`]), and the picture a stream ([`stream`]).

mod actions;
mod app;
mod assets;
mod front;
mod gate;
mod harness;
mod house;
mod jar;
mod page;
mod provider;
mod seen;
mod state;
mod stream;
mod tab;
mod view;
mod words;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use perennial_provider::{Client, Control, DevProvider};
use tokio::net::TcpListener;
use tokio::sync::broadcast::error::RecvError;

use self::app::App;
use self::house::{House, Plan};
use self::page::{Pages, Person};
use self::provider::Provider;
use self::state::Story;

/// What `perennial dev` may be told.
#[derive(Clone, Debug)]
pub(crate) struct DevOptions {
    /// The page's port; 4200.
    pub(crate) port: u16,
    /// The provider's port; 4201.
    pub(crate) provider_port: u16,
    /// How long access tokens live, whole seconds, at least 2; 20 s.
    pub(crate) access_token_lifetime: Duration,
    /// Renew this long before expiry; 60 s, of which a third of the lifetime is used at most.
    pub(crate) renew_before: Duration,
    /// Where the sessions' file lies; a folder of its own under the temporary ones, which goes with the process.
    pub(crate) data_dir: Option<PathBuf>,
}

impl Default for DevOptions {
    fn default() -> Self {
        Self {
            port: 4200,
            provider_port: 4201,
            access_token_lifetime: Duration::from_secs(20),
            renew_before: Duration::from_secs(60),
            data_dir: None,
        }
    }
}

/// Why the demo did not start; a sentence with the remedy.
#[derive(Debug)]
pub(crate) struct DevError(String);

impl std::fmt::Display for DevError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DevError {}

/// Puts up the house and stays until `shutdown` resolves. `ready` is called with the page's address once it can be opened.
///
/// # Errors
/// [`DevError`] when a port is taken, a folder cannot be written or an option does not fit.
pub(crate) async fn run(
    options: DevOptions,
    ready: impl FnOnce(&str),
    shutdown: impl Future<Output = ()>,
) -> Result<(), DevError> {
    let folder = tempfile::tempdir().map_err(|error| DevError(format!("No temporary folder could be made: {error}")))?;
    let data = options.data_dir.clone().unwrap_or_else(|| folder.path().to_owned());
    std::fs::create_dir_all(&data)
        .map_err(|error| DevError(format!("{} cannot be written: {error}; name another folder.", data.display())))?;

    let issuer = format!("http://localhost:{}", options.provider_port);
    let public_host = format!("localhost:{}", options.port);
    let client_secret = house::random_text();
    let provider_listener = bind(options.provider_port, "--provider-port").await?;
    let upstream_listener = bind(0, "--port").await?;
    let upstream = upstream_listener.local_addr().map_err(|error| DevError(error.to_string()))?;

    let control = put_up_provider(&options, &issuer, &public_host, &client_secret, provider_listener)?;
    let story = Arc::new(Story::new());
    let pages = Pages::new(PEOPLE.to_vec(), options.access_token_lifetime, &issuer);
    let api = format!("{issuer}/api").parse().map_err(|_| DevError("The issuer is no URL.".into()))?;
    let app = App::new(Arc::clone(&story), pages, api).router();
    tokio::spawn(async move { axum::serve(upstream_listener, app).await });

    let plan = Plan {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, options.port)),
        public_host: public_host.clone(),
        issuer,
        client_id: CLIENT.into(),
        client_secret,
        upstream,
        store: data.join("sessions.redb"),
        renew_before: options.renew_before,
    };
    let house = House::new(plan, story, Provider::new(control));
    house.open_first().await.map_err(|error| DevError(format!("The gateway did not open: {error}")))?;
    tokio::spawn(watch_provider(Arc::clone(&house)));
    tokio::spawn(count_seconds(Arc::clone(&house)));
    ready(&format!("http://{public_host}/"));
    shutdown.await;
    house.close();
    Ok(())
}

/// Our name at the provider.
const CLIENT: &str = "demo";

/// The provider's own three.
const PEOPLE: [Person; 3] = [
    Person { hint: "alice", name: "Alice" },
    Person { hint: "bob", name: "Bob" },
    Person { hint: "carol", name: "Carol" },
];

async fn bind(port: u16, option: &str) -> Result<TcpListener, DevError> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpListener::bind(address)
        .await
        .map_err(|error| DevError(format!("Port {port} cannot be used: {error}; choose another with {option}.")))
}

fn put_up_provider(
    options: &DevOptions,
    issuer: &str,
    public_host: &str,
    secret: &str,
    listener: TcpListener,
) -> Result<Control, DevError> {
    let client = Client::confidential(CLIENT, secret)
        .redirect_uri(format!("http://{public_host}/auth/callback/{}", gate::PROVIDER))
        .post_logout_redirect_uri(format!("http://{public_host}/"));
    let provider = DevProvider::builder()
        .issuer(issuer)
        .client(client)
        .access_token_lifetime(options.access_token_lifetime)
        .auto_sign_in(true)
        .build()
        .map_err(|error| DevError(error.to_string()))?;
    let control = provider.control();
    let router = provider.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(control)
}

/// Tells the story what the provider reports.
async fn watch_provider(house: Arc<House>) {
    let mut events = house.provider().control().subscribe();
    loop {
        match events.recv().await {
            Ok(event) => house.provider_said(&event),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

/// One bar of the drawing each second.
async fn count_seconds(house: Arc<House>) {
    let mut beat = tokio::time::interval(Duration::from_secs(1));
    loop {
        beat.tick().await;
        house.tick();
    }
}
