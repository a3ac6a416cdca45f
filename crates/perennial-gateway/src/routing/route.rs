//! One route: whom it covers, where it leads, who may go there, and what its upstream is told.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use perennial::Audience;
use serde_json::Value;

use super::csrf::CsrfGuard;
use super::expression::Expression;
use super::facts::Facts;
use super::host::HostPattern;
use super::pattern::PathPattern;
use super::rewrite::Rewrite;
use crate::identity::HeaderTemplate;
use crate::upstream::Upstream;

/// One rule: requests of this kind go there, for those who may.
#[derive(Clone, Debug)]
pub struct Route {
    /// For which hosts; for all if there are none.
    pub hosts: Vec<HostPattern>,
    /// For which methods; for all if there are none. `GET` covers `HEAD`.
    pub methods: Vec<Method>,
    /// For which paths: `/api` covers `/api` and `/api/x`, not `/apiary`. `/` covers all.
    pub path: PathPattern,
    /// Where requests go; its URL's own path is put before theirs.
    pub upstream: Upstream,
    /// Who may go there.
    pub access: Access,
    /// What must be true of them, besides.
    pub rule: Option<Expression>,
    /// Which pages may have browsers write there.
    pub csrf: CsrfGuard,
    /// Whether a form that a stranger posts is kept while they sign in, and offered to them afterwards; no.
    pub keep_post: bool,
    /// Whether the user's access token goes along as `Authorization: Bearer`; yes.
    pub bearer: bool,
    /// How the upstream is told who is there.
    pub identity: Identity,
    /// Whom that token is for, if not for the audience that sessions are begun with (RFC 8707).
    pub audience: Option<Arc<Audience>>,
    /// What else it is told, in headers of these names.
    pub request_headers: Vec<HeaderTemplate>,
    /// What takes the place of `path` on the way to the upstream; nothing.
    pub rewrite: Option<Rewrite>,
    /// How long the upstream may take to begin its answer, if not as long as others.
    pub timeout: Option<Duration>,
    /// How many bytes a request's body may have, if not any number.
    pub body_max: Option<u64>,
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Everybody; sessions are not looked at.
    Public,
    /// Everybody; whoever is signed in is announced to the upstream.
    Optional,
    /// Those who are signed in. Whoever forgets to say it wants it shut.
    #[default]
    Required,
}

impl std::fmt::Display for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::Optional => "optional",
            Self::Required => "required",
        })
    }
}

impl Route {
    /// All paths of all hosts to `upstream`, for those who are signed in.
    pub fn to(upstream: Upstream) -> Self {
        Self {
            hosts: Vec::new(),
            methods: Vec::new(),
            path: PathPattern::all(),
            upstream,
            access: Access::default(),
            rule: None,
            csrf: CsrfGuard::default(),
            keep_post: false,
            bearer: true,
            identity: Identity::default(),
            audience: None,
            request_headers: Vec::new(),
            rewrite: None,
            timeout: None,
            body_max: None,
        }
    }

    /// Whether some request would find both routes and neither would be the more particular one.
    pub fn clashes_with(&self, other: &Self) -> bool {
        let hosts = match (&self.hosts[..], &other.hosts[..]) {
            ([], []) => true,
            (ours, theirs) => ours.iter().any(|host| theirs.contains(host)),
        };
        let methods = match (&self.methods[..], &other.methods[..]) {
            ([], []) => true,
            (ours, theirs) => ours.iter().any(|method| theirs.contains(method)),
        };
        hosts && methods && self.path.is_like(&other.path)
    }

    /// Whether the route is for this method.
    pub(super) fn takes(&self, method: &Method) -> bool {
        self.methods.is_empty()
            || self.methods.contains(method)
            || (method == Method::HEAD && self.methods.contains(&Method::GET))
    }

    /// Whether those whom `facts` tell of may pass, as far as the route's rule goes.
    ///
    /// # Errors
    /// Why not, for the log.
    pub(crate) fn admits(&self, facts: &Facts) -> Result<(), String> {
        match self.rule.as_ref().map(|rule| rule.evaluate(facts)) {
            None | Some(Ok(Value::Bool(true))) => Ok(()),
            Some(Ok(Value::Bool(false))) => Err("the rule is not met".to_owned()),
            Some(Ok(_)) => Err("the rule comes to something that is neither true nor false".to_owned()),
            Some(Err(because)) => Err(format!("the rule cannot be worked out: {because}")),
        }
    }

    /// Whether it turns away somebody whom `other` lets pass.
    pub(super) fn is_stricter_than(&self, other: &Self) -> bool {
        let asks = |route: &Self| route.access == Access::Required;
        let ruled = |route: &Self| route.rule.as_ref().map(|rule| rule.as_str().to_owned());
        (asks(self) && !asks(other)) || (self.rule.is_some() && ruled(self) != ruled(other)) || self.csrf > other.csrf
    }
}
