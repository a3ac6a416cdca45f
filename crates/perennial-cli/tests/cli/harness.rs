//! Runs the binary: to its end, or until a test is through with it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Long enough for anything on one machine; a test that waits this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A secret for tests, which no output may hold.
pub(crate) const SECRET: &str = "planted cookie secret, long enough";

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// The command with these variables and no others that concern it, in a folder of its own.
fn command(args: &[&str], variables: &[(&str, &str)]) -> (Command, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_perennial"));
    command.args(args).current_dir(folder.path()).env_clear().envs(variables.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    (command, folder)
}

/// Runs the command to its end.
pub(crate) fn run(args: &[&str], variables: &[(&str, &str)]) -> Done {
    run_with_input(args, variables, "")
}

pub(crate) fn run_with_input(args: &[&str], variables: &[(&str, &str)], input: &str) -> Done {
    let (mut command, _folder) = command(args, variables);
    let mut child = command.spawn().expect("started");
    // A command that does not read its input may have ended before all is written.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    let out = read_aside(child.stdout.take().expect("piped"));
    let err = read_aside(child.stderr.take().expect("piped"));
    let status = wait(&mut child);
    let text = |pipe: Receiver<String>| pipe.recv_timeout(PATIENCE).expect("an end of the output");
    Done { code: status.code(), out: text(out), err: text(err) }
}

fn read_aside(mut pipe: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let _ = pipe.read_to_string(&mut text);
        let _ = sender.send(text);
    });
    receiver
}

fn wait(child: &mut Child) -> ExitStatus {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("waited for") {
            return status;
        }
        if began.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("the command did not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A command that serves until it is told to end, or dropped.
pub(crate) struct Served {
    child: Child,
    lines: Receiver<String>,
    pub(crate) seen: Vec<String>,
    _folder: tempfile::TempDir,
}

impl Served {
    pub(crate) fn start(args: &[&str], variables: &[(&str, &str)]) -> Self {
        let (mut command, folder) = command(args, variables);
        let mut child = command.spawn().expect("started");
        let errors = BufReader::new(child.stderr.take().expect("piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || errors.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines, seen: Vec::new(), _folder: folder }
    }

    /// A provider on a free port, and its issuer.
    pub(crate) fn provider(args: &[&str]) -> (Self, String) {
        let mut served = Self::start(&[&["provider", "--listen", "127.0.0.1:0"], args].concat(), &[]);
        let line = served.until("issuer=");
        let issuer = field(&line, "issuer=").trim_matches('"').to_owned();
        (served, issuer)
    }

    /// Waits for a line of the log that holds `text`.
    pub(crate) fn until(&mut self, text: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("{text:?} did not come: {:#?}", self.seen));
            self.seen.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    /// The address that the gateway says it listens on.
    pub(crate) fn address(&mut self) -> SocketAddr {
        let line = self.until("listen=");
        field(&line, "listen=").parse().unwrap_or_else(|_| panic!("no address: {line}"))
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends SIGHUP.
    pub(crate) fn hang_up(&self) {
        self.signal("HUP");
    }

    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().expect("a shell").success());
    }

    /// Waits for the end; the exit code.
    pub(crate) fn code(&mut self) -> Option<i32> {
        wait(&mut self.child).code()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn field<'a>(line: &'a str, name: &str) -> &'a str {
    line.split_once(name).map_or("", |(_, rest)| rest.split_whitespace().next().unwrap_or_default())
}

/// GET over a connection of its own; the whole answer.
pub(crate) fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}
