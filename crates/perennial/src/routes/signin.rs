//! Signing in, first half: the page with the choice, and the redirect to the provider.

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use serde::Deserialize;

use super::guard::{Posted, return_url};
use super::{RETURN_REDIRECT, pages};
use crate::auth::Auth;
use crate::refusal::Refusal;

/// What `/signin` may be asked with.
#[derive(Debug, Default, Deserialize)]
pub(super) struct SignInQuery {
    #[serde(rename = "callbackUrl")]
    callback_url: Option<String>,
    error: Option<String>,
}

/// GET `/signin`: one button for each provider.
pub(super) async fn page(State(auth): State<Auth>, headers: HeaderMap, Query(query): Query<SignInQuery>) -> Response {
    if let Some(page) = &auth.inner.settings.pages.sign_in {
        return super::go(&headers, &own_page(&auth, page, &query), Vec::new());
    }
    pages::sign_in(&auth, &headers, None, query.callback_url.as_deref(), query.error.as_deref()).await
}

/// GET `/signin/{provider}`: the page with that provider's button alone. A link must not start a sign-in by itself.
pub(super) async fn page_for_one(
    State(auth): State<Auth>,
    headers: HeaderMap,
    Path(provider): Path<String>,
    Query(query): Query<SignInQuery>,
) -> Response {
    if !auth.providers().any(|id| id.as_str() == provider) {
        return Refusal::UnknownProvider.into_response();
    }
    pages::sign_in(&auth, &headers, Some(&provider), query.callback_url.as_deref(), query.error.as_deref()).await
}

/// The application's own sign-in page, told what ours would be told.
fn own_page(auth: &Auth, page: &str, query: &SignInQuery) -> String {
    let mut told = url::form_urlencoded::Serializer::new(String::new());
    told.append_pair("callbackUrl", &return_url(auth, query.callback_url.as_deref()));
    if let Some(error) = &query.error {
        told.append_pair("error", error);
    }
    format!("{}{page}?{}", auth.inner.settings.origin(), told.finish())
}

/// POST `/signin` without a provider: to the page, as in Auth.js.
pub(super) async fn without_provider(State(auth): State<Auth>, posted: Posted) -> Response {
    super::go(&posted.headers, &auth.inner.settings.endpoint("/signin"), Vec::new())
}

/// POST `/signin/{provider}`: to the provider. Of the query, the parameters that a caller may add to an authorization request
/// go along.
pub(super) async fn start(State(auth): State<Auth>, Path(provider): Path<String>, posted: Posted) -> Response {
    let text = |name: &str| posted.field(name).or_else(|| posted.query.get(name).and_then(|value| value.as_str()));
    let return_to = return_url(&auth, text("callbackUrl"));
    let extra: Vec<(String, String)> = posted
        .query
        .iter()
        .chain(posted.body.iter())
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect();
    match auth.begin_sign_in(&posted.headers, &provider, &return_to, &extra).await {
        Ok(start) => super::go(&posted.headers, &start.location, start.set_cookies),
        // Auth.js's clients read the error from a URL, whatever went wrong.
        Err(Refusal::UnknownProvider) if !posted.headers.contains_key(RETURN_REDIRECT) => {
            Refusal::UnknownProvider.into_response()
        }
        Err(_) => super::go(&posted.headers, &auth.inner.settings.error_page("Configuration"), Vec::new()),
    }
}
