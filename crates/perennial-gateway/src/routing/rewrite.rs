//! What takes the place of a route's path on the way to the upstream.

use http::Uri;
use http::uri::PathAndQuery;

use super::pattern::{Met, PathPattern};

/// The beginning of the path as the upstream knows it: `/` takes the route's own away, `/v2` replaces it, and the names of the
/// route's path may stand in it as `{id}`. What lies below the route's path stays.
///
/// Nothing but literals and whole segments of a path that was judged goes into the result, so that it cannot climb.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Name(String),
}

impl Rewrite {
    /// Reads what is to take the place of `path`.
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str, path: &PathPattern) -> Result<Self, &'static str> {
        // It is written by the same rules, save that a name may occur twice.
        let inner = text.strip_prefix('/').ok_or(REMEDY)?;
        let inner = inner.strip_suffix('/').unwrap_or(inner);
        let mut parts = Vec::new();
        for part in inner.split('/').filter(|_| !inner.is_empty()) {
            match part.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                Some(name) if path.segment_names().any(|known| known == name) => {
                    parts.push(Part::Name(name.to_owned()))
                }
                Some(_) => return Err(NAME_REMEDY),
                None if part.is_empty() => return Err(REMEDY),
                None => {
                    PathPattern::parse(&format!("/{part}")).map_err(|_| REMEDY)?;
                    parts.push(Part::Literal(part.to_owned()));
                }
            }
        }
        Ok(Self { text: text.to_owned(), parts })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The path for the upstream.
    pub(super) fn apply(&self, met: &Met<'_>) -> String {
        let mut path = String::new();
        for part in &self.parts {
            path.push('/');
            path.push_str(match part {
                Part::Literal(text) => text,
                Part::Name(name) => met.value(name).unwrap_or_default(),
            });
        }
        match met.below() {
            Some(below) => {
                path.push('/');
                path.push_str(below);
            }
            None if path.is_empty() => path.push('/'),
            None => {}
        }
        path
    }
}

/// The same target with another path.
pub(crate) fn with_path(asked: &Uri, path: &str) -> Option<Uri> {
    let target = match asked.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut parts = asked.clone().into_parts();
    parts.path_and_query = Some(target.parse::<PathAndQuery>().ok()?);
    Uri::from_parts(parts).ok()
}

const REMEDY: &str = "write what the upstream's path is to begin with, such as \"/\" or \"/v2\" or \"/v2/{id}\"";

const NAME_REMEDY: &str = "use only names of single segments that the route's path gives, as in path \"/users/{id}\"";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_is_replaced_and_the_rest_stays() {
        for (path, rewrite, asked, expected) in [
            ("/api", "/", "/api", "/"),
            ("/api", "/", "/api/", "/"),
            ("/api", "/", "/api/users/7", "/users/7"),
            ("/api", "/", "/api/users/", "/users/"),
            ("/api", "/v2", "/api", "/v2"),
            ("/api", "/v2/", "/api/", "/v2/"),
            ("/api", "/v2", "/api/x", "/v2/x"),
            ("/", "/app", "/", "/app/"),
            ("/", "/app", "/x", "/app/x"),
            ("/users/{id}", "/u/{id}", "/users/a%20b/files", "/u/a%20b/files"),
            ("/users/{id}", "/{id}/{id}", "/users/7", "/7/7"),
            ("/files/{*rest}", "/f", "/files/a/b", "/f/a/b"),
        ] {
            let path = PathPattern::parse(path).expect("a pattern");
            let rewrite = Rewrite::parse(rewrite, &path).expect("a rewrite");
            assert_eq!(rewrite.apply(&path.meets(asked).expect("met")), expected, "{rewrite:?} {asked}");
        }
    }

    #[test]
    fn what_could_climb_or_names_nothing_is_refused() {
        let path = PathPattern::parse("/users/{id}/{*rest}").expect("a pattern");
        for text in
            ["", "v2", "/..", "/a/../b", "//a", "/a//b", "/a?b", "/a%2fb", "/{other}", "/{rest}", "/{*rest}", "/a{id}"]
        {
            assert!(Rewrite::parse(text, &path).is_err(), "{text}");
        }
    }

    #[test]
    fn the_query_stays() {
        let asked: Uri = "http://a/api/x?y=1&z".parse().expect("a URI");
        assert_eq!(with_path(&asked, "/x").expect("a URI"), "http://a/x?y=1&z");
        assert_eq!(with_path(&"/api".parse().expect("a URI"), "/").expect("a URI"), "/");
    }
}
