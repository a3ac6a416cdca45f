//! A browser's cookies as a value, so that the experiments can be other tabs of the same browser, or the same tab long ago.
//!
//! RFC 6265 §5.4 as far as one origin needs it: names and values, replaced and removed by `Set-Cookie`.

use std::collections::BTreeMap;

use cookie::Cookie;
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

/// The cookies that a browser would send to this origin.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Jar(BTreeMap<String, String>);

impl Jar {
    /// The cookies of a request.
    pub(super) fn of_request(headers: &HeaderMap) -> Self {
        let mut cookies = BTreeMap::new();
        for header in headers.get_all(COOKIE) {
            let text = header.to_str().unwrap_or_default();
            for cookie in Cookie::split_parse(text).flatten() {
                cookies.insert(cookie.name().to_owned(), cookie.value().to_owned());
            }
        }
        Self(cookies)
    }

    /// Does what a browser does with the `Set-Cookie` headers of an answer; tells whether there were any.
    pub(super) fn take(&mut self, answer: &HeaderMap) -> bool {
        let mut taken = false;
        for header in answer.get_all(SET_COOKIE) {
            let Ok(cookie) = Cookie::parse(header.to_str().unwrap_or_default()) else {
                continue;
            };
            taken = true;
            let gone = cookie.max_age().is_some_and(|age| age <= cookie::time::Duration::ZERO)
                || cookie.expires_datetime().is_some_and(|at| at.unix_timestamp() <= 0);
            if gone {
                self.0.remove(cookie.name());
            } else {
                self.0.insert(cookie.name().to_owned(), cookie.value().to_owned());
            }
        }
        taken
    }

    /// As a request's headers, marked so that no log shows them.
    pub(super) fn headers(&self) -> HeaderMap {
        let text = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let mut headers = HeaderMap::new();
        if let Ok(mut value) = HeaderValue::try_from(text) {
            value.set_sensitive(true);
            headers.insert(COOKIE, value);
        }
        headers
    }
}

impl std::fmt::Debug for Jar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(cookies: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(SET_COOKIE, cookie.parse().expect("a header value"));
        }
        headers
    }

    #[test]
    fn set_cookie_replaces_adds_and_removes() {
        let mut request = HeaderMap::new();
        request.insert(COOKIE, HeaderValue::from_static("a=1; b=2; c=3"));
        let mut jar = Jar::of_request(&request);
        assert!(!jar.take(&answer(&[])));
        assert!(jar.take(&answer(&[
            "a=9; Path=/; HttpOnly",
            "b=; Max-Age=0",
            "c=; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
            "d=4",
        ])));
        assert_eq!(jar.headers()[COOKIE], "a=9; d=4");
    }

    #[test]
    fn values_are_not_printed() {
        let mut jar = Jar::default();
        jar.take(&answer(&["session=planted-secret"]));
        assert_eq!(format!("{jar:?} {:?}", jar.headers()), "{\"session\"} {\"cookie\": Sensitive}");
    }
}
