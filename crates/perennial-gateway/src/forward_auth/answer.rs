//! What each proxy is answered, so that it passes a request on with what the application is to be told, or hands a refusal to the
//! browser as it is.

use axum::body::Body;
use http::header::{CACHE_CONTROL, COOKIE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use http::request::Parts;
use http::{Response, StatusCode};
use perennial::wants_page;

use super::dialect::{CookieLines, Dialect, Silence};
use crate::gateway::with_cookies;
use crate::identity;
use crate::refusal::GatewayRefusal;

/// The request may go on. `headers` are to take the place of the original's of these names: the proxy copies them. `said` are the
/// names of headers that routes have for their upstreams.
pub(super) fn allowed(
    dialect: Dialect,
    mut headers: HeaderMap,
    set_cookies: Vec<HeaderValue>,
    said: &[String],
) -> Response<Body> {
    match dialect.silence() {
        Silence::LeftOut => {}
        Silence::Empty => {
            for name in known(said).filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok()) {
                headers.entry(name).or_insert(HeaderValue::from_static(""));
            }
        }
        Silence::Listed => drop(headers.insert(ENVOY_REMOVES, removed(&headers, said))),
    }
    // Whoever copies a header only where there is one would pass on the browser's cookies, which may all be ours.
    headers.entry(COOKIE).or_insert(HeaderValue::from_static(""));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    let mut response = Response::new(Body::empty());
    *response.headers_mut() = headers;
    match dialect.cookie_lines() {
        CookieLines::All => with_cookies(response, set_cookies),
        CookieLines::Numbered => numbered(response, set_cookies),
    }
}

/// The request may not go on.
pub(super) fn refused(dialect: Dialect, refused: Response<Body>, origin: &str) -> Response<Body> {
    if dialect != Dialect::Nginx {
        return as_it_is(refused, origin);
    }
    // It comes back for the answer; of this one it takes the status alone.
    let mut verdict = Response::new(Body::empty());
    *verdict.status_mut() = match refused.status() {
        status if status.is_redirection() => StatusCode::UNAUTHORIZED,
        status => status,
    };
    verdict.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    verdict
}

/// A refusal for the browser. Its `Location` names our host: Traefik takes one that does not for a path of the address it asked.
pub(super) fn as_it_is(mut refused: Response<Body>, origin: &str) -> Response<Body> {
    let path = refused.headers().get(LOCATION).and_then(|to| to.to_str().ok()).filter(|to| to.starts_with('/'));
    if let Some(to) = path.and_then(|path| HeaderValue::from_str(&format!("{origin}{path}")).ok()) {
        refused.headers_mut().insert(LOCATION, to);
    }
    refused
}

