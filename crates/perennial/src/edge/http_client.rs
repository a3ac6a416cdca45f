//! The HTTP client for calls to providers: time limits, no redirects, no retries, a bounded answer.
//!
//! Redirects are not followed and nothing is sent twice, because a refresh token works once (RFC 6749 §6, RFC 9700
//! §4.14). No connection is reused, so that a connection that broke before our request was written says so.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use perennial_core::limits::PROVIDER_ANSWER_BYTES;

/// Sends one request to a provider.
pub trait HttpClient: Send + Sync + 'static {
    /// Sends `request` and reads the whole answer within `deadline`.
    fn send(&self, request: Request<Vec<u8>>, deadline: Duration) -> BoxFuture<'_, Result<Response<Bytes>, SendError>>;
}

/// No answer came.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The request never left: name lookup, connection or TLS failed. Nothing was spent.
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
pub struct HyperClient {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl HyperClient {
    /// A client that gives up connecting after `connect_deadline` (a third of the total is a good choice).
    ///
    /// # Errors
    /// When the system's certificate store cannot be read.
    pub fn new(connect_deadline: Duration) -> std::io::Result<Self> {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(connect_deadline));
        connector.set_nodelay(true);
        connector.enforce_http(false);
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(provider)?
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .retry_canceled_requests(false)
            .pool_max_idle_per_host(0)
            .build(connector);
        Ok(Self { client })
    }
}

impl HttpClient for HyperClient {
    fn send(&self, request: Request<Vec<u8>>, deadline: Duration) -> BoxFuture<'_, Result<Response<Bytes>, SendError>> {
        let exchange = async move {
            let request = request.map(|body| Full::new(Bytes::from(body)));
            let response = self.client.request(request).await.map_err(|error| match error.is_connect() {
                true => SendError::NotSent(root_cause(&error)),
                false => SendError::InDoubt(root_cause(&error)),
            })?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, PROVIDER_ANSWER_BYTES).collect().await;
            let body = body.map_err(|error| SendError::InDoubt(root_cause(&*error)))?.to_bytes();
            Ok(Response::from_parts(parts, body))
        };
        Box::pin(async move {
            tokio::time::timeout(deadline, exchange)
                .await
                .unwrap_or_else(|_| Err(SendError::TimedOut(format!("no answer within {} s", deadline.as_secs_f32()))))
        })
    }
}

/// The innermost cause: hyper's own words say little, the operating system's say what to do.
fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
