//! The path of a route: whole segments, some of which may stand for any.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::path::{Loose, is_ambiguous, normalised};

/// Which paths a route covers: `/api` covers `/api` and what lies below it, `/users/{id}` has one segment that may be anything,
/// and `/files/{*rest}` gives what lies below a name.
///
/// ```
/// use perennial_gateway::PathPattern;
///
/// assert!(PathPattern::parse("/users/{id}/files").is_ok());
/// assert!(PathPattern::parse("/users/user-{id}").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    text: String,
    segments: Vec<Segment>,
    rest: Option<String>,
    reach: Reach,
}

/// How far a path reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// To that path alone, with or without a slash at its end.
    Exact,
    /// To everything below it, too.
    #[default]
    Below,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal { exact: String, loose: Vec<String> },
    Any { name: String },
}

/// How a path met a pattern.
pub(crate) struct Met<'a> {
    /// What the pattern's names stand for, as it was written.
    values: Vec<(&'a str, &'a str)>,
    /// What lies below the pattern, without the slash that divides them; nothing where there is no such slash.
    below: Option<&'a str>,
}

impl PathPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let Some(path) = text.strip_prefix('/') else { return Err(PLAIN_REMEDY) };
        let mut segments = Vec::new();
        let mut rest = None;
        let mut names: Vec<&str> = Vec::new();
        let mut parts = path.strip_suffix('/').unwrap_or(path).split('/').peekable();
        while let Some(part) = parts.next() {
            match part.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                _ if path.is_empty() => break,
                Some(name) => {
                    let (bare, last) = (name.strip_prefix('*').unwrap_or(name), name.starts_with('*'));
                    if !is_name(bare) || names.contains(&bare) {
                        return Err(NAME_REMEDY);
                    }
                    names.push(bare);
                    match (last, parts.peek()) {
                        (true, Some(_)) => return Err(REST_REMEDY),
                        (true, None) => rest = Some(bare.to_owned()),
                        (false, _) => segments.push(Segment::Any { name: bare.to_owned() }),
                    }
                }
                None => segments.push(Segment::literal(part)?),
            }
        }
        Ok(Self { text: text.to_owned(), segments, rest, reach: Reach::default() })
    }

    /// `/`, which covers every path.
    pub fn all() -> Self {
        Self { text: "/".to_owned(), segments: Vec::new(), rest: None, reach: Reach::Below }
    }

    /// The same with another reach.
    pub fn reaching(self, reach: Reach) -> Self {
        Self { reach, ..self }
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The names it gives to single segments.
    pub(super) fn segment_names(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Any { name } => Some(name.as_str()),
            Segment::Literal { .. } => None,
        })
    }

    /// How a path in its one spelling meets the pattern, if it does.
    pub(crate) fn meets<'a>(&'a self, path: &'a str) -> Option<Met<'a>> {
        let mut left = Some(path.strip_prefix('/')?);
        let mut values = Vec::new();
        for segment in &self.segments {
            let (part, after) = match left?.split_once('/') {
                Some((part, after)) => (part, Some(after)),
                None => (left?, None),
            };
            match segment {
                Segment::Literal { exact, .. } if exact == part => {}
                Segment::Any { name } if !part.is_empty() => values.push((name.as_str(), part)),
                _ => return None,
            }
            left = after;
        }
        if self.reach == Reach::Exact && left.is_some_and(|below| !below.is_empty()) {
            return None;
        }
        values.extend(self.rest.as_deref().map(|name| (name, left.unwrap_or_default())));
        Some(Met { values, below: left })
    }

    /// Whether the most forgiving reading of a path meets the most forgiving reading of the pattern.
    pub(super) fn may_meet(&self, path: &Loose) -> bool {
        let mut left = path.segments();
        for segment in &self.segments {
            left = match (segment, left) {
                (Segment::Literal { loose, .. }, left) => match left.strip_prefix(loose.as_slice()) {
                    Some(left) => left,
                    None => return false,
                },
                (Segment::Any { .. }, [_, left @ ..]) => left,
                (Segment::Any { .. }, []) => return false,
            };
        }
        self.reach == Reach::Below || left.is_empty()
    }

    /// Whether both cover the same paths, whatever they call their segments.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let alike = |pair: (&Segment, &Segment)| match pair {
            (Segment::Literal { exact: one, .. }, Segment::Literal { exact: other, .. }) => one == other,
            (Segment::Any { .. }, Segment::Any { .. }) => true,
            _ => false,
        };
        self.reach == other.reach
            && self.segments.len() == other.segments.len()
            && self.segments.iter().zip(&other.segments).all(alike)
    }

    /// The more particular of two patterns is the smaller: more segments before fewer, the earlier literal before a name, and
    /// one path before all below it.
    pub(super) fn precedence(&self) -> (std::cmp::Reverse<usize>, Vec<bool>, Reach) {
        let open = self.segments.iter().map(|segment| matches!(segment, Segment::Any { .. })).collect();
        (std::cmp::Reverse(self.segments.len()), open, self.reach)
    }

    /// Whether it covers every path.
    pub(super) fn covers_all(&self) -> bool {
        self.segments.is_empty() && self.reach == Reach::Below
    }
}

