//! Logs go to standard error, so that standard output stays a command's answer.

use std::io::IsTerminal;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// Starts logging at `level`.
pub(crate) fn init(level: &str, json: bool) -> Result<(), String> {
    // An empty variable counts as absent; taken at its word it would silence everything.
    let level = if level.is_empty() { "info" } else { level };
    let filter: Targets = level
        .parse()
        .map_err(|error| format!("--log {level}: {error}; write a level such as info, or warn,perennial=debug"))?;
    // Colours are for people: a log file must not hold escape sequences.
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let lines = if json { lines.json().boxed() } else { lines.compact().boxed() };
    tracing_subscriber::registry().with(lines.with_filter(filter)).try_init().map_err(|error| error.to_string())
}
