//! The gateway's configuration: a TOML file, environment variables above it, and the command line above these.
//!
//! Everything that can be set is a row of one table. The file, `PERENNIAL_…` variables, the JSON Schema for editors, the tables
//! of docs/configuration.md, the example file and the flags' help are made from it.
//!
//! **How to add a setting:** add a row to its section (`session.rs` has those of `[session]`; a new section is a file with a
//! `Section` and one line in `top.rs`), and use it in the function below the rows, by key: `session.time("max_age")`. A row
//! checks the kind and the range; what a text means, `parsed` checks at its use. Then `cargo xtask docs` writes the generated
//! files. A row that only a start can change is `.at_start()`; one that names files is `.paths()`, so that a change of theirs
//! is noticed.

mod admin;
mod forward_auth;
mod kind;
mod pages;
mod providers;
mod renewal;
mod routes;
mod secrets;
mod serving;
mod session;
mod setting;
pub mod settings;
mod source;
mod top;
mod upstreams;
mod values;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use perennial::store::{OpenError, SessionStore};
use perennial::{Auth, AuthBuilder, ConfigError, ConfigFault};

use self::kind::Value;
use self::routes::{UPSTREAM_REMEDY, upstream};
use self::source::{Overrides, Reading, Source};
use self::top::TOP;
use self::values::Values;
use crate::forward_auth::ForwardAuthSettings;
use crate::routing::Route;
use crate::serving::Serving;

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
    /// How connections are served.
    pub serving: Serving,
    /// Whether the configuration is read anew when its file, or one that it names, changes; SIGHUP asks for that always.
    pub reload_on_change: bool,
    /// The files that settings and variables name, such as those with secrets: a reload is due when one of them changes.
    pub files: Vec<PathBuf>,
    /// What of all this only a start can change.
    pub at_start: AtStart,
}

/// The settings that only a start can change, as a configuration has them. It is not shown: they may hold a password.
#[derive(Clone, Default)]
pub struct AtStart(BTreeMap<String, (Option<Value>, String)>);

impl std::fmt::Debug for AtStart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl AtStart {
    /// The settings that differ in `other`, each with the place where that says so.
    pub fn changed_in<'a>(&self, other: &'a Self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let same = |key: &String, value: &Option<Value>| self.0.get(key).is_some_and(|(own, _)| own == value);
        let changed = other.0.iter().filter(move |(key, (value, _))| !same(key, value));
        changed.map(|(key, (_, place))| (key.as_str(), place.as_str()))
    }
}

/// The quick start without a file: one provider from the environment, sign-in required on every path. What is not said here the
/// environment may say, by the variables that go before a file's settings.
#[derive(Clone, Debug, Default)]
pub struct QuickStart {
    /// Where to listen.
    pub listen: Option<SocketAddr>,
    /// Where the admin listener is to be, a loopback address.
    pub admin: Option<SocketAddr>,
    /// Where browsers reach the gateway; `AUTH_URL` if absent, else `http://` and the address to listen on.
    pub public_url: Option<String>,
    /// Where requests go.
    pub upstream: String,
    /// Where sessions are kept.
    pub store: Option<String>,
    /// Whether the four `/api` routes of the SvelteKitAuth recipe are served.
    pub compat_routes: bool,
    /// Whether plain http is accepted on hosts other than loopback.
    pub dangerous_allow_http: bool,
}

