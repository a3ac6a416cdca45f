//! A provider on a port of its own, with a clock of its own, and a small client.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use perennial_provider::{Client, Control, DevProvider, DevProviderBuilder};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use url::Url;

use crate::browser::Browser;

pub(crate) const SECRET: &str = "s&cr=t: %+é";
pub(crate) const CALLBACK: &str = "http://localhost:4200/auth/callback/dev?own=1";
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A provider that serves until it is dropped.
pub(crate) struct Idp {
    pub(crate) issuer: String,
    pub(crate) control: Control,
    pub(crate) time: Time,
    http: HttpClient<HttpConnector, Full<Bytes>>,
    _stop: oneshot::Sender<()>,
}

/// A clock that only the test turns.
#[derive(Clone)]
pub(crate) struct Time(Arc<AtomicU64>);

impl Time {
    fn new() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        Self(Arc::new(AtomicU64::new(now.as_secs() * 1000)))
    }

    pub(crate) fn forward(&self, seconds: u64) {
        self.0.fetch_add(seconds * 1000, Ordering::SeqCst);
    }

    pub(crate) fn seconds(&self) -> u64 {
        self.0.load(Ordering::SeqCst) / 1000
    }

    fn read(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
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
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn location(&self) -> Url {
        Url::parse(self.header("location")).unwrap_or_else(|_| panic!("no location: {self:?}"))
    }

    /// A parameter of the query of the location.
    pub(crate) fn returned(&self, name: &str) -> Option<String> {
        let url = self.location();
        url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    /// Status and OAuth error code, for tables.
    pub(crate) fn verdict(&self) -> (u16, String) {
        let error =
            serde_json::from_slice::<Value>(&self.body).ok().and_then(|json| json["error"].as_str().map(str::to_owned));
        (self.status.as_u16(), error.unwrap_or_default())
    }

    pub(crate) fn token(&self, name: &str) -> String {
        let json = self.json();
        json[name].as_str().unwrap_or_else(|| panic!("no {name} in {json}")).to_owned()
    }
}

impl Idp {
    /// A confidential client `app`, a public client `spa` and a client `post`.
    pub(crate) async fn start() -> Self {
        Self::with(|builder| builder).await
    }

    pub(crate) async fn scripted(script: &str) -> Self {
        let behaviour = script.parse().unwrap();
        Self::with(|builder| builder.behaviour(behaviour)).await
    }

    pub(crate) async fn with(change: impl FnOnce(DevProviderBuilder) -> DevProviderBuilder) -> Self {
        Self::run("", change).await
    }

    /// With an issuer that has a path.
    pub(crate) async fn under(path: &str) -> Self {
        Self::run(path, |builder| builder).await
    }

    async fn run(path: &str, change: impl FnOnce(DevProviderBuilder) -> DevProviderBuilder) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://127.0.0.1:{}{path}", listener.local_addr().unwrap().port());
        let time = Time::new();
        let clock = time.clone();
        let builder = DevProvider::builder()
            .issuer(&issuer)
            .clock(Arc::new(move || clock.read()))
            .client(
                Client::confidential("app", SECRET)
                    .redirect_uri(CALLBACK)
                    .post_logout_redirect_uri("http://localhost:4200/bye"),
            )
            .client(Client::public("spa").redirect_uri("http://127.0.0.1/cb").any_loopback_port(true))
            .client(
                Client::confidential("post", "posted")
                    .redirect_uri(CALLBACK)
                    .auth_method(perennial_provider::TokenEndpointAuthMethod::ClientSecretPost),
            );
        let provider = change(builder).build().unwrap();
        let issuer = provider.issuer().to_owned();
        let control = provider.control();
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(async move {
            let ended = provider.serve(listener, async move { drop(stopped.await) }).await;
            ended.unwrap();
        });
        let http = HttpClient::builder(TokioExecutor::new()).build_http();
        Self { issuer, control, time, http, _stop: stop }
    }

    pub(crate) fn authority(&self) -> &str {
        self.issuer.strip_prefix("http://").unwrap().split('/').next().unwrap()
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<Answer, String> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.issuer));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let sent = self.http.request(request.body(Full::from(body)).unwrap()).await;
        let (parts, body) = sent.map_err(|error| format!("{error:?}"))?.into_parts();
        let body = body.collect().await.map_err(|error| format!("{error:?}"))?.to_bytes();
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }

    pub(crate) async fn visit(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(Method::GET, path, headers, String::new()).await.unwrap()
    }

    pub(crate) async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        form: &[(&str, &str)],
    ) -> Result<Answer, String> {
        let mut headers = headers.to_vec();
        headers.push(("content-type", "application/x-www-form-urlencoded"));
        self.send(Method::POST, path, &headers, encoded(form)).await
    }

    pub(crate) async fn post_json(&self, path: &str, headers: &[(&str, &str)], body: Value) -> Answer {
        let mut headers = headers.to_vec();
        headers.push(("content-type", "application/json"));
        self.send(Method::POST, path, &headers, body.to_string()).await.unwrap()
    }

    /// A token request of `app`.
    pub(crate) async fn try_token(&self, form: &[(&str, &str)]) -> Result<Answer, String> {
        self.post("/token", &[("authorization", &basic("app", SECRET))], form).await
    }

    pub(crate) async fn token(&self, form: &[(&str, &str)]) -> Answer {
        self.try_token(form).await.unwrap()
    }

    pub(crate) async fn try_refresh(&self, refresh_token: &str) -> Result<Answer, String> {
        self.try_token(&[("grant_type", "refresh_token"), ("refresh_token", refresh_token)]).await
    }

    pub(crate) async fn refresh(&self, refresh_token: &str) -> Answer {
        self.try_refresh(refresh_token).await.unwrap()
    }

    pub(crate) async fn try_redeem(&self, code: &str) -> Result<Answer, String> {
        self.try_token(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ])
        .await
    }

    pub(crate) async fn redeem(&self, code: &str) -> Answer {
        self.try_redeem(code).await.unwrap()
    }

    /// Whether the tiny API lets this access token in.
    pub(crate) async fn lets_in(&self, access_token: &str) -> bool {
        let answer = self.visit("/api", &[("authorization", &format!("Bearer {access_token}"))]).await;
        match answer.status.as_u16() {
            200 => true,
            401 => {
                assert_eq!(answer.header("www-authenticate"), "Bearer error=\"invalid_token\"");
                false
            }
            _ => panic!("{answer:?}"),
        }
    }

    /// Signs Alice in at `app` with a fresh browser and returns the code.
    pub(crate) async fn code(&self) -> String {
        Browser::default().sign_in(self, &[]).await.returned("code").expect("a code")
    }

    /// Signs Alice in at `app` and returns the token response.
    pub(crate) async fn tokens(&self) -> Answer {
        let answer = self.redeem(&self.code().await).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer
    }
}

pub(crate) fn encoded(form: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish()
}

/// RFC 6749 §2.3.1.
pub(crate) fn basic(id: &str, secret: &str) -> String {
    let half = |text: &str| encoded(&[(text, "")]).trim_end_matches('=').to_owned();
    format!("Basic {}", STANDARD.encode(format!("{}:{}", half(id), half(secret))))
}

/// The claims of a JWT, without any check.
pub(crate) fn claims(jwt: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(jwt.split('.').nth(1).unwrap()).unwrap()).unwrap()
}
