//! The gateway's configuration: a TOML file, or the quick start from environment and command line.

mod providers;
mod reader;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use perennial::secret::{BackendSecret, CookieSecret};
use perennial::store::{OpenError, SessionStore};
use perennial::{
    Audience, Auth, AuthBuilder, Color, ColorScheme, ConfigError, ConfigFault, CookieFormat, IdleFedBy, Pages,
    RenewalPolicy, SessionStrategy, Theme,
};
use url::Url;

use self::providers::provider;
use self::reader::{Reader, Source};
use crate::forward_auth::ForwardAuthSettings;
use crate::routing::{Access, Identity, Route};
use crate::upstream::Upstream;

/// All a gateway is built from.
#[must_use]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where [`Admin`](crate::Admin) is to listen, if it is wanted; who serves the gateway serves that as well.
    pub admin: Option<SocketAddr>,
    /// Where sessions are kept: `memory:`, a path, `redis://…` or `postgres://…`.
    pub store: String,
    /// The engine; its store is still to be opened and given to it.
    pub auth: AuthBuilder,
    /// Who goes where.
    pub routes: Vec<Route>,
    /// Where other proxies ask, if any do; who serves the gateway serves [`ForwardAuth`](crate::ForwardAuth) as well.
    pub forward_auth: Option<ForwardAuthSettings>,
}

/// The quick start without a file: one provider from the environment, sign-in required on every path.
#[derive(Clone, Debug)]
pub struct QuickStart {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where the admin listener is to be, a loopback address.
    pub admin: Option<SocketAddr>,
    /// Where browsers reach the gateway; `AUTH_URL` if absent.
    pub public_url: Option<String>,
    /// Where requests go.
    pub upstream: String,
    /// Where sessions are kept.
    pub store: String,
    /// Whether the four `/api` routes of the SvelteKitAuth recipe are served.
    pub compat_routes: bool,
    /// Whether plain http is accepted on hosts other than loopback.
    pub dangerous_allow_http: bool,
}

impl Config {
    /// The store's name for people to read: of a URL its scheme alone, because the rest may hold a password.
    pub fn store_shown(&self) -> &str {
        match self.store.split_once("://") {
            Some((scheme, _)) if scheme != "file" => scheme,
            _ => &self.store,
        }
    }

    /// Builds the quick start; `variables` are usually `std::env::vars()`.
    ///
    /// # Errors
    /// [`ConfigError`] when the upstream is no URL, with all the engine finds wrong; if that is all there is, it comes when the
    /// engine is built.
    pub fn quick(
        start: QuickStart,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut faults = Vec::new();
        let upstream = upstream(&start.upstream);
        if upstream.is_none() {
            faults.push(ConfigFault::new("upstream", "command line", UPSTREAM_REMEDY));
        }
        if start.admin.is_some_and(|admin| !admin.ip().is_loopback()) {
            faults.push(ConfigFault::new("admin.listen", "command line", ADMIN_REMEDY));
        }
        let variables: Vec<(String, String)> = variables.into_iter().collect();
        let replica_name = host_name(&variables);
        let mut auth = Auth::builder().environment(variables).compat_routes(start.compat_routes);
        if let Some(name) = replica_name {
            auth = auth.replica_name(name);
        }
        if let Some(url) = start.public_url {
            auth = auth.public_url(url).places([("public_url".to_owned(), "command line".to_owned())]);
        }
        if start.dangerous_allow_http {
            auth = auth.dangerous_allow_http();
        }
        match upstream {
            Some(upstream) if faults.is_empty() => Ok(Self {
                listen: start.listen,
                admin: start.admin,
                store: start.store,
                auth,
                routes: vec![Route {
                    path: "/".into(),
                    upstream,
                    access: Access::Required,
                    bearer: true,
                    identity: Identity::Headers,
                    audience: None,
                }],
                forward_auth: None,
            }),
            _ => Err(all_faults(auth, faults)),
        }
    }

