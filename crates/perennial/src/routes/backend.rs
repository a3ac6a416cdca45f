//! POST `/backend/session`: an application's own server asks, in one round trip, who its visitor is.
//!
//! For applications that serve the browser themselves and have us behind them: they hand over the visitor's cookies and get the
//! session, a live access token and the cookies to set. Whoever presents the backend secret is trusted with access tokens;
//! browsers never are.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, ORIGIN};
use http::{HeaderMap, HeaderValue, Method};
use perennial_core::secret::BackendSecret;
use serde_json::{Value, json};

use super::guard::Posted;
use crate::auth::Auth;
use crate::callbacks::Claims;
use crate::hall::{Door, Entry};
use crate::refusal::Refusal;
use crate::session::Session;

/// Always 200 for the application: `{"state": "stranger"}` or `{"state": "signed_in", …}`, with the visitor's cookies as
/// `Set-Cookie`. `{"renew": true}` in the body renews although nothing is due; `visitor` says what the visitor asked for, so that
/// only who speaks for a person feeds the idle clock.
pub(super) async fn session(
    State(auth): State<Auth>,
    headers: HeaderMap,
    posted: Result<Posted, Response>,
) -> Response {
    if !auth.serves_backends() {
        return Refusal::UnknownEndpoint.into_response();
    }
    if from_browser(&headers) || !knows_secret(&auth, &headers) {
        return Refusal::BackendOnly.into_response();
    }
    let posted = match posted {
        Ok(posted) => posted,
        Err(refused) => return refused,
    };
    let door = if posted.body.get("renew") == Some(&Value::Bool(true)) { Door::Refresh } else { Door::Ordinary };
    let (method, headers) = visitor(&posted);
    let Entry { session, set_cookies, renewed, .. } = auth.enter(&method, &headers, door).await;
    let told = match &session {
        None => json!({ "state": "stranger" }),
        Some(session) => told(&auth, session, renewed).await,
    };
    super::with_cookies(super::uncached(Json(told).into_response()), set_cookies)
}

impl Auth {
    /// What an application may be told of a session, tokens aside: `session` as the browser may see it, `sid`, `provider`,
    /// `generation`, `condition`, `expires_at` in seconds; and where there is no access token to hand out, the code of the
    /// `refusal`, with `retry_after` in seconds if waiting helps.
    pub async fn describe(&self, session: &Session) -> Claims {
        let mut told = Claims::new();
        let mut tell = |name: &str, value: Value| drop(told.insert(name.to_owned(), value));
        tell("session", self.view(session).await);
        tell("sid", session.fingerprint().into());
        tell("provider", session.provider().as_str().into());
        tell("generation", json!(session.generation()));
        tell("condition", session.condition().as_str().into());
        tell("expires_at", session.expires_at().map(|at| at.unix_seconds()).into());
        if let Err(refusal) = session.bearer() {
            tell("refusal", refusal.code().into());
            if let Refusal::RenewalSuspended { retry_after } = refusal {
                tell("retry_after", (retry_after.as_millis().div_ceil(1000).clamp(1, 3600) as u64).into());
            }
        }
        told
    }
}

async fn told(auth: &Auth, session: &Session, renewed: bool) -> Value {
    let mut told = auth.describe(session).await;
    told.insert("state".into(), "signed_in".into());
    told.insert("renewed".into(), renewed.into());
    if let Ok(token) = session.bearer() {
        told.insert("access_token".into(), token.expose_secret().into());
    }
    told.into()
}

/// The visitor's request as far as it was handed over: its cookies, and in the body's `visitor` its `method` and the `headers` that
/// tell a person's from a program's. Who hands over nothing but cookies asks for a program.
fn visitor(posted: &Posted) -> (Method, HeaderMap) {
    let mut headers = posted.headers.clone();
    let visitor = posted.body.get("visitor");
    let handed_over = visitor.and_then(|visitor| visitor.get("headers")?.as_object());
    for (name, value) in handed_over.into_iter().flatten() {
        let name = VISITOR_HEADERS.iter().find(|known| **known == name);
        if let (Some(name), Some(Ok(value))) = (name, value.as_str().map(HeaderValue::from_str)) {
            headers.insert(*name, value);
        }
    }
    let method = visitor.and_then(|visitor| visitor.get("method")?.as_str()?.parse().ok());
    (method.unwrap_or(Method::GET), headers)
}

/// By what a person's request is told from a program's.
const VISITOR_HEADERS: [&str; 6] =
    ["accept", "sec-fetch-dest", "sec-fetch-mode", "sec-purpose", "upgrade", "x-requested-with"];

/// Browsers say so themselves, in headers that no script can leave out (Fetch §3.1, Fetch Metadata §2). `Sec-Fetch-Mode` is none
/// of them: the `fetch` of Node sends it, too.
fn from_browser(headers: &HeaderMap) -> bool {
    headers.contains_key(ORIGIN)
        || ["sec-fetch-site", "sec-fetch-dest", "sec-fetch-user"].iter().any(|name| headers.contains_key(*name))
}

fn knows_secret(auth: &Auth, headers: &HeaderMap) -> bool {
    let presented = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    presented.map(BackendSecret::new).is_some_and(|presented| {
        // Every one is compared, so that the time taken does not tell which was near.
        auth.inner.backend_secrets.iter().fold(false, |known, secret| known | (*secret == presented))
    })
}
