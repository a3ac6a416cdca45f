//! One route: whom it covers, where it leads, and what its upstream is told.

use std::sync::Arc;

use perennial::Audience;

use crate::upstream::Upstream;

/// One rule: paths that begin so go there, for those who may.
#[derive(Clone, Debug)]
pub struct Route {
    /// The beginning of the path, whole segments: `/api` matches `/api` and `/api/x`, not `/apiary`. `/` matches all.
    pub path: String,
    /// Where requests go; its URL's own path is put before theirs.
    pub upstream: Upstream,
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

impl Route {
    /// Whether `path` lies at or below the route's.
    pub(super) fn covers(&self, path: &str) -> bool {
        let prefix = self.path.trim_end_matches('/');
        path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}