    /// Reads a file. Secrets and whatever else Auth.js takes from the environment come from `variables`.
    ///
    /// # Errors
    /// [`ConfigError`] with every fault of the file, each with its line, and all the engine finds wrong; if that is all there is,
    /// it comes when the engine is built.
    pub fn from_toml(
        name: &str,
        text: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let variables: Vec<(String, String)> = variables.into_iter().collect();
        let mut faults = Vec::new();
        let mut file = Reader::open(Source { name, text }).map_err(|faults| ConfigError { faults })?;
        let mut auth = Auth::builder().environment(variables.iter().cloned()).places(file.places());

        let listen_remedy = "write address and port, such as \"127.0.0.1:4200\"";
        let listen = file.parsed("listen", listen_remedy, &mut faults, |text| text.parse().ok());
        let listen = listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 4200)));
        let store_place = file.place_of("store");
        let store = file.text("store", &mut faults).unwrap_or_else(|| "perennial.redb".into());
        if let Some(opened) = on_a_server(&store) {
            match opened {
                Ok(opened) => auth = auth.store(opened),
                Err(error) => faults.push(ConfigFault::new("store", store_place, error.to_string())),
            }
        }
        let place = file.place_of("secret_files");
        for path in file.texts("secret_files", &mut faults).unwrap_or_default() {
            let secret = secret_file("secret_files", &path, &place, &mut faults);
            auth = secret.into_iter().fold(auth, |auth, secret| auth.secret(CookieSecret::new(secret)));
        }
        let place = file.place_of("backend_secret_files");
        let backends = !file.is_missing("backend_secret_files")
            || variables.iter().any(|(name, value)| name == "AUTH_BACKEND_SECRET" && !value.is_empty());
        for path in file.texts("backend_secret_files", &mut faults).unwrap_or_default() {
            let secret = secret_file("backend_secret_files", &path, &place, &mut faults);
            auth = secret.into_iter().fold(auth, |auth, secret| auth.backend_secret(BackendSecret::new(secret)));
        }
        auth = engine_settings(auth, &mut file, &mut faults);
        if let Some(name) = file.text("replica_name", &mut faults).or_else(|| host_name(&variables)) {
            auth = auth.replica_name(name);
        }
        let admin = admin_settings(file.section("admin", &mut faults), &mut faults);
        auth = session_settings(auth, file.section("session", &mut faults), &mut faults);
        auth = auth.pages(page_settings(file.section("pages", &mut faults), &mut faults));
        auth = auth.theme(theme_settings(file.section("theme", &mut faults), &mut faults));
        auth = auth.renewal(renewal_settings(file.section("renewal", &mut faults), &mut faults));
        for (section, _) in file.sections("providers", &mut faults) {
            if let Some(provider) = provider(section, &variables, &mut faults) {
                auth = auth.provider(provider);
            }
        }
        let routes = routes(&mut file, backends, &mut faults);
        file.close(TOP, &mut faults);
        if faults.is_empty() {
            Ok(Self { listen, admin, store, auth, routes, forward_auth: None })
        } else {
            Err(all_faults(auth, faults))
        }
    }
}

/// The store that `name` names, if it is one on a server: it contacts nobody before its first call, so that a check finds what
/// is wrong with its URL. Files are opened by the gateway alone.
pub(crate) fn on_a_server(name: &str) -> Option<Result<Arc<dyn SessionStore>, OpenError>> {
    let here = !name.contains("://") || name.starts_with("file:") || name.starts_with("memory:");
    (!here).then(|| perennial::store::open(name))
}

/// What was found here together with all that the engine finds, so that nobody has to correct a file twice.
fn all_faults(auth: AuthBuilder, faults: Vec<ConfigFault>) -> ConfigError {
    let found = faults.clone();
    match faults.into_iter().fold(auth, AuthBuilder::fault).build() {
        Err(error) => error,
        // It was given faults, so it does not build.
        Ok(_) => ConfigError { faults: found },
    }
}

const TOP: &[&str] = &[
    "listen",
    "public_url",
    "base_path",
    "store",
    "replicas",
    "secret_files",
    "backend_secret_files",
    "compat_routes",
    "return_origins",
    "updatable_claims",
    "replica_name",
    "dangerous_allow_http",
    "[admin]",
    "[session]",
    "[pages]",
    "[theme]",
    "[renewal]",
    "[[providers]]",
    "[[routes]]",
];

fn engine_settings(mut auth: AuthBuilder, file: &mut Reader<'_>, faults: &mut Vec<ConfigFault>) -> AuthBuilder {
    if let Some(url) = file.text("public_url", faults) {
        auth = auth.public_url(url);
    }
    if let Some(path) = file.text("base_path", faults) {
        auth = auth.base_path(path);
    }
    if let Some(replicas) = file.whole_number("replicas", faults) {
        auth = auth.replicas(replicas);
    }
    if let Some(on) = file.flag("compat_routes", faults) {
        auth = auth.compat_routes(on);
    }
    for origin in file.texts("return_origins", faults).unwrap_or_default() {
        auth = auth.return_origin(origin);
    }
    if let Some(claims) = file.texts("updatable_claims", faults) {
        auth = auth.updatable_claims(claims);
    }
    if file.flag("dangerous_allow_http", faults) == Some(true) {
        auth = auth.dangerous_allow_http();
    }
    auth
}

fn secret_file(key: &str, path: &str, place: &str, faults: &mut Vec<ConfigFault>) -> Option<String> {
    match std::fs::read_to_string(path) {
        Ok(secret) => Some(secret.trim().to_owned()),
        Err(error) => {
            faults.push(ConfigFault::new(key, place, format!("make `{path}` readable: {error}")));
            None
        }
    }
}

