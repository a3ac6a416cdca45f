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
