//! One server process, which ends with its value.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A running child; its output goes to a file.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` and waits until `ready`; panics with the end of its output when that never comes.
    pub(crate) fn start(mut command: Command, log: &Path, mut ready: impl FnMut() -> bool) -> Self {
        let output = File::create(log).expect("the server's folder can be written");
        command.stdout(output.try_clone().expect("a second handle")).stderr(output);
        let child = command.spawn().unwrap_or_else(|error| panic!("{:?}: {error}", command.get_program()));
        let mut process = Self { child, log: log.to_owned() };
        let begun = Instant::now();
        while !ready() {
            let ended = process.child.try_wait().expect("its own child");
            if ended.is_some() || begun.elapsed() > START_PATIENCE {
                panic!("{:?} does not start ({ended:?}):\n{}", command.get_program(), process.words());
            }
            std::thread::sleep(GLANCE);
        }
        process
    }

    /// What the server has said.
    pub(crate) fn words(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// SIGKILL: the server has no time to say or write anything.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }

    /// Sends `signal`, and waits for the end if that is what it asks for.
    pub(crate) fn signal(&mut self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).expect("its own child, not reaped yet");
    }

    /// Waits for the process to end by itself; kills it if it does not.
    pub(crate) fn wait(&mut self) {
        let begun = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && begun.elapsed() < START_PATIENCE {
            std::thread::sleep(GLANCE);
        }
        self.kill();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until `holds`, looking often; panics after a generous while.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < START_PATIENCE, "it never came true that {what}");
        std::thread::sleep(GLANCE);
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("it is bound").port()
}

/// Where `program` is: on the path, or in one of `folders`. Panics with the Debian `package` that has it.
pub(crate) fn program(program: &str, folders: &[PathBuf], package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).collect::<Vec<_>>();
    let mut places = folders.iter().chain(&on_path).map(|folder| folder.join(program));
    let found = places.find(|place| place.is_file());
    found.unwrap_or_else(|| panic!("`{program}` is missing: apt-get install {package} (xtask/machine.sh does it)"))
}

const START_PATIENCE: Duration = Duration::from_secs(30);
const GLANCE: Duration = Duration::from_millis(5);
