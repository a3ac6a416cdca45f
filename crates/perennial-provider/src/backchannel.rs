//! Telling clients of a sign-out: OpenID Connect Back-Channel Logout 1.0 §2.4–§2.5.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{Request, header};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::event::EventKind;
use crate::keys::KeyError;
use crate::provider::{News, State, unix_seconds};
use crate::random::opaque;

/// Whom a logout token is about; what is `None` is not named.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whom<'a> {
    pub(crate) sub: Option<&'a str>,
    pub(crate) sid: Option<&'a str>,
}

/// Tells each of `clients`, given with whom it knows by what `sub`, that the session `sid` is over, as far as they registered
/// where. Nobody waits for their answers; a client that does not answer is not told again.
pub(crate) fn tell(state: &Arc<State>, sid: &str, clients: Vec<(String, String)>) {
    for (client, subject) in clients {
        let uri = state.settings.client(&client).and_then(|client| client.backchannel_logout_uri.clone());
        let Some(uri) = uri else { continue };
        let whom = Whom { sub: Some(&subject), sid: Some(sid) };
        let Ok(token) = logout_token(state, &client, whom) else { continue };
        let state = state.clone();
        tokio::spawn(async move {
            let told = match tokio::time::timeout(PATIENCE, post(&uri, &token)).await {
                Ok(Ok(status)) => format!("{client} was told of the sign-out and answered {status}."),
                Ok(Err(error)) => format!("{client} could not be told of the sign-out: {error}"),
                Err(_) => format!("{client} was told of the sign-out and did not answer."),
            };
            state.tell(News { client: Some(&client), ..News::new(EventKind::EndSession, told) });
        });
    }
}

/// A logout token for `client`, good for two minutes.
pub(crate) fn logout_token(state: &State, client: &str, whom: Whom<'_>) -> Result<String, KeyError> {
    let now = unix_seconds(state.now());
    let mut claims = json!({
        "iss": state.settings.issuer,
        "aud": client,
        "iat": now,
        "exp": now + 120,
        "jti": opaque(""),
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
    });
    for (name, value) in [("sub", whom.sub), ("sid", whom.sid)] {
        if let Some(value) = value {
            claims[name] = Value::from(value);
        }
    }
    state.keys().sign("logout+jwt", &claims, None)
}

async fn post(uri: &str, token: &str) -> Result<u16, Box<dyn std::error::Error + Send + Sync>> {
    let form = form_urlencoded::Serializer::new(String::new()).append_pair("logout_token", token).finish();
    let request = Request::post(uri)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Full::new(Bytes::from(form)))?;
    let client = HttpClient::builder(TokioExecutor::new()).build_http();
    Ok(client.request(request).await?.status().as_u16())
}

/// A client that takes longer than this is taken to be gone.
const PATIENCE: Duration = Duration::from_secs(5);
