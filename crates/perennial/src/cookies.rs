//! The cookies on the wire: their names, their attributes, and how they are read from a request.

use std::borrow::Cow;
use std::sync::LazyLock;
use std::time::Duration;

use ::cookie::{Cookie, SameSite};
use http::header::{COOKIE, HeaderMap, HeaderValue};
use memchr::{memchr, memchr_iter};
use percent_encoding::percent_decode_str;
use perennial_core::Timestamp;
use perennial_core::cookie::{self, ChunkWrite};

use crate::settings::CookieFormat;

/// The names of our cookies, which differ between http and https as in Auth.js.
#[derive(Clone, Debug)]
pub(crate) struct CookieNames {
    pub(crate) session: String,
    /// The session's name in the format that is not written; it is read, and replaced when the session is.
    pub(crate) other_session: String,
    pub(crate) csrf: String,
    pub(crate) callback_url: String,
    /// Followed by the flow's short name: one cookie for each sign-in under way.
    pub(crate) flow_prefix: String,
    /// What the provider wants of the next sign-in.
    pub(crate) challenge: String,
    /// A form that is kept over a sign-in; sent to one path alone, which the prefix `__Host-` does not allow.
    pub(crate) form: String,
    secure: bool,
}

impl CookieNames {
    pub(crate) fn new(secure: bool) -> Self {
        let (prefix, host_prefix) = if secure { ("__Secure-", "__Host-") } else { ("", "") };
        Self {
            session: format!("{prefix}authjs.session-token"),
            other_session: format!("{prefix}next-auth.session-token"),
            csrf: format!("{host_prefix}authjs.csrf-token"),
            callback_url: format!("{prefix}authjs.callback-url"),
            flow_prefix: format!("{host_prefix}perennial.flow."),
            challenge: format!("{host_prefix}perennial.challenge"),
            form: format!("{prefix}perennial.form"),
            secure,
        }
    }

    /// The same with the session in this format.
    pub(crate) fn in_format(mut self, format: CookieFormat) -> Self {
        if format == CookieFormat::NextAuth4 {
            std::mem::swap(&mut self.session, &mut self.other_session);
        }
        self
    }

    /// Whether a cookie is ours and no upstream's business.
    pub(crate) fn owns(&self, name: &str) -> bool {
        [&self.session, &self.other_session, &self.csrf, &self.callback_url, &self.challenge, &self.form]
            .iter()
            .any(|own| name.strip_prefix(own.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
            || name.starts_with(&self.flow_prefix)
    }

    /// Whether a cookie line is about the session, whole or a chunk of it.
    pub(crate) fn is_session(&self, line: &str) -> bool {
        line.strip_prefix(&self.session).is_some_and(|rest| rest.starts_with(['=', '.']))
    }

    /// A `Set-Cookie` value: `HttpOnly`, `SameSite=Lax`, `Path=/`, and `Secure` on https.
    pub(crate) fn set(&self, name: &str, value: &str, life: Life) -> HeaderValue {
        self.set_below("/", name, value, life)
    }

    /// The same for a cookie that is sent to `path` and below it alone.
    pub(crate) fn set_below(&self, path: &str, name: &str, value: &str, life: Life) -> HeaderValue {
        let mut cookie = Cookie::new(name, value);
        cookie.set_path(path);
        cookie.set_http_only(true);
        cookie.set_same_site(SameSite::Lax);
        cookie.set_secure(self.secure);
        match life {
            Life::BrowserSession => {}
            Life::For(duration) => cookie.set_max_age(::cookie::time::Duration::try_from(duration).ok()),
            Life::Until(at) => {
                cookie.set_expires(::cookie::time::OffsetDateTime::from_unix_timestamp(at.unix_seconds()).ok())
            }
        }
        // Names are ours, values base64url or percent-encoded: nothing here is outside visible ASCII.
        let mut line = HeaderValue::from_str(&cookie.to_string()).unwrap_or_else(|_| HeaderValue::from_static(""));
        // Whoever has the value is signed in: no `Debug` shows it, and HTTP/2 keeps it out of its tables.
        line.set_sensitive(true);
        line
    }

    /// Those of the `cookies` that are about the session, whoever wrote them.
    pub(crate) fn of_session(&self, cookies: &RequestCookies<'_>) -> Vec<String> {
        let names = [&self.session, &self.other_session];
        names.into_iter().filter_map(|name| Some(cookie::join(name, cookies.iter())?.names)).flatten().collect()
    }

    /// `Set-Cookie` values that delete those of the `present` cookies that are about the session.
    pub(crate) fn forget_session(&self, present: &[String]) -> Vec<HeaderValue> {
        let names = [&self.session, &self.other_session];
        names.into_iter().flat_map(|name| cookie::clear(name, present)).map(|gone| self.delete(&gone.name)).collect()
    }

    /// A `Set-Cookie` value that deletes `name`.
    pub(crate) fn delete(&self, name: &str) -> HeaderValue {
        self.set(name, "", Life::For(Duration::ZERO))
    }

    /// `Set-Cookie` values for the chunks of a session.
    pub(crate) fn chunks(&self, writes: &[ChunkWrite], expires: Timestamp) -> Vec<HeaderValue> {
        writes
            .iter()
            .map(|write| match &write.value {
                Some(value) => self.set(&write.name, value, Life::Until(expires)),
                None => self.delete(&write.name),
            })
            .collect()
    }
}

/// How long a cookie lasts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Life {
    /// Until the browser closes.
    BrowserSession,
    /// `Max-Age`.
    For(Duration),
    /// `Expires`, as Auth.js writes the session cookie.
    Until(Timestamp),
}

/// The cookies of a request, in the order they came; a name may occur twice.
#[derive(Debug)]
pub(crate) struct RequestCookies<'a>(Vec<(&'a str, &'a str)>);

impl<'a> RequestCookies<'a> {
    pub(crate) fn read(headers: &'a HeaderMap) -> Self {
        // Pair by pair: browsers send what others set in whatever encoding, and one such value must not hide the session.
        let pairs = headers.get_all(COOKIE).iter().flat_map(|line| pairs(line.as_bytes()));
        let ascii = pairs.filter(|pair| pair.is_ascii()).filter_map(|pair| std::str::from_utf8(pair).ok());
        let pairs = ascii.filter_map(|pair| pair.split_once('='));
        Self(pairs.map(|(name, value)| (name.trim(), value.trim().trim_matches('"'))).collect())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().copied()
    }

