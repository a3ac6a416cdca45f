//! A restart under load: a supervisor keeps the socket, one process ends and the next begins, and no request is lost. In place of
//! systemd the test keeps the socket and hands it over as systemd does.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::harness::{PATIENCE, SECRET};

/// A gateway on a socket that was handed over to it.
struct Activated {
    child: Child,
}

impl Activated {
    fn start(socket: &TcpListener, folder: &std::path::Path, notify: &std::path::Path) -> Self {
        let socket = OwnedFd::from(socket.try_clone().expect("a second handle"));
        // What systemd does between fork and exec: the socket becomes descriptor 3, and the variables name this very process.
        let script =
            "exec 3<&0 0</dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$0\" serve --config perennial.toml";
        let child = Command::new("sh")
            .args(["-c", script, env!("CARGO_BIN_EXE_perennial")])
            .current_dir(folder)
            .env("AUTH_SECRET", SECRET)
            .env("AUTH_OIDC_ISSUER", "http://127.0.0.1:1")
            .env("AUTH_OIDC_ID", "app")
            .env("AUTH_OIDC_SECRET", "client secret")
            .env("NOTIFY_SOCKET", notify)
            .stdin(Stdio::from(socket))
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        Self { child }
    }

    fn terminate(&mut self) {
        let kill = format!("kill -TERM {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().expect("a shell").success());
        assert!(self.child.wait().expect("waited for").success());
    }
}

impl Drop for Activated {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for what a gateway tells its supervisor.
fn told(supervisor: &UnixDatagram, expected: &str) {
    let mut buffer = [0; 256];
    loop {
        let count = supervisor.recv(&mut buffer).expect("told in time");
        if String::from_utf8_lossy(&buffer[..count]).contains(expected) {
            return;
        }
    }
}

/// An application that answers whoever asks, once a connection.
fn application() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut stream = stream;
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
                    head.push(byte[0]);
                }
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
            });
        }
    });
    address
}

/// One request over a connection of its own: whether it was answered well.
fn ask(address: SocketAddr) -> Result<(), String> {
    let mut stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(|error| error.to_string())?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").map_err(|error| error.to_string())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(|error| error.to_string())?;
    if answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok") { Ok(()) } else { Err(answer) }
}

#[test]
fn a_restart_under_load_loses_no_request() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("an address");
    // The embedded store belongs to one process: the next can open it only when the one before has ended.
    let text = format!(
        "public_url = \"http://127.0.0.1:4200\"\nstore = \"sessions.redb\"\n[[routes]]\naccess = \"public\"\nupstream = \"http://{}\"\n",
        application()
    );
    std::fs::write(folder.path().join("perennial.toml"), text).expect("written");
    let notify = folder.path().join("notify");
    let supervisor = UnixDatagram::bind(&notify).expect("a socket");
    supervisor.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut serving = Activated::start(&socket, folder.path(), &notify);
    told(&supervisor, "READY=1");

    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (stop, answered) = (stop.clone(), answered.clone());
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    ask(address)?;
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                Ok::<_, String>(())
            })
        })
        .collect();
    for _ in 0..3 {
        let before = answered.load(Ordering::Relaxed);
        while answered.load(Ordering::Relaxed) < before + 20 && !clients.iter().any(|client| client.is_finished()) {
            std::thread::yield_now();
        }
        serving.terminate();
        told(&supervisor, "STOPPING=1");
        serving = Activated::start(&socket, folder.path(), &notify);
        told(&supervisor, "READY=1");
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        assert_eq!(client.join().expect("no panic"), Ok(()), "a request was lost");
    }
    assert!(answered.load(Ordering::Relaxed) >= 60);
    serving.terminate();
}