impl Segment {
    fn literal(text: &str) -> Result<Self, &'static str> {
        let exact = normalised(text);
        let plain = exact.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#{}\"<>^`|\\".contains(&byte));
        if exact.is_empty() || !plain || is_ambiguous(&exact) || exact == "." || exact == ".." {
            return Err(PLAIN_REMEDY);
        }
        Ok(Self::Literal { loose: Loose::read(&exact).segments().to_vec(), exact: exact.into_owned() })
    }
}

impl Met<'_> {
    /// What lies below the pattern, without the slash that divides them; nothing where there is no such slash.
    pub(crate) fn below(&self) -> Option<&str> {
        self.below
    }

    /// What a name stands for, as it was written in the path.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(each, _)| *each == name).map(|(_, value)| *value)
    }

    /// What the names stand for, decoded, for rules.
    pub(crate) fn params(&self) -> Map<String, Value> {
        let decoded = |value: &str| percent_decode_str(value).decode_utf8_lossy().into_owned();
        self.values.iter().map(|(name, value)| ((*name).to_owned(), decoded(value).into())).collect()
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

const PLAIN_REMEDY: &str = "begin the path with a slash and write it as browsers send it, without a query, such as \"/api\" or \"/users/{id}\"";

const NAME_REMEDY: &str =
    "call a segment by a name that occurs once, of small letters, digits and underscores, such as \"/users/{id}\"";

const REST_REMEDY: &str = "put what stands for the rest at the end, such as \"/files/{*rest}\"";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_segments_meet() {
        for (pattern, path, expected) in [
            ("/", "/", Some(Some(""))),
            ("/", "/a/b", Some(Some("a/b"))),
            ("/api", "/api", Some(None)),
            ("/api", "/api/", Some(Some(""))),
            ("/api/", "/api", Some(None)),
            ("/api", "/api/x/", Some(Some("x/"))),
            ("/api", "/apiary", None),
            ("/api", "/", None),
            ("/api", "*", None),
            ("/users/{id}", "/users/7", Some(None)),
            ("/users/{id}", "/users/7/files", Some(Some("files"))),
            ("/users/{id}", "/users", None),
            ("/users/{id}", "/users/", None),
            ("/users/{id}/files", "/users/7/files/a", Some(Some("a"))),
            ("/users/{id}/files", "/users/7/other", None),
            ("/files/{*rest}", "/files", Some(None)),
            ("/files/{*rest}", "/files/a/b", Some(Some("a/b"))),
            ("/%7euser", "/~user/x", Some(Some("x"))),
            ("/caf\u{e9}", "/caf%C3%A9/x", Some(Some("x"))),
        ] {
            let pattern = PathPattern::parse(pattern).expect("a pattern");
            assert_eq!(pattern.meets(path).map(|met| met.below), expected, "{pattern:?} {path}");
        }
    }

    #[test]
    fn an_exact_pattern_meets_one_path_with_or_without_a_slash() {
        let exact = |text: &str| PathPattern::parse(text).expect("a pattern").reaching(Reach::Exact);
        for (pattern, path, expected) in [
            ("/", "/", true),
            ("/", "/a", false),
            ("/status", "/status", true),
            ("/status", "/status/", true),
            ("/status", "/status/x", false),
            ("/users/{id}", "/users/7", true),
            ("/users/{id}", "/users/7/x", false),
        ] {
            assert_eq!(exact(pattern).meets(path).is_some(), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn names_stand_for_what_was_there() {
        let pattern = PathPattern::parse("/users/{id}/{*rest}").expect("a pattern");
        assert_eq!(pattern.segment_names().collect::<Vec<_>>(), ["id"]);
        let met = pattern.meets("/users/a%20b/c/d").expect("met");
        assert_eq!((met.value("id"), met.value("rest"), met.value("other")), (Some("a%20b"), Some("c/d"), None));
        assert_eq!(Value::Object(met.params()), serde_json::json!({ "id": "a b", "rest": "c/d" }));
    }

    #[test]
    fn what_would_never_match_or_match_too_much_is_refused() {
        for text in [
            "",
            "api",
            "/a?b",
            "/a#b",
            "/a b",
            "//a",
            "/a//b",
            "/a/../b",
            "/./a",
            "/a%2fb",
            "/a%",
            "/a\\b",
            "/{}",
            "/{Id}",
            "/{1}",
            "/{id}/{id}",
            "/x{id}",
            "/{id}x",
            "/{*rest}/x",
            "/{a*}",
            "/{*}",
        ] {
            assert!(PathPattern::parse(text).is_err(), "{text}");
        }
    }
}