fn admin_settings(mut section: Reader<'_>, faults: &mut Vec<ConfigFault>) -> Option<SocketAddr> {
    let public = section.flag("dangerous_admin_public", faults) == Some(true);
    let listen = section.parsed("listen", ADMIN_REMEDY, faults, |text| {
        text.parse().ok().filter(|address: &SocketAddr| public || address.ip().is_loopback())
    });
    section.close(&["listen", "dangerous_admin_public"], faults);
    listen
}

/// What orchestrators call this process: the end of it, which is what tells replicas apart.
fn host_name(variables: &[(String, String)]) -> Option<String> {
    let (_, name) = variables.iter().find(|(name, _)| name == "HOSTNAME")?;
    let plain: Vec<char> = name.chars().filter(|char| char.is_ascii_alphanumeric() || "._-".contains(*char)).collect();
    let end = plain.iter().skip(plain.len().saturating_sub(REPLICA_NAME_CHARS)).collect::<String>();
    (!end.is_empty()).then_some(end)
}

/// The longest name that a session's history keeps.
const REPLICA_NAME_CHARS: usize = 32;

fn session_settings(mut auth: AuthBuilder, mut section: Reader<'_>, faults: &mut Vec<ConfigFault>) -> AuthBuilder {
    if let Some(age) = section.duration("max_age", faults) {
        auth = auth.max_age(age);
    }
    if let Some(age) = section.duration("update_age", faults) {
        auth = auth.update_age(age);
    }
    if let Some(age) = section.duration("absolute_max_age", faults) {
        auth = auth.absolute_max_age(age);
    }
    if let Some(time) = section.duration("secret_roll_out", faults) {
        auth = auth.secret_roll_out(time);
    }
    let strategies = [("jwt", SessionStrategy::Jwt), ("database", SessionStrategy::Database)];
    if let Some(strategy) = section.choice("strategy", &strategies, faults) {
        auth = auth.strategy(strategy);
    }
    let feeders = [("interactive", IdleFedBy::Interactive), ("any", IdleFedBy::Any)];
    if let Some(which) = section.choice("idle_fed_by", &feeders, faults) {
        auth = auth.idle_fed_by(which);
    }
    if let Some(epoch) = section.whole_number("epoch", faults) {
        auth = auth.epoch(epoch.into());
    }
    let formats = [("authjs-5", CookieFormat::AuthJs5), ("next-auth-4", CookieFormat::NextAuth4)];
    if let Some(format) = section.choice("cookie_format", &formats, faults) {
        auth = auth.cookie_format(format);
    }
    let known = [
        "strategy",
        "max_age",
        "update_age",
        "absolute_max_age",
        "idle_fed_by",
        "epoch",
        "secret_roll_out",
        "cookie_format",
    ];
    section.close(&known, faults);
    auth
}

fn page_settings(mut section: Reader<'_>, faults: &mut Vec<ConfigFault>) -> Pages {
    let pages = Pages {
        sign_in: section.text("sign_in", faults),
        sign_out: section.text("sign_out", faults),
        error: section.text("error", faults),
    };
    section.close(&["sign_in", "sign_out", "error"], faults);
    pages
}

fn theme_settings(mut section: Reader<'_>, faults: &mut Vec<ConfigFault>) -> Theme {
    let schemes = [("auto", ColorScheme::Auto), ("dark", ColorScheme::Dark), ("light", ColorScheme::Light)];
    let remedy = "write it in hexadecimal digits, such as \"#346df1\"";
    let theme = Theme {
        color_scheme: section.choice("color_scheme", &schemes, faults).unwrap_or_default(),
        logo: section.text("logo", faults),
        brand_color: section.parsed("brand_color", remedy, faults, Color::parse),
        button_text: section.parsed("button_text", remedy, faults, Color::parse),
    };
    section.close(&["color_scheme", "logo", "brand_color", "button_text"], faults);
    theme
}

fn renewal_settings(mut section: Reader<'_>, faults: &mut Vec<ConfigFault>) -> RenewalPolicy {
    let mut policy = RenewalPolicy::default();
    let mut set = |key: &str, setting: &mut Duration| {
        if let Some(duration) = section.duration(key, faults) {
            *setting = duration;
        }
    };
    set("renew_before", &mut policy.renew_before);
    set("call_deadline", &mut policy.call_deadline);
    set("wait_max", &mut policy.wait_max);
    set("patience", &mut policy.patience);
    set("min_interval", &mut policy.min_interval);
    let mut set = |key: &str, setting: &mut u32| {
        if let Some(number) = section.whole_number(key, faults) {
            *setting = number;
        }
    };
    set("max_per_second", &mut policy.max_per_second);
    set("max_at_once", &mut policy.max_at_once);
    policy.renew_after = section.duration("renew_after", faults);
    policy.default_lifetime = section.duration("default_lifetime", faults);
    let known = [
        "renew_before",
        "renew_after",
        "default_lifetime",
        "call_deadline",
        "wait_max",
        "patience",
        "min_interval",
        "max_per_second",
        "max_at_once",
    ];
    section.close(&known, faults);
    policy
}

