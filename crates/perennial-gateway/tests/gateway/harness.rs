//! A provider, an upstream and a gateway on ports of their own, one clock for all of them, and a browser.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use perennial::store::SessionStore;
use perennial::{Auth, Clock, Timestamp};
use perennial_gateway::{Config, Gateway, QuickStart, Route};
use perennial_provider::{Client, Control, DevProvider};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use url::Url;

use crate::upstream::Upstream;

/// Long enough for anything on one machine; a test that waits this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What an access token lives.
pub(crate) const LIFETIME: u64 = 60;

/// The machine's clock, which a test may turn forward.
#[derive(Clone, Default)]
pub(crate) struct Time(Arc<AtomicU64>);

impl Time {
    pub(crate) fn forward(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }

    fn system(&self) -> SystemTime {
        SystemTime::now() + Duration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

impl Clock for Time {
    fn now(&self) -> Timestamp {
        let since = self.system().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        Timestamp::from_unix_millis(i64::try_from(since.as_millis()).expect("before the year 292277026"))
    }
}

/// Everything that plays a part; it ends when dropped.
pub(crate) struct Stage {
    pub(crate) time: Time,
    pub(crate) provider: Control,
    provider_address: SocketAddr,
    pub(crate) upstream: Upstream,
    pub(crate) gateway: Running,
    /// Resolves when the provider no longer listens.
    provider_runs: (oneshot::Sender<()>, JoinHandle<()>),
}

/// A gateway that serves.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) auth: Auth,
    pub(crate) gateway: Gateway,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) async fn start(config: Config, listener: TcpListener) -> Self {
        Self::of(opened(config), listener)
    }

    fn of(gateway: Gateway, listener: TcpListener) -> Self {
        let address = listener.local_addr().expect("an address");
        let auth = gateway.auth();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(gateway.clone().serve(listener, async { drop(stopped.await) }));
        Self { address, auth, gateway, stop, task }
    }

    /// Asks the gateway to end, and gives back what resolves when it has.
    pub(crate) fn end(self) -> JoinHandle<()> {
        // It may have ended already.
        let _ = self.stop.send(());
        self.task
    }
}

impl Stage {
    /// The quick start: sign-in required on every path.
    pub(crate) async fn quick() -> Self {
        Self::changed(|config, _| config).await
    }

    /// The quick start, changed before it is built.
    pub(crate) async fn changed(change: impl FnOnce(Config, &Ports) -> Config) -> Self {
        Self::build(|ports, variables| change(Self::quick_start(ports, variables), ports), opened).await
    }

    /// The quick start on a store that is there already.
    pub(crate) async fn on(store: Arc<dyn SessionStore>) -> Self {
        let built = |config| Gateway::build(on(store, config)).expect("a good configuration");
        Self::build(Self::quick_start, built).await
    }

    /// A second gateway for the same origin, on the same store.
    pub(crate) async fn replica(&self, store: Arc<dyn SessionStore>) -> Running {
        let listener = bind().await;
        let mut config = on(store, self.config());
        config.auth = config.auth.clock(self.time.clone());
        Running::of(Gateway::build(config).expect("a good configuration"), listener)
    }

    /// The quick start of this stage once more, to be put in force.
    pub(crate) fn config(&self) -> Config {
        let ports =
            Ports { gateway: self.gateway.address, provider: self.provider_address, upstream: self.upstream.address };
        Self::quick_start(&ports, variables(&ports))
    }

    fn quick_start(ports: &Ports, variables: Vec<(String, String)>) -> Config {
        let start = QuickStart {
            listen: Some(ports.gateway),
            admin: None,
            public_url: Some(format!("http://{}", ports.gateway)),
            upstream: format!("http://{}", ports.upstream),
            store: Some("memory:".into()),
            compat_routes: false,
            dangerous_allow_http: false,
        };
        Config::quick(start, variables).expect("a good quick start")
    }

