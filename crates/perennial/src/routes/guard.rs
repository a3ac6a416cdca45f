//! What every POST passes: it comes from a page of ours, its CSRF token (where Auth.js's clients send one) is right, and
//! its body is small and of a type we read.

use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use http::Method;
use http::header::{CONTENT_TYPE, HeaderMap};
use perennial_core::csrf::CsrfToken;
use perennial_core::origin::{CrossOrigin, ReturnUrl, same_origin};
use serde_json::{Map, Value};

use crate::auth::Auth;
use crate::callbacks::Callbacks;
use crate::cookies::RequestCookies;
use crate::refusal::Refusal;

/// A POST that passed, with its headers and its body as a flat map.
pub(super) struct Posted {
    pub(super) headers: HeaderMap,
    pub(super) query: Map<String, Value>,
    pub(super) body: Map<String, Value>,
}

impl Posted {
    /// A field of the body.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }
}

impl FromRequest<Auth> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, auth: &Auth) -> Result<Self, Response> {
        let headers = request.headers().clone();
        let query = flat(request.uri().query().unwrap_or_default());
        let origin = same_origin(request.method(), &headers, &auth.inner.settings.public_url);
        if origin == CrossOrigin::Cross {
            return Err(Refusal::CrossSite.into_response());
        }
        let body = body(request, auth).await.map_err(IntoResponse::into_response)?;
        // A script outside a browser holds nobody's cookies but its own. Auth.js's React client always sends its token.
        if let Some(token) = body.get("csrfToken").and_then(Value::as_str)
            && !csrf_matches(auth, &headers, token)
        {
            return Err(Refusal::CsrfMismatch.into_response());
        }
        Ok(Self { headers, query, body })
    }
}

/// Where to go after an endpoint's work: `callbackUrl` of body or query, if it is ours or allow-listed, after the
/// `redirect` callback had its say; else the site's root.
pub(super) fn return_url(auth: &Auth, asked: Option<&str>) -> String {
    let settings = &auth.inner.settings;
    let allowed = |url: &str| {
        ReturnUrl::parse(url, &settings.public_url, &settings.return_origins).map(|url| url.as_str().to_owned())
    };
    let root = format!("{}/", settings.origin());
    let Some(asked) = asked.and_then(allowed) else { return root };
    let redirected = auth.inner.callbacks.redirect(&asked, &settings.origin());
    allowed(&redirected).unwrap_or(root)
}

/// A query or form as a flat map; the last of several equal names counts, as in Auth.js.
pub(super) fn flat(encoded: &str) -> Map<String, Value> {
    url::form_urlencoded::parse(encoded.as_bytes())
        .map(|(name, value)| (name.into_owned(), value.into_owned().into()))
        .collect()
}

fn csrf_matches(auth: &Auth, headers: &HeaderMap, token: &str) -> bool {
    let cookies = RequestCookies::read(headers);
    let cookie = cookies
        .first_decoded(&auth.inner.names.csrf)
        .and_then(|value| CsrfToken::from_cookie(&value, auth.inner.secrets()));
    cookie.is_some_and(|cookie| cookie.matches(token))
}

async fn body(request: Request, auth: &Auth) -> Result<Map<String, Value>, Refusal> {
    let media_type = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(|value| value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    if request.method() != Method::POST {
        return Ok(Map::new());
    }
    let bytes = bytes::Bytes::from_request(request, auth).await.map_err(|rejection| {
        match rejection.into_response().status() {
            http::StatusCode::PAYLOAD_TOO_LARGE => Refusal::BodyTooLarge,
            _ => Refusal::BadBody,
        }
    })?;
    match media_type.as_deref() {
        _ if bytes.is_empty() => Ok(Map::new()),
        Some("application/json") => serde_json::from_slice(&bytes).map_err(|_| Refusal::BadBody),
        Some("application/x-www-form-urlencoded") => {
            std::str::from_utf8(&bytes).map(flat).map_err(|_| Refusal::BadBody)
        }
        _ => Err(Refusal::BadBody),
    }
}
