//! The `perennial` command: `dev`, `serve`, `provider`, `providers`, `check`, `config`, `explain`, `end`, `cookie`, `secret`.

mod commands;
mod dev;
mod logging;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use mimalloc::MiMalloc;

/// A request allocates some dozens of small things, all by one thread, and the system's allocator takes twice as long about it.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Sessions that renew themselves: keeps web users signed in with OAuth/OIDC.
#[derive(Debug, Parser)]
#[command(name = "perennial", version, propagate_version = true, after_help = AFTER_HELP)]
struct Cli {
    /// What to log: a level (error, warn, info, debug, trace), or levels by part (warn,perennial=debug).
    #[arg(
        long,
        global = true,
        env = "PERENNIAL_LOG",
        default_value = "info",
        value_name = "LEVEL",
        display_order = 900
    )]
    log: String,
    /// Log as JSON, one object a line.
    #[arg(long, global = true, display_order = 901)]
    log_json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start everything at once to look at it: a development provider, the gateway and a demo page.
    Dev(commands::dev::DevArgs),
    /// Run the gateway in front of an app.
    Serve(commands::serve::ServeArgs),
    /// Run the development OpenID provider by itself. Not for production: it asks for no password.
    Provider(Box<commands::provider::ProviderArgs>),
    /// List the providers we know, and say of each what to set there so that sessions renew.
    #[command(after_help = commands::providers::AFTER_HELP)]
    Providers(commands::providers::ProvidersArgs),
    /// Check a configuration, reach the providers, and say whether sessions will be able to renew.
    #[command(after_help = commands::check::AFTER_HELP)]
    Check(commands::check::CheckArgs),
    /// Print the JSON Schema of a configuration file, or an example of one.
    Config(commands::config::ConfigureArgs),
    /// Tell why a session is as it is: signed in, in doubt, or signed out and by what.
    Explain(commands::explain::ExplainArgs),
    /// End a session, or all sessions of a user, at every replica.
    End(commands::end::EndArgs),
    /// Open or seal a session cookie, to find out what is in it.
    Cookie(commands::cookie::CookieArgs),
    /// Print a new secret for AUTH_SECRET: 32 random bytes.
    #[command(after_help = commands::secret::AFTER_HELP)]
    Secret,
}

const AFTER_HELP: &str = "\
Quick start, to look at it:
  perennial dev                                        then open http://localhost:4200

Quick start, before your own app on port 5173:
  export AUTH_SECRET=$(perennial secret)
  export AUTH_OIDC_ISSUER=https://id.example AUTH_OIDC_ID=my-app AUTH_OIDC_SECRET=...
  export AUTH_OIDC_SCOPE='openid profile email offline_access'
  perennial check --upstream http://127.0.0.1:5173 --public-url http://127.0.0.1:4200
  perennial serve --upstream http://127.0.0.1:5173 --public-url http://127.0.0.1:4200";

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(fault) = logging::init(&cli.log, cli.log_json) {
        return commands::fail(&fault.into());
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return commands::fail(&format!("no runtime could be started: {error}").into()),
    };
    let done = |()| ExitCode::SUCCESS;
    let ended = runtime.block_on(async {
        match cli.command {
            Command::Dev(args) => commands::dev::run(args).await.map(done),
            Command::Serve(args) => commands::serve::run(args).await.map(done),
            Command::Provider(args) => commands::provider::run(*args).await.map(done),
            Command::Providers(args) => commands::providers::run(args).map(done),
            Command::Check(args) => commands::check::run(args).await,
            Command::Config(args) => commands::config::run(args).map(done),
            Command::Explain(args) => commands::explain::run(args).await,
            Command::End(args) => commands::end::run(args).await,
            Command::Cookie(args) => commands::cookie::run(args).map(done),
            Command::Secret => commands::secret::run().map(done),
        }
    });
    match ended {
        Ok(code) => code,
        Err(fault) => commands::fail(&fault),
    }
}