    /// With a file whose `UPSTREAM` and `ISSUER` are replaced, after listen address, public URL and store.
    pub(crate) async fn with(file: &str) -> Self {
        Self::build(
            |ports, variables| {
                let rest = file
                    .replace("UPSTREAM", &format!("http://{}", ports.upstream))
                    .replace("ISSUER", &format!("http://{}", ports.provider));
                let text = format!(
                    "listen = \"{0}\"\npublic_url = \"http://{0}\"\nstore = \"memory:\"\n{rest}",
                    ports.gateway
                );
                Config::from_toml("test.toml", &text, variables).expect("a good file")
            },
            opened,
        )
        .await
    }

    /// With routes that lead to the upstream.
    pub(crate) async fn routed(routes: impl FnOnce(Url) -> Vec<Route>) -> Self {
        let routed = |ports: &Ports, variables| {
            let text = format!("listen = \"{0}\"\npublic_url = \"http://{0}\"\nstore = \"memory:\"\n", ports.gateway);
            let upstream = format!("http://{}", ports.upstream);
            let text = format!("{text}[[routes]]\nupstream = \"{upstream}\"\n");
            let config = Config::from_toml("test.toml", &text, variables).expect("a good file");
            Config { routes: routes(Url::parse(&upstream).expect("a URL")), ..config }
        };
        Self::build(routed, opened).await
    }

    async fn build(
        config: impl FnOnce(&Ports, Vec<(String, String)>) -> Config,
        build: impl FnOnce(Config) -> Gateway,
    ) -> Self {
        let time = Time::default();
        let (provider, gateway) = (bind().await, bind().await);
        let upstream = Upstream::start(bind().await);
        let ports = Ports {
            provider: provider.local_addr().expect("an address"),
            gateway: gateway.local_addr().expect("an address"),
            upstream: upstream.address,
        };
        let (provider, provider_runs) = serve_provider(provider, &time);
        let mut config = config(&ports, variables(&ports));
        config.auth = config.auth.clock(time.clone());
        let gateway = Running::of(build(config), gateway);
        Self { time, provider, provider_address: ports.provider, upstream, gateway, provider_runs }
    }

    /// As browsers write it.
    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.gateway.address)
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser::new(self.gateway.address)
    }

    /// A browser that has signed in as Alice and holds a session.
    pub(crate) async fn signed_in(&self) -> Browser {
        self.signed_in_as("alice").await
    }

    pub(crate) async fn signed_in_as(&self, who: &str) -> Browser {
        let mut browser = self.browser();
        let button = [("origin", &*format!("http://{}", self.gateway.address)), ("sec-fetch-site", "same-origin")];
        let to_provider = browser.send(Method::POST, "/auth/signin/oidc", &button, "").await;
        browser.follow_sign_in_as(to_provider.location(), who).await;
        browser
    }

    /// The access token dies, and the provider's token endpoint answers 503 from now on.
    pub(crate) fn outage(&self) {
        self.provider.script("respond_status=503").expect("a script");
        self.time.forward(LIFETIME + 1);
    }

    /// The provider's port is closed from now on.
    pub(crate) async fn end_provider(self) -> Running {
        let (stop, task) = self.provider_runs;
        drop(stop);
        tokio::time::timeout(PATIENCE, task).await.expect("ended").expect("no panic");
        self.gateway
    }

    pub(crate) fn refreshes(&self) -> u64 {
        self.provider.counters().refreshes_committed
    }
}

/// All of it to an upstream, for those who are signed in.
pub(crate) fn route_to(upstream: &Url) -> Route {
    Route::to(perennial_gateway::Upstream::at(upstream.clone()).expect("an upstream"))
}

fn opened(config: Config) -> Gateway {
    Gateway::open(config).expect("a good configuration")
}

fn on(store: Arc<dyn SessionStore>, mut config: Config) -> Config {
    config.auth = config.auth.store(store);
    config
}

