//! The API that the app calls in its users' names.

use axum::response::{IntoResponse, Response};
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use perennial::secret::AccessToken;
use serde_json::Value;

/// A client of the API.
#[derive(Clone)]
pub(crate) struct Api {
    address: Uri,
    client: Client<HttpConnector, Empty<&'static [u8]>>,
}

/// The API did not answer with JSON and 200.
#[derive(Debug)]
pub(crate) struct ApiFault(StatusCode);

impl Api {
    pub(crate) fn at(address: Uri) -> Self {
        Self { address, client: Client::builder(TokioExecutor::new()).build_http() }
    }

    pub(crate) async fn get(&self, token: &AccessToken) -> Result<Value, ApiFault> {
        let bad_gateway = ApiFault(StatusCode::BAD_GATEWAY);
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.expose_secret())).map_err(|_| bad_gateway)?;
        bearer.set_sensitive(true);
        let request = Request::get(&self.address).header(AUTHORIZATION, bearer).body(Empty::new());
        let answered = async {
            let response = self.client.request(request.ok()?).await.ok()?;
            let status = response.status();
            let body = response.into_body().collect().await.ok()?.to_bytes();
            Some((status, serde_json::from_slice(&body).ok()?))
        };
        match answered.await {
            Some((StatusCode::OK, value)) => Ok(value),
            Some((status, _)) => Err(ApiFault(status)),
            None => Err(ApiFault(StatusCode::BAD_GATEWAY)),
        }
    }
}

impl IntoResponse for ApiFault {
    fn into_response(self) -> Response {
        (self.0, "the API did not answer as expected").into_response()
    }
}
