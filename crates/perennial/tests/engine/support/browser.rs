//! A browser as far as cookies, redirects and fetch metadata go.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// Keeps cookies for one site. Clones share the jar, as tabs do.
#[derive(Clone)]
pub(crate) struct Browser {
    jar: Arc<Mutex<BTreeMap<String, String>>>,
    seen: Arc<Mutex<Vec<(String, Answer)>>>,
    address: SocketAddr,
    origin: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{} is no JSON: {}", self.status, self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }

    /// The access token that the application got for its upstream.
    pub(crate) fn bearer(&self) -> String {
        assert_eq!(self.status, 200, "{}", self.text());
        self.json()["bearer"].as_str().expect("a token").to_owned()
    }
}

impl Browser {
    pub(crate) fn new(address: SocketAddr, origin: &str) -> Self {
        Self {
            jar: Arc::default(),
            seen: Arc::default(),
            address,
            origin: origin.to_owned(),
            client: Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http(),
        }
    }

    /// Another browser with a copy of these cookies, which grow old from here on.
    pub(crate) fn copy(&self) -> Self {
        let jar = self.jar.lock().expect("no panic while locked").clone();
        Self { jar: Arc::new(Mutex::new(jar)), ..self.clone() }
    }

    /// The same browser, its requests reaching another engine behind the same name.
    pub(crate) fn reaching(&self, engine: &super::Engine) -> Self {
        Self { address: engine.address, ..self.clone() }
    }

    pub(crate) fn cookies(&self) -> BTreeMap<String, String> {
        self.jar.lock().expect("no panic while locked").clone()
    }

    pub(crate) fn set_cookie(&self, name: &str, value: &str) {
        self.jar.lock().expect("no panic while locked").insert(name.to_owned(), value.to_owned());
    }

    /// The session cookie's value, its chunks put together.
    pub(crate) fn session_cookie(&self) -> String {
        self.cookies().into_iter().filter(|(name, _)| name.contains("session-token")).map(|(_, value)| value).collect()
    }

    /// Every answer so far with the path it came from.
    pub(crate) fn seen(&self) -> Vec<(String, Answer)> {
        self.seen.lock().expect("no panic while locked").clone()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    /// Loads a page, as a person does; [`get`](Self::get) is a script's.
    pub(crate) async fn visit(&self, path: &str) -> Answer {
        self.get_with(path, &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")]).await
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(Method::GET, path, headers, Bytes::new()).await
    }

    /// A form sent by a page of this site, by script.
    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let kind = ("content-type", "application/x-www-form-urlencoded");
        self.send(Method::POST, path, &[kind, ("origin", &self.origin)], body.into()).await
    }

    /// JSON sent by a page of this site.
    pub(crate) async fn post_json(&self, path: &str, body: &Value) -> Answer {
        let headers = [("content-type", "application/json"), ("origin", self.origin.as_str())];
        self.send(Method::POST, path, &headers, body.to_string().into()).await
    }

    pub(crate) async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Bytes) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let cookies: Vec<_> = self.cookies().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            request = request.header("cookie", cookies.join("; "));
        }
        let request = request.body(Full::new(body)).expect("a request");
        let (parts, body) = self.client.request(request).await.expect("an answer").into_parts();
        let body = body.collect().await.expect("a whole answer").to_bytes();
        let answer = Answer { status: parts.status, headers: parts.headers, body };
        self.keep(&answer);
        self.seen.lock().expect("no panic while locked").push((path.to_owned(), answer.clone()));
        answer
    }

    fn keep(&self, answer: &Answer) {
        let mut jar = self.jar.lock().expect("no panic while locked");
        for line in answer.headers.get_all("set-cookie") {
            let line = line.to_str().expect("ASCII");
            let (name, value) = line.split(';').next().and_then(|pair| pair.split_once('=')).expect("name and value");
            if line.contains("Max-Age=0") {
                jar.remove(name);
            } else {
                jar.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// Presses the button: answers with where the provider is asked.
    pub(crate) async fn begin_sign_in(&self, who: &str, return_to: &str) -> String {
        let path = format!("/auth/signin/oidc?login_hint={who}");
        let answer = self.post(&path, &[("callbackUrl", return_to)]).await;
        assert_eq!(answer.status, 302, "{}", answer.text());
        answer.header("location").to_owned()
    }

    /// Goes to the provider and answers with the path of the callback.
    pub(crate) async fn ask_provider(&self, authorization_url: &str) -> String {
        let url: url::Url = authorization_url.parse().expect("a URL");
        let address = url.socket_addrs(|| None).expect("an address")[0];
        let provider = Self { seen: self.seen.clone(), ..Self::new(address, &url.origin().ascii_serialization()) };
        let answer = provider.get(&authorization_url[url.origin().ascii_serialization().len()..]).await;
        assert!(answer.status.is_redirection(), "{}: {}", answer.status, answer.text());
        answer.header("location").strip_prefix(&self.origin).expect("back to the application").to_owned()
    }

    /// Signs in from beginning to end.
    pub(crate) async fn sign_in(&self, who: &str) -> Answer {
        let asked = self.begin_sign_in(who, "/me").await;
        let callback = self.ask_provider(&asked).await;
        let landed = self.get(&callback).await;
        assert_eq!(landed.header("location"), format!("{}/me", self.origin), "{}", landed.text());
        landed
    }

    /// The generation this browser's session has, as the application sees it.
    pub(crate) async fn generation(&self) -> u64 {
        let me = self.get("/me").await;
        assert_eq!(me.status, 200, "{}", me.text());
        me.json()["generation"].as_u64().expect("a number")
    }
}
