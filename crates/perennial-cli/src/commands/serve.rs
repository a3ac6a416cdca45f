//! `perennial serve`, and the arguments that say what to serve.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use futures_util::FutureExt as _;
use perennial::{ConfigError, ConfigFault};
use perennial_gateway::{Admin, Config, Followed, ForwardAuth, Gateway, QuickStart, Reloads, settings};

use super::Fault;
use super::sockets::{self, Sockets, notify};

/// Run the gateway: every request passes it on its way to the app, and whoever is not signed in is sent to the provider.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

/// Where a configuration comes from: a file, or these arguments and the environment. What they mean, the table of settings says.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// A TOML file with everything; see docs/configuration.md. The other arguments are for the start without one.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["listen", "admin", "public_url", "upstream", "store", "compat_routes", "dangerous_allow_http"])]
    config: Option<PathBuf>,
    #[arg(long, value_name = "ADDRESS", value_parser = super::address, help = explained("listen"))]
    listen: Option<SocketAddr>,
    #[arg(long, value_name = "ADDRESS", value_parser = super::address, help = explained("admin.listen"))]
    admin: Option<SocketAddr>,
    #[arg(long, value_name = "URL", help = explained("public_url") + " [default: AUTH_URL, else http:// and the listen address]")]
    public_url: Option<String>,
    /// Where requests go: the app behind the gateway.
    #[arg(long, value_name = "URL", required_unless_present = "config")]
    upstream: Option<String>,
    #[arg(long, value_name = "PATH|URL", help = explained("store"))]
    store: Option<String>,
    #[arg(long, help = explained("compat_routes"))]
    compat_routes: bool,
    #[arg(long, help = explained("dangerous_allow_http"))]
    dangerous_allow_http: bool,
}

/// A setting's meaning and default, as the help of its flag.
fn explained(key: &str) -> String {
    match settings::default(key) {
        "" | "false" => settings::meaning(key),
        default => format!("{} [default: {default}]", settings::meaning(key)),
    }
}

const AFTER_HELP: &str = "\
Without --config sign-in is required on every path, and the environment says the rest:
  AUTH_SECRET         seals the session cookies: the output of `perennial secret`
  AUTH_OIDC_ISSUER    the provider's address, such as https://id.example
  AUTH_OIDC_ID        the name of this application there
  AUTH_OIDC_SECRET    its secret there
  AUTH_OIDC_SCOPE     'openid profile email offline_access': without offline_access most providers give no refresh token
Every other setting has a variable, too, with a file and without: PERENNIAL_SESSION_MAX_AGE=7d is max_age in [session] of
docs/configuration.md. Instead of a secret, a variable may name a file that holds it: AUTH_SECRET_FILE, AUTH_OIDC_SECRET_FILE.
Register <public URL>/auth/callback/oidc as redirect URI there. `perennial check` with the same arguments says whether all
this fits together. The app finds the user in X-Forwarded-User and -Email, and an access token in Authorization.

It ends on Ctrl-C or SIGTERM, after the requests and renewals under way. SIGHUP, or a change of the file, has it read its
configuration anew; one with faults does not come into force. Sockets of systemd (LISTEN_FDS) are
used in this order: the listener, the admin listener, that of forward-auth. docs/operations.md has more.";

impl ConfigArgs {
    pub(crate) fn load(&self) -> Result<Config, ConfigError> {
        if let Some(path) = &self.config {
            let name = path.display().to_string();
            let text = std::fs::read_to_string(path).map_err(|error| unreadable(&name, &error))?;
            return Config::from_toml(&name, &text, variables());
        }
        let start = QuickStart {
            listen: self.listen,
            admin: self.admin,
            public_url: self.public_url.clone(),
            upstream: self.upstream.clone().unwrap_or_default(),
            store: self.store.clone(),
            compat_routes: self.compat_routes,
            dangerous_allow_http: self.dangerous_allow_http,
        };
        Config::quick(start, variables())
    }
}

fn unreadable(name: &str, error: &std::io::Error) -> ConfigError {
    ConfigError { faults: vec![ConfigFault::new("--config", name, format!("make the file readable: {error}"))] }
}

/// The environment. What is not UTF-8 is none of ours, and must not keep us from starting.
fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// Serves until asked to end.
pub(crate) async fn run(args: ServeArgs) -> Result<(), Fault> {
    let mut sockets = Sockets::handed_over();
    let config = args.config.load()?;
    let followed = Followed::of(&config);
    let (listen, admin, forward_auth) = (config.listen, config.admin, config.forward_auth.clone());
    let gateway = Gateway::open(config)?;
    let listener = sockets.listen(listen, "--listen")?;
    let admin_listener = match admin {
        Some(address) => Some(sockets.listen(address, "--admin")?),
        None => None,
    };
    let forward_auth = match forward_auth {
        Some(settings) => Some((sockets.listen(settings.listen, "forward_auth.listen")?, settings)),
        None => None,
    };
    let end = super::asked_to_end().inspect(|()| notify(sockets::STOPPING)).shared();
    let file = args.config.config.clone();
    let following = tokio::spawn(gateway.follow(Reloads::new(file, move || args.config.load()), &followed));
    tracing::info!(listen = %listener.local_addr()?, url = gateway.auth().settings().origin(), "serving");
    let admin = match admin_listener {
        Some(listener) => {
            let address = listener.local_addr()?;
            tracing::info!(admin = %address, "metrics, explanations and health");
            Some(tokio::spawn(Admin::new(gateway.clone(), address).serve(listener, std::future::pending())))
        }
        None => None,
    };
    // The admin listener outlives the gateway's: what happens while requests come to their end is to be seen, too.
    let others = async {
        if let Some((listener, settings)) = forward_auth {
            tracing::info!(forward_auth = %settings.listen, "other proxies may ask");
            ForwardAuth::new(gateway.clone(), &settings).serve(listener, end.clone()).await;
        }
    };
    notify(sockets::READY);
    tokio::join!(gateway.clone().serve(listener, end.clone()), others);
    following.abort();
    if let Some(admin) = admin {
        admin.abort();
    }
    Ok(())
}
