//! Fetch Metadata (`Sec-Fetch-Site`) · RFC 6454 §7 (`Origin`): who sent a request, and where a sign-in may return to.

use http::header::ORIGIN;
use http::{HeaderMap, Method};
use url::{Origin, Url};

use crate::limits::RETURN_URL_CHARS;

/// Whose page sent a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrossOrigin {
    /// Our own page or the user himself, or the method is a safe one.
    Same,
    /// Nobody says: browsers say it for every method that is not safe, so this is a program, which no page can misuse.
    NoBrowser,
    /// A page of another origin, or one that hides its origin, or headers that contradict one another.
    Cross,
}

/// Judges by `Sec-Fetch-Site`, and by `Origin` for browsers that do not send it.
///
/// Safe methods (RFC 9110 §9.2.1) are [`CrossOrigin::Same`] whatever the headers say: a link from anywhere may lead
/// here, so no safe method may change anything. A page can set neither header itself.
///
/// ```
/// use http::{HeaderMap, HeaderValue, Method};
/// use perennial_core::origin::{CrossOrigin, same_origin};
///
/// let own = url::Url::parse("https://app.example")?;
/// let mut headers = HeaderMap::new();
/// headers.insert("origin", HeaderValue::from_static("https://evil.example"));
/// assert_eq!(same_origin(&Method::POST, &headers, &own), CrossOrigin::Cross);
/// # Ok::<(), url::ParseError>(())
/// ```
pub fn same_origin(method: &Method, headers: &HeaderMap, own: &Url) -> CrossOrigin {
    if method.is_safe() {
        return CrossOrigin::Same;
    }
    let mut sites = headers.get_all("sec-fetch-site").iter();
    let mut origins = headers.get_all(ORIGIN).iter();
    match (sites.next(), sites.next(), origins.next(), origins.next()) {
        (_, Some(_), _, _) | (_, _, _, Some(_)) => CrossOrigin::Cross,
        (Some(site), None, _, None) => match site.as_bytes() {
            b"same-origin" | b"none" => CrossOrigin::Same,
            _ => CrossOrigin::Cross,
        },
        (None, None, Some(origin), None) => match origin.to_str() {
            Ok(origin) if is_origin(origin, own) => CrossOrigin::Same,
            _ => CrossOrigin::Cross,
        },
        (None, None, None, None) => CrossOrigin::NoBrowser,
    }
}

/// `null`, which sandboxed pages and some redirects send, is nobody's origin.
fn is_origin(header: &str, own: &Url) -> bool {
    let own = own.origin();
    own.is_tuple() && own.ascii_serialization() == header
}

/// Where to send the user after sign-in or sign-out: an absolute URL of our own or of an allow-listed origin.
///
/// ```
/// use perennial_core::origin::ReturnUrl;
///
/// let own = url::Url::parse("https://app.example")?;
/// let back = ReturnUrl::parse("/inbox?page=2", &own, &[]).expect("a path of ours");
/// assert_eq!(back.as_str(), "https://app.example/inbox?page=2");
/// assert!(ReturnUrl::parse("//evil.example", &own, &[]).is_none());
/// # Ok::<(), url::ParseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnUrl(Url);

impl ReturnUrl {
    /// Takes `input` if it is a path that begins with exactly one `/`, or an absolute `http(s)` URL whose origin is that
    /// of `own` or one of `allowed`. Anything that two parsers could read in two ways is refused.
    pub fn parse(input: &str, own: &Url, allowed: &[Origin]) -> Option<Self> {
        if input.chars().count() > RETURN_URL_CHARS || !reads_one_way(input) {
            return None;
        }
        let url = if input.starts_with('/') { own.join(input).ok()? } else { Url::parse(input).ok()? };
        let origin = url.origin();
        let known = origin == own.origin() || allowed.contains(&origin);
        let sound = matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            // Dot segments may leave a path that would read as a host if somebody cut the origin off.
            && !url.path().starts_with("//")
            && url.as_str().len() <= RETURN_URL_CHARS;
        (known && sound).then_some(Self(url))
    }

    /// The normalised URL, which is ASCII and fit for a `Location` header.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The normalised URL.
    pub fn url(&self) -> &Url {
        &self.0
    }
}

