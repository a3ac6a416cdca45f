//! An application behind the gateway that tells what it got, and does what tests ask of it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use futures_util::StreamExt as _;
use http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, SET_COOKIE, UPGRADE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// The application; it ends with the test's runtime.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    pub(crate) told: Arc<Told>,
}

/// What the application and the test tell each other.
#[derive(Default)]
pub(crate) struct Told {
    /// Requests that came.
    hits: AtomicUsize,
    /// The `Authorization` that `/strict` calls invalid.
    spent: Mutex<Option<HeaderValue>>,
    /// Something the test waits for has happened here.
    pub(crate) reached: Notify,
    /// The test lets a held answer go on.
    pub(crate) go_on: Notify,
}

impl Upstream {
    pub(crate) fn start(listener: TcpListener) -> Self {
        let told = Arc::new(Told::default());
        let app = Router::new()
            .route("/strict/{status}/{error}", any(strict))
            .route("/drip", get(drip))
            .route("/upload", post(upload))
            .route("/hold", get(hold))
            .route("/large/{bytes}", get(large))
            .route("/hops", get(hops))
            .route("/cookie", get(cookie))
            .route("/socket/{protocol}", get(socket))
            .route("/cut", get(cut))
            .route("/trailers", post(trailers))
            .route("/unread/{status}", post(unread))
            .route("/late", post(late))
            .route("/endless/{kind}", get(endless))
            .fallback(echo)
            .layer(axum::extract::DefaultBodyLimit::disable())
            .layer(axum::middleware::map_request_with_state(told.clone(), count))
            .with_state(told.clone());
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, told }
    }

    /// How many requests have come.
    pub(crate) fn hits(&self) -> usize {
        self.told.hits.load(Ordering::SeqCst)
    }

    /// `/strict` refuses this `Authorization` from now on.
    pub(crate) fn refuse(&self, authorization: &str) {
        let value = HeaderValue::from_str(authorization).expect("a header");
        *self.told.spent.lock().expect("not poisoned") = Some(value);
    }
}

impl Told {
    pub(crate) async fn until_reached(&self) {
        let reached = tokio::time::timeout(Duration::from_secs(20), self.reached.notified());
        reached.await.expect("the upstream was reached in time");
    }
}

async fn count(State(told): State<Arc<Told>>, request: Request) -> Request {
    told.hits.fetch_add(1, Ordering::SeqCst);
    request
}

/// Method, target, headers and the number of body bytes, as JSON.
async fn echo(request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let mut bytes = 0;
    let mut body = body.into_data_stream();
    while let Some(Ok(chunk)) = body.next().await {
        bytes += chunk.len();
    }
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers: Vec<_> = parts.headers.iter().map(|(name, value)| json!([name.as_str(), text(value)])).collect();
    let told = json!({
        "method": parts.method.as_str(),
        "target": parts.uri.to_string(),
        "headers": headers,
        "bytes": bytes,
    });
    axum::Json(told).into_response()
}

/// Refuses the spent `Authorization` with this status and this `error`, and echoes any other; with `?hold` when the test says so, with
/// `?read` after the body.
async fn strict(
    State(told): State<Arc<Told>>,
    Path((status, error)): Path<(u16, String)>,
    request: Request,
) -> Response {
    if request.uri().query() == Some("hold") {
        told.reached.notify_one();
        told.go_on.notified().await;
    }
    let spent = told.spent.lock().expect("not poisoned").clone();
    let mut request = request;
    if request.uri().query() == Some("read") {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.expect("a body");
        request = Request::from_parts(parts, Body::from(body));
    }
    if spent.is_some() && request.headers().get(AUTHORIZATION) == spent.as_ref() {
        let challenge = format!("Bearer realm=\"app\", error=\"{error}\"");
        let status = StatusCode::from_u16(status).expect("a status");
        return (status, [(WWW_AUTHENTICATE, challenge)], "refused").into_response();
    }
    echo(request).await
}

/// Sends one chunk, and the second when told to.
async fn drip(State(told): State<Arc<Told>>) -> Response {
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    tokio::spawn(async move {
        let _ = sender.send(Ok(Bytes::from_static(b"data: first\n\n"))).await;
        told.go_on.notified().await;
        let _ = sender.send(Ok(Bytes::from_static(b"data: second\n\n"))).await;
    });
    let body = Body::from_stream(tokio_stream::wrappers::ReceiverStream::new(receiver));
    ([(CONTENT_TYPE, "text/event-stream")], body).into_response()
}

