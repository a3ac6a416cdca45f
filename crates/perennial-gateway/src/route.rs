//! Which upstream a path leads to, and who may go there.

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
pub(crate) struct Routes(Vec<Route>);

impl Routes {
    pub(crate) fn new(mut routes: Vec<Route>) -> Self {
        routes.sort_by_key(|route| std::cmp::Reverse(route.path.len()));
        Self(routes)
    }

    /// The route of `path`.
    ///
    /// # Errors
    /// [`AmbiguousPath`] when upstreams might read the path as another one, and another route could apply to that.
    pub(crate) fn find(&self, path: &str) -> Result<Option<&Route>, AmbiguousPath> {
        if self.0.len() > 1 && is_ambiguous(path) {
            return Err(AmbiguousPath);
        }
        Ok(self.0.iter().find(|route| route.covers(path)))
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

/// Dot segments, doubled slashes, backslashes, and their percent-encoded forms: servers disagree on what they mean.
fn is_ambiguous(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let encoded = ["%2e", "%2f", "%5c", "%00", "%25", "\\", "//"].iter().any(|odd| lower.contains(odd));
    encoded || path.split('/').any(|segment| segment == "." || segment == ".." || segment.starts_with("..;"))
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
        ] {
            assert!(routes().find(path).is_err(), "{path}");
        }
    }

    #[test]
    fn one_rule_for_all_leaves_paths_alone() {
        let route = Route {
            path: "/".into(),
            upstream: Url::parse("http://127.0.0.1:1").expect("a URL"),
            access: Access::Required,
            bearer: true,
        };
        assert!(Routes::new(vec![route]).find("/projects/a%2Fb//c").expect("nothing to confuse").is_some());
    }
}
