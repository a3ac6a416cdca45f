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
use crate::commands::{Fault, answer};

/// What `perennial dev` may be told.
#[derive(Clone, Debug)]
pub(crate) struct DevOptions {
    /// The page's port; 4200.
    pub(crate) port: u16,
    /// The provider's port; 4201.
    pub(crate) provider_port: u16,
    /// The admin listener's port; 0 for a free one.
    pub(crate) admin_port: u16,
    /// How long access tokens live, whole seconds, at least 2; 20 s.
    pub(crate) access_token_lifetime: Duration,
    /// Where the sessions' file lies; a folder of its own under the temporary ones, which goes with the process.
    pub(crate) data_dir: Option<PathBuf>,
}

/// Puts up the house and stays until `shutdown` resolves.
///
/// # Errors
/// When a port is taken, a folder cannot be written or an option does not fit; the text says what to do.
pub(crate) async fn run(options: DevOptions, shutdown: impl Future<Output = ()>) -> Result<(), Fault> {
    if options.access_token_lifetime < SHORTEST_LIFETIME || options.access_token_lifetime.subsec_nanos() > 0 {
        return Err("the access-token lifetime must be whole seconds, at least 2s".into());
    }
    let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder could be made: {error}"))?;
    let data = options.data_dir.clone().unwrap_or_else(|| folder.path().to_owned());
    std::fs::create_dir_all(&data)
        .map_err(|error| format!("{} cannot be written: {error}; name another folder", data.display()))?;

    let issuer = format!("http://localhost:{}", options.provider_port);
    let public_host = format!("localhost:{}", options.port);
    let client_secret = house::random_text();
    let provider_listener = bind(options.provider_port, "--provider-port").await?;
    let upstream_listener = bind(0, "--port").await?;
    let upstream = upstream_listener.local_addr()?;

    let control = put_up_provider(&options, &issuer, &public_host, &client_secret, provider_listener)?;
    let story = Arc::new(Story::new());
    let pages = Pages::new(PEOPLE.to_vec(), options.access_token_lifetime, &issuer);
    let api = format!("{issuer}/api").parse()?;
    let app = App::new(Arc::clone(&story), pages, api).router();
    tokio::spawn(async move { axum::serve(upstream_listener, app).await });

    let admin_listener = Arc::new(bind(options.admin_port, "--admin-port").await?.into_std()?);
    let admin = admin_listener.local_addr()?;
    let plan = Plan {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, options.port)),
        admin: admin_listener,
        public_host: public_host.clone(),
        issuer,
        client_id: CLIENT.into(),
        client_secret,
        upstream,
        store: data.join("sessions.redb"),
    };
    let house = House::new(plan, story, Provider::new(control));
    house.open().await.map_err(|error| format!("the gateway did not open: {error}"))?;
    tokio::spawn(watch_provider(Arc::clone(&house)));
    tokio::spawn(count_seconds(Arc::clone(&house)));
    answer(&format!("Perennial is at http://{public_host}/ (press Ctrl-C to end)"))?;
    answer(&format!(
        "Metrics are at http://{admin}/metrics; perennial explain --admin http://{admin} tells a session's story"
    ))?;
    shutdown.await;
    house.close();
    Ok(())
}

/// Below this a renewal window is too short to be seen, and provider times of a few ms too large a part of it.
const SHORTEST_LIFETIME: Duration = Duration::from_secs(2);

/// Our name at the provider.
const CLIENT: &str = "demo";

/// The provider's own three.
const PEOPLE: [Person; 3] = [
    Person { hint: "alice", name: "Alice" },
    Person { hint: "bob", name: "Bob" },
    Person { hint: "carol", name: "Carol" },
];

async fn bind(port: u16, option: &str) -> Result<TcpListener, Fault> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpListener::bind(address)
        .await
        .map_err(|error| format!("port {port} cannot be used: {error}; choose another with {option}").into())
}

fn put_up_provider(
    options: &DevOptions,
    issuer: &str,
    public_host: &str,
    secret: &str,
    listener: TcpListener,
) -> Result<Control, Fault> {
    let client = Client::confidential(CLIENT, secret)
        .redirect_uri(format!("http://{public_host}/auth/callback/{}", gate::PROVIDER))
        .post_logout_redirect_uri(format!("http://{public_host}/"));
    let provider = DevProvider::builder()
        .issuer(issuer)
        .client(client)
        .access_token_lifetime(options.access_token_lifetime)
        .auto_sign_in(true)
        .build()?;
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
