//! What would become of a request, and why, without anybody sending it: for whoever writes routes and rules.
//!
//! Route, path and rule are decided by the functions that decide for real requests. What only a real session has, its access token
//! above all, is shown as a word in angle brackets.

use std::fmt;

use http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Uri};
use perennial::{Claims, User};
use serde_json::Value;

use crate::gateway::{Gateway, Way};
use crate::identity::{self, statement};
use crate::routing::{Access, Asked, Entry, Fit, Identity, NotFound, Route, host_of};

/// What would become of a request.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Whether it would go on.
    pub verdict: Verdict,
    /// Method, host and path, as they were judged.
    request: String,
    /// Each route in the order in which it is looked at, and what it has to do with the request.
    routes: Vec<(String, &'static str)>,
    /// What a rule sees of the user.
    claims: Option<Claims>,
    rule: Option<String>,
    /// What the upstream would get, line by line.
    upstream: Vec<String>,
}

/// How a [`Trial`] ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes to the upstream, or is for the gateway itself.
    Allowed(String),
    /// It does not, and this is why.
    Denied(String),
}

impl Gateway {
    /// What would become of `request`, such as `GET /admin` or `POST https://app.example/orders`, if somebody with these `claims` sent it; a
    /// stranger if there are none.
    ///
    /// # Errors
    /// What to write instead of a request that is none.
    pub fn try_out(&self, request: &str, claims: Option<Claims>) -> Result<Trial, String> {
        let parts = self.read(request).ok_or(REQUEST_REMEDY)?;
        let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok()).map(host_of).unwrap_or_default();
        let path = parts.uri.path();
        let asked = Asked { host: &host, method: &parts.method, path };
        let found = self.inner.routes.find(asked);
        let taken = found.as_ref().ok().map(|found| found.route);
        let judged = found.as_ref().map_or(path, |found| &found.path);
        let mut trial = Trial {
            verdict: Verdict::Allowed("the gateway answers this itself".to_owned()),
            request: format!("{} {judged} on {host}", parts.method),
            routes: Vec::new(),
            claims: None,
            rule: None,
            upstream: Vec::new(),
        };
        if self.is_own(path) {
            return Ok(trial);
        }
        trial.routes =
            self.inner.routes.fits(asked).map(|(entry, fit)| (shown(entry), reason(entry, fit, taken))).collect();
        match (found, self.inner.way(&parts)) {
            (Ok(_), Ok(way)) => self.judge(&mut trial, &parts, &way, claims),
            (found, _) => {
                trial.verdict = Verdict::Denied(found.err().as_ref().map_or("400 ambiguous_path", why).to_owned())
            }
        }
        Ok(trial)
    }

    fn judge(&self, trial: &mut Trial, parts: &Parts, way: &Way<'_>, claims: Option<Claims>) {
        let route = way.route;
        // Of a public route's sessions nobody asks.
        let claims = claims.filter(|_| route.access != Access::Public);
        let provider = self.auth().providers().next().map(|provider| provider.as_str().to_owned());
        let facts = way.about.about(
            claims.clone().unwrap_or_default(),
            provider.filter(|_| claims.is_some()),
            claims.is_some(),
        );
        trial.rule = route.rule.as_ref().map(|rule| rule.as_str().to_owned());
        trial.claims.clone_from(&claims);
        trial.verdict = match (route.access, &claims, route.admits(&facts)) {
            (Access::Required, None, _) => Verdict::Denied(SIGN_IN.to_owned()),
            (_, None, Err(because)) => Verdict::Denied(format!("{SIGN_IN}; {because}")),
            (_, Some(_), Err(because)) => Verdict::Denied(format!("403 rule_denied: {because}")),
            (_, _, Ok(())) => Verdict::Allowed("it goes to the upstream".to_owned()),
        };
        if let Verdict::Denied(_) = trial.verdict {
            return;
        }
        let mut headers = HeaderMap::new();
        if let Some(claims) = &claims {
            supposed(&mut headers, route, claims);
        }
        route.request_headers.iter().for_each(|header| header.write(&mut headers, &facts));
        let target = crate::upstream::target(route.upstream.url(), &way.target).map(|target| target.to_string());
        trial.upstream.push(format!("{} {}", parts.method, target.unwrap_or_default()));
        trial.upstream.extend(
            headers.iter().map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes()))),
        );
    }

    /// Whether the gateway answers this path itself.
    fn is_own(&self, path: &str) -> bool {
        ["/healthz", "/readyz"].contains(&path) || self.auth().serves(path)
    }

    /// A request as a person writes it.
    fn read(&self, text: &str) -> Option<Parts> {
        let (method, target) = text.trim().split_once(char::is_whitespace)?;
        let uri: Uri = target.trim().parse().ok()?;
        let public = &self.auth().settings().public_url;
        let host = uri.authority().map_or(public.authority(), |authority| authority.as_str());
        let method = Method::from_bytes(method.as_bytes())
            .ok()
            .filter(|method| method.as_str() == method.as_str().to_uppercase())?;
        let origin = uri.path_and_query().filter(|target| target.as_str().starts_with('/'))?.clone();
        let request = Request::builder().method(method).uri(Uri::from(origin)).header(HOST, host).body(()).ok()?;
        Some(request.into_parts().0)
    }
}

