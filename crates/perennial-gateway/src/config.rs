//! The gateway's configuration: a TOML file, or the quick start from environment and command line.

use std::net::SocketAddr;
use std::time::Duration;

use perennial::JwsAlgorithm;
use perennial::provider::{ClientAuthenticationMethod, RefreshClass};
use perennial::secret::{ClientSecret, CookieSecret, PrivateKeyPem};
use perennial::{Auth, AuthBuilder, ConfigError, ConfigFault, Pages, Provider, ProviderBuilder, RenewalPolicy};
use url::Url;

use crate::reader::{Reader, Source};
use crate::route::{Access, Route};

/// All a gateway is built from.
#[must_use]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where sessions are kept: `memory:`, a path, later `redis://…` or `postgres://…`.
    pub store: String,
    /// The engine; its store is still to be opened and given to it.
    pub auth: AuthBuilder,
    /// Who goes where.
    pub routes: Vec<Route>,
}

/// The quick start without a file: one provider from the environment, sign-in required on every path.
#[derive(Clone, Debug)]
pub struct QuickStart {
    /// Where to listen.
    pub listen: SocketAddr,
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
    /// Builds the quick start; `variables` are usually `std::env::vars()`.
    ///
    /// # Errors
    /// [`ConfigError`] when the upstream is no URL; the engine's own faults come when it is built.
    pub fn quick(
        start: QuickStart,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut faults = Vec::new();
        let upstream = upstream(&start.upstream, "upstream", "command line", &mut faults);
        let mut auth = Auth::builder().environment(variables).compat_routes(start.compat_routes);
        if let Some(url) = start.public_url {
            auth = auth.public_url(url);
        }
        if start.dangerous_allow_http {
            auth = auth.dangerous_allow_http();
        }
        match upstream {
            Some(upstream) => Ok(Self {
                listen: start.listen,
                store: start.store,
                auth,
                routes: vec![Route { path: "/".into(), upstream, access: Access::Required, bearer: true }],
            }),
            None => Err(ConfigError { faults }),
        }
    }

    /// Reads a file. Secrets and whatever else Auth.js takes from the environment come from `variables`.
    ///
    /// # Errors
    /// [`ConfigError`] with every fault of the file, each with its line; the engine's own come when it is built.
    pub fn from_toml(
        name: &str,
        text: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let variables: Vec<(String, String)> = variables.into_iter().collect();
        let mut faults = Vec::new();
        let mut file = Reader::open(Source { name, text }, &mut faults);
        let mut auth = Auth::builder().environment(variables.iter().cloned());

        let listen = file.text("listen", &mut faults).unwrap_or_else(|| "127.0.0.1:4200".into());
        let listen = listen.parse().unwrap_or_else(|_| {
            faults.push(ConfigFault::new("listen", name, "write address and port, such as 127.0.0.1:4200"));
            SocketAddr::from(([127, 0, 0, 1], 4200))
        });
        let store = file.text("store", &mut faults).unwrap_or_else(|| "perennial.redb".into());
        for secret_file in file.texts("secret_files", &mut faults).unwrap_or_default() {
            auth = with_secret_file(auth, &secret_file, name, &mut faults);
        }
        auth = engine_settings(auth, &mut file, &mut faults);
        auth = session_settings(auth, file.section("session", &mut faults), &mut faults);
        auth = auth.pages(page_settings(file.section("pages", &mut faults), &mut faults));
        auth = auth.renewal(renewal_settings(file.section("renewal", &mut faults), &mut faults));
        for (section, place) in file.sections("providers", &mut faults) {
            if let Some(provider) = provider(section, &place, &variables, &mut faults) {
                auth = auth.provider(provider);
            }
        }
        let sections = file.sections("routes", &mut faults);
        if sections.is_empty() {
            faults.push(ConfigFault::new(
                "routes",
                name,
                "say where requests go: [[routes]] with path, upstream and access",
            ));
        }
        let routes = sections.into_iter().filter_map(|(section, place)| route(section, &place, &mut faults)).collect();
        file.close(TOP, &mut faults);
        if faults.is_empty() { Ok(Self { listen, store, auth, routes }) } else { Err(ConfigError { faults }) }
    }
}

