//! Which upstream a request leads to, and who may go there.

mod body;
mod csrf;
mod expression;
mod facts;
mod host;
mod path;
mod pattern;
mod rewrite;
mod route;

use std::borrow::Cow;
use std::sync::Arc;

use http::{Method, Uri};

pub(crate) use self::body::{capped, is_too_long};
pub use self::csrf::CsrfGuard;
pub use self::expression::Expression;
pub(crate) use self::facts::{Facts, RequestFacts};
pub use self::host::HostPattern;
pub(crate) use self::host::host_of;
use self::path::{Loose, is_ambiguous, normalised};
pub(crate) use self::pattern::Met;
pub use self::pattern::{PathPattern, Reach};
pub use self::rewrite::Rewrite;
use self::rewrite::with_path;
pub use self::route::{Access, Identity, Route};

/// Routes, the most particular first: by host, then by path, then those for some methods before those for all.
#[derive(Clone, Debug)]
pub(crate) struct Routes(Vec<Entry>);

/// A route for one of its hosts.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) host: Option<HostPattern>,
    pub(crate) route: Arc<Route>,
}

/// What a route is looked for by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// The host as [`host_of`] gives it.
    pub(crate) host: &'a str,
    pub(crate) method: &'a Method,
    /// The path as it came.
    pub(crate) path: &'a str,
}

/// The route of a request, and the one reading of its path that all goes by.
#[derive(Clone, Debug)]
pub(crate) struct Found<'r, 'p> {
    pub(crate) route: &'r Route,
    pub(crate) path: Cow<'p, str>,
}

/// Why there is no route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotFound {
    /// The path reads differently to different servers.
    AmbiguousPath,
    /// No route covers host and path.
    NoRoute,
    /// The routes of this host and path are for these methods alone.
    OtherMethods(Vec<Method>),
}

/// What a route has to do with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// It covers host, path and method.
    Whole,
    /// It is for other hosts.
    OtherHost,
    /// It is for other paths.
    OtherPath,
    /// It is for other methods.
    OtherMethod,
}

impl Routes {
    pub(crate) fn new(routes: Vec<Route>) -> Self {
        let mut entries = Vec::new();
        for route in routes.into_iter().map(Arc::new) {
            match route.hosts.is_empty() {
                true => entries.push(Entry { host: None, route }),
                false => entries
                    .extend(route.hosts.iter().map(|host| Entry { host: Some(host.clone()), route: route.clone() })),
            }
        }
        entries.sort_by_cached_key(|Entry { host, route }| {
            let host = host.as_ref().map(HostPattern::precedence);
            (host.is_none(), host, route.path.precedence(), route.methods.is_empty())
        });
        Self(entries)
    }

    /// The route of a request, decided once. A method that no route of the most particular host and path is for finds none: it
    /// never falls through to a shorter path, whose rules may be others.
    ///
    /// # Errors
    /// [`NotFound`]; [`NotFound::AmbiguousPath`] when upstreams might read the path as another one, and that one's route is
    /// stricter.
    pub(crate) fn find<'r, 'p>(&'r self, asked: Asked<'p>) -> Result<Found<'r, 'p>, NotFound> {
        if let Some(route) = self.one_for_all() {
            let found = Found { route, path: Cow::Borrowed(asked.path) };
            return if asked.path.starts_with('/') { Ok(found) } else { Err(NotFound::NoRoute) };
        }
        let path = normalised(asked.path);
        let loose = Loose::read(&path);
        if is_ambiguous(asked.path) || loose.climbs() {
            return Err(NotFound::AmbiguousPath);
        }
        let first = self.0.iter().position(|entry| entry.is_for(asked.host) && entry.route.path.meets(&path).is_some());
        let first = first.ok_or(NotFound::NoRoute)?;
        let (before, rest) = self.0.split_at(first);
        let alike =
            || rest.iter().filter(|entry| entry.host == rest[0].host && entry.route.path.is_like(&rest[0].route.path));
        let Some(Entry { route, .. }) = alike().find(|entry| entry.route.takes(asked.method)) else {
            return Err(NotFound::OtherMethods(alike().flat_map(|entry| entry.route.methods.clone()).collect()));
        };
        let stricter = |entry: &Entry| {
            entry.is_for(asked.host) && entry.route.path.may_meet(&loose) && entry.route.is_stricter_than(route)
        };
        if before.iter().any(stricter) { Err(NotFound::AmbiguousPath) } else { Ok(Found { route, path }) }
    }

    /// What each route has to do with a request, in order, for whoever wants to know why.
    pub(crate) fn fits(&self, asked: Asked<'_>) -> impl Iterator<Item = (&Entry, Fit)> {
        let path = normalised(asked.path).into_owned();
        self.0.iter().map(move |entry| (entry, entry.fit(asked, &path)))
    }

    /// The only route, if it treats all paths alike: then no reading of a path is another rule's.
    fn one_for_all(&self) -> Option<&Route> {
        match &self.0[..] {
            [Entry { host: None, route }] => {
                let alike = route.path.covers_all() && route.methods.is_empty() && route.upstream.url().path() == "/";
                (alike && route.rule.is_none() && route.rewrite.is_none()).then_some(route)
            }
            _ => None,
        }
    }
}

impl Entry {
    fn is_for(&self, host: &str) -> bool {
        self.host.as_ref().is_none_or(|pattern| pattern.covers(host))
    }

    fn fit(&self, asked: Asked<'_>, path: &str) -> Fit {
        match () {
            () if !self.is_for(asked.host) => Fit::OtherHost,
            () if self.route.path.meets(path).is_none() => Fit::OtherPath,
            () if !self.route.takes(asked.method) => Fit::OtherMethod,
            () => Fit::Whole,
        }
    }
}

impl Found<'_, '_> {
    /// How the path met the route's. Only the one route for all takes paths that nobody has read.
    pub(crate) fn met(&self) -> Option<Met<'_>> {
        self.route.path.meets(&self.path)
    }

    /// The target that the upstream is asked for: the path that was judged, or what the route makes of it.
    pub(crate) fn target(&self, asked: &Uri) -> Option<Uri> {
        match (&self.route.rewrite, self.met()) {
            (Some(rewrite), Some(met)) => with_path(asked, &rewrite.apply(&met)),
            _ if self.path != asked.path() => with_path(asked, &self.path),
            _ => Some(asked.clone()),
        }
    }
}

#[cfg(test)]
mod tests;
