//! `perennial dev`: its arguments; what it does is in `crate::dev`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::Fault;
use crate::dev::DevOptions;

/// Start everything at once to look at it.
#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// Port of the gateway and the demo page, on localhost.
    #[arg(long, default_value_t = 4200, value_name = "PORT")]
    port: u16,
    /// Port of the development provider, on localhost.
    #[arg(long, default_value_t = 4201, value_name = "PORT")]
    provider_port: u16,
    /// Port of the gateway's admin listener (metrics, explanations), on 127.0.0.1; a free one if 0.
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    admin_port: u16,
    /// How long an access token lives, from 2s; short, so that renewals can be watched.
    #[arg(long, default_value = "20s", value_parser = humantime::parse_duration, value_name = "TIME")]
    access_token_lifetime: Duration,
    /// Where sessions are kept; a new temporary folder if absent.
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
}

/// Serves the demo until asked to end.
pub(crate) async fn run(args: DevArgs) -> Result<(), Fault> {
    let options = DevOptions {
        port: args.port,
        provider_port: args.provider_port,
        admin_port: args.admin_port,
        access_token_lifetime: args.access_token_lifetime,
        data_dir: args.data_dir,
    };
    crate::dev::run(options, super::asked_to_end()).await
}
