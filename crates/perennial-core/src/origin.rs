//! Fetch Metadata · RFC 6454 · RFC 9700 §4.11.1: which requests come from our own pages, and where a user may be sent.

use http::HeaderMap;
use http::header::ORIGIN;
use url::Url;

use crate::limits::RETURN_URL_CHARS;

/// Where a request that changes something comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrossOrigin {
    /// A page of ours, or the user's own doing.
    Same,
    /// No browser: browsers say where a POST comes from. A program holds no cookies but those it was given.
    NoBrowser,
    /// Another site.
    Cross,
}

/// Judges a request by `Sec-Fetch-Site`, else by `Origin`, against our own public URL.
pub fn same_origin(headers: &HeaderMap, own: &Url) -> CrossOrigin {
    let mut sites = headers.get_all("sec-fetch-site").iter();
    match (sites.next(), sites.next()) {
        (Some(site), None) if site == "same-origin" || site == "none" => return CrossOrigin::Same,
        (Some(_), _) => return CrossOrigin::Cross,
        (None, _) => {}
    }
    let mut origins = headers.get_all(ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (None, _) => CrossOrigin::NoBrowser,
        (Some(origin), None) if origin == own.origin().ascii_serialization().as_str() => CrossOrigin::Same,
        (Some(_), _) => CrossOrigin::Cross,
    }
}

/// A URL that a user may be sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnUrl(Url);

impl ReturnUrl {
    /// Accepts a path of ours (`/x`, not `//x`), or an absolute http(s) URL of our own origin or of one of `allowed`.
    ///
    /// Control characters, backslashes and surrounding space are refused before anything is parsed: URL parsers drop or turn
    /// them, each in its own way.
    pub fn parse(input: &str, own: &Url, allowed: &[Url]) -> Option<Self> {
        let odd = |c: char| c.is_control() || c.is_whitespace() || c == '\\';
        if input.len() > RETURN_URL_CHARS || input.contains(odd) {
            return None;
        }
        let absolute = input.starts_with("http://") || input.starts_with("https://");
        let url = if absolute {
            Url::parse(input).ok()?
        } else if input.starts_with('/') && !input.starts_with("//") {
            own.join(input).ok()?
        } else {
            return None;
        };
        let known = url.origin() == own.origin() || allowed.iter().any(|origin| origin.origin() == url.origin());
        (known && url.username().is_empty() && url.password().is_none()).then_some(Self(url))
    }

    /// The URL, normalised.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn own() -> Url {
        Url::parse("https://app.example/").expect("a URL")
    }

    #[test]
    fn return_urls_stay_at_home_or_go_where_they_may() {
        let allowed = [Url::parse("https://www.app.example").expect("a URL")];
        for (input, expected) in [
            ("/", Some("https://app.example/")),
            ("/a/b?c=d#e", Some("https://app.example/a/b?c=d#e")),
            ("/a?next=//evil", Some("https://app.example/a?next=//evil")),
            ("https://app.example", Some("https://app.example/")),
            ("https://APP.example:443/x", Some("https://app.example/x")),
            ("https://www.app.example/y", Some("https://www.app.example/y")),
            ("", None),
            ("a", None),
            ("//evil.example", None),
            ("///evil.example", None),
            ("/\\evil.example", None),
            ("\\\\evil.example", None),
            ("/\t/evil.example", None),
            (" https://app.example", None),
            ("/\n/evil.example", None),
            ("https:evil.example", None),
            ("https:/evil.example", None),
            ("HTTPS://evil.example", None),
            ("javascript:alert(1)", None),
            ("data:text/html,x", None),
            ("http://app.example/", None),
            ("https://app.example:444/", None),
            ("https://app.example@evil.example/", None),
            ("https://user@app.example/", None),
            ("https://app.example.evil.example/", None),
            ("https://evil.example/?https://app.example", None),
        ] {
            assert_eq!(
                ReturnUrl::parse(input, &own(), &allowed).as_ref().map(ReturnUrl::as_str),
                expected,
                "{input:?}"
            );
        }
        let longest = format!("/{}", "a".repeat(RETURN_URL_CHARS - 1));
        assert!(ReturnUrl::parse(&longest, &own(), &[]).is_some());
        assert!(ReturnUrl::parse(&format!("{longest}a"), &own(), &[]).is_none());
    }

    #[test]
    fn where_a_post_comes_from() {
        for (lines, expected) in [
            (vec![], CrossOrigin::NoBrowser),
            (vec![("sec-fetch-site", "same-origin")], CrossOrigin::Same),
            (vec![("sec-fetch-site", "none")], CrossOrigin::Same),
            (vec![("sec-fetch-site", "same-site")], CrossOrigin::Cross),
            (vec![("sec-fetch-site", "cross-site"), ("origin", "https://app.example")], CrossOrigin::Cross),
            (vec![("sec-fetch-site", "same-origin"), ("sec-fetch-site", "none")], CrossOrigin::Cross),
            (vec![("origin", "https://app.example")], CrossOrigin::Same),
            (vec![("origin", "http://app.example")], CrossOrigin::Cross),
            (vec![("origin", "null")], CrossOrigin::Cross),
            (vec![("origin", "https://app.example"), ("origin", "https://evil.example")], CrossOrigin::Cross),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in &lines {
                headers.append(*name, HeaderValue::from_static(value));
            }
            assert_eq!(same_origin(&headers, &own()), expected, "{lines:?}");
        }
    }
}
