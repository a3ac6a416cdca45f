//! The pages people see. They work without JavaScript, and say on top that this is for development only.

use std::sync::Arc;

use askama::Template;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use url::Url;

use crate::account::Account;
use crate::answer::NO_STORE;
use crate::authorize::{AuthorizationRequest, new_browser, origin_of_return};
use crate::provider::State;

/// The cookie that tells one browser from another. On localhost it goes to every port, so its name must be nobody else's.
const COOKIE: &str = "perennial_provider_browser";

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInTemplate<'a> {
    base: &'a str,
    client: &'a str,
    scopes: Vec<&'a str>,
    transaction: &'a str,
    accounts: Vec<Choice<'a>>,
}

struct Choice<'a> {
    account: &'a Account,
    first: bool,
}

#[derive(Template)]
#[template(path = "sign_out.html")]
struct SignOutTemplate<'a> {
    base: &'a str,
    transaction: &'a str,
}

#[derive(Template)]
#[template(path = "message.html")]
struct MessageTemplate<'a> {
    base: &'a str,
    heading: &'a str,
    text: &'a str,
}

#[derive(Template)]
#[template(path = "home.html")]
struct HomeTemplate<'a> {
    base: &'a str,
    issuer: &'a str,
    class: String,
    faults: bool,
    clients: Vec<&'a str>,
    accounts: &'a [Account],
    admin_is_open: bool,
}

/// What the sign-in page shows, taken from the request before that waits for the click.
pub(crate) struct SignInPage {
    client: String,
    scope: String,
    hinted: Option<String>,
    origin: Option<String>,
}

impl SignInPage {
    pub(crate) fn new(request: &AuthorizationRequest, hinted: Option<&Account>) -> Self {
        Self {
            client: request.client.clone(),
            scope: request.scope.clone(),
            hinted: hinted.map(|account| account.id.clone()),
            origin: origin_of_return(request),
        }
    }

    pub(crate) fn show(&self, state: &State, transaction: &str) -> Response {
        let mut accounts: Vec<&Account> = state.settings.accounts.iter().collect();
        // The hinted account comes first and has the focus; the others stay in order.
        accounts.sort_by_key(|account| Some(&account.id) != self.hinted.as_ref());
        let template = SignInTemplate {
            base: state.settings.path(),
            client: &self.client,
            scopes: self.scope.split_ascii_whitespace().collect(),
            transaction,
            accounts: accounts
                .into_iter()
                .enumerate()
                .map(|(at, account)| Choice { account, first: at == 0 })
                .collect(),
        };
        render(StatusCode::OK, &template, self.origin.as_deref())
    }
}

pub(crate) async fn home(Extract(state): Extract<Arc<State>>) -> Response {
    let (class, faults) = {
        let mut script = state.script();
        script.settle(state.now());
        (script.of(None).class.to_string(), script.of(None).faults.any())
    };
    let settings = &state.settings;
    let template = HomeTemplate {
        base: settings.path(),
        issuer: &settings.issuer,
        class,
        faults,
        clients: settings.clients.iter().map(|client| client.id.as_str()).collect(),
        accounts: &settings.accounts,
        admin_is_open: settings.admin_token.is_none(),
    };
    render(StatusCode::OK, &template, None)
}

pub(crate) async fn stylesheet() -> Response {
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8"))];
    (kind, [(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))], include_str!("../assets/provider.css"))
        .into_response()
}

/// A page with one sentence.
pub(crate) fn message(state: &State, status: StatusCode, heading: &str, text: &str) -> Response {
    let template = MessageTemplate { base: state.settings.path(), heading, text };
    render(status, &template, None)
}

pub(crate) fn confirm_sign_out(state: &State, transaction: &str, location: Option<&str>) -> Response {
    let origin = location.and_then(|location| Some(Url::parse(location).ok()?.origin().ascii_serialization()));
    render(StatusCode::OK, &SignOutTemplate { base: state.settings.path(), transaction }, origin.as_deref())
}

fn render(status: StatusCode, template: &impl Template, form_target: Option<&str>) -> Response {
    let Ok(html) = template.render() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    // Browsers hold the redirects after a form to `form-action` too: the client's origin, and what a client on this machine sends on to.
    let policy = format!(
        "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; \
         form-action 'self' http://localhost:* http://127.0.0.1:* {}",
        form_target.unwrap_or_default()
    );
    let Ok(policy) = HeaderValue::from_str(policy.trim_end()) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let headers = [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        // Not `no-referrer`: that would make the Origin of our own forms `null`.
        (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    ];
    (status, NO_STORE, headers, Html(html)).into_response()
}

/// The id this browser was given before.
pub(crate) fn browser_of(headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, value)| *name == COOKIE && value.len() == 43)
        .map(|(_, value)| value.to_owned())
}

/// The browser's id, and the cookie to set when it had none.
pub(crate) fn browser_or_new(known: Option<String>, state: &State) -> (String, Option<String>) {
    match known {
        Some(browser) => (browser, None),
        None => {
            let browser = new_browser();
            let secure = if state.settings.issuer_url.scheme() == "https" { "; Secure" } else { "" };
            let cookie = format!("{COOKIE}={browser}; Path=/; HttpOnly; SameSite=Lax{secure}");
            (browser, Some(cookie))
        }
    }
}

pub(crate) fn with_cookie(mut response: Response, cookie: Option<String>) -> Response {
    if let Some(value) = cookie.and_then(|cookie| HeaderValue::from_str(&cookie).ok()) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    response
}

/// Whether a form came from one of our own pages, by what browsers say; who says nothing is no browser, and the bound transaction decides.
pub(crate) fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let fetch_site = text("sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none"));
    let origin = match (text("origin"), text("host")) {
        (None, _) => true,
        (Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, authority)| authority == host),
        (Some(_), None) => false,
    };
    fetch_site && origin
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_other_sites_are_told_apart() {
        for (fetch_site, origin, expected) in [
            (None, None, true),
            (Some("same-origin"), Some("http://localhost:4201"), true),
            (None, Some("http://localhost:4201"), true),
            (Some("same-site"), None, false),
            (Some("cross-site"), Some("http://localhost:4201"), false),
            (None, Some("http://localhost:4200"), false),
            (None, Some("null"), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("host", HeaderValue::from_static("localhost:4201"));
            for (name, value) in [("sec-fetch-site", fetch_site), ("origin", origin)] {
                if let Some(value) = value {
                    headers.insert(name, HeaderValue::from_static(value));
                }
            }
            assert_eq!(is_same_origin(&headers), expected, "{fetch_site:?} {origin:?}");
        }
    }
}
