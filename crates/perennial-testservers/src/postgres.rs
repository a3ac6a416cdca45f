//! One PostgreSQL server.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::{Process, free_port, program};
use crate::tls::Authority;

/// A PostgreSQL server with the user and database `perennial`, and a password.
pub struct PostgresServer {
    process: Option<Process>,
    port: u16,
    tls: bool,
    folder: TempDir,
}

impl PostgresServer {
    /// Starts one.
    pub fn start() -> Self {
        Self::new(None)
    }

    /// Starts one that also speaks TLS with a certificate of `authority`.
    pub fn with_tls(authority: &Authority) -> Self {
        Self::new(Some(authority))
    }

    fn new(authority: Option<&Authority>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let password = folder.path().join("password");
        std::fs::write(&password, PASSWORD).expect("the folder can be written");
        let tls = authority.is_some();
        if let Some(authority) = authority {
            let (_, key) = authority.issue(folder.path());
            std::fs::set_permissions(key, Permissions::from_mode(0o600)).expect("its own file");
        }
        give(folder.path());
        let server = Self { process: None, port: free_port(), tls, folder };
        let mut initdb = server.command("initdb");
        initdb.args(["--no-sync", "--auth=scram-sha-256", "--username=perennial", "--encoding=UTF8", "--locale=C"]);
        initdb.arg("--pwfile").arg(&password).arg("-D").arg(server.data());
        let made = initdb.output().expect("initdb starts");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let mut server = server;
        server.process = Some(server.run());
        server.sql("CREATE DATABASE perennial", "postgres");
        server
    }

    /// `postgres://perennial:…@127.0.0.1:port/perennial`.
    pub fn url(&self) -> String {
        format!("postgres://perennial:{PASSWORD}@127.0.0.1:{}/perennial", self.port)
    }

    /// Runs SQL in the store's database and answers with the rows, one a line.
    pub fn ask(&self, sql: &str) -> String {
        self.sql(sql, "perennial")
    }

    /// Every row of `table`, as raw bytes.
    pub fn dump(&self, table: &str) -> Vec<u8> {
        self.psql(&format!("COPY {table} TO STDOUT (FORMAT binary)"), "perennial")
    }

    /// SIGKILL of the server and, by the death of their parent, its backends: as a crash.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // `immediate`: every backend is ended without a word and the next start recovers from the log, as after a crash,
            // but none is left holding the shared memory.
            process.signal(Signal::QUIT);
            process.wait();
        }
    }

    /// Starts it again on the same port and with what it had written.
    pub fn restart(&mut self) {
        self.kill();
        self.process = Some(self.run());
    }

    fn run(&self) -> Process {
        let mut command = self.command("postgres");
        let port = self.port.to_string();
        command.arg("-D").arg(self.data()).args(["-p", &port, "-h", "127.0.0.1", "-k", ""]);
        command.args(["-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=60"]);
        if self.tls {
            let folder = self.folder.path().display();
            command.args(["-c", "ssl=on", "-c", &format!("ssl_cert_file={folder}/server.pem")]);
            command.args(["-c", &format!("ssl_key_file={folder}/server.key")]);
        }
        let log = self.folder.path().join("log");
        let ready = || std::fs::read_to_string(&log).is_ok_and(|said| said.contains("ready to accept connections"));
        Process::start(command, &log, ready)
    }

    fn sql(&self, sql: &str, database: &str) -> String {
        String::from_utf8_lossy(&self.psql(sql, database)).trim_end().to_owned()
    }

    fn psql(&self, sql: &str, database: &str) -> Vec<u8> {
        let mut psql = Command::new(tool("psql"));
        psql.env("PGPASSWORD", PASSWORD).args(["-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1"]);
        psql.args(["-p", &self.port.to_string(), "-U", "perennial", "-d", database, "-c", sql]);
        let answer = psql.output().expect("psql starts");
        assert!(answer.status.success(), "{sql}: {}", String::from_utf8_lossy(&answer.stderr));
        answer.stdout
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A server's program, which refuses to run as root.
    fn command(&self, name: &str) -> Command {
        let place = tool(name);
        let mut command = match unprivileged() {
            None => Command::new(place),
            Some((uid, gid)) => {
                let mut command = Command::new(program("setpriv", &[], "util-linux"));
                command.args([&format!("--reuid={uid}"), &format!("--regid={gid}"), "--clear-groups", "--"]).arg(place);
                command
            }
        };
        command.current_dir(self.folder.path()).env_remove("PGDATA").env("LC_ALL", "C");
        command
    }
}

/// A program of PostgreSQL; Debian keeps those of the server in a folder a version.
fn tool(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    folders.sort();
    folders.reverse();
    program(name, &folders, "postgresql")
}

/// Gives a folder and what is in it to the user that the server runs as.
fn give(folder: &Path) {
    let Some((uid, gid)) = unprivileged() else { return };
    chown(folder, Some(uid), Some(gid)).expect("root may");
    for entry in std::fs::read_dir(folder).expect("its own folder").flatten() {
        chown(entry.path(), Some(uid), Some(gid)).expect("root may");
    }
}

/// User and group to run a server as, when we are root.
fn unprivileged() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let ids = |name: &str| {
        let fields: Vec<&str> = users.lines().find(|line| line.split(':').next() == Some(name))?.split(':').collect();
        Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
    };
    ids("postgres").or_else(|| ids("nobody"))
}

/// Not a secret: the server lives for one test.
const PASSWORD: &str = "planted-postgres-password";
