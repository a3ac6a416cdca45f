//! The endpoints that answer with a page, and what is said on each.

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap};
use serde::Deserialize;

use super::csrf;
use super::guard::return_url;
use crate::auth::Auth;
use crate::pages::{Button, Dress, MessagePage, SignInPage, SignOutPage, respond};
use crate::refusal::Refusal;

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
    let dress = Dress::of(auth, headers);
    let words = dress.words();
    let providers = auth.inner.issuers.iter().map(|issuer| issuer.provider());
    let page = SignInPage {
        buttons: providers
            .filter(|provider| only.is_none_or(|only| provider.id.as_str() == only))
            .map(|provider| Button { id: provider.id.as_str(), name: &provider.name, text: &words.sign_in_with })
            .collect(),
        csrf_token,
        callback_url: return_url(auth, callback_url),
        problem: error.map(|error| match error {
            "OAuthCallbackError" | "OAuthSignInError" => &*words.provider_refused,
            "Verification" => &words.took_too_long,
            "SessionRequired" => &words.session_required,
            "MissingCSRF" => &words.cookie_missing,
            _ => &words.did_not_work,
        }),
        dress,
    };
    let targets = authorization_origins(auth).await;
    super::with_cookies(respond(StatusCode::OK, &page, &page.dress, &targets), cookies)
}

/// The page that asks whether to sign out.
pub(super) async fn sign_out(auth: &Auth, headers: &HeaderMap, callback_url: Option<&str>) -> Response {
    let (csrf_token, cookies) = csrf::current(auth, headers);
    let page =
        SignOutPage { dress: Dress::of(auth, headers), csrf_token, callback_url: return_url(auth, callback_url) };
    let targets = auth.inner.end_session_origins().await;
    super::with_cookies(respond(StatusCode::OK, &page, &page.dress, &targets), cookies)
}

/// GET `/error`: what went wrong, by Auth.js's names and statuses.
pub(super) async fn error(State(auth): State<Auth>, headers: HeaderMap, Query(query): Query<ErrorQuery>) -> Response {
    if auth.inner.settings.pages.error.is_some() {
        let error: String = url::form_urlencoded::byte_serialize(query.error.unwrap_or_default().as_bytes()).collect();
        return super::go(&headers, &auth.inner.settings.error_page(&error), Vec::new());
    }
    let dress = Dress::of(&auth, &headers);
    let words = dress.words();
    let (status, title, text, code) = match query.error.as_deref() {
        Some("AccessDenied") => {
            (StatusCode::FORBIDDEN, &words.access_denied, &words.access_denied_text, "AccessDenied")
        }
        Some("Configuration") => {
            (StatusCode::INTERNAL_SERVER_ERROR, &words.configuration, &words.configuration_text, "Configuration")
        }
        Some("SessionStore") => {
            (StatusCode::SERVICE_UNAVAILABLE, &words.store_down, &words.store_down_text, "SessionStore")
        }
        Some("Verification") => (StatusCode::FORBIDDEN, &words.used_link, &words.used_link_text, "Verification"),
        _ => (StatusCode::OK, &words.something_wrong, &words.something_wrong_text, "Default"),
    };
    let page = MessagePage { dress, title, text, code, again: true };
    respond(status, &page, &page.dress, &[])
}

/// The answer to a sign-out that the store would not take.
pub(super) fn signed_out_here(auth: &Auth, headers: &HeaderMap) -> Response {
    let dress = Dress::of(auth, headers);
    let (words, refusal) = (dress.words(), Refusal::SignOutUnfinished);
    let (title, text) = (&words.signed_out_here, &words.signed_out_here_text);
    let page = MessagePage { dress, title, text, code: refusal.code(), again: false };
    super::uncached(respond(refusal.status(), &page, &page.dress, &[]))
}

/// GET `/verify-request`: Auth.js's page after a sign-in link was sent.
pub(super) async fn verify_request(State(auth): State<Auth>, headers: HeaderMap) -> Response {
    let dress = Dress::of(&auth, &headers);
    let words = dress.words();
    let page = MessagePage {
        dress,
        title: &words.check_email,
        text: &words.check_email_text,
        code: "VerifyRequest",
        again: false,
    };
    respond(StatusCode::OK, &page, &page.dress, &[])
}

/// GET `/style.css`: the only place where the theme's colours are written down.
pub(super) async fn style(State(auth): State<Auth>) -> Response {
    let headers = [(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, "public, max-age=3600")];
    (headers, auth.inner.settings.theme.style_sheet()).into_response()
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
