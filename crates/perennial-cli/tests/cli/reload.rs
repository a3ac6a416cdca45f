//! `perennial serve` reads its configuration anew: on SIGHUP, and when a file changes.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;

use crate::harness::{PATIENCE, SECRET, Served, get};

const VARIABLES: &[(&str, &str)] = &[
    ("AUTH_SECRET", SECRET),
    ("AUTH_OIDC_ISSUER", "http://127.0.0.1:1"),
    ("AUTH_OIDC_ID", "app"),
    ("AUTH_OIDC_SECRET", "planted client secret"),
];

/// An application that says its name, and on `/stream` the second half only when it is told to.
struct App {
    listener: TcpListener,
    name: &'static str,
}

impl App {
    fn named(name: &'static str) -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").expect("a port"), name }
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("an address")
    }

    /// Takes one connection and reads a request's head.
    fn accept(&self) -> TcpStream {
        let (mut stream, _) = self.listener.accept().expect("the gateway");
        until(&mut stream, "\r\n\r\n");
        stream
    }

    /// Answers one request on a connection of its own.
    fn answer(&self) {
        let name = self.name;
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{name}", name.len());
        self.accept().write_all(answer.as_bytes()).expect("written");
    }
}

fn until(stream: &mut TcpStream, text: &str) -> String {
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut seen = Vec::new();
    while !seen.ends_with(text.as_bytes()) {
        let mut byte = [0];
        stream
            .read_exact(&mut byte)
            .unwrap_or_else(|error| panic!("{text:?}: {error} after {:?}", String::from_utf8_lossy(&seen)));
        seen.push(byte[0]);
    }
    String::from_utf8(seen).expect("UTF-8")
}

fn file(app: &App, more: &str) -> String {
    format!(
        "listen = \"127.0.0.1:0\"\npublic_url = \"http://127.0.0.1:4200\"\nstore = \"memory:\"\n{more}\
         [[routes]]\naccess = \"public\"\nupstream = \"http://{}\"\n",
        app.address()
    )
}

fn serve(path: &Path) -> Served {
    Served::start(&["serve", "--config", path.to_str().expect("UTF-8")], VARIABLES)
}

#[test]
fn sighup_puts_a_changed_file_in_force_without_dropping_a_connection_and_a_bad_one_not() {
    let (first, second) = (App::named("first"), App::named("second"));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("perennial.toml");
    let write = |text: String| std::fs::write(&path, text).expect("written");
    // Only SIGHUP, so that the test says when.
    write(file(&first, "reload_on_change = false\n"));
    let mut served = serve(&path);
    let address = served.address();

    let mut stream = TcpStream::connect(address).expect("a connection");
    write!(stream, "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n").expect("written");
    let mut streaming = first.accept();
    streaming.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\none, \r\n").expect("written");
    until(&mut stream, "one, ");
    let mut kept = TcpStream::connect(address).expect("a connection");
    write!(kept, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n").expect("written");
    first.answer();
    until(&mut kept, "first");

    write(file(&second, "reload_on_change = false\n").replace("memory:", "elsewhere.redb"));
    served.hang_up();
    let log = served.until("is in force");
    assert!(log.contains("SIGHUP"), "{log}");
    let warned =
        served.seen.iter().any(|line| line.contains("cannot change while the gateway runs") && line.contains("store"));
    assert!(warned, "{:#?}", served.seen);
    write!(kept, "GET /b HTTP/1.1\r\nHost: a\r\n\r\n").expect("the connection lives");
    second.answer();
    until(&mut kept, "second");
    streaming.write_all(b"3\r\ntwo\r\n0\r\n\r\n").expect("the stream lives");
    until(&mut stream, "two\r\n0\r\n\r\n");

    write("lissten = 1\n[session]\nmax_age = \"30\"\n".to_owned());
    served.hang_up();
    served.until("configuration_refused");
    for (key, line) in [("lissten", 1), ("session.max_age", 3)] {
        let place = format!("{}:{line}", path.display());
        let told = served.seen.iter().any(|line| line.contains(key) && line.contains(&place));
        assert!(told, "{key} at {place}: {:#?}", served.seen);
    }
    assert!(get(address, "/readyz").ends_with(r#"{"status":"ready","configuration":"refused"}"#));
    write!(kept, "GET /c HTTP/1.1\r\nHost: a\r\n\r\n").expect("the connection lives");
    second.answer();
    until(&mut kept, "second");

    write(file(&first, "reload_on_change = false\n"));
    served.hang_up();
    served.until("is in force");
    assert!(get(address, "/readyz").ends_with(r#"{"status":"ready"}"#));
    served.terminate();
    assert_eq!(served.code(), Some(0));
    assert!(!served.seen.join("\n").contains("planted"), "{:#?}", served.seen);
}

/// What an application's server is answered that presents this backend secret.
fn as_backend(address: SocketAddr, secret: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("a connection");
    let head = "POST /auth/backend/session HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n";
    write!(stream, "{head}Content-Type: application/json\r\nAuthorization: Bearer {secret}\r\n\r\n{{}}")
        .expect("written");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn a_change_of_the_file_or_of_a_secret_in_another_folder_comes_into_force_by_itself() {
    let (first, second) = (App::named("first"), App::named("second"));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("perennial.toml");
    // As Kubernetes mounts a secret.
    let secrets = tempfile::tempdir().expect("a folder");
    let publish = |version: &str, secret: &str| {
        std::fs::create_dir(secrets.path().join(version)).expect("made");
        std::fs::write(secrets.path().join(version).join("backend"), secret).expect("written");
        std::os::unix::fs::symlink(version, secrets.path().join("..new")).expect("linked");
        std::fs::rename(secrets.path().join("..new"), secrets.path().join("..data")).expect("exchanged");
    };
    let (old, new) = ("planted: the old backend secret, long", "planted: the new backend secret, long");
    publish("..1", old);
    std::os::unix::fs::symlink("..data/backend", secrets.path().join("backend")).expect("linked");
    let more = format!("backend_secret_files = [\"{}\"]\n", secrets.path().join("backend").display());
    std::fs::write(&path, file(&first, &more)).expect("written");
    let mut served = serve(&path);
    let address = served.address();
    assert!(as_backend(address, old).contains(" 200 "), "{}", as_backend(address, old));
    assert!(as_backend(address, new).contains(" 403 "), "{}", as_backend(address, new));

    publish("..2", new);
    served.until("is in force");
    assert!(as_backend(address, new).contains(" 200 ") && as_backend(address, old).contains(" 403 "));

    // As an editor saves it.
    let beside = folder.path().join(".perennial.toml.swp");
    std::fs::write(&beside, file(&second, &more)).expect("written");
    std::fs::rename(&beside, &path).expect("renamed");
    let log = served.until("is in force");
    assert!(log.contains("a file has changed"), "{log}");
    let answer = std::thread::spawn(move || get(address, "/"));
    second.answer();
    assert!(answer.join().expect("no panic").ends_with("second"));
    served.terminate();
    assert_eq!(served.code(), Some(0));
    assert!(!served.seen.join("\n").contains("planted"), "{:#?}", served.seen);
}
