//! `perennial end`: ends sessions at a running gateway, through its admin listener.

use clap::Args;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Fault, admin, answer};

/// End a session, or all sessions of a user, at every replica.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct EndArgs {
    /// The session's fingerprint, from a log line (session=) or the X-Perennial-Session header.
    #[arg(long, value_name = "SESSION", required_unless_present = "sub", conflicts_with = "sub")]
    fingerprint: Option<String>,
    /// The user, as the provider calls them: the claim sub.
    #[arg(long, value_name = "SUB")]
    sub: Option<String>,
    /// With --sub, the provider's id in the configuration.
    #[arg(long, value_name = "ID", requires = "sub", required_unless_present_any = ["issuer", "fingerprint"], conflicts_with = "issuer")]
    provider: Option<String>,
    /// With --sub, the provider's issuer instead.
    #[arg(long, value_name = "URL", requires = "sub")]
    issuer: Option<String>,
    /// The admin listener of a running gateway; one of several is enough.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9420")]
    admin: String,
}

const AFTER_HELP: &str = "\
  perennial end --fingerprint 5nTPlh8xvG2P       ends one session
  perennial end --provider okta --sub 00u1a2b3   ends all there are of this user, who may sign in again

Sessions are not listed: the store keeps no index of them, and knows no names.
Exit codes: 0 they are over; 1 the listener or the store cannot be reached; 2 wrong arguments; 3 there is no such session or provider.";

/// Ends them, and says so.
pub(crate) async fn run(args: EndArgs) -> Result<std::process::ExitCode, Fault> {
    let whose = match (&args.fingerprint, &args.issuer) {
        (Some(fingerprint), _) => json!({ "fingerprint": fingerprint }),
        (None, Some(issuer)) => json!({ "issuer": issuer, "sub": args.sub }),
        (None, None) => json!({ "provider": args.provider, "sub": args.sub }),
    };
    let (status, said) = admin::ask(&args.admin, Method::POST, "/sessions/end", Some(&whose)).await?;
    let said: Value = serde_json::from_slice(&said).unwrap_or_default();
    match (status, said["message"].as_str()) {
        (StatusCode::OK, _) => {
            answer(if args.fingerprint.is_some() {
                "The session is over."
            } else {
                "All sessions of the user are over."
            })?;
            Ok(std::process::ExitCode::SUCCESS)
        }
        (StatusCode::NOT_FOUND, Some(message)) => {
            answer(message)?;
            Ok(std::process::ExitCode::from(UNKNOWN))
        }
        (_, Some(message)) => Err(message.into()),
        (status, None) => Err(format!("{} says {status}", args.admin).into()),
    }
}

/// The exit code when there is nothing to end.
const UNKNOWN: u8 = 3;