/// What an upstream would be told of somebody with these claims.
fn supposed(headers: &mut HeaderMap, route: &Route, claims: &Claims) {
    match route.identity {
        Identity::Headers => {
            let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
            let user =
                User { id: text("sub").unwrap_or_default(), name: text("name"), email: text("email"), image: None };
            identity::announce(headers, user, "<fingerprint of the session>".to_owned());
        }
        Identity::Jwt => drop(headers.insert(statement::HEADER, HeaderValue::from_static("<signed statement>"))),
    }
    if route.bearer {
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer <access token>"));
    }
}

fn shown(Entry { host, route }: &Entry) -> String {
    let methods: Vec<_> = route.methods.iter().map(Method::as_str).collect();
    let methods = if methods.is_empty() { "any method".to_owned() } else { methods.join(" ") };
    let host = host.as_ref().map_or_else(|| "any host".to_owned(), ToString::to_string);
    format!("{} ({host}, {methods}, {})", route.path.as_str(), route.access)
}

fn reason(entry: &Entry, fit: Fit, taken: Option<&Route>) -> &'static str {
    match fit {
        Fit::OtherHost => "for other hosts",
        Fit::OtherPath => "for other paths",
        Fit::OtherMethod => "for other methods",
        Fit::Whole if taken.is_some_and(|taken| std::ptr::eq(taken, &*entry.route)) => "taken",
        Fit::Whole => "fits, but is not the most particular",
    }
}

fn why(none: &NotFound) -> &'static str {
    match none {
        NotFound::AmbiguousPath => {
            "400 ambiguous_path: servers read this path differently, and one reading is a stricter route's"
        }
        NotFound::NoRoute => "404 no_route: no route is for this host and path",
        NotFound::OtherMethods(_) => "405 method_not_allowed: the routes of this host and path are for other methods",
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "request: {}", self.request)?;
        if !self.routes.is_empty() {
            writeln!(f, "routes, in the order in which they are looked at:")?;
            self.routes.iter().try_for_each(|(route, reason)| writeln!(f, "  {route}: {reason}"))?;
        }
        match &self.claims {
            Some(claims) => writeln!(f, "claims: {}", Value::Object(claims.clone()))?,
            None => writeln!(f, "claims: none, nobody is signed in or nobody looks")?,
        }
        if let Some(rule) = &self.rule {
            writeln!(f, "rule: {rule}")?;
        }
        if let [target, headers @ ..] = &self.upstream[..] {
            writeln!(f, "upstream: {target}")?;
            headers.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        }
        match &self.verdict {
            Verdict::Allowed(what) => write!(f, "verdict: ALLOWED, {what}"),
            Verdict::Denied(why) => write!(f, "verdict: DENIED, {why}"),
        }
    }
}

const SIGN_IN: &str = "sign-in is required: page loads are sent there, all else gets 401 not_signed_in";