fn variables(ports: &Ports) -> Vec<(String, String)> {
    [
        ("AUTH_SECRET", "a secret for tests, long enough".to_owned()),
        ("AUTH_OIDC_ISSUER", format!("http://{}", ports.provider)),
        ("AUTH_OIDC_ID", "app".to_owned()),
        ("AUTH_OIDC_SECRET", "client secret".to_owned()),
        ("AUTH_OIDC_SCOPE", "openid profile email offline_access".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

pub(crate) struct Ports {
    pub(crate) provider: SocketAddr,
    pub(crate) gateway: SocketAddr,
    pub(crate) upstream: SocketAddr,
}

pub(crate) async fn bind() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a free port")
}

fn serve_provider(listener: TcpListener, time: &Time) -> (Control, (oneshot::Sender<()>, JoinHandle<()>)) {
    let address = listener.local_addr().expect("an address");
    let clock = time.clone();
    let provider = DevProvider::builder()
        .issuer(format!("http://{address}"))
        .client(
            Client::confidential("app", "client secret")
                .redirect_uri("http://127.0.0.1:4200/auth/callback/oidc")
                .any_loopback_port(true),
        )
        .access_token_lifetime(Duration::from_secs(LIFETIME))
        .clock(Arc::new(move || clock.system()))
        .auto_sign_in(true)
        .build()
        .expect("a provider");
    let control = provider.control();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(async move {
        provider.serve(listener, async { drop(stopped.await) }).await.expect("served");
    });
    (control, (stop, task))
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }

    pub(crate) fn location(&self) -> Url {
        Url::parse(self.header("location")).unwrap_or_else(|_| panic!("no location: {self:?}"))
    }

    /// Status and code, for tables.
    pub(crate) fn verdict(&self) -> (u16, String) {
        let json = serde_json::from_slice::<Value>(&self.body).unwrap_or_default();
        (self.status.as_u16(), json["error"].as_str().unwrap_or_default().to_owned())
    }

    /// The names that `Set-Cookie` lines set, in order.
    pub(crate) fn cookies_set(&self) -> Vec<String> {
        let lines = self.headers.get_all(SET_COOKIE).iter().map(|line| line.to_str().expect("ASCII"));
        lines.map(|line| line.split('=').next().unwrap_or_default().to_owned()).collect()
    }

    /// A request header as the upstream saw it, in an answer of its `/echo`.
    pub(crate) fn seen(&self, name: &str) -> Vec<String> {
        let json = self.json();
        let headers = json["headers"].as_array().unwrap_or_else(|| panic!("no echo: {json}"));
        let pairs = headers.iter().map(|pair| (pair[0].as_str().expect("a name"), pair[1].as_str().expect("a value")));
        pairs.filter(|(each, _)| *each == name).map(|(_, value)| value.to_owned()).collect()
    }
}

/// A client that keeps cookies and follows no redirect.
#[derive(Clone)]
pub(crate) struct Browser {
    pub(crate) cookies: BTreeMap<String, String>,
    gateway: SocketAddr,
    http: HttpClient<HttpConnector, Full<Bytes>>,
}

impl Browser {
    pub(crate) fn new(gateway: SocketAddr) -> Self {
        Self {
            cookies: BTreeMap::new(),
            gateway,
            http: HttpClient::builder(TokioExecutor::new()).build(HttpConnector::new()),
        }
    }

    /// The same cookies, sent elsewhere.
    pub(crate) fn at(&self, address: SocketAddr) -> Self {
        Self { gateway: address, ..self.clone() }
    }

    /// A page load.
    pub(crate) async fn page(&mut self, path: &str) -> Answer {
        self.send(Method::GET, path, &[("accept", "text/html"), ("sec-fetch-mode", "navigate")], "").await
    }

    /// A script's fetch.
    pub(crate) async fn fetch(&mut self, path: &str) -> Answer {
        self.fetch_with(path, &[]).await
    }

    pub(crate) async fn fetch_with(&mut self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(Method::GET, path, headers, "").await
    }

    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let url = format!("http://{}{path}", self.gateway);
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let own = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        if !own.is_empty() {
            request = request.header(COOKIE, own);
        }
        let answer = self.exchange(request.body(Full::new(body.into())).expect("a request")).await;
        self.keep(&answer);
        answer
    }

    /// Signs in as Alice from the authorization request on, and comes back to where the gateway sends her.
    pub(crate) async fn follow_sign_in(&mut self, authorize: Url) -> Answer {
        self.follow_sign_in_as(authorize, "alice").await
    }

    async fn follow_sign_in_as(&mut self, mut authorize: Url, who: &str) -> Answer {
        authorize.query_pairs_mut().append_pair("login_hint", who);
        let request = Request::builder().uri(authorize.as_str()).body(Full::default()).expect("a request");
        let back = self.exchange(request).await;
        let callback = back.location();
        let answer = self.page(&callback[url::Position::BeforePath..]).await;
        assert_eq!(answer.status, StatusCode::FOUND, "{answer:?}");
        assert!(self.has_session(), "{answer:?}");
        answer
    }

    /// The same browser, to which the host's name now means another gateway.
    pub(crate) fn reaching(&mut self, gateway: SocketAddr) -> &mut Self {
        self.gateway = gateway;
        self
    }

    pub(crate) fn has_session(&self) -> bool {
        self.cookies.keys().any(|name| name.starts_with("authjs.session-token"))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Answer {
        let exchange = async {
            let (parts, body) = self.http.request(request).await.expect("an answer").into_parts();
            let body = body.collect().await.expect("a whole body").to_bytes();
            Answer { status: parts.status, headers: parts.headers, body }
        };
        tokio::time::timeout(PATIENCE, exchange).await.expect("an answer in time")
    }

    /// As a browser does: the last line of a name counts, and `Max-Age=0` deletes.
    fn keep(&mut self, answer: &Answer) {
        for line in answer.headers.get_all(SET_COOKIE) {
            let line = line.to_str().expect("ASCII");
            let (name, rest) = line.split_once('=').expect("a cookie");
            let value = rest.split(';').next().unwrap_or_default();
            if line.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// The `Cookie` header for raw requests.
    pub(crate) fn cookie_line(&self) -> String {
        let pairs: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("Cookie: {}\r\n", pairs.join("; "))
    }
}

/// A connection on which a test writes its bytes itself.
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
}

impl Wire {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.expect("a connection"), read: Vec::new() }
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.expect("written");
    }

    /// Reads until `text` has come, and takes everything up to its end.
    pub(crate) async fn until(&mut self, text: &str) -> String {
        let wanted = text.as_bytes();
        let reading = async {
            loop {
                if let Some(at) = self.read.windows(wanted.len()).position(|window| window == wanted) {
                    let rest = self.read.split_off(at + wanted.len());
                    return String::from_utf8_lossy(&std::mem::replace(&mut self.read, rest)).into_owned();
                }
                let mut buffer = [0; 4096];
                let count = self.stream.read(&mut buffer).await.expect("readable");
                let so_far = String::from_utf8_lossy(&self.read).into_owned();
                assert!(count > 0, "closed before {text:?}: {so_far:?}");
                self.read.extend_from_slice(&buffer[..count]);
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.unwrap_or_else(|_| panic!("{text:?} did not come"))
    }

    /// Whether nothing has come that was not read.
    pub(crate) fn is_silent(&self) -> bool {
        let nothing = self.stream.try_read(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        nothing && self.read.is_empty()
    }

    /// Reads until the other side closes.
    pub(crate) async fn rest(&mut self) -> String {
        // A side that closes with our bytes unread resets the connection: what came before counts.
        let reading = async { drop(self.stream.read_to_end(&mut self.read).await) };
        tokio::time::timeout(PATIENCE, reading).await.expect("closed in time");
        String::from_utf8_lossy(&std::mem::take(&mut self.read)).into_owned()
    }
}

/// Sends one raw request and reads the answer; the request should say `Connection: close`.
pub(crate) async fn raw(address: SocketAddr, request: impl AsRef<[u8]>) -> String {
    let mut wire = Wire::open(address).await;
    // The gateway may answer and close before it has read everything.
    let _ = wire.stream.write_all(request.as_ref()).await;
    wire.rest().await
}

/// The status and the code of a raw answer.
pub(crate) fn verdict(answer: &str) -> (u16, String) {
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    let code = answer.split_once("{\"error\":\"").map_or("", |(_, rest)| rest.split('"').next().unwrap_or_default());
    (status, code.to_owned())
}
