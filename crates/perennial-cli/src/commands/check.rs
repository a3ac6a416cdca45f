//! `perennial check`: what a configuration will do, before anybody depends on it.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use perennial::{Claims, ProviderReport, Refreshing, Settings};
use perennial_gateway::{Gateway, Verdict};

use super::serve::ConfigArgs;
use super::{Fault, answer};

pub(crate) const AFTER_HELP: &str = "\
It takes the arguments of `perennial serve` and starts nothing: it opens neither a store's file nor a connection to an upstream.
Where there are several secrets, it asks a store on a server whether they stand in the right order, and notes nothing there. Its
exit code is 0 when all is usable, warnings included, and 1 when the configuration has faults or a provider cannot be used.

With --request it asks no provider, but says what would become of that request: the route and why no other, the claims as the
route's rule sees them, what the application would get, and the verdict. Its exit code is then 0 for a request that would be
allowed, 3 for one that would be denied, and 1 when it cannot say.

  perennial check --config perennial.toml
  perennial check --upstream http://127.0.0.1:5173
  perennial check --config perennial.toml --as claims.json --request 'GET /admin'";

/// What `perennial check` is asked with.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Say what would become of this request, such as 'GET /admin' or 'POST https://app.example/orders'.
    #[arg(long, value_name = "REQUEST")]
    request: Option<String>,
    /// Who sends it: a file with the user's claims as a JSON object, as an ID token has them. A stranger if absent.
    #[arg(long = "as", value_name = "FILE", requires = "request")]
    sender: Option<PathBuf>,
}

/// Validates the configuration; then either tries a request, or reaches the providers and says what was found about refresh.
pub(crate) async fn run(args: CheckArgs) -> Result<ExitCode, Fault> {
    match args.request {
        Some(request) => try_out(args.config, &request, args.sender.as_deref()),
        None => inspect(args.config).await.map(|()| ExitCode::SUCCESS),
    }
}

/// Says what would become of `request`.
fn try_out(config: ConfigArgs, request: &str, sender: Option<&Path>) -> Result<ExitCode, Fault> {
    let gateway = Gateway::build(config.load()?)?;
    let trial =
        gateway.try_out(request, sender.map(claims).transpose()?).map_err(|remedy| format!("--request: {remedy}"))?;
    answer(&trial.to_string())?;
    Ok(match trial.verdict {
        Verdict::Allowed(_) => ExitCode::SUCCESS,
        Verdict::Denied(_) => ExitCode::from(DENIED),
    })
}

/// Somebody's claims from a file.
fn claims(path: &Path) -> Result<Claims, Fault> {
    let name = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{name} cannot be read: {error}"))?;
    let claims = serde_json::from_str(&text);
    Ok(claims
        .map_err(|error| format!("{name}: write claims as a JSON object, such as {{\"sub\": \"alice\"}}: {error}"))?)
}

/// Not 1, which says that there is no verdict, nor 2, by which clap says that the arguments are none.
const DENIED: u8 = 3;

/// What is said of a secret that the store saw later than the first.
const MISPLACED: &str = "is newer than the first and stands behind it, so that it seals nothing: put it first, unless it is only to open \
                         older sessions";

/// Reaches the providers and says what was found about refresh.
async fn inspect(args: ConfigArgs) -> Result<(), Fault> {
    let config = args.load()?;
    let routes = match config.routes.len() {
        1 => "1 route".to_owned(),
        count => format!("{count} routes"),
    };
    let mut report = format!("configuration: good ({routes}, store {}, not opened)\n", config.store_shown());
    let gateway = Gateway::build(config)?;
    let auth = gateway.auth();
    let settings = auth.settings();
    let _ = writeln!(
        report,
        "public URL: {} (cookies {})",
        settings.origin(),
        if settings.secure() { "Secure" } else { "not Secure: plain http" }
    );
    let order = match auth.misplaced_secrets().await {
        Ok(misplaced) => misplaced.iter().map(|position| format!("secret {position} {MISPLACED}")).collect(),
        Err(error) => vec![format!("whether the secrets stand in the right order is not known: {error}")],
    };
    for warning in order {
        let _ = writeln!(report, "WARNING: {warning}");
    }
    let mut unreachable = 0;
    for provider in auth.inspect_providers().await {
        describe(&mut report, settings, &provider);
        unreachable += usize::from(provider.reached.is_err());
    }
    answer(report.trim_end())?;
    match unreachable {
        0 => Ok(()),
        _ => Err("a provider cannot be used as configured; see above".into()),
    }
}

fn describe(report: &mut String, settings: &Settings, provider: &ProviderReport) {
    let id = &provider.id;
    let endpoints = format!("{}{}", settings.origin(), settings.base_path);
    // Writing to a String cannot fail.
    let _ = writeln!(report, "\nprovider {id} ({})", provider.name);
    match &provider.reached {
        Ok(()) if provider.discovered => drop(writeln!(report, "  reached: yes, metadata and keys are usable")),
        Ok(()) => drop(writeln!(report, "  reached: not asked; only a sign-in shows whether its endpoints are right")),
        Err(problem) => drop(writeln!(report, "  reached: NO: {problem}")),
    }
    let _ = writeln!(report, "  register there as redirect URI: {endpoints}/callback/{id}");
    if settings.sign_out_at_provider {
        let _ = writeln!(report, "  and as post-logout redirect URI: {endpoints}/signout/callback");
    }
    if provider.signs_out_by_back_channel {
        let _ = writeln!(report, "  and as back-channel logout URI: {endpoints}/backchannel-logout");
    }
    let refreshing = match provider.refreshing {
        Refreshing::Expected => "a refresh token can be expected",
        Refreshing::NotExpected => {
            "WARNING: no refresh token can be expected with this scope: sessions will not renew (usually the scope offline_access is missing)"
        }
    };
    let _ = writeln!(report, "  refresh: {refreshing}; an old refresh token is taken to be {:?} there", provider.class);
    if settings.sign_out_at_provider && provider.reached.is_ok() && !provider.has_end_session {
        let _ = writeln!(report, "  WARNING: it names no end-session endpoint: sign-outs end the session here alone");
    }
    for remark in &provider.remarks {
        let _ = writeln!(report, "  WARNING: {remark}");
    }
    if !provider.hint.is_empty() {
        let _ = writeln!(report, "  at the provider: {}", provider.hint);
    }
}
