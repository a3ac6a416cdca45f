//! The pages: sign-in, sign-out, error, verify. They need no JavaScript and load nothing but their own style sheet.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, StatusCode};
use serde::Deserialize;

use super::csrf;
use super::guard::return_url;
use crate::auth::Auth;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage<'a> {
    base: &'a str,
    buttons: Vec<Button<'a>>,
    csrf_token: String,
    callback_url: String,
    problem: Option<&'static str>,
}

struct Button<'a> {
    id: &'a str,
    name: &'a str,
}

#[derive(Template)]
#[template(path = "sign_out.html")]
struct SignOutPage<'a> {
    base: &'a str,
    csrf_token: String,
    callback_url: String,
}

#[derive(Template)]
#[template(path = "message.html")]
struct MessagePage<'a> {
    base: &'a str,
    title: &'static str,
    text: &'static str,
    code: &'static str,
    /// Whether to offer another try at signing in.
    again: bool,
}

/// What `/error` may be asked with.
#[derive(Debug, Deserialize)]
pub(super) struct ErrorQuery {
    error: Option<String>,
}

/// The sign-in page, for all providers or for `only` one.
pub(super) async fn sign_in(
    auth: &Auth,
    headers: &HeaderMap,
    only: Option<&str>,
    callback_url: Option<&str>,
    error: Option<&str>,
) -> Response {
    let (csrf_token, cookies) = csrf::current(auth, headers);
    let providers = auth.inner.issuers.iter().map(|issuer| issuer.provider());
    let page = SignInPage {
        base: &auth.inner.settings.base_path,
        buttons: providers
            .filter(|provider| only.is_none_or(|only| provider.id.as_str() == only))
            .map(|provider| Button { id: provider.id.as_str(), name: &provider.name })
            .collect(),
        csrf_token,
        callback_url: return_url(auth, callback_url),
        problem: error.map(sign_in_problem),
    };
    super::with_cookies(html(StatusCode::OK, &page, &authorization_origins(auth).await), cookies)
}

/// The page that asks whether to sign out.
pub(super) fn sign_out(auth: &Auth, headers: &HeaderMap, callback_url: Option<&str>) -> Response {
    let (csrf_token, cookies) = csrf::current(auth, headers);
    let base = &auth.inner.settings.base_path;
    let page = SignOutPage { base, csrf_token, callback_url: return_url(auth, callback_url) };
    super::with_cookies(html(StatusCode::OK, &page, &[]), cookies)
}

/// GET `/error`: what went wrong, by Auth.js's names and statuses.
pub(super) async fn error(State(auth): State<Auth>, headers: HeaderMap, Query(query): Query<ErrorQuery>) -> Response {
    if auth.inner.settings.pages.error.is_some() {
        let error: String = url::form_urlencoded::byte_serialize(query.error.unwrap_or_default().as_bytes()).collect();
        return super::go(&headers, &auth.inner.settings.error_page(&error), Vec::new());
    }
    let (status, title, text, code) = match query.error.as_deref() {
        Some("AccessDenied") => (
            StatusCode::FORBIDDEN,
            "Access denied",
            "You may not sign in here. If you think you should, ask whoever runs this site.",
            "AccessDenied",
        ),
        Some("Configuration") => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "Sign-in is not working",
            "Something between this site and the sign-in provider failed. Try again; if it stays, tell whoever runs this site: the server's log says why.",
            "Configuration",
        ),
        Some("SessionStore") => (
            StatusCode::SERVICE_UNAVAILABLE,
            "You could not be signed in",
            "Sessions cannot be kept just now. Nothing was begun by halves: try again in a little while.",
            "SessionStore",
        ),
        Some("Verification") => (
            StatusCode::FORBIDDEN,
            "This link has been used or is too old",
            "Start signing in once more.",
            "Verification",
        ),
        _ => (StatusCode::OK, "Something went wrong", "Try signing in again.", "Default"),
    };
    let page = MessagePage { base: &auth.inner.settings.base_path, title, text, code, again: true };
    html(status, &page, &[])
}

/// GET `/verify-request`: Auth.js's page after a sign-in link was sent.
pub(super) async fn verify_request(State(auth): State<Auth>) -> Response {
    let base = &auth.inner.settings.base_path;
    let text = "A sign-in link has been sent to your email address.";
    let page = MessagePage { base, title: "Check your email", text, code: "VerifyRequest", again: false };
    html(StatusCode::OK, &page, &[])
}

/// GET `/style.css`.
pub(super) async fn style() -> Response {
    let headers = [(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, "public, max-age=3600")];
    (headers, include_str!("../../assets/style.css")).into_response()
}

fn html(status: StatusCode, page: &impl Template, form_targets: &[String]) -> Response {
    let Ok(body) = page.render() else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let mut response = super::uncached((status, body).into_response());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    // Not `no-referrer`: with that, browsers hide the origin of our own forms, which we could not tell from another site's.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let policy = format!(
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self' {}; frame-ancestors 'none'; base-uri 'none'",
        form_targets.join(" ")
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// Where the sign-in forms lead after our redirect, which browsers count as the form's action too.
async fn authorization_origins(auth: &Auth) -> Vec<String> {
    let mut origins = Vec::new();
    for issuer in &auth.inner.issuers {
        // A provider out of reach says so when its button is pressed.
        if let Ok(resolved) = issuer.resolved(&auth.inner.edges).await {
            origins.push(resolved.authorization.url().origin().ascii_serialization());
        }
    }
    origins.sort();
    origins.dedup();
    origins
}

fn sign_in_problem(error: &str) -> &'static str {
    match error {
        "OAuthCallbackError" | "OAuthSignInError" => {
            "The provider did not let you in. Try again, or with another account."
        }
        "Verification" => "That took too long, or this link was used before. Sign in once more.",
        "SessionRequired" => "Sign in to see that page.",
        "MissingCSRF" => "Your browser did not send back our cookie. Allow cookies for this site and try again.",
        _ => "That did not work. Try again.",
    }
}
