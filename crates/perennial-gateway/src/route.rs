//! Which upstream a path leads to, and who may go there.

use std::sync::Arc;

use percent_encoding::percent_decode_str;
use perennial::Audience;
use url::Url;

/// One rule: paths that begin so go there, for those who may.
#[derive(Clone, Debug)]
pub struct Route {
    /// The beginning of the path, whole segments: `/api` matches `/api` and `/api/x`, not `/apiary`. `/` matches all.
    pub path: String,
    /// Where requests go; its own path is put before theirs.
    pub upstream: Url,
    /// Who may go there.
    pub access: Access,
    /// Whether the user's access token goes along as `Authorization: Bearer`; yes.
    pub bearer: bool,
    /// How the upstream is told who is there.
    pub identity: Identity,
    /// Whom that token is for, if not for the audience that sessions are begun with (RFC 8707).
    pub audience: Option<Arc<Audience>>,
}

/// How an upstream is told who is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Identity {
    /// In plain headers, for an upstream that nobody else can reach.
    #[default]
    Headers,
    /// In a signed statement, `X-Perennial-Identity`, for an upstream that wants to see for itself.
    Jwt,
}

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody; sessions are not looked at.
    Public,
    /// Everybody; whoever is signed in is announced to the upstream.
    Optional,
    /// Those who are signed in.
    Required,
}

/// Routes, the longest path first.
#[derive(Clone, Debug)]
pub(crate) struct Routes(Vec<(Route, Loose)>);

impl Routes {
    pub(crate) fn new(mut routes: Vec<Route>) -> Self {
        routes.sort_by_key(|route| std::cmp::Reverse(route.path.len()));
        let with_loose = |route: Route| {
            let loose = Loose::read(&route.path);
            (route, loose)
        };
        Self(routes.into_iter().map(with_loose).collect())
    }

    /// The route of `path`.
    ///
    /// # Errors
    /// [`AmbiguousPath`] when upstreams might read the path as another one, and that one requires sign-in while this does not.
    pub(crate) fn find(&self, path: &str) -> Result<Option<&Route>, AmbiguousPath> {
        if let [(only, _)] = &self.0[..]
            && only.path == "/"
            && only.upstream.path() == "/"
        {
            return Ok(path.starts_with('/').then_some(only));
        }
        let loose = Loose::read(path);
        if is_ambiguous(path) || loose.climbs() {
            return Err(AmbiguousPath);
        }
        let Some((route, exact)) = self.0.iter().find(|(route, _)| route.covers(path)) else { return Ok(None) };
        let deeper = self.0.iter().filter(|(_, prefix)| prefix.0.len() > exact.0.len() && loose.is_below(prefix));
        match deeper.max_by_key(|(_, prefix)| prefix.0.len()) {
            Some((deeper, _)) if deeper.access == Access::Required && route.access != Access::Required => {
                Err(AmbiguousPath)
            }
            _ => Ok(Some(route)),
        }
    }
}

impl Route {
    fn covers(&self, path: &str) -> bool {
        let prefix = self.path.trim_end_matches('/');
        path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// The path reads differently to different servers.
#[derive(Debug)]
pub(crate) struct AmbiguousPath;

/// Doubled slashes, backslashes, encoded separators and what is encoded twice: servers disagree on what they mean.
fn is_ambiguous(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let hex = |rest: &str| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    let twice = lower.split("%25").skip(1).any(hex);
    twice || ["%2f", "%5c", "%00", "\\", "//"].iter().any(|odd| lower.contains(odd))
}

/// The segments of a path as the most forgiving server reads them: decoded, without `;parameters`, in one case, and without
/// the dots and blanks at their ends that some file systems drop.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Loose(Vec<String>);

impl Loose {
    fn read(path: &str) -> Self {
        let decoded = percent_decode_str(path).decode_utf8_lossy().to_lowercase();
        let bare = decoded.split('/').map(|segment| segment.split(';').next().unwrap_or_default().trim());
        let kept = bare.map(|segment| match segment {
            "." | ".." => segment,
            _ => segment.trim_end_matches(['.', ' ']),
        });
        Self(kept.filter(|segment| !segment.is_empty()).map(str::to_owned).collect())
    }

    fn climbs(&self) -> bool {
        self.0.iter().any(|segment| segment == "." || segment == "..")
    }

    fn is_below(&self, prefix: &Self) -> bool {
        self.0.starts_with(&prefix.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes() -> Routes {
        let route = |path: &str, access| Route {
            path: path.into(),
            upstream: Url::parse("http://127.0.0.1:1").expect("a URL"),
            access,
            bearer: true,
            identity: Identity::Headers,
            audience: None,
        };
        Routes::new(vec![
            route("/", Access::Required),
            route("/public", Access::Public),
            route("/public/not", Access::Required),
        ])
    }

    #[test]
    fn the_longest_whole_prefix_decides() {
        for (path, expected) in [
            ("/", Access::Required),
            ("/public", Access::Public),
            ("/public/", Access::Public),
            ("/public/a.css", Access::Public),
            ("/publicity", Access::Required),
            ("/public/not/x", Access::Required),
            ("/PUBLIC", Access::Required),
        ] {
            let found = routes().find(path).expect("not ambiguous").expect("`/` matches all").access;
            assert_eq!(found, expected, "{path}");
        }
    }

    #[test]
    fn no_spelling_gets_round_a_rule() {
        for path in [
            "/public/../admin",
            "/public/./x",
            "//admin",
            "/public//../admin",
            "/public/%2e%2e/admin",
            "/public/%2E./admin",
            "/public%2f..%2fadmin",
            "/public/..;/admin",
            "/public\\..\\admin",
            "/public/%5c..",
            "/public/%252e%252e/admin",
            "/x%00",
            "/public/NOT",
            "/public/n%6ft/x",
            "/public/not;x",
            "/public/not.",
            "/public/not%20/x",
        ] {
            assert!(routes().find(path).is_err(), "{path}");
        }
    }

    #[test]
    fn what_no_server_reads_more_strictly_is_left_alone() {
        let routes = routes();
        for (path, expected) in [
            ("/public/caf%C3%A9", Access::Public),
            ("/public/100%25", Access::Public),
            ("/public/a;v=1/nothing", Access::Public),
            ("/public/.well-known/x", Access::Public),
            ("/public/file%2Etxt", Access::Public),
            ("/p%75blic/x", Access::Required),
        ] {
            let found = routes.find(path).unwrap_or_else(|_| panic!("{path}"));
            assert_eq!(found.expect("`/` matches all").access, expected, "{path}");
        }
    }

    #[test]
    fn one_rule_for_all_leaves_paths_alone() {
        let route = Route {
            path: "/".into(),
            upstream: Url::parse("http://127.0.0.1:1").expect("a URL"),
            access: Access::Required,
            bearer: true,
            identity: Identity::Headers,
            audience: None,
        };
        assert!(Routes::new(vec![route]).find("/projects/a%2Fb//c").expect("nothing to confuse").is_some());
    }
}
