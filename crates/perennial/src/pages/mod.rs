//! The pages people see: sign-in, sign-out, error, verify, and the one that waits for a provider. They need no JavaScript, load
//! nothing but their own style sheet and the logo, and speak the browser's language.

mod language;
mod theme;
mod words;

use std::time::Duration;

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::header::{
    CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, REFERRER_POLICY, REFRESH, RETRY_AFTER, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, StatusCode};

pub use theme::{Color, ColorScheme, Theme};

use self::words::{Language, Phrase, Words};
use crate::auth::Auth;
use crate::refusal::{Refusal, retry_after_seconds};
use crate::routes::uncached;
use crate::settings::Settings;

/// What all pages wear: the language, and what stands above the heading.
pub(crate) struct Dress<'a> {
    language: &'static Language,
    words: &'static Words,
    base: &'a str,
    site: &'a str,
    logo: Option<&'a str>,
    logo_origin: Option<String>,
    /// Tells one style sheet from the next, so that it can be kept.
    style: String,
}

impl<'a> Dress<'a> {
    pub(crate) fn of(auth: &'a Auth, headers: &HeaderMap) -> Self {
        let settings: &Settings = auth.settings();
        let language = language::negotiated(headers);
        Self {
            language,
            words: &language.words,
            base: &settings.base_path,
            site: settings.public_url.host_str().unwrap_or_default(),
            logo: settings.theme.logo.as_deref(),
            logo_origin: settings.theme.logo_origin(),
            style: style_version(&settings.theme),
        }
    }

    pub(crate) fn words(&self) -> &'static Words {
        self.words
    }
}

/// One button for each provider.
#[derive(Template)]
#[template(path = "sign_in.html")]
pub(crate) struct SignInPage<'a> {
    pub(crate) dress: Dress<'a>,
    pub(crate) buttons: Vec<Button<'a>>,
    pub(crate) csrf_token: String,
    pub(crate) callback_url: String,
    pub(crate) problem: Option<&'static str>,
}

pub(crate) struct Button<'a> {
    pub(crate) id: &'a str,
    pub(crate) name: &'a str,
    pub(crate) text: &'static Phrase,
}

/// Asks whether to sign out.
#[derive(Template)]
#[template(path = "sign_out.html")]
pub(crate) struct SignOutPage<'a> {
    pub(crate) dress: Dress<'a>,
    pub(crate) csrf_token: String,
    pub(crate) callback_url: String,
}

/// Says one thing.
#[derive(Template)]
#[template(path = "message.html")]
pub(crate) struct MessagePage<'a> {
    pub(crate) dress: Dress<'a>,
    pub(crate) title: &'static str,
    pub(crate) text: &'static str,
    /// For whoever is asked for help.
    pub(crate) code: &'static str,
    /// Whether to offer another try at signing in.
    pub(crate) again: bool,
}

/// Says that somebody's account is not allowed here, and lets them take another.
#[derive(Template)]
#[template(path = "forbidden.html")]
struct ForbiddenPage<'a> {
    dress: Dress<'a>,
    code: &'a str,
}

/// Posts a form again that was kept over a sign-in: by itself, or with the button where there are no scripts.
#[derive(Template)]
#[template(path = "kept_form.html")]
pub(crate) struct KeptFormPage<'a> {
    pub(crate) dress: Dress<'a>,
    pub(crate) action: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) nonce: &'a str,
}

/// Waits for the provider, and tries again by itself.
#[derive(Template)]
#[template(path = "holding.html")]
struct HoldingPage<'a> {
    lead: &'a str,
    dress: Dress<'a>,
}

impl Auth {
    /// The page for somebody who is signed in and not allowed what they asked for: 403, with the stable `code` of whoever refused, for
    /// those who are asked for help.
    pub fn forbidden_page(&self, headers: &HeaderMap, code: &str) -> Response {
        let page = ForbiddenPage { dress: Dress::of(self, headers), code };
        respond(StatusCode::FORBIDDEN, &page, &page.dress, &[])
    }
}

/// The page a browser gets while the provider or the session store is out of reach: 503 with `Retry-After`, and
/// `Refresh`, by which browsers try again without a script (WHATWG HTML, "The `Refresh` header").
pub(crate) fn holding(auth: &Auth, headers: &HeaderMap, refusal: Refusal, retry_after: Duration) -> Response {
    let dress = Dress::of(auth, headers);
    let lead = match refusal {
        Refusal::SessionUnavailable { .. } => &dress.words.one_moment_store_text,
        _ => &dress.words.one_moment_text,
    };
    let page = HoldingPage { lead, dress };
    let mut response = respond(StatusCode::SERVICE_UNAVAILABLE, &page, &page.dress, &[]);
    response.headers_mut().insert(RETRY_AFTER, retry_after_seconds(retry_after));
    // Often enough to be back soon, seldom enough to be read to the end.
    let seconds = retry_after.as_millis().div_ceil(1000).clamp(5, 60) as u64;
    response.headers_mut().insert(REFRESH, HeaderValue::from(seconds));
    response
}

/// [`respond`] for the page that posts a form to the application by one script, which `nonce` names. The application may send the
/// browser on to wherever it likes, which browsers count as the form's action too.
pub(crate) fn respond_submitting(page: &impl Template, dress: &Dress<'_>, nonce: &str) -> Response {
    let mut response = respond(StatusCode::OK, page, dress, &["https:".to_owned(), "http:".to_owned()]);
    let policy = response.headers().get(CONTENT_SECURITY_POLICY).and_then(|policy| policy.to_str().ok());
    let policy = policy.map(|policy| HeaderValue::from_str(&format!("{policy}; script-src 'nonce-{nonce}'")));
    if let Some(Ok(policy)) = policy {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// A page as an answer that nobody keeps. `form_targets` are origins that its forms lead to, beside our own.
pub(crate) fn respond(
    status: StatusCode,
    page: &impl Template,
    dress: &Dress<'_>,
    form_targets: &[String],
) -> Response {
    let Ok(body) = page.render() else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let mut response = uncached((status, body).into_response());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static(dress.language.tag));
    headers.append(VARY, HeaderValue::from_static("Accept-Language"));
    // Not `no-referrer`: with that, browsers hide the origin of our own forms, which we could not tell from another site's.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let policy = format!(
        "default-src 'none'; style-src 'self'; img-src 'self' {}; form-action 'self' {}; frame-ancestors 'none'; base-uri 'none'",
        dress.logo_origin.as_deref().unwrap_or_default(),
        form_targets.join(" ")
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// FNV-1a: not a digest against anybody, only another number for another style sheet.
fn style_version(theme: &Theme) -> String {
    let hash = theme
        .style_sheet()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}