/// An application that asks as a backend serves the browser itself: then there may be nothing to pass on.
fn routes(file: &mut Reader<'_>, backends: bool, faults: &mut Vec<ConfigFault>) -> Vec<Route> {
    let place = file.place_of("routes");
    let sections = file.sections("routes", faults);
    if sections.is_empty() && !backends && !faults.iter().any(|fault| fault.key == "routes") {
        let remedy = "say where requests go: [[routes]] with path, upstream and access";
        faults.push(ConfigFault::new("routes", place, remedy));
    }
    let mut routes: Vec<Route> = Vec::new();
    for (section, place) in sections {
        let key = section.key("path");
        let Some(route) = route(section, &place, faults) else { continue };
        if routes.iter().any(|other| other.path.trim_end_matches('/') == route.path.trim_end_matches('/')) {
            faults.push(ConfigFault::new(key, place, "choose a path that no other route has"));
        }
        routes.push(route);
    }
    routes
}

fn route(mut section: Reader<'_>, place: &str, faults: &mut Vec<ConfigFault>) -> Option<Route> {
    let before = faults.len();
    let path_remedy = "begin the path with a slash and write it as browsers send it, without a query, such as \"/api\"";
    let path = section.parsed("path", path_remedy, faults, |path| is_plain_path(path).then(|| path.to_owned()));
    let missing = section.is_missing("upstream");
    let upstream = section.parsed("upstream", UPSTREAM_REMEDY, faults, upstream);
    if missing {
        let remedy = "say where requests go, such as \"http://127.0.0.1:5173\"";
        faults.push(ConfigFault::new(section.key("upstream"), place, remedy));
    }
    let accesses = [("public", Access::Public), ("optional", Access::Optional), ("required", Access::Required)];
    // Whoever forgets to say it wants it shut.
    let access = section.choice("access", &accesses, faults).unwrap_or(Access::Required);
    let bearer = section.flag("bearer", faults).unwrap_or(true);
    let identities = [("headers", Identity::Headers), ("jwt", Identity::Jwt)];
    let identity = section.choice("identity", &identities, faults).unwrap_or_default();
    let audience = audience(&mut section, faults);
    if audience.is_some() && (access == Access::Public || !bearer) {
        let remedy = "leave it out, or let the route have sessions and their bearer: access \"required\" or \"optional\", bearer true";
        faults.push(ConfigFault::new(section.key("audience"), place, remedy));
    }
    section.close(&["path", "upstream", "access", "bearer", "identity", "audience", "scope"], faults);
    let good = faults.len() == before;
    upstream.filter(|_| good).map(|upstream| Route {
        path: path.unwrap_or_else(|| "/".into()),
        upstream,
        access,
        bearer,
        identity,
        audience: audience.map(Arc::new),
    })
}

/// Whom the access tokens of a route are for: an API by name, less than all that was granted, or both.
fn audience(section: &mut Reader<'_>, faults: &mut Vec<ConfigFault>) -> Option<Audience> {
    let filled = |text: &str| (!text.trim().is_empty()).then(|| text.to_owned());
    let name_remedy = "write the name by which the provider knows the API, such as \"https://orders.example\"";
    let scope_remedy = "write scope tokens separated by spaces, such as \"orders:read\"";
    let name = section.parsed("audience", name_remedy, faults, filled);
    let scope = section.parsed("scope", scope_remedy, faults, filled);
    match (name, scope) {
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

fn upstream(text: &str) -> Option<Upstream> {
    let url = Url::parse(text).ok()?;
    let plain = ["http", "https"].contains(&url.scheme())
        && url.host().is_some()
        && url.username().is_empty()
        && url.password().is_none();
    (plain && url.query().is_none() && url.fragment().is_none()).then_some(url).and_then(|url| Upstream::at(url).ok())
}

const ADMIN_REMEDY: &str = "write a loopback address and a port, such as \"127.0.0.1:9420\"; one that others can reach takes \
                            dangerous_admin_public = true in the file's [admin]";

/// The text itself is not repeated: it may hold a password.
const UPSTREAM_REMEDY: &str = "write it as http://host:port or https://host:port, with a path if it has one; user names and \
                               passwords are not taken";
