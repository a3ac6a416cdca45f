//! A form that a stranger posted, kept over their sign-in: sealed in cookies that only GET `/resume` is sent, offered there once.
//!
//! Nothing is posted by us. The browser posts the form again, from a page of ours, so that it comes as any form of the site does.

use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use http::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderValue, SET_COOKIE};
use http::request::Parts;
use http::{Method, StatusCode, Uri};
use perennial_core::cookie::{join, seal, split};
use perennial_core::limits::{KEPT_FORM_BYTES, SIGN_IN_MAX_AGE};
use perennial_core::origin::{CrossOrigin, same_origin};
use perennial_core::random::random_token;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::wants_page;
use crate::auth::Auth;
use crate::cookies::{Life, RequestCookies};
use crate::engine::Inner;
use crate::hall::{Door, Entry};
use crate::pages::{Dress, KeptFormPage, respond_submitting};
use crate::session::{Session, Visitor};

/// A form as it was posted.
#[derive(Debug, Serialize, Deserialize)]
struct KeptForm {
    /// What the return from sign-in names, so that no other form is offered.
    id: String,
    /// Path and query it was posted to.
    target: String,
    /// The form's own encoding, which is ASCII.
    body: String,
}

impl Auth {
    /// How many bytes a request's body may have for [`keep_form`](Self::keep_form), if its form can be kept over a sign-in: a page's
    /// POST of `application/x-www-form-urlencoded`, from a page of the site's own origin.
    pub fn keepable_form(&self, request: &Parts) -> Option<usize> {
        let settings = self.settings();
        let form = request.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(is_form);
        let host = request.headers.get(HOST).and_then(|host| host.to_str().ok());
        let ours = host.is_some_and(|host| host.eq_ignore_ascii_case(settings.public_url.authority()));
        let page = same_origin(&request.method, &request.headers, &settings.public_url) == CrossOrigin::Same;
        let keepable = request.method == Method::POST && form && ours && page && wants_page(&request.headers);
        keepable.then_some(KEPT_FORM_BYTES)
    }

    /// Sends whoever posted a form to sign in first, and keeps the form meanwhile: afterwards a page of ours posts it again. `None`
    /// when [`keepable_form`](Self::keepable_form) says that it cannot be kept, when the body is none of a form, or when `session` needs no
    /// sign-in.
    pub async fn keep_form(&self, request: &Parts, body: &[u8], session: Option<&Session>) -> Option<Response> {
        let max = self.keepable_form(request)?;
        let body = std::str::from_utf8(body).ok().filter(|body| body.is_ascii() && body.len() <= max)?;
        let id: String = random_token(self.inner.random()).chars().take(ID_CHARS).collect();
        let target = request.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
        let mut asked = request.clone();
        asked.extensions.remove::<Visitor>();
        asked.method = Method::GET;
        asked.uri = format!("{}?id={id}", self.inner.resume_path()).parse::<Uri>().ok()?;
        let cookies = self.inner.remember_form(&KeptForm { id, target, body: body.to_owned() })?;
        let mut response = self.require(&asked, session).await?;
        // Whoever waits for a provider out of reach is not on the way to sign in.
        if response.status() != StatusCode::FOUND {
            return Some(response);
        }
        *response.status_mut() = StatusCode::SEE_OTHER;
        for cookie in cookies {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        Some(response)
    }
}

/// GET `/resume`: the form that was kept, for whoever is signed in now. It is forgotten with this answer.
pub(super) async fn offer(State(auth): State<Auth>, RawQuery(query): RawQuery, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let query = query.unwrap_or_default();
    // The router has cut the base path off, and whoever signs in first is to come back here.
    if let Ok(here) = format!("{}?{query}", auth.inner.resume_path()).parse() {
        parts.uri = here;
    }
    let Entry { session, set_cookies, unavailable, .. } =
        auth.enter(&Method::GET, &parts.headers, Door::Ordinary).await;
    let refused = match unavailable {
        Some(refusal) => Some(auth.refuse(&parts, refusal)),
        None => auth.require(&parts, session.as_ref()).await,
    };
    if let Some(refused) = refused {
        return super::with_cookies(refused, set_cookies);
    }
    let id = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "id").map(|(_, id)| id);
    let kept = auth.inner.kept_form(&parts.headers).filter(|form| id.is_some_and(|id| form.id == *id));
    let answer = match kept {
        Some(form) => page(&auth, &parts.headers, &form),
        // Offered before, or too old: whoever reloads is not to post twice.
        None => super::go(&parts.headers, &format!("{}/", auth.settings().origin()), Vec::new()),
    };
    let forgotten = auth.inner.forget_form(&parts.headers);
    super::with_cookies(super::with_cookies(answer, set_cookies), forgotten)
}

fn page(auth: &Auth, headers: &HeaderMap, form: &KeptForm) -> Response {
    let nonce = random_token(auth.inner.random());
    let fields = url::form_urlencoded::parse(form.body.as_bytes());
    let page = KeptFormPage {
        dress: Dress::of(auth, headers),
        // The origin goes before it: a target that begins with two slashes would name another host.
        action: format!("{}{}", auth.settings().origin(), form.target),
        fields: fields.map(|(name, value)| (name.into_owned(), value.into_owned())).collect(),
        nonce: &nonce,
    };
    respond_submitting(&page, &page.dress, &nonce)
}

impl Inner {
    fn resume_path(&self) -> String {
        format!("{}/resume", self.settings.base_path)
    }

    /// `Set-Cookie` lines that remember `form` in the place of the one before; `None` if it does not fit.
    fn remember_form(&self, form: &KeptForm) -> Option<Vec<HeaderValue>> {
        let claims = Map::from_iter([(FORM.to_owned(), serde_json::to_value(form).ok()?)]);
        let sealed = seal(&self.keys().flow, &claims, self.now(), SIGN_IN_MAX_AGE, self.random());
        let writes = split(&self.names.form, &sealed, &[]).ok()?;
        let path = self.resume_path();
        let line = |name: &str, value: &str| self.names.set_below(&path, name, value, Life::For(SIGN_IN_MAX_AGE));
        Some(writes.iter().filter_map(|write| Some(line(&write.name, write.value.as_deref()?))).collect())
    }

    fn kept_form(&self, headers: &HeaderMap) -> Option<KeptForm> {
        let cookies = RequestCookies::read(headers);
        let mut opened = join(&self.names.form, cookies.iter())?.open(&self.keys().flow, self.now()).ok()?;
        serde_json::from_value(opened.claims.remove(FORM).unwrap_or(Value::Null)).ok()
    }

    fn forget_form(&self, headers: &HeaderMap) -> Vec<HeaderValue> {
        let cookies = RequestCookies::read(headers);
        let names = join(&self.names.form, cookies.iter()).map(|joined| joined.names).unwrap_or_default();
        let path = self.resume_path();
        names.iter().map(|name| self.names.set_below(&path, name, "", Life::For(std::time::Duration::ZERO))).collect()
    }
}

/// RFC 9110 §8.3.1: the type of what a form without files posts, in UTF-8 as browsers write it.
fn is_form(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("application/x-www-form-urlencoded"));
    named && parts.all(|parameter| parameter.eq_ignore_ascii_case("charset=utf-8"))
}

/// Enough to tell one form from another; the seal is what nobody can guess.
const ID_CHARS: usize = 16;

const FORM: &str = "form";
