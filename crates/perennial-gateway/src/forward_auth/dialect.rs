//! How each proxy asks, and what it makes of an answer. One row each; the path that is asked says which it is.
//!
//! nginx knows three answers to a sub-request, 2xx, 401 and 403, and calls all others an error of its own; so it asks twice, first
//! for a verdict, and where that is a no, for the answer that it hands to the browser. The others hand on whatever is no 2xx.

/// A proxy that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `ngx_http_auth_request_module`.
    Nginx,
    /// `forward_auth`.
    Caddy,
    /// The middleware `ForwardAuth`.
    Traefik,
    /// `envoy.filters.http.ext_authz` with `http_service`.
    Envoy,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Whether the request may go on.
    Verdict,
    /// What the browser is to be answered, because it may not.
    Answer,
}

/// Where a proxy says which request it asks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// In `X-Forwarded-Method`, `-Host` and `-Uri`.
    InHeaders,
    /// In the question itself: its method, its `Host`, and its target after our path.
    InTheQuestion,
}

/// Where a proxy looks for the cookies that it is to hand to the browser although the request goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CookieLines {
    /// In `Set-Cookie`, in all of its lines.
    All,
    /// One in each of `X-Perennial-Set-Cookie-1`, `-2` …: of a header with several lines it sees but the first.
    Numbered,
}

/// How a proxy is kept from passing on a browser's own copy of a header that an answer has nothing to say in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// The answer leaves the header out, and the proxy's configuration takes the browser's away.
    LeftOut,
    /// The answer has it with no value: Caddy would put a placeholder into the request for one that is not there.
    Empty,
    /// The answer lists it among those to be removed.
    Listed,
}

impl Dialect {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Caddy => "Caddy",
            Self::Traefik => "Traefik",
            Self::Envoy => "Envoy",
        }
    }

    pub(super) fn told(self) -> Told {
        match self {
            Self::Nginx | Self::Caddy | Self::Traefik => Told::InHeaders,
            Self::Envoy => Told::InTheQuestion,
        }
    }

    pub(super) fn cookie_lines(self) -> CookieLines {
        match self {
            Self::Nginx => CookieLines::Numbered,
            Self::Caddy | Self::Traefik | Self::Envoy => CookieLines::All,
        }
    }

    pub(super) fn silence(self) -> Silence {
        match self {
            Self::Nginx | Self::Traefik => Silence::LeftOut,
            Self::Caddy => Silence::Empty,
            Self::Envoy => Silence::Listed,
        }
    }
}

/// Who asks what, by the path that is asked.
pub(super) fn of(path: &str) -> Option<(Dialect, Question)> {
    match path {
        "/nginx" => Some((Dialect::Nginx, Question::Verdict)),
        "/nginx/answer" => Some((Dialect::Nginx, Question::Answer)),
        "/caddy" => Some((Dialect::Caddy, Question::Verdict)),
        "/traefik" => Some((Dialect::Traefik, Question::Verdict)),
        _ => path.starts_with(ENVOY_UNTIL_PATH).then_some((Dialect::Envoy, Question::Verdict)),
    }
}

/// The `path_prefix` that Envoy is given, and the slash with which the original path begins.
const ENVOY_UNTIL_PATH: &str = "/envoy/";

/// What Envoy puts before the original path.
pub(super) const ENVOY_PREFIX: &str = "/envoy";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_says_who_asks() {
        for (path, expected) in [
            ("/nginx", Some((Dialect::Nginx, Question::Verdict))),
            ("/nginx/answer", Some((Dialect::Nginx, Question::Answer))),
            ("/caddy", Some((Dialect::Caddy, Question::Verdict))),
            ("/traefik", Some((Dialect::Traefik, Question::Verdict))),
            ("/envoy/", Some((Dialect::Envoy, Question::Verdict))),
            ("/envoy/nginx/answer", Some((Dialect::Envoy, Question::Verdict))),
            ("/envoy", None),
            ("/envoys/", None),
            ("/nginx/", None),
            ("/caddy/answer", None),
            ("/", None),
        ] {
            assert_eq!(of(path), expected, "{path}");
        }
    }
}
