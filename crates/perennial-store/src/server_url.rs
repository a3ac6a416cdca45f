//! The URL of a store on a server: whom to reach, as whom, and how (RFC 3986, with several hosts).

use std::fmt;
use std::time::Duration;

use percent_encoding::percent_decode_str;

use crate::OpenError;

/// A URL taken apart and decoded. The password is in here: it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ServerUrl {
    pub(crate) scheme: String,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) hosts: Vec<(String, Option<u16>)>,
    /// What follows the hosts, without the slash.
    pub(crate) path: String,
    options: Vec<(String, String)>,
}

impl ServerUrl {
    /// Takes `url` apart.
    pub(crate) fn parse(url: &str) -> Result<Self, OpenError> {
        let (scheme, rest) = url.split_once("://").ok_or(bad("the store's URL lacks the // after its scheme"))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (credentials, hosts) = match authority.rsplit_once('@') {
            Some((credentials, hosts)) => (Some(credentials), hosts),
            None => (None, authority),
        };
        let (user, password) = match credentials.map(|both| both.split_once(':').unwrap_or((both, ""))) {
            Some((user, password)) => (given(user)?, given(password)?),
            None => (None, None),
        };
        let hosts = hosts.split(',').map(host).collect::<Result<Vec<_>, _>>()?;
        let mut options = Vec::new();
        for option in query.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').ok_or(bad("an option in the store's URL lacks its value"))?;
            options.push((decoded(name)?, decoded(value)?));
        }
        Ok(Self { scheme: scheme.to_owned(), user, password, hosts, path: decoded(path)?, options })
    }

    /// Takes the option `name` out.
    pub(crate) fn option(&mut self, name: &str) -> Option<String> {
        let place = self.options.iter().position(|(given, _)| given == name)?;
        Some(self.options.remove(place).1)
    }

    /// Takes the option `timeout` out: how long one call may take, `500ms` or `2s`, from 100 ms to 30 s.
    pub(crate) fn timeout(&mut self) -> Result<Duration, OpenError> {
        let Some(text) = self.option("timeout") else { return Ok(crate::limits::SERVER_TIMEOUT) };
        let number = |digits: &str| digits.parse::<u32>().ok().map(u64::from);
        let timeout = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
            (Some(millis), _) => number(millis).map(Duration::from_millis),
            (None, Some(seconds)) => number(seconds).map(Duration::from_secs),
            (None, None) => None,
        };
        timeout
            .filter(|timeout| (Duration::from_millis(100)..=Duration::from_secs(30)).contains(timeout))
            .ok_or(bad("timeout in the store's URL is a time from 100ms to 30s, such as timeout=2s"))
    }

    /// Takes the option `ca` out and reads the file it names: certificates in PEM, the only ones to be trusted.
    pub(crate) fn certificates(&mut self) -> Result<Option<Vec<u8>>, OpenError> {
        let Some(place) = self.option("ca") else { return Ok(None) };
        match std::fs::read(&place) {
            Ok(pem) => Ok(Some(pem)),
            Err(source) => {
                let remedy = "name a readable file with the server's certificate authority in PEM";
                Err(OpenError::Io { place, remedy, source })
            }
        }
    }

    /// Refuses the options that nobody took.
    pub(crate) fn close(&self) -> Result<(), OpenError> {
        match &self.options[..] {
            [] => Ok(()),
            _ => Err(bad("the store's URL has an option that this kind of store does not know")),
        }
    }
}

impl fmt::Debug for ServerUrl {
    /// Leaves out who and with which password, and the options, which may hold what was meant for it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerUrl").field("scheme", &self.scheme).field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

/// The refusal of a store's name for `reason`.
pub(crate) const fn bad(reason: &'static str) -> OpenError {
    OpenError::BadName { reason }
}

fn given(text: &str) -> Result<Option<String>, OpenError> {
    if text.is_empty() { Ok(None) } else { decoded(text).map(Some) }
}

fn decoded(text: &str) -> Result<String, OpenError> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| bad("the store's URL holds what is not UTF-8"))
}

/// `host`, `host:port`, `[::1]` or `[::1]:port`.
fn host(text: &str) -> Result<(String, Option<u16>), OpenError> {
    let (name, port) = match text.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((name, ""))) => (name, None),
        Some(Some((name, rest))) => (name, Some(rest.strip_prefix(':').unwrap_or("none"))),
        Some(None) => return Err(bad("the store's URL has an unfinished IPv6 address")),
        None => text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port))),
    };
    let port = port.map(str::parse).transpose().map_err(|_| bad("the store's URL has a port that is none"))?;
    match decoded(name)? {
        name if name.is_empty() => Err(bad("the store's URL names no host")),
        name => Ok((name, port)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let url = ServerUrl::parse("redis+sentinel://u%40x:p%3Aw:1@a:1,[::1]:2,c/main/3?prefix=a%20b&ca=x").unwrap();
        assert_eq!((url.user.as_deref(), url.password.as_deref()), (Some("u@x"), Some("p:w:1")));
        let hosts = [("a", Some(1)), ("::1", Some(2)), ("c", None)].map(|(host, port)| (host.to_owned(), port));
        assert_eq!((&url.scheme[..], &url.hosts[..], &url.path[..]), ("redis+sentinel", &hosts[..], "main/3"));
        let mut rest = url.clone();
        assert_eq!(rest.option("prefix").as_deref(), Some("a b"));
        assert!(rest.close().is_err() && rest.option("ca").is_some() && rest.close().is_ok());
        let only_password = ServerUrl::parse("redis://:planted@h").unwrap();
        assert_eq!((only_password.user.clone(), only_password.password.as_deref()), (None, Some("planted")));
        assert!(!format!("{only_password:?}").contains("planted"));
    }

    #[test]
    fn what_is_no_url_of_a_server_is_refused_without_being_quoted() {
        let table = [
            "redis:planted",
            "redis://",
            "redis://:planted@",
            "redis://h:planted",
            "redis://h:99999",
            "redis://[::1",
            "redis://[::1]planted",
            "redis://a,,b",
            "redis://h?planted",
            "redis://h/%ff",
            "redis://u:%ff@h",
        ];
        for url in table {
            let refused = ServerUrl::parse(url).expect_err(url);
            assert!(refused.code() == "store_bad_name" && !refused.to_string().contains("planted"), "{url}: {refused}");
        }
    }

    #[test]
    fn timeouts_have_a_unit_and_bounds() {
        let table = [
            ("", Some(2000)),
            ("timeout=100ms", Some(100)),
            ("timeout=30s", Some(30_000)),
            ("timeout=99ms", None),
            ("timeout=31s", None),
            ("timeout=2", None),
            ("timeout=s", None),
            ("timeout=-1s", None),
        ];
        for (query, expected) in table {
            let timeout = ServerUrl::parse(&format!("redis://h?{query}")).unwrap().timeout();
            assert_eq!(timeout.ok().map(|timeout| timeout.as_millis()), expected, "{query}");
        }
    }
}
