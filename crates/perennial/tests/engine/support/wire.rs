//! The line between engine and provider, which a test can cut, hold up, tamper with and listen in on.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response, Uri};
use perennial::{HttpClient, HyperClient, SendError};
use serde_json::Value;
use tokio::sync::watch;

/// Rewrites a token answer.
type Tamper = fn(Value) -> Value;

/// The real HTTP client, with a hand on the line.
#[derive(Clone)]
pub(crate) struct Wire {
    client: HyperClient,
    line: Arc<Line>,
}

struct Line {
    /// Whether answers to refresh requests are kept back.
    holding: watch::Sender<bool>,
    /// How many answers to refresh requests have arrived so far.
    arrived: watch::Sender<u32>,
    /// Whether answers to discovery are kept back, and how many have arrived.
    discovery: watch::Sender<(bool, u32)>,
    unplugged: Mutex<bool>,
    tamper: Mutex<Option<Tamper>>,
    /// Every token and code that went over the line.
    heard: Mutex<Vec<String>>,
    /// The tokens that were sent to be revoked.
    revoked: Mutex<Vec<String>>,
    /// Where requests went, in order: their paths.
    paths: Mutex<Vec<String>>,
}

impl Wire {
    pub(crate) fn new() -> Self {
        let line = Line {
            holding: watch::channel(false).0,
            arrived: watch::channel(0).0,
            discovery: watch::channel((false, 0)).0,
            unplugged: Mutex::new(false),
            tamper: Mutex::new(None),
            heard: Mutex::default(),
            revoked: Mutex::default(),
            paths: Mutex::default(),
        };
        let client = HyperClient::new(Duration::from_secs(2)).expect("the system's certificates");
        Self { client, line: Arc::new(line) }
    }

    /// From now on the provider answers refresh requests, but the answers do not come through.
    pub(crate) fn hold(&self) {
        self.line.holding.send_replace(true);
    }

    /// Lets the answers through.
    pub(crate) fn release(&self) {
        self.line.holding.send_replace(false);
    }

    /// Resolves when the `count`th answer to a refresh request has left the provider.
    pub(crate) async fn answered(&self, count: u32) {
        let mut arrived = self.line.arrived.subscribe();
        let waited = tokio::time::timeout(Duration::from_secs(10), arrived.wait_for(|arrived| *arrived >= count));
        waited.await.expect("the provider is asked").expect("the line exists");
    }

    /// Keeps answers to discovery back, or lets them through.
    pub(crate) fn hold_discovery(&self, hold: bool) {
        self.line.discovery.send_modify(|(holding, _)| *holding = hold);
    }

    /// Resolves when an answer to discovery is being kept back.
    pub(crate) async fn discovery_held(&self) {
        let mut discovery = self.line.discovery.subscribe();
        let waited = tokio::time::timeout(Duration::from_secs(10), discovery.wait_for(|(_, held)| *held > 0));
        waited.await.expect("the provider is asked").expect("the line exists");
    }

    /// Connections are refused, as when the provider's process is down.
    pub(crate) fn unplug(&self, unplugged: bool) {
        *self.line.unplugged.lock().expect("no panic while locked") = unplugged;
    }

    /// Rewrites answers to refresh requests.
    pub(crate) fn tamper(&self, with: Option<Tamper>) {
        *self.line.tamper.lock().expect("no panic while locked") = with;
    }

    /// Every token, code and verifier that went over the line so far.
    pub(crate) fn secrets(&self) -> Vec<String> {
        self.line.heard.lock().expect("no panic while locked").clone()
    }

    /// The tokens that were sent to be revoked, in order.
    pub(crate) fn revoked(&self) -> Vec<String> {
        self.line.revoked.lock().expect("no panic while locked").clone()
    }

    /// How many requests went to this path of the provider so far.
    pub(crate) fn asked(&self, path: &str) -> usize {
        let paths = self.line.paths.lock().expect("no panic while locked");
        paths.iter().filter(|asked| *asked == path).count()
    }

    fn listen(&self, values: impl Iterator<Item = (String, String)>) {
        const SECRET: [&str; 5] = ["access_token", "refresh_token", "id_token", "code", "code_verifier"];
        let heard = values.filter(|(name, _)| SECRET.contains(&name.as_str())).map(|(_, value)| value);
        self.line.heard.lock().expect("no panic while locked").extend(heard);
    }

    async fn exchange(&self, mut request: Request<Vec<u8>>, deadline: Duration) -> Result<Response<Bytes>, SendError> {
        if *self.line.unplugged.lock().expect("no panic while locked") {
            // Nobody listens at port 9 of this machine; if somebody did, it would be no provider.
            *request.uri_mut() = Uri::from_static("http://127.0.0.1:9/");
        }
        let form: Vec<(String, String)> = url::form_urlencoded::parse(request.body()).into_owned().collect();
        let discovers = request.uri().path().ends_with("/.well-known/openid-configuration");
        let refresh = form.contains(&("grant_type".into(), "refresh_token".into()));
        let path = request.uri().path().to_owned();
        let token = form.iter().find(|(name, _)| name == "token").map(|(_, token)| token.clone());
        let token = token.filter(|_| path != "/introspect");
        self.line.paths.lock().expect("no panic while locked").push(path);
        self.line.revoked.lock().expect("no panic while locked").extend(token);
        self.listen(form.into_iter());
        let mut answer = self.client.send(request, deadline).await?;
        if let Ok(Value::Object(members)) = serde_json::from_slice(answer.body()) {
            self.listen(members.into_iter().filter_map(|(name, value)| Some((name, value.as_str()?.to_owned()))));
        }
        if discovers && self.line.discovery.borrow().0 {
            self.line.discovery.send_modify(|(_, held)| *held += 1);
            let mut discovery = self.line.discovery.subscribe();
            discovery.wait_for(|(holding, _)| !holding).await.expect("the line exists");
        }
        if refresh {
            if let Some(tamper) = *self.line.tamper.lock().expect("no panic while locked")
                && let Ok(body) = serde_json::from_slice(answer.body())
            {
                *answer.body_mut() = tamper(body).to_string().into();
            }
            self.line.arrived.send_modify(|arrived| *arrived += 1);
            let mut holding = self.line.holding.subscribe();
            holding.wait_for(|holding| !holding).await.expect("the line exists");
        }
        Ok(answer)
    }
}

impl HttpClient for Wire {
    fn send(&self, request: Request<Vec<u8>>, deadline: Duration) -> BoxFuture<'_, Result<Response<Bytes>, SendError>> {
        Box::pin(self.exchange(request, deadline))
    }
}
