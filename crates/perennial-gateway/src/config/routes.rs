//! `[[routes]]`: who goes where.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::Method;
use perennial::{Audience, ConfigFault};
use url::Url;

use super::setting::{DAY, Range, Section, Setting};
use super::upstreams::upstreams;
use super::values::Values;
use crate::identity::HeaderTemplate;
use crate::routing::{Access, CsrfGuard, Expression, HostPattern, Identity, PathPattern, Reach, Rewrite, Route};
use crate::upstream::Upstream;

pub(super) const ROUTES: Section = Section::new(
    "routes",
    "Who goes where. The most particular route that covers the request decides.",
    &[
        Setting::texts(
            "hosts",
            "the hosts it is for: `\"app.example.com\"`, or `\"*.example.com\"` for all names below. See \
             [which route](routing.md#which-route-a-request-takes)",
        )
        .falls_back_to("all"),
        Setting::texts("methods", "the methods it is for; `GET` covers `HEAD`").falls_back_to("all"),
        Setting::text(
            "path",
            "the beginning of the path, whole segments: `\"/api\"` covers `/api` and `/api/x`, not `/apiary`. `{id}` stands for any \
             segment, `{*rest}` at the end for what lies below",
        )
        .default("/"),
        Setting::flag("exact", "that path alone, and nothing below it"),
        Setting::text("upstream", "where requests go, by URL or by the name of one of the [upstreams](#upstreams); its own path is put before theirs")
            .required()
            .value("text, `http://…`, `https://…` or a name")
            .remedy(UPSTREAM_REMEDY),
        Setting::choice(
            "access",
            &["public", "optional", "required"],
            "everybody, without a look at sessions; everybody, and whoever is signed in is announced; only those who are signed in",
        )
        // Whoever forgets to say it wants it shut.
        .default("required"),
        Setting::text(
            "rule",
            "what must be true of who may pass, in CEL: `'\"admins\" in claims.groups'`. See [rules](routing.md#rules)",
        ),
        Setting::choice(
            "csrf",
            &["off", "site", "origin"],
            "whose pages may write there with a session: everybody's, those of the same site, or those of the same origin alone. See \
             [writes from other sites](routing.md#writes-from-other-sites)",
        )
        .default("site"),
        Setting::flag(
            "keep_post",
            "keep a form that a stranger posts while they sign in, and [offer it](routing.md#forms-that-meet-a-sign-in) afterwards",
        ),
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
        Setting::text(
            "rewrite",
            "what takes the place of `path` on the way to the upstream: `\"/\"` takes it away, `\"/v2/{id}\"` uses a name of it",
        ),
        Setting::time("timeout", Range::of_millis(1, DAY, "1 millisecond to 1 day"), "how long the upstream may take to begin its answer")
            .falls_back_to("the upstream's own"),
        Setting::size("body_max", Range::of(0, 1 << 40, "0 bytes to 1 TiB"), "how much a request's body may have; more is 413 `body_too_large`")
            .falls_back_to("any"),
        Setting::map(
            "request_headers",
            "further headers for the upstream, each with an expression in CEL: `X-Groups = 'claims.groups'`. See \
             [what the application is told](routing.md#what-the-application-is-told)",
        ),
    ],
)
.sample(SAMPLE);

/// An application that asks as a backend serves the browser itself: then there may be nothing to pass on.
pub(super) fn routes(top: &Values, backends: bool, faults: &mut Vec<ConfigFault>) -> Vec<Route> {
    let tables = top.tables("routes");
    if tables.is_empty() && !backends && !faults.iter().any(|fault| fault.key == "routes") {
        faults.push(top.fault("routes", "say where requests go: [[routes]] with path, upstream and access"));
    }
    let named = upstreams(top, faults);
    let mut routes: Vec<Route> = Vec::new();
    for table in tables {
        let Some(route) = route(table, &named, faults) else { continue };
        if routes.iter().any(|other| other.clashes_with(&route)) {
            faults.push(table.fault("path", "choose a path that no other route has for these hosts and methods"));
        }
        routes.push(route);
    }
    routes
}