const TOP: &[&str] = &[
    "listen",
    "public_url",
    "base_path",
    "store",
    "secret_files",
    "compat_routes",
    "return_origins",
    "updatable_claims",
    "dangerous_allow_http",
    "[session]",
    "[pages]",
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

fn with_secret_file(auth: AuthBuilder, path: &str, place: &str, faults: &mut Vec<ConfigFault>) -> AuthBuilder {
    match std::fs::read_to_string(path) {
        Ok(secret) => auth.secret(CookieSecret::new(secret.trim())),
        Err(error) => {
            faults.push(ConfigFault::new("secret_files", place, format!("make `{path}` readable: {error}")));
            auth
        }
    }
}

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
    section.close(&["max_age", "update_age", "absolute_max_age"], faults);
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
    policy.renew_after = section.duration("renew_after", faults);
    policy.default_lifetime = section.duration("default_lifetime", faults);
    let known =
        ["renew_before", "renew_after", "default_lifetime", "call_deadline", "wait_max", "patience", "min_interval"];
    section.close(&known, faults);
    policy
}

fn provider(
    mut section: Reader<'_>,
    place: &str,
    variables: &[(String, String)],
    faults: &mut Vec<ConfigFault>,
) -> Option<ProviderBuilder> {
    let preset = section.text("preset", faults).unwrap_or_else(|| "oidc".into());
    let mut provider = match Provider::preset(&preset) {
        Ok(provider) => provider,
        Err(error) => {
            faults.push(ConfigFault::new("providers.preset", place, error.to_string()));
            return None;
        }
    };
    type Setter = fn(ProviderBuilder, String) -> ProviderBuilder;
    let setters: [(&str, Setter); 11] = [
        ("id", |p, v| p.id(v)),
        ("name", |p, v| p.name(v)),
        ("issuer", |p, v| p.issuer(v)),
        ("client_id", |p, v| p.client_id(v)),
        ("scope", |p, v| p.scope(v)),
        ("authorization_endpoint", |p, v| p.authorization_endpoint(v)),
        ("token_endpoint", |p, v| p.token_endpoint(v)),
        ("userinfo_endpoint", |p, v| p.userinfo_endpoint(v)),
        ("jwks_uri", |p, v| p.jwks_uri(v)),
        ("end_session_endpoint", |p, v| p.end_session_endpoint(v)),
        ("revocation_endpoint", |p, v| p.revocation_endpoint(v)),
    ];
    for (key, set) in setters {
        if let Some(value) = section.text(key, faults) {
            provider = set(provider, value);
        }
    }
    let methods = ClientAuthenticationMethod::ALL.map(|method| (method.as_str(), method));
    if let Some(method) = section.choice("client_authentication", &methods, faults) {
        provider = provider.client_authentication_method(method);
    }
    if let Some(secret) = client_secret(&mut section, place, variables, faults) {
        provider = provider.client_secret(ClientSecret::new(secret));
    }
    if let Some((key, alg)) = private_key(&mut section, place, faults) {
        provider = provider.private_key(key, section.text("private_key_id", faults), alg);
    }
    if let Some(at_kill) = section.flag("at_kill", faults) {
        provider = provider.at_kill(at_kill);
    }
    if let Some(class) = refresh_class(&mut section, place, faults) {
        provider = provider.class(class);
    }
    if section.flag("dangerous_allow_http", faults) == Some(true) {
        provider = provider.dangerous_allow_http();
    }
    let mut parameters = section.section("authorization_params", faults);
    for (name, value) in parameters.take_texts(faults) {
        provider = provider.authorization_param(name, value);
    }
    let mut known: Vec<&str> = setters.iter().map(|(key, _)| *key).collect();
    known.extend([
        "preset",
        "client_authentication",
        "client_secret_env",
        "client_secret_file",
        "private_key_file",
        "private_key_id",
        "private_key_alg",
        "at_kill",
        "refresh_class",
        "refresh_window",
        "dangerous_allow_http",
        "[providers.authorization_params]",
    ]);
    section.close(&known, faults);
    Some(provider)
}

