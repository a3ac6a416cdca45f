//! One Redis server.

use std::path::PathBuf;
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::{Process, free_port, program};
use crate::tls::Authority;
use crate::wire;

/// Whose server it is: both speak the same protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Make {
    /// `redis-server`.
    Redis,
    /// `valkey-server`.
    Valkey,
}

/// A `redis-server`, or a `valkey-server`, that appends every write to a file, so that it survives a kill.
pub struct RedisServer {
    make: Make,
    process: Option<Process>,
    port: u16,
    tls_port: Option<u16>,
    options: Vec<String>,
    folder: TempDir,
    /// Certificate and key, for one with TLS.
    tls_files: Option<TempDir>,
}

impl RedisServer {
    /// Starts a Redis.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// Starts one of this make.
    pub fn of(make: Make) -> Self {
        Self::made(make, &[])
    }

    /// Starts a Redis with more of `redis-server`'s options: `["--requirepass", "secret"]`.
    pub fn with(options: &[&str]) -> Self {
        Self::made(Make::Redis, options)
    }

    pub(crate) fn made(make: Make, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let options = options.iter().map(|&option| option.to_owned()).collect();
        let mut server = Self { make, process: None, port: 0, tls_port: None, options, folder, tls_files: None };
        // Somebody may take the port between the look and the start.
        for attempt in 0.. {
            server.port = free_port();
            match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| server.run())) {
                Ok(process) => {
                    server.process = Some(process);
                    break;
                }
                Err(panic) if attempt == 2 => std::panic::resume_unwind(panic),
                Err(_) => {}
            }
        }
        server
    }

    /// Starts one that speaks TLS with a certificate of `authority`.
    pub fn with_tls(authority: &Authority) -> Self {
        let files = tempfile::tempdir().expect("a temporary folder");
        let (certificate, key) = authority.issue(files.path());
        let tls_port = free_port();
        let [certificate, key, port] =
            [certificate.display().to_string(), key.display().to_string(), tls_port.to_string()];
        let options =
            ["--tls-port", &port, "--tls-cert-file", &certificate, "--tls-key-file", &key, "--tls-auth-clients", "no"];
        let mut server = Self::with(&options);
        (server.tls_port, server.tls_files) = (Some(tls_port), Some(files));
        server
    }

    /// `redis://127.0.0.1:port`, or `rediss://` for one with TLS.
    pub fn url(&self) -> String {
        match self.tls_port {
            None => format!("redis://127.0.0.1:{}", self.port),
            Some(port) => format!("rediss://127.0.0.1:{port}"),
        }
    }

    /// The port without TLS.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sends a command and answers with its text, nested answers one element a line.
    ///
    /// # Errors
    /// The server's refusal, or what broke the connection.
    pub fn ask(&self, words: &[&str]) -> Result<String, String> {
        wire::ask(self.port, words)
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again on the same port and with what it had written.
    pub fn restart(&mut self) {
        self.kill();
        self.process = Some(self.run());
    }

    /// SIGSTOP: it holds its connections and answers nothing.
    pub fn pause(&mut self) {
        self.process.as_mut().expect("it runs").signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn resume(&mut self) {
        self.process.as_mut().expect("it runs").signal(Signal::CONT);
    }

    /// All that it holds, as raw bytes, nothing compressed.
    pub fn dump(&self) -> Vec<u8> {
        self.ask(&["SAVE"]).expect("it saves");
        std::fs::read(self.folder.path().join("dump.rdb")).expect("it has saved")
    }

    fn run(&self) -> Process {
        let mut command = Command::new(self.make.program());
        command.current_dir(self.folder.path()).args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"]);
        command.args(["--save", "", "--appendonly", "yes", "--appendfsync", "no", "--rdbcompression", "no"]);
        command.args(["--dir", &self.folder.path().display().to_string()]).args(&self.options);
        Process::start(command, &self.folder.path().join("log"), || match wire::ask(self.port, &["PING"]) {
            Ok(_) => true,
            Err(refused) => refused.starts_with("NOAUTH"),
        })
    }
}

impl Make {
    /// Where the program is.
    fn program(self) -> PathBuf {
        match self {
            Self::Redis => program("redis-server", &[], "redis-server"),
            Self::Valkey => program("valkey-server", &[], "valkey-server"),
        }
    }
}
