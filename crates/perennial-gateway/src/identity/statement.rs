//! RFC 7519 · RFC 9449 §4.2: the signed statement that tells an upstream who sent one request, and is of no use for another.
//!
//! A plain header is believed because nobody else can reach the upstream. A statement is believed because of its signature: it
//! names us, the one upstream, the one method and target, the access token that goes along, and it lives for seconds.

use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request};
use perennial::{Auth, Session, identity};
use serde_json::Value;
use url::Url;

use crate::upstream::target;

/// What the public halves of the keys are asked for by, below the base path.
pub(crate) const KEY_SET_PATH: &str = "/identity/jwks";

/// The header that carries the statement.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-perennial-identity");

/// Long enough for a queue and for clocks a little apart, too short to be worth stealing.
const LIFETIME: Duration = Duration::from_secs(30);

/// Puts the statement on `session` into a request that is about to go to `upstream`. `bearer` says whether the access token goes
/// along.
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
    let claims = claims(auth, session, upstream, &about).await;
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

async fn claims(auth: &Auth, session: &Session, upstream: &Url, about: &About) -> Value {
    let now = auth.now();
    let mut claims = auth.describe(session).await;
    let mut claim = |name: &str, value: Value| drop(claims.insert(name.to_owned(), value));
    claim("iss", auth.settings().origin().into());
    claim("aud", upstream.origin().ascii_serialization().into());
    claim("iat", now.unix_seconds().into());
    claim("exp", (now + LIFETIME).unix_seconds().into());
    claim("jti", auth.random_id().into());
    claim("htm", about.method.as_str().into());
    claim("htu", about.target.clone().into());
    claim("sub", session.user().id.into());
    if let (true, Ok(token)) = (about.bearer, session.bearer()) {
        claim("ath", identity::access_token_hash(token).into());
    }
    claims.into()
}

fn put(headers: &mut HeaderMap, mut value: HeaderValue) {
    value.set_sensitive(true);
    headers.insert(HEADER, value);
}