/// A request whose refusal was asked for may go on by now: somebody signed in, or an outage ended, in between.
pub(super) fn again(original: &Parts) -> Response<Body> {
    let here = original.uri.path_and_query().and_then(|target| HeaderValue::from_str(target.as_str()).ok());
    match here {
        // Two slashes at its beginning would name a host.
        Some(here)
            if original.method.is_safe() && wants_page(&original.headers) && !here.as_bytes().starts_with(b"//") =>
        {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::FOUND;
            response.headers_mut().insert(LOCATION, here);
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        _ => GatewayRefusal::AskAgain.into_response(),
    }
}

/// One header for each cookie, those first that set one: should there be more than the proxy's configuration names, those are left
/// over that delete what an earlier session left behind, and the next answer deletes them.
fn numbered(mut response: Response<Body>, set_cookies: Vec<HeaderValue>) -> Response<Body> {
    let deletes = |line: &HeaderValue| String::from_utf8_lossy(line.as_bytes()).contains("; Max-Age=0");
    let (deleting, setting): (Vec<_>, Vec<_>) = set_cookies.into_iter().partition(deletes);
    for (name, line) in NUMBERED.into_iter().zip(setting.into_iter().chain(deleting)) {
        response.headers_mut().insert(HeaderName::from_static(name), line);
    }
    response
}

/// Everything that could pass for ours and that this answer does not set.
fn removed(set: &HeaderMap, said: &[String]) -> HeaderValue {
    let names = known(said).filter(|name| !set.contains_key(*name));
    // A list of header names is always a header value.
    HeaderValue::from_str(&names.collect::<Vec<_>>().join(",")).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// The names of all headers that may say who is there.
fn known(said: &[String]) -> impl Iterator<Item = &str> {
    identity::ANNOUNCED.into_iter().chain(said.iter().map(String::as_str))
}

/// Envoy takes these out of the request that goes on.
const ENVOY_REMOVES: HeaderName = HeaderName::from_static("x-envoy-auth-headers-to-remove");

/// Five chunks of a session and three deletions; the ready configuration names as many.
const NUMBERED: [&str; 8] = [
    "x-perennial-set-cookie-1",
    "x-perennial-set-cookie-2",
    "x-perennial-set-cookie-3",
    "x-perennial-set-cookie-4",
    "x-perennial-set-cookie-5",
    "x-perennial-set-cookie-6",
    "x-perennial-set-cookie-7",
    "x-perennial-set-cookie-8",
];

#[cfg(test)]
mod tests {
    use http::{Method, Request};

    use super::*;

    fn lines(texts: &[&'static str]) -> Vec<HeaderValue> {
        texts.iter().map(|text| HeaderValue::from_static(text)).collect()
    }

    #[test]
    fn nginx_finds_every_cookie_under_a_number_and_the_others_all_under_one_name() {
        let set = lines(&["s.5=; Path=/; Max-Age=0", "s.0=a; Path=/", "s.1=b; Path=/"]);
        let nginx = allowed(Dialect::Nginx, HeaderMap::new(), set.clone(), &[]);
        assert_eq!(nginx.headers()["x-perennial-set-cookie-1"], "s.0=a; Path=/");
        assert_eq!(nginx.headers()["x-perennial-set-cookie-2"], "s.1=b; Path=/");
        assert_eq!(nginx.headers()["x-perennial-set-cookie-3"], "s.5=; Path=/; Max-Age=0");
        assert!(!nginx.headers().contains_key("set-cookie"));
        for dialect in [Dialect::Caddy, Dialect::Traefik, Dialect::Envoy] {
            let answer = allowed(dialect, HeaderMap::new(), set.clone(), &[]);
            assert_eq!(answer.headers().get_all("set-cookie").iter().count(), 3, "{dialect:?}");
            assert!(!answer.headers().contains_key("x-perennial-set-cookie-1"), "{dialect:?}");
        }
    }

    #[test]
    fn what_sets_a_cookie_is_never_cut_off_by_what_deletes_one() {
        let mut set = vec![HeaderValue::from_static("old=; Max-Age=0; Path=/"); 6];
        set.extend(lines(&["s.0=0", "s.1=1", "s.2=2", "s.3=3", "s.4=4"]));
        let answer = allowed(Dialect::Nginx, HeaderMap::new(), set, &[]);
        for (index, name) in NUMBERED.iter().enumerate() {
            let line = String::from_utf8_lossy(answer.headers()[*name].as_bytes()).into_owned();
            assert_eq!(line.starts_with(&format!("s.{index}=")), index < 5, "{name}: {line}");
        }
    }

    #[test]
    fn the_ready_configurations_know_every_header_that_an_answer_may_have() {
        let told = [
            identity::USER,
            identity::EMAIL,
            identity::NAME,
            identity::SESSION,
            "x-perennial-identity",
            "authorization",
            "cookie",
        ];
        for (text, before, names) in [
            (include_str!("../../../../examples/nginx/nginx.conf"), "proxy_set_header ", &identity::ANNOUNCED[..13]),
            (include_str!("../../../../examples/nginx/nginx.conf"), "proxy_set_header ", &told),
            (include_str!("../../../../examples/nginx/nginx.conf"), "$upstream_http_", &NUMBERED),
            (include_str!("../../../../examples/caddy/Caddyfile"), "import perennial_tells ", &told),
            (include_str!("../../../../examples/envoy/envoy.yaml"), "- exact: ", &told),
        ] {
            let text = text.to_ascii_lowercase().replace('_', "-");
            for name in names {
                assert!(text.contains(&format!("{}{name}", before.replace('_', "-"))), "{before}{name}");
            }
        }
    }

    #[test]
    fn every_answer_replaces_the_cookies() {
        for dialect in [Dialect::Nginx, Dialect::Caddy, Dialect::Traefik, Dialect::Envoy] {
            assert_eq!(allowed(dialect, HeaderMap::new(), Vec::new(), &[]).headers()["cookie"], "", "{dialect:?}");
        }
        let theirs = HeaderMap::from_iter([(COOKIE, HeaderValue::from_static("theme=dark"))]);
        assert_eq!(allowed(Dialect::Caddy, theirs, Vec::new(), &[]).headers()["cookie"], "theme=dark");
    }

    #[test]
    fn envoy_is_told_to_remove_what_the_answer_does_not_set() {
        let user = HeaderName::from_static("x-forwarded-user");
        let told = HeaderMap::from_iter([(user, HeaderValue::from_static("alice"))]);
        let answer = allowed(Dialect::Envoy, told, Vec::new(), &[]);
        let removed = answer.headers()["x-envoy-auth-headers-to-remove"].to_str().expect("ASCII").to_owned();
        let removed: Vec<_> = removed.split(',').collect();
        assert!(!removed.contains(&"x-forwarded-user"), "{removed:?}");
        for name in ["authorization", "x-forwarded-email", "x-perennial-identity", "x-auth-request-user"] {
            assert!(removed.contains(&name), "{name} in {removed:?}");
        }
    }

    #[test]
    fn caddy_is_told_of_every_name_and_the_rest_of_what_there_is() {
        let caddy = allowed(Dialect::Caddy, HeaderMap::new(), Vec::new(), &[]);
        for name in identity::ANNOUNCED {
            assert_eq!(caddy.headers()[name], "", "{name}");
        }
        for dialect in [Dialect::Nginx, Dialect::Traefik] {
            let answer = allowed(dialect, HeaderMap::new(), Vec::new(), &[]);
            let names: Vec<_> = answer.headers().keys().map(HeaderName::as_str).collect();
            assert_eq!(names, ["cookie", "cache-control"], "{dialect:?}");
        }
    }

    #[test]
    fn nginx_is_told_what_it_understands_and_the_others_what_the_browser_gets() {
        for (status, expected) in [(302, 401), (401, 401), (403, 403), (503, 503), (404, 404), (400, 400)] {
            let status = StatusCode::from_u16(status).expect("a status");
            let answer = |dialect| {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = status;
                response.headers_mut().insert("set-cookie", HeaderValue::from_static("flow=1"));
                refused(dialect, response, "https://app.example")
            };
            let nginx = answer(Dialect::Nginx);
            assert_eq!(nginx.status(), expected, "{status}");
            assert!(!nginx.headers().contains_key("set-cookie"), "a sign-in begins with the answer");
            assert_eq!(answer(Dialect::Caddy).status(), status);
            assert!(answer(Dialect::Caddy).headers().contains_key("set-cookie"));
        }
    }

    #[test]
    fn a_way_to_the_sign_in_names_our_host() {
        for (to, expected) in [
            ("/auth/signin?callbackUrl=x", "https://app.example/auth/signin?callbackUrl=x"),
            ("https://id.example/authorize", "https://id.example/authorize"),
        ] {
            let mut response = Response::new(Body::empty());
            response.headers_mut().insert(LOCATION, HeaderValue::from_static(to));
            assert_eq!(as_it_is(response, "https://app.example").headers()[LOCATION], expected);
        }
    }

    #[test]
    fn only_a_page_is_loaded_again() {
        for (method, accept, target, status) in [
            (Method::GET, "text/html", "/a?b=c", 302),
            (Method::GET, "application/json", "/a?b=c", 503),
            (Method::POST, "text/html", "/a", 503),
            (Method::GET, "text/html", "//evil.example", 503),
        ] {
            let request = Request::builder().method(method.clone()).uri(target).header("accept", accept);
            let (parts, ()) = request.body(()).expect("a request").into_parts();
            let answer = again(&parts);
            assert_eq!(answer.status(), status, "{method} {accept} {target}");
            match status {
                302 => assert_eq!(answer.headers()["location"], target),
                _ => assert_eq!(answer.headers()["retry-after"], "1"),
            }
        }
    }
}