fn route(route: &Values, named: &BTreeMap<String, Option<Upstream>>, faults: &mut Vec<ConfigFault>) -> Option<Route> {
    let reach = if route.flag("exact") { Reach::Exact } else { Reach::Below };
    let path = judged(route, "path", faults, PathPattern::parse).map(|path| path.reaching(reach));
    let upstream = route.parsed("upstream", faults, |text| match named.get(text) {
        Some(named) => Some(named.clone()),
        None => upstream(text).map(Some),
    });
    let accesses = [("public", Access::Public), ("optional", Access::Optional), ("required", Access::Required)];
    let access = route.choice("access", &accesses).unwrap_or(Access::Required);
    let identities = [("headers", Identity::Headers), ("jwt", Identity::Jwt)];
    let bearer = route.flag("bearer");
    let audience = audience(route, faults);
    if audience.is_some() && (access == Access::Public || !bearer) {
        let remedy = "leave it out, or let the route have sessions and their bearer: access \"required\" or \"optional\", bearer true";
        faults.push(route.fault("audience", remedy));
    }
    let rule = judged(route, "rule", faults, Expression::parse);
    if route.is_given("rule") && access == Access::Public {
        faults.push(
            route.fault("rule", "leave it out, or let the route look at sessions: access \"required\" or \"optional\""),
        );
    }
    let keep_post = route.flag("keep_post");
    if keep_post && access != Access::Required {
        faults.push(route.fault("keep_post", "leave it out, or have the route require sign-in: access \"required\""));
    }
    let guards = [("off", CsrfGuard::Off), ("site", CsrfGuard::Site), ("origin", CsrfGuard::Origin)];
    let (hosts, methods) =
        (listed(route, "hosts", faults, HostPattern::parse), listed(route, "methods", faults, method));
    let request_headers = request_headers(route, faults);
    let path = path?;
    let rewrite = judged(route, "rewrite", faults, |text| Rewrite::parse(text, &path));
    Some(Route {
        hosts,
        methods,
        path,
        access,
        rule,
        csrf: route.choice("csrf", &guards).unwrap_or_default(),
        keep_post,
        bearer,
        identity: route.choice("identity", &identities).unwrap_or_default(),
        audience: audience.map(Arc::new),
        request_headers,
        rewrite,
        timeout: route.time("timeout"),
        body_max: route.number("body_max"),
        ..Route::to(upstream??)
    })
}

/// A text that means something; if it does not, `read` says what to do.
fn judged<T, E: Into<String>>(
    route: &Values,
    key: &str,
    faults: &mut Vec<ConfigFault>,
    read: impl FnOnce(&str) -> Result<T, E>,
) -> Option<T> {
    read(&route.text(key)?).map_err(|remedy| faults.push(route.fault(key, remedy))).ok()
}

/// Texts that mean something, each.
fn listed<T, E: Into<String>>(
    route: &Values,
    key: &str,
    faults: &mut Vec<ConfigFault>,
    read: impl Fn(&str) -> Result<T, E>,
) -> Vec<T> {
    let texts = route.texts(key);
    let emptied = texts.is_empty() && route.is_given(key);
    faults.extend(emptied.then(|| route.fault(key, "name at least one, or leave it out for all")));
    let read = texts.iter().filter_map(|text| read(text).map_err(|remedy| faults.push(route.fault(key, remedy))).ok());
    read.collect()
}

fn method(text: &str) -> Result<Method, &'static str> {
    let method = Method::from_bytes(text.as_bytes())
        .ok()
        .filter(|_| text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-'));
    let served = method.filter(|method| ![Method::CONNECT, Method::TRACE].contains(method));
    served.ok_or("write methods in capital letters, such as [\"GET\", \"POST\"]; CONNECT and TRACE are never served")
}

