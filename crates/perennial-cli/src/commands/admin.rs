//! Asking the admin listener of a running gateway.

use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use super::Fault;

/// Asks the listener at `admin` and answers with status and body of what it says.
pub(crate) async fn ask(
    admin: &str,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<(StatusCode, Bytes), Fault> {
    let uri: Uri = format!("{}{path}", admin.trim_end_matches('/'))
        .parse()
        .map_err(|_| format!("{admin} is no URL of an admin listener, such as http://127.0.0.1:9420"))?;
    let mut request = Request::builder().method(method).uri(uri);
    if body.is_some() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    let request = request.body(Full::new(Bytes::from(body.map(Value::to_string).unwrap_or_default())))?;
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let exchange = async {
        let answer = client.request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES).collect().await?.to_bytes();
        Ok::<_, Fault>((status, body))
    };
    match tokio::time::timeout(DEADLINE, exchange).await {
        Ok(Ok(answered)) => Ok(answered),
        Ok(Err(error)) => Err(unreachable(admin, &error).into()),
        Err(_) => Err(unreachable(admin, &"no answer in time").into()),
    }
}

/// What to do about a listener that does not answer as one.
pub(crate) fn unreachable(admin: &str, error: &dyn std::fmt::Display) -> String {
    format!(
        "no admin listener answers at {admin}: {error}; start the gateway with --admin or [admin] listen, or name its address with --admin"
    )
}

/// A find may read every key of a large store.
const DEADLINE: Duration = Duration::from_secs(60);

/// Sixteen entries and a story have a few kB.
const ANSWER_BYTES: usize = 1 << 20;
