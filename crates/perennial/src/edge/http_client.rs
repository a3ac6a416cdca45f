//! The HTTP client for calls to providers: time limits, no redirects, no retries, a bounded answer.
//!
//! Redirects are not followed and nothing is sent twice, because a refresh token works once (RFC 6749 §6, RFC 9700
//! §4.14). Each request has a connection of its own and HTTP/1.1 on it, so that there is exactly one moment from which on
//! the request may have arrived: everything before it, name lookup, TCP and TLS, has sent nothing for certain. There is no
//! pool to wait for, and no other stream to be refused beside (RFC 9113 §8.7).

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::HOST;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Request, Response, Uri, Version};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use perennial_core::limits::PROVIDER_ANSWER_BYTES;
use tokio::time::{Instant, timeout_at};
use tower_service::Service;

/// Sends one request to a provider.
pub trait HttpClient: Send + Sync + 'static {
    /// Sends `request` and reads the whole answer within `deadline`.
    fn send(&self, request: Request<Vec<u8>>, deadline: Duration) -> BoxFuture<'_, Result<Response<Bytes>, SendError>>;
}

/// No answer came.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The request never left: name lookup, connection or TLS failed or took too long. Nothing was spent.
    ///
    /// A client that speaks HTTP/2 says so too when its stream is refused, or above the last one of a `GOAWAY` (RFC 9113
    /// §6.8, §8.7).
    #[error("the provider could not be reached: {0}")]
    NotSent(String),
    /// The request may have arrived: the connection broke, or the answer was too large.
    #[error("the provider did not answer: {0}")]
    InDoubt(String),
    /// The request may have arrived, or be on its way still: time ran out.
    #[error("the provider did not answer in time: {0}")]
    TimedOut(String),
}

/// The real client, over hyper and rustls, trusting the system's certificates.
#[derive(Clone, Debug)]
pub struct HyperClient(Client<GaiResolver>);

impl HyperClient {
    /// A client that gives up on name lookup, TCP and TLS together after `connect_deadline` (a third of the total is a good
    /// choice).
    ///
    /// # Errors
    /// When the system's certificate store cannot be read.
    pub fn new(connect_deadline: Duration) -> std::io::Result<Self> {
        Ok(Self(Client::new(GaiResolver::new(), connect_deadline)?))
    }
}

impl HttpClient for HyperClient {
    fn send(&self, request: Request<Vec<u8>>, deadline: Duration) -> BoxFuture<'_, Result<Response<Bytes>, SendError>> {
        Box::pin(self.0.send(request, deadline))
    }
}

/// The client over any resolver of names.
#[derive(Clone, Debug)]
struct Client<R> {
    connector: HttpsConnector<HttpConnector<R>>,
    connect_deadline: Duration,
}

impl<R> Client<R>
where
    R: Service<Name> + Clone + Send + Sync + 'static,
    R::Response: Iterator<Item = std::net::SocketAddr>,
    R::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    R::Future: Send,
{
    fn new(resolver: R, connect_deadline: Duration) -> std::io::Result<Self> {
        let mut connector = HttpConnector::new_with_resolver(resolver);
        connector.set_nodelay(true);
        connector.enforce_http(false);
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(provider)?
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        Ok(Self { connector, connect_deadline })
    }

    async fn send(&self, request: Request<Vec<u8>>, deadline: Duration) -> Result<Response<Bytes>, SendError> {
        let began = Instant::now();
        let request = request.map(|body| Full::new(Bytes::from(body)));
        let connect_deadline = self.connect_deadline.min(deadline);
        let late = |within: Duration| format!("not within {} s", within.as_secs_f32());
        let connected = timeout_at(began + connect_deadline, self.connected(request.uri())).await;
        let mut connection = connected.unwrap_or_else(|_| Err(SendError::NotSent(late(connect_deadline))))?;
        let request = addressed(request)?;
        let exchange = async {
            let response = connection.send_request(request).await.map_err(|error| in_doubt(&error))?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, PROVIDER_ANSWER_BYTES).collect().await;
            let body = body.map_err(|error| in_doubt(&*error))?.to_bytes();
            Ok(Response::from_parts(parts, body))
        };
        timeout_at(began + deadline, exchange).await.unwrap_or_else(|_| Err(SendError::TimedOut(late(deadline))))
    }

    /// A connection that is ready for one request; it ends with its sender.
    async fn connected(&self, uri: &Uri) -> Result<SendRequest<Full<Bytes>>, SendError> {
        let mut connector = self.connector.clone();
        let not_sent = |error: Box<dyn std::error::Error + Send + Sync>| SendError::NotSent(root_cause(&*error));
        std::future::poll_fn(|cx| connector.poll_ready(cx)).await.map_err(not_sent)?;
        let stream = connector.call(uri.clone()).await.map_err(not_sent)?;
        let (sender, connection) = handshake(stream).await.map_err(|error| not_sent(error.into()))?;
        // What it ends with, the sender is told.
        tokio::spawn(connection);
        Ok(sender)
    }
}

