//! The request that a proxy asks about (RFC 9110 §7.2 `Host`, §9 methods; `X-Forwarded-*` by custom).

use http::header::{AUTHORIZATION, COOKIE, HOST};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use perennial::Settings;
use url::Url;

use super::dialect::{Dialect, ENVOY_PREFIX, Told};
use crate::refusal::GatewayRefusal;
use crate::serving::hygiene::is_host;

/// The request that a proxy asks about, as the browser sent it.
#[derive(Debug)]
pub(super) struct Original {
    /// Its method, its target in origin form, and the headers that the proxy copied from it.
    pub(super) parts: Parts,
}

/// What of the original request an answer replaces: the application gets the cookies that are not ours, and our bearer.
pub(super) const HEADERS_REPLACED: [HeaderName; 2] = [COOKIE, AUTHORIZATION];

impl Original {
    /// Reads it from the question `asked`.
    pub(super) fn read(dialect: Dialect, asked: Parts, settings: &Settings) -> Result<Self, GatewayRefusal> {
        let headers = &asked.headers;
        let (method, host, target) = match dialect.told() {
            Told::InHeaders => {
                let method = only(headers, &METHOD).and_then(|method| Method::from_bytes(method.as_bytes()).ok());
                (method, only(headers, &FORWARDED_HOST), only(headers, &TARGET))
            }
            Told::InTheQuestion => {
                let target = asked.uri.path_and_query().map(PathAndQuery::as_str).unwrap_or_default();
                (Some(asked.method.clone()), only(headers, &HOST), target.strip_prefix(ENVOY_PREFIX))
            }
        };
        let (Some(method), Some(host), Some(target)) = (method, host, target) else {
            return Err(GatewayRefusal::BadOriginal);
        };
        if matches!(method, Method::CONNECT | Method::TRACE) {
            return Err(GatewayRefusal::MethodNotServed);
        }
        if !is_host(host.as_bytes()) {
            return Err(GatewayRefusal::BadOriginal);
        }
        // The session cookie, and every URL that leads back here, belong to this one host.
        if !is_host_of(host, &settings.public_url) {
            return Err(GatewayRefusal::ForeignHost);
        }
        let target = PathAndQuery::try_from(target).ok().filter(|_| target.starts_with('/'));
        let target = target.ok_or(GatewayRefusal::BadOriginal)?;
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.method = method;
        parts.uri = Uri::from(target);
        let host = HeaderValue::from_str(host).map_err(|_| GatewayRefusal::BadOriginal)?;
        parts.headers = asked.headers;
        parts.headers.insert(HOST, host);
        Ok(Self { parts })
    }
}

/// The value of a header that is there once: of two, one would be the browser's.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

/// Whether browsers write `host` when they go to `url`, its usual port written or not.
fn is_host_of(host: &str, url: &Url) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let usual = if url.scheme() == "https" { 443 } else { 80 };
    let (Some(name), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return false };
    authority.host().eq_ignore_ascii_case(name) && authority.port_u16().unwrap_or(usual) == port
}

const METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const TARGET: HeaderName = HeaderName::from_static("x-forwarded-uri");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_that_of_the_public_url_as_browsers_write_it() {
        for (host, url, expected) in [
            ("app.example", "https://app.example", true),
            ("APP.example", "https://app.example/base", true),
            ("app.example:443", "https://app.example", true),
            ("app.example:80", "https://app.example", false),
            ("app.example:8443", "https://app.example:8443", true),
            ("app.example", "https://app.example:8443", false),
            ("app.example:80", "http://app.example", true),
            ("[::1]:8080", "http://[::1]:8080", true),
            ("evil.example", "https://app.example", false),
            ("app.example.evil.example", "https://app.example", false),
        ] {
            let url = Url::parse(url).expect("a URL");
            assert_eq!(is_host_of(host, &url), expected, "{host} {url}");
        }
    }

    #[test]
    fn a_header_that_is_there_twice_says_nothing() {
        let mut headers = HeaderMap::new();
        assert_eq!(only(&headers, &TARGET), None);
        headers.append(TARGET, "/a".parse().expect("a value"));
        assert_eq!(only(&headers, &TARGET), Some("/a"));
        headers.append(TARGET, "/b".parse().expect("a value"));
        assert_eq!(only(&headers, &TARGET), None);
    }
}