/// Tells when the first chunk has come, and answers with the whole body's length.
async fn upload(State(told): State<Arc<Told>>, body: Body) -> String {
    let mut chunks = body.into_data_stream();
    let mut bytes = 0;
    while let Some(Ok(chunk)) = chunks.next().await {
        bytes += chunk.len();
        told.reached.notify_one();
    }
    format!("bytes={bytes}")
}

/// Tells that it was reached, and answers when told to.
async fn hold(State(told): State<Arc<Told>>) -> &'static str {
    told.reached.notify_one();
    told.go_on.notified().await;
    "held"
}

async fn large(Path(bytes): Path<usize>) -> Vec<u8> {
    (0..bytes).map(|at| at as u8).collect()
}

/// An answer with headers that concern one connection alone.
async fn hops() -> Response {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("connection", "x-hop"),
        ("x-hop", "one connection's"),
        ("keep-alive", "timeout=9"),
        ("proxy-authenticate", "Basic"),
        ("x-end", "to end"),
        ("server", "upstream"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    (headers, "hops").into_response()
}

async fn cookie() -> Response {
    let mut response = ([(SET_COOKIE, "theme=dark; Path=/")], "cookie").into_response();
    response.headers_mut().append(SET_COOKIE, HeaderValue::from_static("cart=1"));
    response.headers_mut().insert("cache-control", HeaderValue::from_static("public, max-age=60"));
    response
}

/// Upgrades to `protocol` if asked for it, and then repeats everything in capitals, until a Close frame; otherwise echoes.
async fn socket(Path(protocol): Path<String>, mut request: Request) -> Response {
    if request.headers().get(UPGRADE).is_none_or(|asked| asked.as_bytes() != protocol.as_bytes()) {
        return echo(request).await;
    }
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut stream = TokioIo::new(upgraded.await.expect("upgraded"));
        let mut buffer = [0; 1024];
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            let _ = stream.write_all(&buffer[..count].to_ascii_uppercase()).await;
            // A Close frame is answered with one, and is the last.
            if buffer[0] == 0x88 {
                return;
            }
        }
    });
    let headers = [(CONNECTION, "upgrade".to_owned()), (UPGRADE, protocol)];
    (StatusCode::SWITCHING_PROTOCOLS, headers, Body::empty()).into_response()
}

/// Answers with the trailers that came, and with one of its own after a piece of body.
async fn trailers(request: Request) -> Response {
    let came = request.into_body().collect().await.expect("a body").trailers().cloned().unwrap_or_default();
    let piece = Frame::data(Bytes::from(format!("came={:?}", came.get("x-came"))));
    let own =
        Frame::trailers([(HeaderName::from_static("x-sum"), HeaderValue::from_static("42"))].into_iter().collect());
    let frames = futures_util::stream::iter([Ok::<_, std::io::Error>(piece), Ok(own)]);
    ([("trailer", "x-sum")], Body::new(StreamBody::new(frames))).into_response()
}

/// Answers without a look at the body.
async fn unread(Path(status): Path<u16>) -> StatusCode {
    StatusCode::from_u16(status).expect("a status")
}

/// Wants the body only when the test says so.
async fn late(State(told): State<Arc<Told>>, body: Body) -> String {
    told.reached.notify_one();
    told.go_on.notified().await;
    let body = axum::body::to_bytes(body, usize::MAX).await.expect("a body");
    format!("bytes={}", body.len())
}

/// One piece of a stream of this kind, and then nothing for ever.
async fn endless(Path(kind): Path<String>) -> Response {
    let first = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"data: first\n\n"))]);
    let kind = kind.replace('_', "/");
    ([(CONTENT_TYPE, kind)], Body::from_stream(first.chain(futures_util::stream::pending()))).into_response()
}

/// Promises ten bytes, and breaks off after five when told to.
async fn cut(State(told): State<Arc<Told>>) -> Response {
    let first = futures_util::stream::iter([Ok(Bytes::from_static(b"01234"))]);
    let failure = futures_util::stream::once(async move {
        told.go_on.notified().await;
        Err(std::io::Error::other("broken off on purpose"))
    });
    ([(CONTENT_LENGTH, "10")], Body::from_stream(first.chain(failure))).into_response()
}
