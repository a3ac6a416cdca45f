//! RFC 6749 §3.1, §3.2 · OIDC Discovery §3: the URLs that requests go to, checked before anything is sent there.

use url::{Host, Url};

use crate::limits::ENDPOINT_CHARS;

/// A URL that requests may go to: https, or http where that was allowed; no credentials, no fragment.
///
/// ```
/// use perennial_core::provider::{Endpoint, EndpointFault, PlainHttp};
///
/// assert!(Endpoint::parse("https://id.example/token", PlainHttp::LoopbackOnly).is_ok());
/// assert!(Endpoint::parse("http://127.0.0.1:9000/token", PlainHttp::LoopbackOnly).is_ok());
/// assert_eq!(
///     Endpoint::parse("http://id.example/token", PlainHttp::LoopbackOnly),
///     Err(EndpointFault::PlainHttp)
/// );
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    url: Url,
    uri: http::Uri,
}

/// Where plain http is accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlainHttp {
    /// For `localhost`, `*.localhost`, 127.0.0.0/8 and `::1`: nobody can listen in between.
    #[default]
    LoopbackOnly,
    /// For every host: tokens and secrets travel in clear.
    DangerouslyAllowed,
}

/// Why a URL cannot be an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointFault {
    /// User name or password inside the URL.
    #[error("the URL must not hold a user name or password")]
    Credentials,
    /// A `#fragment`, which RFC 6749 §3.1 forbids.
    #[error("the URL must not have a fragment")]
    Fragment,
    /// Not an absolute URL with a host.
    #[error("this is not an absolute http(s) URL")]
    NotAUrl,
    /// Plain http to a host that is not this machine.
    #[error("the URL must begin with https:// unless its host is this machine")]
    PlainHttp,
    /// Longer than [`ENDPOINT_CHARS`].
    #[error("the URL is longer than {ENDPOINT_CHARS} characters")]
    TooLong,
}

impl Endpoint {
    /// Checks `text` and takes it as an endpoint.
    ///
    /// # Errors
    /// The first [`EndpointFault`] found.
    pub fn parse(text: &str, plain_http: PlainHttp) -> Result<Self, EndpointFault> {
        if text.len() > ENDPOINT_CHARS {
            return Err(EndpointFault::TooLong);
        }
        let url = Url::parse(text).map_err(|_| EndpointFault::NotAUrl)?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(EndpointFault::NotAUrl);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointFault::Credentials);
        }
        if url.fragment().is_some() {
            return Err(EndpointFault::Fragment);
        }
        if url.scheme() == "http" && plain_http == PlainHttp::LoopbackOnly && !is_loopback(&url) {
            return Err(EndpointFault::PlainHttp);
        }
        let uri = url.as_str().parse().map_err(|_| EndpointFault::NotAUrl)?;
        Ok(Self { url, uri })
    }

    /// The URL, for redirects and for people.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The same as the `http` crate wants it.
    pub fn uri(&self) -> &http::Uri {
        &self.uri
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Endpoint({})", self.url)
    }
}

/// Whether the URL's host is this machine by its name alone, without asking a name server.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_an_endpoint() {
        use EndpointFault::*;
        let long = |chars: usize| format!("https://a.example/{}", "x".repeat(chars - 18));
        let cases: &[(&str, Result<(), EndpointFault>)] = &[
            ("https://a.example/token?x=1", Ok(())),
            ("http://localhost:1/", Ok(())),
            ("http://idp.localhost/", Ok(())),
            ("http://127.3.2.1/", Ok(())),
            ("http://[::1]:8080/", Ok(())),
            (&long(ENDPOINT_CHARS), Ok(())),
            (&long(ENDPOINT_CHARS + 1), Err(TooLong)),
            ("http://localhost.example/", Err(PlainHttp)),
            ("http://a.example/", Err(PlainHttp)),
            ("https://user@a.example/", Err(Credentials)),
            ("https://:pw@a.example/", Err(Credentials)),
            ("https://a.example/#f", Err(Fragment)),
            ("ftp://a.example/", Err(NotAUrl)),
            ("javascript:alert(1)", Err(NotAUrl)),
            ("/token", Err(NotAUrl)),
            ("", Err(NotAUrl)),
        ];
        for (text, expected) in cases {
            let found = Endpoint::parse(text, super::PlainHttp::LoopbackOnly).map(|_| ());
            assert_eq!(&found, expected, "{text}");
        }
    }

    #[test]
    fn plain_http_elsewhere_takes_the_dangerous_word() {
        assert!(Endpoint::parse("http://a.example/", super::PlainHttp::DangerouslyAllowed).is_ok());
    }
}
