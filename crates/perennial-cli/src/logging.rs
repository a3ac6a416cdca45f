//! Logs go to standard error, so that standard output stays a command's answer.

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// Starts logging at `level`.
pub(crate) fn init(level: &str, json: bool) -> Result<(), String> {
    let filter: Targets = level
        .parse()
        .map_err(|error| format!("--log {level}: {error}; write a level such as info, or warn,perennial=debug"))?;
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = if json { lines.json().boxed() } else { lines.compact().boxed() };
    tracing_subscriber::registry().with(lines.with_filter(filter)).try_init().map_err(|error| error.to_string())
}
