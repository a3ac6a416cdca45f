//! POST `/sessions/end` of the admin listener: an operator ends one session, or all of a user.
//!
//! Only a program can ask: a page in an operator's browser can send neither this content type to another origin without being
//! asked about it first, which nobody here answers, nor a request without the headers by which browsers are known.

use axum::body::Body;
use http::header::{CONTENT_TYPE, ORIGIN};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use perennial::{Auth, EndSessionsError, SessionsOf};
use serde::Deserialize;

use crate::admin::told;
use crate::refusal::json;

/// What may be asked: exactly one of the three.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    fingerprint: Option<String>,
    provider: Option<String>,
    issuer: Option<String>,
    sub: Option<String>,
}

/// Ends what is asked for; `{"ended": true}` once nobody can bring it back.
pub(crate) async fn end(auth: &Auth, request: Request<Body>) -> Response<Body> {
    if !is_from_program(request.headers()) {
        let message = "Ask with a program, not from a page, and with the content type application/json.";
        return told(StatusCode::FORBIDDEN, "programs_only", message);
    }
    let Some(whose) = read(request.into_body()).await else {
        let message = r#"Send {"fingerprint"}, {"provider", "sub"} or {"issuer", "sub"} as JSON."#;
        return told(StatusCode::BAD_REQUEST, "bad_body", message);
    };
    match auth.end_sessions(&whose).await {
        Ok(()) => json(StatusCode::OK, r#"{"ended":true}"#.to_owned()),
        Err(error) => {
            let status = match error {
                EndSessionsError::NoFingerprint(_) => StatusCode::BAD_REQUEST,
                EndSessionsError::UnknownSession | EndSessionsError::UnknownProvider => StatusCode::NOT_FOUND,
                EndSessionsError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            };
            told(status, error.code(), &error.to_string())
        }
    }
}

fn is_from_program(headers: &HeaderMap) -> bool {
    let is_json = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| {
        let media_type = value.split(';').next().unwrap_or_default();
        media_type.trim().eq_ignore_ascii_case("application/json")
    });
    is_json && !headers.contains_key(ORIGIN) && !headers.contains_key("sec-fetch-site")
}

async fn read(body: Body) -> Option<SessionsOf> {
    let bytes = Limited::new(body, BODY_BYTES).collect().await.ok()?.to_bytes();
    let asked: Asked = serde_json::from_slice(&bytes).ok()?;
    match (asked.fingerprint, asked.provider, asked.issuer, asked.sub) {
        (Some(fingerprint), None, None, None) => Some(SessionsOf::Fingerprint(fingerprint)),
        (None, Some(provider), None, Some(sub)) => Some(SessionsOf::UserAt { provider, sub }),
        (None, None, Some(issuer), Some(sub)) => Some(SessionsOf::UserOf { issuer, sub }),
        _ => None,
    }
}

/// Bytes of a question: an issuer and a user have at most a few hundred.
const BODY_BYTES: usize = 8 << 10;