fn request_headers(route: &Values, faults: &mut Vec<ConfigFault>) -> Vec<HeaderTemplate> {
    let read = |(name, value): &(String, String)| match HeaderTemplate::parse(name, value) {
        Ok(header) => Some(header),
        Err(remedy) => {
            let key = format!("{}.{name}", route.key("request_headers"));
            faults.push(ConfigFault::new(key, route.place_of("request_headers"), remedy));
            None
        }
    };
    route.map("request_headers").iter().filter_map(read).collect()
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

/// An upstream by its URL, if we can speak to it.
pub(super) fn upstream(text: &str) -> Option<Upstream> {
    upstream_url(text).and_then(|url| Upstream::at(url).ok())
}

/// A URL that says where an upstream is, and nothing else.
pub(super) fn upstream_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let plain = ["http", "https"].contains(&url.scheme())
        && url.host().is_some()
        && url.username().is_empty()
        && url.password().is_none();
    (plain && url.query().is_none() && url.fragment().is_none()).then_some(url)
}

/// The text itself is not repeated: it may hold a password.
pub(super) const UPSTREAM_REMEDY: &str = "say where requests go: write it as http://host:port or https://host:port, such as \
                                          \"http://127.0.0.1:5173\", with a path if it has one; user names and passwords \
                                          are not taken. Or name one of [[upstreams]]";

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
methods = ["GET"]
upstream = "http://127.0.0.1:5173"
access = "public"
bearer = false

[[routes]]
hosts = ["app.example.com"]            # all hosts unless named
path = "/admin/users/{id}"
# exact = false                        # covers what lies below, too
upstream = "http://127.0.0.1:8082"
rule = '"admins" in claims.groups || params.id == claims.sub'
csrf = "origin"                        # or "site", the default, or "off"
# keep_post = false                    # a form that meets a sign-in goes on after it
rewrite = "/users/{id}"
timeout = "10s"
body_max = "1MiB"

[routes.request_headers]
X-Groups = 'claims.groups'
"#;

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn each_fault_of_a_route_says_what_to_do() {
        for (lines, key, remedy) in [
            ("hosts = [\"a.example:80\"]", "hosts", "without a port"),
            ("hosts = []", "hosts", "leave it out for all"),
            ("methods = [\"get\"]", "methods", "capital letters"),
            ("methods = [\"TRACE\"]", "methods", "never served"),
            ("path = \"/{Id}\"", "path", "small letters"),
            ("path = \"/{*rest}/x\"", "path", "at the end"),
            ("path = \"/a/../b\"", "path", "as browsers send it"),
            ("rule = \"claim.groups\"", "rule", "there is no `claim`"),
            ("rule = \"claims.groups ==\"", "rule", "correct the expression"),
            ("rule = \"true\"\naccess = \"public\"", "rule", "\"required\" or \"optional\""),
            ("csrf = \"on\"", "csrf", "\"off\", \"site\", \"origin\""),
            ("keep_post = true\naccess = \"optional\"", "keep_post", "\"required\""),
            ("rewrite = \"/{id}\"", "rewrite", "names of single segments"),
            ("rewrite = \"/../x\"", "rewrite", "begin with"),
            ("timeout = \"0s\"", "timeout", "1 millisecond to 1 day"),
            ("timeout = \"2d\"", "timeout", "1 millisecond to 1 day"),
            ("body_max = \"2TiB\"", "body_max", "unit"),
            ("body_max = 1099511627777", "body_max", "1 TiB"),
            ("request_headers = { Host = \"claims.sub\" }", "request_headers.Host", "another name"),
            ("request_headers = { X-A = \"\" }", "request_headers.X-A", "write an expression"),
        ] {
            let text = format!(
                "public_url = \"https://app.example\"\nstore = \"memory:\"\n[[routes]]\nupstream = \"http://127.0.0.1:1\"\n{lines}\n"
            );
            let Err(error) = Config::from_toml("perennial.toml", &text, []) else { panic!("{lines} is taken") };
            let key = format!("routes[0].{key}");
            let fault = error.faults.iter().find(|fault| fault.key == key);
            let fault = fault.unwrap_or_else(|| panic!("{key} is not among {:?} of {lines}", error.faults));
            assert!(fault.remedy.contains(remedy), "{remedy:?} is missing: {fault} for {lines}");
            assert!(fault.place.starts_with("perennial.toml:"), "{fault}");
        }
    }
}