/// A secret stands in a file or in the environment, not in the configuration.
fn client_secret(
    section: &mut Reader<'_>,
    place: &str,
    variables: &[(String, String)],
    faults: &mut Vec<ConfigFault>,
) -> Option<String> {
    if let Some(name) = section.text("client_secret_env", faults) {
        let found = variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| value.clone());
        if found.is_none() {
            let remedy = format!("set the environment variable {name}");
            faults.push(ConfigFault::new("providers.client_secret_env", place, remedy));
        }
        return found;
    }
    let path = section.text("client_secret_file", faults)?;
    match std::fs::read_to_string(&path) {
        Ok(secret) => Some(secret.trim().to_owned()),
        Err(error) => {
            let remedy = format!("make `{path}` readable: {error}");
            faults.push(ConfigFault::new("providers.client_secret_file", place, remedy));
            None
        }
    }
}

/// The key of `private_key_jwt`, a PKCS#8 PEM file.
fn private_key(
    section: &mut Reader<'_>,
    place: &str,
    faults: &mut Vec<ConfigFault>,
) -> Option<(PrivateKeyPem, JwsAlgorithm)> {
    let algs = ["ES256", "ES384", "EdDSA", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512"];
    let algs: Vec<_> = algs.into_iter().filter_map(|name| Some((name, JwsAlgorithm::parse(name)?))).collect();
    let alg = section.choice("private_key_alg", &algs, faults);
    let path = section.text("private_key_file", faults)?;
    let pem = std::fs::read_to_string(&path).map_err(|error| {
        let remedy = format!("make `{path}` readable: {error}");
        faults.push(ConfigFault::new("providers.private_key_file", place, remedy));
    });
    if alg.is_none() {
        let remedy = "say what the key signs with, such as \"ES256\"";
        faults.push(ConfigFault::new("providers.private_key_alg", place, remedy));
    }
    Some((PrivateKeyPem::new(pem.ok()?), alg?))
}

fn refresh_class(section: &mut Reader<'_>, place: &str, faults: &mut Vec<ConfigFault>) -> Option<RefreshClass> {
    let window = section.duration("refresh_window", faults);
    let names = ["reusable", "acknowledged", "single_use", "family", "unknown", "overlap", "idempotent"];
    let chosen = section.choice("refresh_class", &names.map(|name| (name, name)), faults)?;
    Some(match (chosen, window) {
        ("reusable", _) => RefreshClass::Reusable,
        ("acknowledged", _) => RefreshClass::Acknowledged,
        ("single_use", _) => RefreshClass::SingleUse,
        ("family", _) => RefreshClass::Family,
        ("overlap", Some(window)) => RefreshClass::Overlap(window),
        ("idempotent", Some(window)) => RefreshClass::Idempotent(window),
        ("overlap" | "idempotent", None) => {
            let remedy = "say how long the old refresh token stays good, such as \"30s\"";
            faults.push(ConfigFault::new("providers.refresh_window", place, remedy));
            return None;
        }
        _ => RefreshClass::Unknown,
    })
}

fn route(mut section: Reader<'_>, place: &str, faults: &mut Vec<ConfigFault>) -> Option<Route> {
    let path = section.text("path", faults).unwrap_or_else(|| "/".into());
    if !path.starts_with('/') {
        faults.push(ConfigFault::new("routes.path", place, "begin the path with a slash, such as /api"));
    }
    let target = section.text("upstream", faults);
    let accesses = [("public", Access::Public), ("optional", Access::Optional), ("required", Access::Required)];
    // Whoever forgets to say it wants it shut.
    let access = section.choice("access", &accesses, faults).unwrap_or(Access::Required);
    let bearer = section.flag("bearer", faults).unwrap_or(true);
    section.close(&["path", "upstream", "access", "bearer"], faults);
    let Some(target) = target else {
        faults.push(ConfigFault::new("routes.upstream", place, "say where requests go, such as http://127.0.0.1:5173"));
        return None;
    };
    Some(Route { path, upstream: upstream(&target, "routes.upstream", place, faults)?, access, bearer })
}

fn upstream(text: &str, key: &str, place: &str, faults: &mut Vec<ConfigFault>) -> Option<Url> {
    match Url::parse(text) {
        Ok(url) if url.scheme() == "http" && url.host().is_some() && url.query().is_none() => Some(url),
        _ => {
            let remedy = format!("write `{text}` as http://host:port, with a path if it has one");
            faults.push(ConfigFault::new(key, place, remedy));
            None
        }
    }
}
