//! What an upstream learns of the user, and what it must not see.
//!
//! Whatever announces an identity is removed from the inbound request before ours is put in, in every spelling that an
//! application server might fold into the same variable (CGI turns `-` into `_`, some turn all but letters): RFC 9700 §4.13.

pub(crate) mod statement;
mod template;

use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue};
use perennial::{Session, User, foreign_cookies};

pub use self::template::HeaderTemplate;

/// Removes inbound copies of identity headers, of headers with these folded `names`, and our own cookies.
pub(crate) fn strip(headers: &mut HeaderMap, names: &[String]) {
    let is_said = |name: &str| is_ours(name) || (!names.is_empty() && names.contains(&folded(name)));
    let forged: Vec<HeaderName> = headers.keys().filter(|name| is_said(name.as_str())).cloned().collect();
    for name in forged {
        headers.remove(name);
    }
    match foreign_cookies(headers) {
        Some(cookies) => drop(headers.insert(COOKIE, cookies)),
        None => drop(headers.remove(COOKIE)),
    }
}

/// Announces a user and the fingerprint of their session to an upstream in plain headers.
pub(crate) fn announce(headers: &mut HeaderMap, user: User, fingerprint: String) {
    let mut set = |name: &HeaderName, value: Option<String>| {
        // A value that no header can carry (a line break in a name) is left out, never cut.
        if let Some(value) = value.and_then(|value| HeaderValue::from_maybe_shared(Bytes::from(value)).ok()) {
            headers.insert(name, value);
        }
    };
    set(&USER_HEADER, Some(user.id).filter(|id| !id.is_empty()));
    set(&EMAIL_HEADER, user.email);
    set(&NAME_HEADER, user.name);
    set(&SESSION_HEADER, Some(fingerprint));
}

/// Puts the session's access token in the place of whatever came in, where `bearer` says so and one lives.
pub(crate) fn bear(headers: &mut HeaderMap, session: &Session, bearer: bool) {
    headers.remove(AUTHORIZATION);
    if let (true, Ok(token)) = (bearer, session.bearer())
        && let Ok(mut value) = HeaderValue::from_maybe_shared(Bytes::from(["Bearer ", token.expose_secret()].concat()))
    {
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
}

/// The provider's subject.
pub(crate) const USER: &str = "x-forwarded-user";
/// The email address.
pub(crate) const EMAIL: &str = "x-forwarded-email";
/// The display name, as UTF-8.
pub(crate) const NAME: &str = "x-forwarded-preferred-username";
/// The session's fingerprint, to find it in the gateway's log.
pub(crate) const SESSION: &str = "x-perennial-session";
static USER_HEADER: HeaderName = HeaderName::from_static(USER);
static EMAIL_HEADER: HeaderName = HeaderName::from_static(EMAIL);
static NAME_HEADER: HeaderName = HeaderName::from_static(NAME);
static SESSION_HEADER: HeaderName = HeaderName::from_static(SESSION);
/// What tells an application who is there: our own names, and those that it may still trust from the gateway it had before.
pub(crate) const ANNOUNCED: [&str; 15] = [
    "authorization",
    USER,
    EMAIL,
    NAME,
    SESSION,
    "x-perennial-identity",
    "x-forwarded-groups",
    "x-forwarded-access-token",
    "x-auth-request-user",
    "x-auth-request-email",
    "x-auth-request-groups",
    "x-auth-request-preferred-username",
    "x-auth-request-access-token",
    "oidc_claim_sub",
    "remote-user",
];
/// The beginning of all names that are ours alone.
const FAMILY: &str = "x-perennial-";

/// Whether an upstream might take a header of this name for the gateway's word: on who is there, where the request came from,
/// or which path it is for. Those count too that it may still trust from the gateway it had before (oauth2-proxy,
/// mod_auth_openidc).
pub(crate) fn is_ours(name: &str) -> bool {
    // By their first letter most headers are none, and need not be folded.
    if !name.starts_with(|first: char| "frxo".contains(first.to_ascii_lowercase())) {
        return false;
    }
    let folded = folded(name);
    let named = ["forwarded", "remote-user", "x-real-ip", "x-original-url", "x-rewrite-url"];
    let families = [FAMILY, "x-forwarded-", "x-auth-request-", "oidc-"];
    named.contains(&folded.as_str()) || families.iter().any(|family| folded.starts_with(family))
}

/// A name as application servers fold it that make variables of headers.
pub(crate) fn folded(name: &str) -> String {
    let fold = |char: char| if char.is_ascii_alphanumeric() { char.to_ascii_lowercase() } else { '-' };
    name.chars().map(fold).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_inbound_can_pass_for_ours() {
        let mut headers = HeaderMap::new();
        for name in [
            "x-forwarded-user",
            "X-Forwarded-User",
            "x_forwarded_user",
            "X-Forwarded_Email",
            "x-perennial-session",
            "x_perennial_anything",
            "x-forwarded-preferred-username",
            "x-forwarded-groups",
            "x.forwarded.user",
            "x_forwarded_for",
            "x-real-ip",
            "x-original-url",
            "X-Auth-Request-User",
            "x-forwarded-access-token",
            "Remote_User",
            "OIDC_CLAIM_sub",
        ] {
            headers
                .append(HeaderName::from_bytes(name.as_bytes()).expect("a name"), HeaderValue::from_static("forged"));
        }
        headers.insert("x_groups", HeaderValue::from_static("forged"));
        headers.insert("x-request-id", HeaderValue::from_static("kept"));
        headers.insert(COOKIE, HeaderValue::from_static("authjs.session-token=s; theme=dark"));
        strip(&mut headers, &[folded("X-Groups")]);
        assert_eq!(headers.len(), 2);
        assert_eq!(headers[COOKIE], "theme=dark");
    }
}
