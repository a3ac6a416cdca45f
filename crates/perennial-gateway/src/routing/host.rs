//! RFC 9110 §7.2: the hosts of a route.

/// Which hosts a route is for: `app.example`, or `*.example` for all names below `example`.
///
/// ```
/// use perennial_gateway::HostPattern;
///
/// assert!(HostPattern::parse("*.example.com").is_ok());
/// assert!(HostPattern::parse("app.example.com:8443").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// This name or address alone.
    Exact(String),
    /// Every name below this one, and not the name itself.
    Below(String),
}

impl HostPattern {
    /// Reads a host, without a port.
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (name, below) = match text.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (text, false),
        };
        let name = name.to_ascii_lowercase();
        let bracketed = name.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
        let good = match bracketed {
            Some(inner) => !below && inner.parse::<std::net::Ipv6Addr>().is_ok(),
            None => name.split('.').all(is_label),
        };
        match (good, below) {
            (false, _) => Err(HOST_REMEDY),
            (true, true) => Ok(Self::Below(name)),
            (true, false) => Ok(Self::Exact(name)),
        }
    }

    /// Whether a host, as [`host_of`] gives it, is meant.
    pub(crate) fn covers(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => name == host,
            Self::Below(name) => host
                .strip_suffix(name.as_str())
                .and_then(|rest| rest.strip_suffix('.'))
                .is_some_and(|rest| !rest.is_empty()),
        }
    }

    /// The more particular host is the smaller: a name before a family of names, and of two families the one with the longer name.
    pub(super) fn precedence(&self) -> std::cmp::Reverse<usize> {
        std::cmp::Reverse(match self {
            Self::Exact(_) => usize::MAX,
            Self::Below(name) => name.len(),
        })
    }
}

impl std::fmt::Display for HostPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Below(name) => write!(f, "*.{name}"),
        }
    }
}

/// The name in a `Host` header: without its port and the dot that ends an absolute name, in small letters.
pub(crate) fn host_of(authority: &str) -> String {
    let end = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    let name = match authority[end..].find(':') {
        Some(colon) => &authority[..end + colon],
        None => authority,
    };
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

fn is_label(label: &str) -> bool {
    !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

const HOST_REMEDY: &str =
    "write a host without a port, such as \"app.example.com\", or \"*.example.com\" for all names below";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_compared_without_port_case_and_final_dot() {
        for (pattern, authority, expected) in [
            ("app.example", "app.example", true),
            ("App.Example", "APP.example:8443", true),
            ("app.example", "app.example.", true),
            ("app.example", "app.example.:80", true),
            ("app.example", "xapp.example", false),
            ("*.example", "a.example", true),
            ("*.example", "a.b.EXAMPLE:1", true),
            ("*.example", "example", false),
            ("*.example", ".example", false),
            ("*.example", "aexample", false),
            ("127.0.0.1", "127.0.0.1:4200", true),
            ("[::1]", "[::1]:4200", true),
            ("[::1]", "[::1]", true),
        ] {
            let pattern = HostPattern::parse(pattern).expect("a host");
            assert_eq!(pattern.covers(&host_of(authority)), expected, "{pattern} {authority}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in
            ["", "*", "*.", "a..b", "a.example:80", "https://a", "a/b", "*.*.a", "a.*", "caf\u{e9}", "[::x]", "*.[::1]"]
        {
            assert!(HostPattern::parse(text).is_err(), "{text}");
        }
    }
}