impl Config {
    /// A gateway with this engine and these routes; all else is as in a file that does not mention it.
    pub fn new(auth: AuthBuilder, routes: Vec<Route>) -> Self {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 4200));
        Self {
            listen: loopback,
            admin: None,
            store: settings::default("store").to_owned(),
            auth,
            routes,
            forward_auth: None,
            serving: Serving::default(),
            reload_on_change: true,
            files: Vec::new(),
            at_start: AtStart::default(),
        }
    }

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
            faults.push(ConfigFault::new("upstream", COMMAND_LINE, UPSTREAM_REMEDY));
        }
        let (environment, mut overrides) = Environment::read(variables, &mut faults);
        start.say(&environment, &mut overrides);
        let source = Source { name: COMMAND_LINE, text: "", overrides };
        let reading = source.read(&TOP, &mut faults).map_err(|faults| ConfigError { faults })?;
        let route = upstream.map(Route::to);
        Self::resolved(reading, environment, faults, |_, _| route.into_iter().collect())
    }

    /// Reads a file. Secrets and whatever else Auth.js takes from the environment come from `variables`, and so does what goes
    /// before the file: `PERENNIAL_LISTEN`, `PERENNIAL_SESSION_MAX_AGE` and so on.
    ///
    /// # Errors
    /// [`ConfigError`] with every fault of the file, each with its line, and all the engine finds wrong; if that is all there is,
    /// it comes when the engine is built.
    pub fn from_toml(
        name: &str,
        text: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut faults = Vec::new();
        let (environment, overrides) = Environment::read(variables, &mut faults);
        let source = Source { name, text, overrides };
        let reading = source.read(&TOP, &mut faults).map_err(|faults| ConfigError { faults })?;
        let own_backend = environment.variables.contains_key("AUTH_BACKEND_SECRET");
        Self::resolved(reading, environment, faults, |top, faults| {
            routes::routes(top, own_backend || top.is_given("backend_secret_files"), faults)
        })
    }

    /// From what was written to what it means.
    fn resolved(
        reading: Reading,
        environment: Environment,
        mut faults: Vec<ConfigFault>,
        routes: impl FnOnce(&Values, &mut Vec<ConfigFault>) -> Vec<Route>,
    ) -> Result<Self, ConfigError> {
        let (top, faults, variables) = (&reading.values, &mut faults, &environment.variables);
        let mut auth = Auth::builder().environment(variables.clone()).places(reading.places);
        if let Some(name) = host_name(variables) {
            auth = auth.replica_name(name);
        }
        let listen = top.parsed("listen", faults, |text| text.parse().ok());
        let admin = admin::listen(top.table("admin"), faults);
        let forward_auth = forward_auth::forward_auth(top.table("forward_auth"), listen, faults);
        let store = top.text("store").unwrap_or_default();
        if let Some(opened) = on_a_server(&store) {
            match opened {
                Ok(opened) => auth = auth.store(opened),
                Err(error) => faults.push(top.fault("store", error.to_string())),
            }
        }
        auth = top::engine(auth, top, faults);
        auth = session::engine(auth, top.table("session"));
        auth = auth.pages(pages::pages(top.table("pages"))).theme(pages::theme(top.table("theme"), faults));
        auth = auth.renewal(renewal::policy(top.table("renewal")));
        for table in top.tables("providers") {
            if let Some(provider) = providers::provider(table, variables, faults) {
                auth = auth.provider(provider);
            }
        }
        let serving = serving::serving(top, faults);
        let routes = routes(top, faults);
        let files = top.paths().into_iter().chain(environment.files).map(PathBuf::from).collect();
        let reload_on_change = top.flag("reload_on_change");
        let at_start = AtStart(top.at_start().into_iter().collect());
        match listen {
            Some(listen) if faults.is_empty() => {
                let rest = Self::new(auth, routes);
                Ok(Self { listen, admin, store, forward_auth, serving, reload_on_change, files, at_start, ..rest })
            }
            _ => Err(all_faults(auth, std::mem::take(faults))),
        }
    }
}

impl QuickStart {
    /// What was said on the command line, above the environment.
    fn say(&self, environment: &Environment, overrides: &mut Overrides) {
        let mut say = |key: &str, text: Option<String>| {
            if let Some(text) = text {
                overrides.set(key, text, COMMAND_LINE);
            }
        };
        say("listen", self.listen.map(|address| address.to_string()));
        say("admin.listen", self.admin.map(|address| address.to_string()));
        say("store", self.store.clone());
        say("compat_routes", self.compat_routes.then(|| "true".to_owned()));
        say("dangerous_allow_http", self.dangerous_allow_http.then(|| "true".to_owned()));
        say("public_url", self.public_url.clone());
        if overrides.find("public_url").is_none() && !environment.variables.contains_key("AUTH_URL") {
            let listen = overrides.text("listen").unwrap_or_else(|| settings::default("listen").to_owned());
            overrides.set("public_url", format!("http://{listen}"), COMMAND_LINE);
        }
    }
}

/// The environment as settings are taken from it: nothing empty, secrets in place of the files that hold them.
struct Environment {
    variables: BTreeMap<String, String>,
    /// The files that variables name.
    files: Vec<String>,
}

impl Environment {
    fn read(variables: impl IntoIterator<Item = (String, String)>, faults: &mut Vec<ConfigFault>) -> (Self, Overrides) {
        let (variables, files) = secrets::from_files(variables, faults);
        let overrides = Overrides::from_environment(&TOP, &variables, faults);
        (Self { variables, files }, overrides)
    }
}

/// The store that `name` names, if it is one on a server: it contacts nobody before its first call, so that a check finds what
/// is wrong with its URL. Files are opened by the gateway alone.
fn on_a_server(name: &str) -> Option<Result<Arc<dyn SessionStore>, OpenError>> {
    let here = !name.contains("://") || name.starts_with("file:") || name.starts_with("memory:");
    (!here).then(|| perennial::store::open(name))
}

/// What was found here together with all that the engine finds, so that nobody has to correct a file twice. What both find is
/// told once.
fn all_faults(auth: AuthBuilder, faults: Vec<ConfigFault>) -> ConfigError {
    let ours = faults.clone();
    let Err(mut error) = faults.into_iter().fold(auth, AuthBuilder::fault).build() else {
        // It was given faults, so it does not build.
        return ConfigError { faults: ours };
    };
    let told_twice = |fault: &ConfigFault| {
        ours.iter().any(|own| (&own.key, &own.place) == (&fault.key, &fault.place)) && !ours.contains(fault)
    };
    error.faults.retain(|fault| !told_twice(fault));
    error
}

/// What orchestrators call this process: the end of it, which is what tells replicas apart.
fn host_name(variables: &BTreeMap<String, String>) -> Option<String> {
    let name = variables.get("HOSTNAME")?;
    let plain: Vec<char> = name.chars().filter(|char| char.is_ascii_alphanumeric() || "._-".contains(*char)).collect();
    let end = plain.iter().skip(plain.len().saturating_sub(REPLICA_NAME_CHARS)).collect::<String>();
    (!end.is_empty()).then_some(end)
}

/// The longest name that a session's history keeps.
const REPLICA_NAME_CHARS: usize = 32;

const COMMAND_LINE: &str = "command line";