const REQUEST_REMEDY: &str = "write method and target, such as 'GET /admin' or 'POST https://app.example/orders'";

#[cfg(test)]
mod tests {
    use perennial::secret::{ClientSecret, CookieSecret};
    use perennial::{Auth, Provider};
    use serde_json::json;
    use url::Url;

    use super::*;
    use crate::config::Config;
    use crate::identity::HeaderTemplate;
    use crate::routing::{Expression, HostPattern, PathPattern, Rewrite};
    use crate::upstream::Upstream;

    fn gateway() -> Gateway {
        let provider = Provider::oidc("oidc").issuer("http://127.0.0.1:1").client_id("app");
        let auth = Auth::builder()
            .secret(CookieSecret::new("a secret for tests, long enough"))
            .public_url("http://127.0.0.1:4200")
            .provider(provider.client_secret(ClientSecret::new("secret")));
        let upstream = Upstream::at(Url::parse("http://127.0.0.1:9").expect("a URL")).expect("an upstream");
        let base =
            |path: &str| Route { path: PathPattern::parse(path).expect("a pattern"), ..Route::to(upstream.clone()) };
        let rule = Expression::parse(r#""admins" in claims.groups"#).expect("a rule");
        let header = HeaderTemplate::parse("X-Groups", "claims.groups").expect("a header");
        let admin = base("/admin");
        let rewrite = Rewrite::parse("/", &admin.path).expect("a rewrite");
        let host = HostPattern::parse("other.example").expect("a host");
        let routes = vec![
            base("/"),
            Route { rule: Some(rule), request_headers: vec![header], rewrite: Some(rewrite), ..admin },
            Route { access: Access::Public, methods: vec![Method::GET], ..base("/public") },
            Route { access: Access::Public, hosts: vec![host], identity: Identity::Jwt, ..base("/") },
        ];
        let listen = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let config = Config { listen, store: "memory:".into(), ..Config::new(auth, routes) };
        Gateway::open(config).expect("a gateway")
    }

    #[test]
    fn a_trial_ends_as_the_request_would() {
        let gateway = gateway();
        for (request, groups, allowed, told) in [
            ("GET /admin/users?x", Some(&["admins"][..]), true, "upstream: GET http://127.0.0.1:9/users?x"),
            ("GET /admin", Some(&["admins"]), true, "x-groups: admins"),
            ("GET /admin", Some(&["admins"]), true, "authorization: Bearer <access token>"),
            ("GET /admin", Some(&["admins"]), true, "/admin (any host, any method, required): taken"),
            ("GET /admin", Some(&["admins"]), true, "/ (any host, any method, required): fits, but"),
            ("GET /admin", Some(&["admins"]), true, "/ (other.example, any method, public): for other hosts"),
            ("GET /%61dmin", Some(&[]), false, "request: GET /admin on 127.0.0.1"),
            ("GET /admin", Some(&["staff"]), false, "403 rule_denied: the rule is not met"),
            ("GET /admin", None, false, "401 not_signed_in"),
            ("GET /x", Some(&[]), true, "x-forwarded-user: alice"),
            ("GET /public", None, true, "/public (any host, GET, public): taken"),
            ("POST /public", None, false, "405 method_not_allowed"),
            ("GET /ADMIN", Some(&["admins"]), false, "400 ambiguous_path"),
            ("GET https://other.example/x", None, true, "request: GET /x on other.example"),
            ("GET /auth/session", None, true, "the gateway answers this itself"),
        ] {
            let claims = groups.map(|groups| json!({ "sub": "alice", "groups": groups }));
            let claims = claims.and_then(|claims| claims.as_object().cloned());
            let trial = gateway.try_out(request, claims).expect("a trial");
            let text = trial.to_string();
            assert_eq!(matches!(trial.verdict, Verdict::Allowed(_)), allowed, "{request}: {text}");
            assert!(text.contains(told), "{request}: {told} in {text}");
        }
        for request in ["", "GET", "/admin", "get /admin", "GET admin", "GET http://"] {
            assert!(gateway.try_out(request, None).is_err(), "{request}");
        }
    }
}