impl std::fmt::Display for ReturnUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No white space or control characters (URL parsers drop them), no backslash outside of the query (browsers read it
/// as a slash), and either one leading slash or `http(s)://` with an authority that has no user in it.
fn reads_one_way(input: &str) -> bool {
    let visible = !input.chars().any(|c| c.is_whitespace() || c.is_control());
    let hierarchy = input.split(['?', '#']).next().unwrap_or(input);
    if !visible || hierarchy.contains('\\') {
        return false;
    }
    match hierarchy.strip_prefix('/') {
        Some(rest) => !rest.starts_with('/'),
        None => authority(hierarchy).is_some_and(|host| !host.is_empty() && !host.contains('@')),
    }
}

/// What stands between `http(s)://` and the path.
fn authority(hierarchy: &str) -> Option<&str> {
    let (scheme, rest) = hierarchy.split_once("://")?;
    let http = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    http.then(|| rest.split('/').next().unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a URL")
    }

    #[test]
    fn whose_page_sent_it() {
        use CrossOrigin::{Cross, NoBrowser, Same};
        const OWN: &str = "https://app.example";
        for (site, origin, expected) in [
            (&["same-origin"][..], &[OWN][..], Same),
            (&["none"], &[], Same),
            (&["same-origin"], &[], Same),
            // A page behind a proxy that changes the origin's spelling is still the browser's word.
            (&["same-origin"], &["http://app.example"], Same),
            (&["same-site"], &[OWN], Cross),
            (&["cross-site"], &[OWN], Cross),
            (&["Same-Origin"], &[OWN], Cross),
            (&[""], &[OWN], Cross),
            (&["same-origin", "same-origin"], &[OWN], Cross),
            (&["same-origin"], &[OWN, OWN], Cross),
            (&[], &[OWN], Same),
            (&[], &["https://app.example:443"], Cross),
            (&[], &["http://app.example"], Cross),
            (&[], &["https://app.example:8443"], Cross),
            (&[], &["https://app.example.evil"], Cross),
            (&[], &["https://evil.example"], Cross),
            (&[], &["https://app.example/"], Cross),
            (&[], &["null"], Cross),
            (&[], &[""], Cross),
            (&[], &[OWN, OWN], Cross),
            (&[], &[OWN, "https://evil.example"], Cross),
            (&[], &[], NoBrowser),
        ] {
            let mut headers = HeaderMap::new();
            for value in site {
                headers.append("sec-fetch-site", HeaderValue::from_static(value));
            }
            for value in origin {
                headers.append(ORIGIN, HeaderValue::from_static(value));
            }
            let own = url("https://app.example/base/");
            for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
                assert_eq!(same_origin(&method, &headers, &own), expected, "{method} {site:?} {origin:?}");
            }
            assert_eq!(same_origin(&Method::GET, &headers, &own), Same);
        }
    }

    #[test]
    fn an_opaque_own_origin_matches_nothing() {
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, HeaderValue::from_static("null"));
        assert_eq!(same_origin(&Method::POST, &headers, &url("data:,x")), CrossOrigin::Cross);
        headers.insert(ORIGIN, HeaderValue::from_bytes(b"https://app.ex\xe4mple").expect("visible"));
        assert_eq!(same_origin(&Method::POST, &headers, &url("https://app.example")), CrossOrigin::Cross);
    }

    fn parse(input: &str) -> Option<String> {
        let allowed = [url("https://other.example:8443").origin(), url("http://localhost:5173").origin()];
        ReturnUrl::parse(input, &url("https://app.example/auth/"), &allowed).map(|found| found.to_string())
    }

    #[test]
    fn where_one_may_return_to() {
        for (input, expected) in [
            ("/", "https://app.example/"),
            ("/inbox?page=2#top", "https://app.example/inbox?page=2#top"),
            ("/a/../b", "https://app.example/b"),
            ("/ünï", "https://app.example/%C3%BCn%C3%AF"),
            ("/?next=https://evil.example", "https://app.example/?next=https://evil.example"),
            ("/?path=a\\b", "https://app.example/?path=a\\b"),
            ("/user@host", "https://app.example/user@host"),
            ("/%5C%5Cevil.example", "https://app.example/%5C%5Cevil.example"),
            ("https://app.example", "https://app.example/"),
            ("HTTPS://APP.EXAMPLE:443/x", "https://app.example/x"),
            ("https://app.example?q=a@b", "https://app.example/?q=a@b"),
            ("https://other.example:8443/x", "https://other.example:8443/x"),
            ("http://localhost:5173/", "http://localhost:5173/"),
        ] {
            assert_eq!(parse(input).as_deref(), Some(expected), "{input}");
        }
    }

    #[test]
    fn attacks_on_the_return_url_are_refused() {
        for input in [
            "",
            "inbox",
            "./inbox",
            "?x",
            "#x",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\evil.example",
            "\\\\evil.example",
            "\\/evil.example",
            "/a\\b",
            "/\t/evil.example",
            "/\n/evil.example",
            "/\r/evil.example",
            "\t//evil.example",
            " //evil.example",
            " /inbox",
            "/inbox ",
            "/a b",
            "/a\u{0}b",
            "/a\u{7f}b",
            "/a\u{85}b",
            "/a\u{2028}b",
            "/a\r\nSet-Cookie: x=y",
            "/.//evil.example",
            "/..//evil.example",
            "/x/..//evil.example",
            "/%2e%2e//evil.example",
            "https:evil.example",
            "https:/evil.example",
            "https:/app.example",
            "https:///app.example",
            "https:\\\\app.example",
            "https://app.example\\@evil.example",
            "https://evil.example",
            "https://evil.example/https://app.example",
            "https://app.example.evil.example",
            "https://evil.example?https://app.example",
            "https://evil.example#@app.example",
            "https://app.example:8443",
            "https://app.example:0443x",
            "https://app.example@evil.example",
            "https://evil@app.example",
            "https://:@app.example",
            "https://@app.example",
            "https://user:password@app.example/",
            "http://app.example",
            "https://other.example",
            "http://other.example:8443",
            "https://",
            "https://?x",
            "javascript:alert(1)",
            "JavaScript://app.example/%0aalert(1)",
            "data:text/html,x",
            "blob:https://app.example/x",
            "ftp://app.example/",
            "file:///etc/passwd",
            "view-source:https://app.example/",
        ] {
            assert_eq!(parse(input), None, "{input:?}");
        }
    }

    #[test]
    fn the_limit_holds_before_and_after_normalising() {
        let own = "https://app.example".len();
        let longest = format!("/{}", "a".repeat(RETURN_URL_CHARS - own - 1));
        assert_eq!(parse(&longest).map(|found| found.len()), Some(RETURN_URL_CHARS));
        assert_eq!(parse(&format!("{longest}a")), None);
        assert_eq!(parse(&format!("/{}", "ü".repeat(RETURN_URL_CHARS / 3))), None);
        assert_eq!(parse(&"/".repeat(RETURN_URL_CHARS * 100)), None);
    }
}
