//! `perennial check`: what a configuration will do, before anybody depends on it.

use std::fmt::Write;

use perennial::{ProviderReport, Refreshing, Settings};
use perennial_gateway::Gateway;

use super::serve::ConfigArgs;
use super::{Fault, answer};

pub(crate) const AFTER_HELP: &str = "\
It takes the arguments of `perennial serve` and starts nothing: it opens neither the store nor a connection to an upstream. Its
exit code is 0 when all else is usable, warnings included, and 1 when the configuration has faults or a provider cannot be used.

  perennial check --config perennial.toml
  perennial check --upstream http://127.0.0.1:5173";

/// Validates the configuration, reaches the providers, and says what was found about refresh.
pub(crate) async fn run(args: ConfigArgs) -> Result<(), Fault> {
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
