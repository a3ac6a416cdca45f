//! Which upstream a path leads to, and who may go there.

mod path;
mod route;

use self::path::{Loose, is_ambiguous};
pub use self::route::{Access, Identity, Route};

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
            && only.upstream.url().path() == "/"
        {
            return Ok(path.starts_with('/').then_some(only));
        }
        let loose = Loose::read(path);
        if is_ambiguous(path) || loose.climbs() {
            return Err(AmbiguousPath);
        }
        let Some((route, exact)) = self.0.iter().find(|(route, _)| route.covers(path)) else { return Ok(None) };
        let deeper = self.0.iter().filter(|(_, prefix)| prefix.depth() > exact.depth() && loose.is_below(prefix));
        match deeper.max_by_key(|(_, prefix)| prefix.depth()) {
            Some((deeper, _)) if deeper.access == Access::Required && route.access != Access::Required => {
                Err(AmbiguousPath)
            }
            _ => Ok(Some(route)),
        }
    }
}

/// The path reads differently to different servers.
#[derive(Debug)]
pub(crate) struct AmbiguousPath;

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::upstream::Upstream;

    fn routes() -> Routes {
        let route = |path: &str, access| Route {
            path: path.into(),
            upstream: Upstream::at(Url::parse("http://127.0.0.1:1").expect("a URL")).expect("plain HTTP"),
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
            upstream: Upstream::at(Url::parse("http://127.0.0.1:1").expect("a URL")).expect("plain HTTP"),
            access: Access::Required,
            bearer: true,
            identity: Identity::Headers,
            audience: None,
        };
        assert!(Routes::new(vec![route]).find("/projects/a%2Fb//c").expect("nothing to confuse").is_some());
    }
}
