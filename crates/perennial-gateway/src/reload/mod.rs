//! A changed configuration comes into force while the gateway runs: on SIGHUP, and when a file changes.
//!
//! A whole new gateway is built beside the old one, over the same store, and put in its place in one step. Requests that began
//! before come to their end by the old one; connections do not notice. What has faults never comes into force.

mod files;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use perennial::{AlarmCode, ConfigError, ConfigFault};

use self::files::FileWatch;
use crate::config::{AtStart, Config};
use crate::gateway::{Gateway, Inner};

/// How a gateway stands with its configuration.
#[derive(Debug)]
pub(crate) struct Standing {
    at_start: AtStart,
    /// Whether the newest configuration has faults, so that an older one is in force.
    behind: AtomicBool,
}

/// Where a configuration is read from, as often as it changes.
#[derive(Clone)]
pub struct Reloads {
    load: Arc<dyn Fn() -> Result<Config, ConfigError> + Send + Sync>,
    file: Option<PathBuf>,
}

impl Gateway {
    /// Puts `config` in force. Requests from now on are served by it, with the sessions, the store and the renewals that there
    /// are; what only a start can change keeps its value, and a warning names it.
    ///
    /// # Errors
    /// [`ConfigError`] with every fault found; then all stays as it is.
    pub async fn replace(&self, config: Config) -> Result<(), ConfigError> {
        let next = self.successor(config)?;
        self.put_in_force(next).await;
        Ok(())
    }

    /// Follows `reloads` for as long as the future runs: reads the configuration anew on SIGHUP, and when its file or one that it
    /// names changes. From the call on, SIGHUP does not end the process.
    pub fn follow(&self, reloads: Reloads, config: &Followed) -> impl Future<Output = ()> + Send + use<> {
        let mut hangups = hangups();
        let mut watch = config.watched.then(|| FileWatch::new(reloads.files(&config.files)));
        let gateway = self.clone();
        async move {
            loop {
                let why = tokio::select! {
                    () = next(&mut hangups) => "SIGHUP",
                    () = changed(&mut watch) => "a file has changed",
                };
                if let Some(watch) = &mut watch {
                    watch.take_note();
                }
                if let Some(files) = gateway.reload(&reloads, why).await
                    && let Some(watch) = &mut watch
                {
                    watch.turn_to(reloads.files(&files));
                }
            }
        }
    }

    /// Reads the configuration anew, and puts it in force if it is good. Answers with the files that it names.
    async fn reload(&self, reloads: &Reloads, why: &'static str) -> Option<Vec<PathBuf>> {
        let (gateway, load) = (self.clone(), reloads.load.clone());
        // Files are read and certificates are parsed: no request is to wait for that.
        let built = tokio::task::spawn_blocking(move || {
            let config = load()?;
            let files = config.files.clone();
            Ok::<_, ConfigError>((gateway.successor(config)?, files))
        });
        let told = match built.await {
            Ok(Ok((next, files))) => {
                self.put_in_force(next).await;
                tracing::info!(why, "the configuration was read anew and is in force");
                return Some(files);
            }
            Ok(Err(error)) => error.faults,
            Err(panic) => vec![ConfigFault::new("configuration", "gateway", format!("report this: {panic}"))],
        };
        self.standing.behind.store(true, Ordering::Relaxed);
        for ConfigFault { key, place, remedy } in &told {
            tracing::error!(key, place, remedy, "a fault of the configuration");
        }
        let count = if told.len() == 1 { "a fault".to_owned() } else { format!("{} faults", told.len()) };
        let message = format!("The configuration has {count} ({why}): the one before it stays in force.");
        self.auth().alarm(AlarmCode::ConfigurationRefused, &message);
        None
    }

    fn successor(&self, mut config: Config) -> Result<Inner, ConfigError> {
        for (key, place) in self.standing.at_start.changed_in(&config.at_start) {
            tracing::warn!(key, place, "this setting cannot change while the gateway runs: restart it for that");
        }
        if let Some(certificates) = self.certificates() {
            certificates.reload().map_err(|faults| ConfigError { faults })?;
        }
        config.auth = config.auth.in_place_of(&self.auth());
        Inner::build(config)
    }

    async fn put_in_force(&self, next: Inner) {
        // Before anybody is served, so that no session passes whose end the old engine knew of.
        next.auth.catch_up().await;
        self.in_force.store(Arc::new(next));
        self.standing.behind.store(false, Ordering::Relaxed);
    }
}

/// What of a configuration says when it is read anew.
#[derive(Clone, Debug)]
pub struct Followed {
    files: Vec<PathBuf>,
    watched: bool,
}

impl Followed {
    /// As `config` has it.
    pub fn of(config: &Config) -> Self {
        Self { files: config.files.clone(), watched: config.reload_on_change }
    }
}

impl Reloads {
    /// A configuration that `load` reads, from `file` if there is one.
    pub fn new(file: Option<PathBuf>, load: impl Fn() -> Result<Config, ConfigError> + Send + Sync + 'static) -> Self {
        Self { load: Arc::new(load), file }
    }

    fn files(&self, named: &[PathBuf]) -> Vec<PathBuf> {
        self.file.iter().chain(named).cloned().collect()
    }
}

impl std::fmt::Debug for Reloads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reloads").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Standing {
    pub(crate) fn new(at_start: AtStart) -> Self {
        Self { at_start, behind: AtomicBool::new(false) }
    }

    /// Whether the newest configuration was refused.
    pub(crate) fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Relaxed)
    }
}

async fn changed(watch: &mut Option<FileWatch>) {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}

#[cfg(unix)]
type Hangups = Option<tokio::signal::unix::Signal>;

#[cfg(unix)]
fn hangups() -> Hangups {
    let hangups = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup());
    hangups.map_err(|error| tracing::warn!(%error, "SIGHUP cannot be listened for")).ok()
}

#[cfg(unix)]
async fn next(hangups: &mut Hangups) {
    match hangups {
        Some(hangups) => drop(hangups.recv().await),
        None => std::future::pending().await,
    }
}

#[cfg(not(unix))]
type Hangups = ();

#[cfg(not(unix))]
fn hangups() -> Hangups {}

#[cfg(not(unix))]
async fn next(_: &mut Hangups) {
    std::future::pending().await
}
