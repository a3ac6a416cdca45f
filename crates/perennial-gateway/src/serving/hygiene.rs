//! What a request must be before anybody acts on it: one host, one way to cut it off from the next, and one form, whether it came
//! over HTTP/1.1 or HTTP/2 (RFC 9112 §3.2, §6.1; RFC 9113 §8.3.1, §8.2.3).

use axum::body::Body;
use http::header::{COOKIE, HOST, TRANSFER_ENCODING};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Request, Uri, Version};

use crate::refusal::GatewayRefusal;

/// Brings a request into the form that the rest of the gateway knows: target in origin form, `Host`, one `Cookie` line.
///
/// # Errors
/// Why nobody may act on it.
pub(crate) fn admit(request: &mut Request<Body>) -> Result<(), GatewayRefusal> {
    if request.headers().keys().any(|name| is_framing_in_disguise(name.as_str())) {
        return Err(GatewayRefusal::BadFraming);
    }
    match request.version() {
        Version::HTTP_2 => from_http2(request)?,
        _ => is_chunked_or_plain(request.headers())?,
    }
    if !has_one_host(request) {
        return Err(GatewayRefusal::BadHost);
    }
    if request.uri().authority().is_some() {
        let path = request.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        *request.uri_mut() = Uri::from(path);
    }
    Ok(())
}

/// HTTP/2 names the host in `:authority`, and may send each cookie in a line of its own.
fn from_http2(request: &mut Request<Body>) -> Result<(), GatewayRefusal> {
    if !request.headers().contains_key(HOST)
        && let Some(authority) = request.uri().authority()
    {
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| GatewayRefusal::BadHost)?;
        request.headers_mut().insert(HOST, host);
    }
    let crumbs: Vec<&[u8]> = request.headers().get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() > 1 {
        let cookie = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])).map_err(|_| GatewayRefusal::BadFraming)?;
        request.headers_mut().insert(COOKIE, cookie);
    }
    Ok(())
}

/// hyper takes any coding that ends in `chunked`. We undo that one alone, and upstreams would not be told of the others.
fn is_chunked_or_plain(headers: &HeaderMap) -> Result<(), GatewayRefusal> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(GatewayRefusal::BadFraming),
    }
}

/// `Content_Length` and its kind: to many application servers that is the same variable as `Content-Length`.
fn is_framing_in_disguise(name: &str) -> bool {
    name.contains('_') && ["content-length", "transfer-encoding"].contains(&&*name.replace('_', "-"))
}

/// One `Host` that is one, and a target that names another is none (RFC 9112 §3.2, RFC 9113 §8.3.1).
fn has_one_host(request: &Request<Body>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let target = request.uri().authority();
    is_host(host.as_bytes())
        && target.is_none_or(|target| host.as_bytes().eq_ignore_ascii_case(target.as_str().as_bytes()))
}

/// A host and perhaps a port, without what would mislead an application that makes URLs of it (RFC 9110 §7.2).
pub(crate) fn is_host(host: &[u8]) -> bool {
    let plain = host.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(byte));
    let authority = Authority::try_from(host).ok().filter(|_| plain);
    authority.is_some_and(|name| !name.host().is_empty() && (name.port_u16().is_some() || name.as_str() == name.host()))
}

/// Whether a request over HTTP/2 has more lines than it may; over HTTP/1.1 hyper counts them.
pub(super) fn has_too_many_lines<B>(request: &Request<B>, most: usize) -> bool {
    request.version() == Version::HTTP_2
        && request.headers().len() > most
        && request.headers().len() - request.headers().get_all(COOKIE).iter().count() > most
}