/// RFC 9112 §3.2.1, §3.2: the target in origin form, and the host it is asked of.
fn addressed(mut request: Request<Full<Bytes>>) -> Result<Request<Full<Bytes>>, SendError> {
    let malformed = || SendError::NotSent("the URL names no host".into());
    let uri = request.uri();
    let default_port = match uri.scheme_str() {
        Some("https") => 443,
        _ => 80,
    };
    let authority = uri.authority().ok_or_else(malformed)?;
    let named = authority.port_u16().filter(|port| *port != default_port).is_some();
    let host = if named { without_userinfo(authority) } else { authority.host() };
    let host = HeaderValue::from_str(host).map_err(|_| malformed())?;
    let target = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from(target);
    *request.version_mut() = Version::HTTP_11;
    request.headers_mut().insert(HOST, host);
    Ok(request)
}

fn without_userinfo(authority: &Authority) -> &str {
    authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, host)| host)
}

fn in_doubt(error: &(dyn std::error::Error + 'static)) -> SendError {
    SendError::InDoubt(root_cause(error))
}

/// The innermost cause: hyper's own words say little, the operating system's say what to do.
fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use std::future::{Pending, Ready, pending, ready};
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::Notify;

    use super::*;

    /// Long enough for a busy machine, and a failure where it is waited for in full.
    const AMPLE: Duration = Duration::from_secs(30);
    const BRIEF: Duration = Duration::from_millis(200);

    fn request(uri: &str) -> Request<Vec<u8>> {
        Request::post(uri).body(b"refresh_token=rt".to_vec()).expect("a request")
    }

    fn client(connect_deadline: Duration) -> HyperClient {
        HyperClient::new(connect_deadline).expect("the system's certificates")
    }

    /// A server on a port of its own that does `serve` with every connection, and the number of connections so far.
    async fn server<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> (SocketAddr, Arc<AtomicUsize>)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = connections.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream));
            }
        });
        (address, connections)
    }

    /// Reads until the body of [`request`] has come.
    async fn take_request(stream: &mut TcpStream) -> String {
        let mut taken = Vec::new();
        while !taken.ends_with(b"refresh_token=rt") && stream.read_buf(&mut taken).await.is_ok_and(|read| read > 0) {}
        String::from_utf8(taken).expect("text")
    }

    /// Never answers.
    #[derive(Clone)]
    struct Hanging;

    impl Service<Name> for Hanging {
        type Response = std::vec::IntoIter<SocketAddr>;
        type Error = std::io::Error;
        type Future = Pending<Result<Self::Response, Self::Error>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Name) -> Self::Future {
            pending()
        }
    }

    /// Says that no name exists.
    #[derive(Clone)]
    struct Nowhere;

    impl Service<Name> for Nowhere {
        type Response = std::vec::IntoIter<SocketAddr>;
        type Error = std::io::Error;
        type Future = Ready<Result<Self::Response, Self::Error>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, name: Name) -> Self::Future {
            ready(Err(std::io::Error::other(format!("no such name: {name}"))))
        }
    }

    fn over<R>(resolver: R, connect_deadline: Duration) -> Client<R>
    where
        R: Service<Name, Response = std::vec::IntoIter<SocketAddr>, Error = std::io::Error>,
        R: Clone + Send + Sync + 'static,
        R::Future: Send,
    {
        Client::new(resolver, connect_deadline).expect("the system's certificates")
    }

    fn assert_not_sent(story: &str, sent: Result<Response<Bytes>, SendError>) {
        assert!(matches!(sent, Err(SendError::NotSent(_))), "{story}: {sent:?}");
    }

    #[tokio::test]
    async fn what_fails_before_the_connection_stands_was_not_sent() {
        assert_not_sent("no such name", over(Nowhere, AMPLE).send(request("http://idp.invalid/token"), AMPLE).await);
        assert_not_sent(
            "the name lookup hangs",
            over(Hanging, BRIEF).send(request("http://idp.invalid/"), AMPLE).await,
        );
        assert_not_sent("no host", client(AMPLE).send(request("/token"), AMPLE).await);
        // Bound and not listening: the system refuses connections.
        let closed = tokio::net::TcpSocket::new_v4().expect("a socket");
        closed.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        let address = closed.local_addr().expect("bound");
        assert_not_sent("nobody listens", client(AMPLE).send(request(&format!("http://{address}/")), AMPLE).await);
    }

    /// The limit covered TCP alone: a handshake that never came to its end counted as a refresh token that may be spent.
    #[tokio::test]
    async fn tls_that_hangs_or_fails_was_not_sent() {
        let (silent, _) = server(|stream| async move {
            let _held = stream;
            pending().await
        })
        .await;
        assert_not_sent("silence", client(BRIEF).send(request(&format!("https://{silent}/")), AMPLE).await);
        let brief = client(AMPLE).send(request(&format!("https://{silent}/")), BRIEF).await;
        assert_not_sent("silence, and the whole deadline is the shorter", brief);
        let (babbling, _) = server(|mut stream| async move {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        })
        .await;
        assert_not_sent("no TLS", client(AMPLE).send(request(&format!("https://{babbling}/")), AMPLE).await);
    }

    #[tokio::test]
    async fn silence_after_the_request_is_a_timeout_and_a_hangup_is_not() {
        let hung_up = |story: &'static str| {
            move |mut stream: TcpStream| async move {
                take_request(&mut stream).await;
                let _ = stream.write_all(story.as_bytes()).await;
            }
        };
        for answer in ["", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{", "nonsense\r\n\r\n"] {
            let (address, connections) = server(hung_up(answer)).await;
            let sent = client(AMPLE).send(request(&format!("http://{address}/")), AMPLE).await;
            assert!(matches!(sent, Err(SendError::InDoubt(_))), "{answer:?}: {sent:?}");
            assert_eq!(connections.load(Ordering::SeqCst), 1, "{answer:?}: nothing is sent twice");
        }
        let arrived = Arc::new(Notify::new());
        let told = arrived.clone();
        let (address, connections) = server(move |mut stream| {
            let told = told.clone();
            async move {
                take_request(&mut stream).await;
                told.notify_one();
                pending().await
            }
        })
        .await;
        let sent = client(AMPLE).send(request(&format!("http://{address}/")), BRIEF * 5).await;
        assert!(matches!(sent, Err(SendError::TimedOut(_))), "{sent:?}");
        arrived.notified().await;
        assert_eq!(connections.load(Ordering::SeqCst), 1, "nothing is sent twice");
    }

    #[tokio::test]
    async fn the_request_names_its_host_and_an_answer_too_large_is_cut_off() {
        for (bytes, fits) in [(PROVIDER_ANSWER_BYTES, true), (PROVIDER_ANSWER_BYTES + 1, false)] {
            let (address, _) = server(move |mut stream| async move {
                let asked = take_request(&mut stream).await;
                let host = format!("host: {}\r\n", stream.local_addr().expect("bound"));
                let right = asked.starts_with("POST /token?a=b HTTP/1.1\r\n") && asked.contains(&host);
                let status = if right { "200 OK" } else { "400 Bad Request" };
                let head = format!("HTTP/1.1 {status}\r\ncontent-length: {bytes}\r\n\r\n");
                let _ = stream.write_all(head.as_bytes()).await;
                let _ = stream.write_all(&vec![b' '; bytes]).await;
            })
            .await;
            let sent = client(AMPLE).send(request(&format!("http://{address}/token?a=b")), AMPLE).await;
            match sent {
                Ok(answer) => assert!(fits && answer.status() == 200 && answer.body().len() == bytes, "{answer:?}"),
                Err(error) => assert!(!fits && matches!(error, SendError::InDoubt(_)), "{bytes}: {error}"),
            }
        }
    }

    #[test]
    fn a_host_is_named_as_browsers_name_it() {
        for (uri, expected) in [
            ("https://idp.example/token", "idp.example"),
            ("https://idp.example:443/token", "idp.example"),
            ("https://idp.example:8443/token", "idp.example:8443"),
            ("http://idp.example:443/token", "idp.example:443"),
            ("http://[::1]:8080", "[::1]:8080"),
            ("http://name:word@idp.example:81/", "idp.example:81"),
        ] {
            let request = addressed(request(uri).map(|body| Full::new(body.into()))).expect(uri);
            assert_eq!(request.headers()[HOST], expected, "{uri}");
            assert!(request.uri().authority().is_none(), "{uri}");
        }
    }
}
