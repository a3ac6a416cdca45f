//! One file for each command: its arguments, and what it does with them.

mod admin;
pub(crate) mod check;
pub(crate) mod config;
pub(crate) mod cookie;
pub(crate) mod dev;
pub(crate) mod end;
pub(crate) mod explain;
pub(crate) mod provider;
pub(crate) mod providers;
pub(crate) mod secret;
pub(crate) mod serve;
mod sockets;

use std::io::Write;
use std::net::SocketAddr;
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

/// An argument that is an address and a port. Names are not looked up: they can stand for several addresses.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "write an IP address and a port, such as 127.0.0.1:4200, or 0.0.0.0:4200 for all".to_owned())
}

/// Listens from now on, and resolves when the process is asked to end: Ctrl-C, or SIGTERM from a supervisor. Called before
/// anybody is told that the command serves, so that no signal meets the default of ending at once.
pub(crate) fn asked_to_end() -> impl Future<Output = ()> + Send + 'static {
    #[cfg(unix)]
    let asked = {
        use tokio::signal::unix::{SignalKind, signal};
        let signals = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
        async move {
            let [interrupt, terminate] = signals.map(|listener| async {
                match listener {
                    Ok(mut listener) => drop(listener.recv().await),
                    // Then the signal still ends the process, only not gently.
                    Err(error) => {
                        tracing::warn!(%error, "a signal cannot be listened for");
                        std::future::pending::<()>().await;
                    }
                }
            });
            tokio::select! {
                () = interrupt => {}
                () = terminate => {}
            }
        }
    };
    #[cfg(not(unix))]
    let asked = async { drop(tokio::signal::ctrl_c().await) };
    async move {
        asked.await;
        tracing::info!("ending: requests and renewals under way are finished first");
    }
}
