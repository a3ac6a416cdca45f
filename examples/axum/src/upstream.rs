//! The upstream that wants a bearer token (RFC 6750 §2.1).

use std::error::Error;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::uri::InvalidUri;
use axum::http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use perennial::secret::AccessToken;

/// One URL, asked in many users' names.
#[derive(Clone)]
pub(crate) struct Upstream {
    client: Client<HttpConnector, Body>,
    url: Uri,
}

impl Upstream {
    /// The upstream at `url`, which is plain http: an inner network's.
    ///
    /// # Errors
    /// When `url` is none.
    pub(crate) fn new(url: &str) -> Result<Self, InvalidUri> {
        Ok(Self { client: Client::builder(TokioExecutor::new()).build_http(), url: url.parse()? })
    }

    /// Asks with a user's access token and passes status, type and body on.
    ///
    /// # Errors
    /// When no whole answer came within [`PATIENCE`], or one of more than [`ANSWER_BYTES`].
    pub(crate) async fn ask(&self, token: &AccessToken) -> Result<Response<Body>, Box<dyn Error + Send + Sync>> {
        tokio::time::timeout(PATIENCE, self.exchange(token)).await?
    }

    async fn exchange(&self, token: &AccessToken) -> Result<Response<Body>, Box<dyn Error + Send + Sync>> {
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()))?;
        authorization.set_sensitive(true);
        let request = Request::get(self.url.clone())
            .header(AUTHORIZATION, authorization)
            .header(ACCEPT, "application/json")
            .body(Body::empty())?;
        let (parts, body) = self.client.request(request).await?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES).collect().await?.to_bytes();
        let mut answer = Response::new(Body::from(body));
        *answer.status_mut() = parts.status;
        // Nothing else of the upstream's headers is the browser's business: above all no Set-Cookie.
        if let Some(media_type) = parts.headers.get(CONTENT_TYPE) {
            answer.headers_mut().insert(CONTENT_TYPE, media_type.clone());
        }
        answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
        Ok(answer)
    }
}

/// The longest the upstream may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The longest answer passed on.
pub(crate) const ANSWER_BYTES: usize = 1 << 20;
