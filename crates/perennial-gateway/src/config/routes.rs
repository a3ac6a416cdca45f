//! `[[routes]]`: who goes where.

use std::sync::Arc;

use http::uri::PathAndQuery;
use perennial::{Audience, ConfigFault};
use url::Url;

use super::setting::{Section, Setting};
use super::values::Values;
use crate::routing::{Access, Identity, Route};
use crate::upstream::Upstream;

pub(super) const ROUTES: Section = Section::new(
    "routes",
    "Who goes where. The longest path that covers the request decides.",
    &[
        Setting::text(
            "path",
            "the beginning of the path, whole segments: `\"/api\"` covers `/api` and `/api/x`, not `/apiary`",
        )
        .default("/")
        .remedy("begin the path with a slash and write it as browsers send it, without a query, such as \"/api\""),
        Setting::text("upstream", "where requests go; its own path is put before theirs")
            .required()
            .value("text, `http://…` or `https://…`")
            .remedy(UPSTREAM_REMEDY),
        Setting::choice(
            "access",
            &["public", "optional", "required"],
            "everybody, without a look at sessions; everybody, and whoever is signed in is announced; only those who are signed in",
        )
        // Whoever forgets to say it wants it shut.
        .default("required"),
        Setting::flag("bearer", "whether the access token goes along as `Authorization: Bearer`").default("true"),
        Setting::choice(
            "identity",
            &["headers", "jwt"],
            "how the upstream is told who is there: in plain headers, for one that nobody else can reach; or in a \
             [signed statement](http.md#signed-statements)",
        )
        .default("headers"),
        Setting::text(
            "audience",
            "the API that this token is for, by the name the provider knows it by, where it is not the one that sessions are \
             begun with; see [several audiences](renewal.md#several-audiences)",
        )
        .remedy("write the name by which the provider knows the API, such as \"https://orders.example\""),
        Setting::text(
            "scope",
            "what that token may do, separated by spaces, where it is less than all that was granted; alone or with `audience`",
        )
        .remedy("write scope tokens separated by spaces, such as \"orders:read\""),
    ],
)
.sample(SAMPLE);

/// An application that asks as a backend serves the browser itself: then there may be nothing to pass on.
pub(super) fn routes(top: &Values, backends: bool, faults: &mut Vec<ConfigFault>) -> Vec<Route> {
    let tables = top.tables("routes");
    if tables.is_empty() && !backends && !faults.iter().any(|fault| fault.key == "routes") {
        faults.push(top.fault("routes", "say where requests go: [[routes]] with path, upstream and access"));
    }
    let mut routes: Vec<Route> = Vec::new();
    for table in tables {
        let Some(route) = route(table, faults) else { continue };
        if routes.iter().any(|other| other.path.trim_end_matches('/') == route.path.trim_end_matches('/')) {
            faults.push(table.fault("path", "choose a path that no other route has"));
        }
        routes.push(route);
    }
    routes
}

fn route(route: &Values, faults: &mut Vec<ConfigFault>) -> Option<Route> {
    let path = route.parsed("path", faults, |path| is_plain_path(path).then(|| path.to_owned()));
    let upstream = route.parsed("upstream", faults, upstream);
    let accesses = [("public", Access::Public), ("optional", Access::Optional), ("required", Access::Required)];
    let access = route.choice("access", &accesses).unwrap_or(Access::Required);
    let identities = [("headers", Identity::Headers), ("jwt", Identity::Jwt)];
    let bearer = route.flag("bearer");
    let audience = audience(route, faults);
    if audience.is_some() && (access == Access::Public || !bearer) {
        let remedy = "leave it out, or let the route have sessions and their bearer: access \"required\" or \"optional\", bearer true";
        faults.push(route.fault("audience", remedy));
    }
    Some(Route {
        path: path?,
        upstream: upstream?,
        access,
        bearer,
        identity: route.choice("identity", &identities).unwrap_or_default(),
        audience: audience.map(Arc::new),
    })
}

/// Whom the access tokens of a route are for: an API by name, less than all that was granted, or both.
fn audience(route: &Values, faults: &mut Vec<ConfigFault>) -> Option<Audience> {
    let filled = |text: &str| (!text.trim().is_empty()).then(|| text.to_owned());
    match (route.parsed("audience", faults, filled), route.parsed("scope", faults, filled)) {
        (Some(name), scope) => Some(Audience::new(name).scope(&scope.unwrap_or_default())),
        (None, Some(scope)) => Some(Audience::of_scope(&scope)),
        (None, None) => None,
    }
}

/// A path as it stands in a request line: anything else would never match.
fn is_plain_path(path: &str) -> bool {
    let parsed: Option<PathAndQuery> = path.parse().ok();
    path.starts_with('/') && parsed.is_some_and(|parsed| parsed.path() == path) && !path.contains("//")
}

/// An upstream by its URL, if we can speak to it.
pub(super) fn upstream(text: &str) -> Option<Upstream> {
    let url = Url::parse(text).ok()?;
    let plain = ["http", "https"].contains(&url.scheme())
        && url.host().is_some()
        && url.username().is_empty()
        && url.password().is_none();
    (plain && url.query().is_none() && url.fragment().is_none()).then_some(url).and_then(|url| Upstream::at(url).ok())
}

/// The text itself is not repeated: it may hold a password.
pub(super) const UPSTREAM_REMEDY: &str = "say where requests go: write it as http://host:port or https://host:port, such as \
                                          \"http://127.0.0.1:5173\", with a path if it has one; user names and passwords \
                                          are not taken";

const SAMPLE: &str = r#"
[[routes]]
path = "/"
upstream = "http://127.0.0.1:5173"
access = "optional"                    # everybody; whoever is signed in is announced

[[routes]]
path = "/account"
upstream = "http://127.0.0.1:5173"
# access = "required"                  # the default

[[routes]]
path = "/api"
upstream = "http://127.0.0.1:8080/v1"  # its path goes before the request's: /v1/api/…
# bearer = true                        # the user's access token goes along
# identity = "headers"                 # or "jwt": a signed statement of who is there

[[routes]]
path = "/orders"
upstream = "http://127.0.0.1:8081"
audience = "https://orders.example"    # which is one for this API, bought with the session's refresh token
# scope = "orders:read"                # and for no more than this

[[routes]]
path = "/assets"
upstream = "http://127.0.0.1:5173"
access = "public"
bearer = false
"#;