    /// The first cookie of that name, percent-decoded as in Auth.js.
    pub(crate) fn first_decoded(&self, name: &str) -> Option<Cow<'a, str>> {
        self.first(name).map(|value| percent_decode_str(value).decode_utf8_lossy())
    }

    /// The first cookie of that name, as in Auth.js.
    pub(crate) fn first(&self, name: &str) -> Option<&'a str> {
        self.iter().find(|(each, _)| *each == name).map(|(_, value)| value)
    }
}

/// `Cookie` header lines without our cookies: what an upstream may see.
pub fn foreign_cookies(headers: &HeaderMap) -> Option<HeaderValue> {
    // Made once: they are asked for with every request.
    static NAMES: LazyLock<[CookieNames; 2]> = LazyLock::new(|| [false, true].map(CookieNames::new));
    let lines = headers.get_all(COOKIE).iter();
    let all = lines.flat_map(|line| pairs(line.as_bytes())).map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty());
    let kept: Vec<_> = all
        .filter(|pair| {
            let name = String::from_utf8_lossy(pair[..memchr(b'=', pair).unwrap_or(pair.len())].trim_ascii());
            !NAMES.iter().any(|names| names.owns(&name))
        })
        .collect();
    if kept.is_empty() { None } else { HeaderValue::from_bytes(&kept.join(&b"; "[..])).ok() }
}

/// The pairs of a `Cookie` line, with the blanks around them (RFC 6265 §4.2.1).
fn pairs(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut begin = 0;
    memchr_iter(b';', line).chain([line.len()]).map(move |end| {
        let pair = &line[begin..end];
        begin = end + 1;
        pair
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_the_safe_ones() {
        let names = CookieNames::new(true);
        let set = names.set(&names.session, "v", Life::Until(Timestamp::from_unix_seconds(0)));
        assert_eq!(
            set.to_str().expect("ASCII"),
            "__Secure-authjs.session-token=v; HttpOnly; SameSite=Lax; Secure; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
        );
        let gone = CookieNames::new(false).delete("authjs.session-token.1");
        assert_eq!(gone.to_str().expect("ASCII"), "authjs.session-token.1=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0");
    }

    #[test]
    fn a_value_in_another_encoding_hides_only_itself() {
        for foreign in [&b"name=J\xc3\xbcrgen; s=1; t=2"[..], b"s=1; name=J\xfcrgen; t=2", b"s=1; t=2; \xff; \xff=x"] {
            let mut headers = HeaderMap::new();
            headers.append(COOKIE, HeaderValue::from_bytes(foreign).expect("a header may hold it"));
            let cookies = RequestCookies::read(&headers);
            assert_eq!(cookies.iter().collect::<Vec<_>>(), [("s", "1"), ("t", "2")]);
        }
    }

    #[test]
    fn no_debug_output_holds_a_cookie_that_signs_in() {
        let set = CookieNames::new(true).set("authjs.session-token", "planted", Life::BrowserSession);
        assert!(!format!("{set:?}").contains("planted"));
    }

    #[test]
    fn an_applications_cookie_with_a_similar_name_is_not_the_session() {
        let names = CookieNames::new(true);
        for (line, expected) in [
            ("__Secure-authjs.session-token=v; Path=/", true),
            ("__Secure-authjs.session-token.1=; Max-Age=0", true),
            ("__Secure-authjs.session-tokens=v", false),
            ("my-authjs.session-token=v", false),
        ] {
            assert_eq!(names.is_session(line), expected, "{line}");
        }
    }

    #[test]
    fn upstreams_see_their_own_cookies_and_none_of_ours() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("theme=dark; authjs.session-token.0=a;authjs.csrf-token=b"));
        headers.append(
            COOKIE,
            HeaderValue::from_static(
                " __Secure-authjs.session-token=c; cart=1; perennial.flow.x=d; perennial.challenge=e",
            ),
        );
        assert_eq!(foreign_cookies(&headers).expect("two remain"), "theme=dark; cart=1");
        headers.clear();
        headers.append(COOKIE, HeaderValue::from_static("authjs.session-token=a"));
        assert_eq!(foreign_cookies(&headers), None);
    }
}
