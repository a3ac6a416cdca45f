//! POST `/backend/session`: an application's own server asks, in one round trip, who its visitor is.
//!
//! For applications that serve the browser themselves and have us behind them: they hand over the visitor's cookies and get the
//! session, a live access token and the cookies to set. Whoever presents the backend secret is trusted with access tokens;
//! browsers never are.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::{AUTHORIZATION, ORIGIN};
use perennial_core::secret::BackendSecret;
use serde_json::{Value, json};

use super::guard::Posted;
use crate::auth::Auth;
use crate::hall::{Door, Entry};
use crate::refusal::{Refusal, retry_after_seconds};
use crate::session::Session;

/// Always 200 for the application: `{"state": "stranger" | "signed_in" | "suspended", …}`, with the visitor's cookies as
/// `Set-Cookie`. `{"renew": true}` in the body renews although nothing is due.
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
    let Entry { session, set_cookies, renewed } = auth.enter(&posted.headers, door).await;
    let told = match &session {
        None => json!({ "state": "stranger" }),
        Some(session) => told(&auth, session, renewed).await,
    };
    super::with_cookies(super::uncached(Json(told).into_response()), set_cookies)
}

async fn told(auth: &Auth, session: &Session, renewed: bool) -> Value {
    let mut told = json!({
        "state": "signed_in",
        "session": auth.view(session).await,
        "sid": session.fingerprint(),
        "provider": session.provider().as_str(),
        "generation": session.generation(),
        "expires_at": session.expires_at().map(|at| at.unix_seconds()),
        "renewed": renewed,
    });
    match session.bearer() {
        Ok(token) => told["access_token"] = token.expose_secret().into(),
        Err(Refusal::RenewalSuspended { retry_after }) => {
            told["state"] = "suspended".into();
            let seconds = retry_after_seconds(retry_after);
            told["retry_after"] = seconds.to_str().ok().and_then(|text| text.parse::<u64>().ok()).into();
        }
        Err(_) => {}
    }
    told
}

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
