//! One file for each command: its arguments, and what it does with them.

pub(crate) mod check;
pub(crate) mod cookie;
pub(crate) mod dev;
pub(crate) mod provider;
pub(crate) mod secret;
pub(crate) mod serve;

use std::io::Write;
use std::process::ExitCode;

use perennial::ConfigError;

/// What a command may fail with: a text for the person at the terminal.
pub(crate) type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Says on standard error what is wrong; of a configuration everything, a line for each.
pub(crate) fn fail(fault: &Fault) -> ExitCode {
    let told = match fault.downcast_ref::<ConfigError>() {
        None => fault.to_string(),
        Some(ConfigError { faults }) => {
            let count = if faults.len() == 1 { "a fault".to_owned() } else { format!("{} faults", faults.len()) };
            let lines: String = faults.iter().map(|fault| format!("\n  {fault}")).collect();
            format!("the configuration has {count}:{lines}")
        }
    };
    // With standard error gone there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "perennial: {told}");
    ExitCode::FAILURE
}

/// Writes lines of a command's answer to standard output.
pub(crate) fn answer(lines: &str) -> Result<(), Fault> {
    match writeln!(std::io::stdout(), "{lines}") {
        // Whoever read our output has read enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// Resolves when the process is asked to end: Ctrl-C, or SIGTERM from a supervisor.
pub(crate) async fn asked_to_end() {
    let interrupted = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        let mut terminate = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(terminate) => terminate,
            Err(_) => return drop(interrupted.await),
        };
        tokio::select! {
            _ = interrupted => {}
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    drop(interrupted.await);
    tracing::info!("ending: requests and renewals under way are finished first");
}
