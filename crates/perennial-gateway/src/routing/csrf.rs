//! Which pages may have a browser write to a route: Fetch Metadata, and RFC 6454 §7 `Origin` where that is missing.
//!
//! The session cookie is `SameSite=Lax`, so that no page of another site can write with it. What is left are browsers that do not
//! know the attribute, and pages of the same site that are not the application's.

use http::header::{HeaderMap, HeaderName, ORIGIN};
use http::{Method, header};

/// Whose pages may have browsers write, with a session, by a method that is not safe or through a WebSocket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum CsrfGuard {
    /// Everybody's: the application guards itself.
    Off,
    /// Those of the same site.
    #[default]
    Site,
    /// Those of the same origin.
    Origin,
}

impl CsrfGuard {
    /// Whether a request may pass that brings a session with it, where pages of these `origins` are the application's own.
    /// Programs, which send neither header, may: no page can misuse them.
    pub(crate) fn admits<const N: usize>(
        self,
        method: &Method,
        headers: &HeaderMap,
        origins: impl FnOnce() -> [String; N],
    ) -> bool {
        let writes = !method.is_safe() || headers.contains_key(header::UPGRADE);
        if self == Self::Off || !writes {
            return true;
        }
        let mut sites = headers.get_all(FETCH_SITE).iter();
        let mut froms = headers.get_all(ORIGIN).iter();
        match (sites.next(), sites.next(), froms.next(), froms.next()) {
            (_, Some(_), _, _) | (_, _, _, Some(_)) => false,
            (Some(site), None, _, None) => match site.as_bytes() {
                b"same-origin" | b"none" => true,
                b"same-site" => self == Self::Site,
                _ => false,
            },
            (None, None, Some(from), None) => origins().iter().any(|origin| from == origin.as_str()),
            (None, None, None, None) => true,
        }
    }
}

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn writes_come_from_pages_that_may() {
        use CsrfGuard::{Off, Origin, Site};
        const OURS: &str = "https://app.example";
        for (guard, method, headers, expected) in [
            (Site, "POST", &[("sec-fetch-site", "same-origin")][..], true),
            (Site, "POST", &[("sec-fetch-site", "none")], true),
            (Site, "POST", &[("sec-fetch-site", "same-site")], true),
            (Origin, "POST", &[("sec-fetch-site", "same-site")], false),
            (Origin, "PUT", &[("sec-fetch-site", "same-origin")], true),
            (Site, "POST", &[("sec-fetch-site", "cross-site")], false),
            (Site, "DELETE", &[("sec-fetch-site", "cross-site")], false),
            (Site, "GET", &[("sec-fetch-site", "cross-site")], true),
            (Site, "HEAD", &[("sec-fetch-site", "cross-site")], true),
            (Site, "OPTIONS", &[("sec-fetch-site", "cross-site")], true),
            (Off, "POST", &[("sec-fetch-site", "cross-site")], true),
            (Site, "POST", &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-origin")], false),
            (Site, "POST", &[("sec-fetch-site", "")], false),
            (Site, "POST", &[("origin", OURS)], true),
            (Site, "POST", &[("origin", "https://evil.example")], false),
            (Site, "POST", &[("origin", "null")], false),
            (Site, "POST", &[("origin", OURS), ("origin", OURS)], false),
            (Origin, "POST", &[("origin", OURS)], true),
            (Site, "POST", &[("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")], true),
            (Origin, "POST", &[], true),
            (Origin, "GET", &[("upgrade", "websocket"), ("origin", "https://evil.example")], false),
            (Origin, "GET", &[("upgrade", "websocket"), ("origin", OURS)], true),
            (Origin, "GET", &[("upgrade", "websocket"), ("sec-fetch-site", "same-site")], false),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(*name, HeaderValue::from_static(value));
            }
            let method = method.parse().expect("a method");
            assert_eq!(guard.admits(&method, &map, || [OURS.to_owned()]), expected, "{guard:?} {method} {headers:?}");
        }
    }
}
