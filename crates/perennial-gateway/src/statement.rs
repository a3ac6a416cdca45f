//! RFC 7519 · RFC 9449 §4.2: the signed statement that tells an upstream who sent one request, and is of no use for another.
//!
//! A plain header is believed because nobody else can reach the upstream. A statement is believed because of its signature: it
//! names us, the one upstream, the one method and target, the access token that goes along, and it lives for seconds.

use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request};
use perennial::{Auth, Refusal, Session, identity};
use serde_json::{Value, json};
use url::Url;

use crate::proxy::target;

/// What the public halves of the keys are asked for by, below the base path.
pub(crate) const KEY_SET_PATH: &str = "/identity/jwks";

/// The header that carries the statement.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-perennial-identity");

/// Long enough for a queue and for clocks a little apart, too short to be worth stealing.
const LIFETIME: Duration = Duration::from_secs(30);

/// Puts the statement on `session` into a request that is about to go to `upstream`. `bearer` says whether the access token goes
/// along. A session that the `session` callback hides is not mentioned.
pub(crate) async fn announce<B>(
    auth: &Auth,
    request: &mut Request<B>,
    session: &Session,
    upstream: &Url,
    bearer: bool,
) {
    let Some(target) = target(upstream, request.uri()) else { return };
    let about = About {
        method: request.method().clone(),
        target: format!("{}{}", upstream.origin().ascii_serialization(), target.path()),
        bearer,
    };
    let claims = claims(auth, session, auth.view(session).await, upstream, &about);
    // Base64url and dots are always a header value.
    if let Ok(value) = HeaderValue::from_str(&auth.identity_keys().sign(&claims)) {
        put(request.headers_mut(), value);
    }
}

/// The request that a statement is about.
struct About {
    method: Method,
    target: String,
    bearer: bool,
}

fn claims(auth: &Auth, session: &Session, view: Value, upstream: &Url, about: &About) -> Value {
    let now = auth.now();
    let mut claims = json!({
        "iss": auth.settings().origin(),
        "aud": upstream.origin().ascii_serialization(),
        "iat": now.unix_seconds(),
        "exp": (now + LIFETIME).unix_seconds(),
        "jti": auth.random_id(),
        "htm": about.method.as_str(),
        "htu": about.target,
        "sub": session.user().id,
        "sid": session.fingerprint(),
        "provider": session.provider().as_str(),
        "session": view,
        "generation": session.generation(),
        "expires_at": session.expires_at().map(|at| at.unix_seconds()),
        "state": "signed_in",
    });
    match session.bearer() {
        Ok(token) if about.bearer => claims["ath"] = identity::access_token_hash(token).into(),
        Err(Refusal::RenewalSuspended { retry_after }) => {
            claims["state"] = "suspended".into();
            claims["retry_after"] = retry_after.as_secs().max(1).into();
        }
        _ => {}
    }
    claims
}

fn put(headers: &mut HeaderMap, mut value: HeaderValue) {
    value.set_sensitive(true);
    headers.insert(HEADER, value);
}
