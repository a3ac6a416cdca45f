//! `perennial serve` from its start to its end.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use crate::harness::{PATIENCE, SECRET, Served, get, run};

const GOOD: &[(&str, &str)] = &[
    ("AUTH_SECRET", SECRET),
    ("AUTH_OIDC_ISSUER", "http://127.0.0.1:1"),
    ("AUTH_OIDC_ID", "app"),
    ("AUTH_OIDC_SECRET", "planted client secret"),
];

const SERVE: &[&str] = &["serve", "--upstream", "http://127.0.0.1:1", "--listen", "127.0.0.1:0"];

#[test]
fn all_faults_are_listed_at_once() {
    // arguments, variables, the keys of the faults
    let remote = &["serve", "--upstream", "http://h", "--store", "memory:", "--public-url", "http://app.example"][..];
    for (args, variables, keys) in [
        (&["serve", "--upstream", "http://h"][..], &[][..], &["AUTH_SECRET", "providers"][..]),
        (
            &["serve", "--upstream", "h:80"],
            &[("AUTH_URL", "nonsense")],
            &["AUTH_URL", "upstream", "AUTH_SECRET", "public_url", "providers"],
        ),
        (&["serve", "--upstream", "http://h", "--store", "mysql://h"], &[], &["store", "AUTH_SECRET", "providers"]),
        (
            &["serve", "--upstream", "http://h"],
            &[("AUTH_SECRET", "short"), ("AUTH_OIDC_ID", "app")],
            &["AUTH_SECRET", "providers.oidc.issuer", "providers.oidc.client_secret"],
        ),
        (remote, GOOD, &["public_url"]),
        (&["serve", "--upstream", "http://h", "--store", "memory:", "--listen", "0.0.0.0:0"], GOOD, &["public_url"]),
    ] {
        let done = run(args, variables);
        assert_eq!((done.code, done.out.as_str()), (Some(1), ""), "{args:?}: {}", done.err);
        let mut lines = done.err.lines();
        let count = if keys.len() == 1 { "a fault".to_owned() } else { format!("{} faults", keys.len()) };
        assert_eq!(lines.next(), Some(&*format!("perennial: the configuration has {count}:")), "{}", done.err);
        let found: Vec<_> = lines.map(|line| line.trim_start().split(' ').next().unwrap_or_default()).collect();
        assert_eq!(found, keys, "{}", done.err);
        assert!(!done.err.contains("planted"), "{}", done.err);
    }
}

#[test]
fn plain_http_beyond_this_machine_takes_a_dangerous_word() {
    let args = [SERVE, &["--store", "memory:", "--public-url", "http://app.example"]].concat();
    let refused = run(&args, GOOD);
    assert!(refused.err.contains("dangerous_allow_http") && refused.err.contains("command line"), "{}", refused.err);
    let mut served = Served::start(&[&args[..], &["--dangerous-allow-http"]].concat(), GOOD);
    assert!(get(served.address(), "/healthz").starts_with("HTTP/1.1 200"));
}

#[test]
fn it_serves_and_its_log_is_plain_text_without_secrets() {
    let mut served = Served::start(&[SERVE, &["--log", "debug"]].concat(), GOOD);
    let address = served.address();
    assert!(get(address, "/readyz").starts_with("HTTP/1.1 200"));
    assert!(get(address, "/").starts_with("HTTP/1.1 401"));
    served.terminate();
    assert_eq!(served.code(), Some(0));
    let log = served.seen.join("\n");
    assert!(log.contains("serving") && !log.contains('\u{1b}') && !log.contains("planted"), "{log}");
}

#[test]
fn empty_variables_count_as_absent() {
    let variables = [GOOD, &[("AUTH_URL", ""), ("PERENNIAL_LOG", "")]].concat();
    let mut served = Served::start(&[SERVE, &["--store", "memory:"]].concat(), &variables);
    // The address is read from the log: an empty level must not silence it.
    assert!(get(served.address(), "/healthz").starts_with("HTTP/1.1 200"));
}

#[test]
fn two_gateways_cannot_share_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("sessions.redb");
    let args = [SERVE, &["--store", store.to_str().expect("UTF-8")]].concat();
    let mut first = Served::start(&args, GOOD);
    let address = first.address();
    let second = run(&args, GOOD);
    assert_eq!(second.code, Some(1), "{}", second.err);
    assert!(second.err.contains("sessions.redb: the file is in use by process "), "{}", second.err);
    assert!(get(address, "/readyz").starts_with("HTTP/1.1 200"), "the first is not disturbed");
    first.terminate();
    assert_eq!(first.code(), Some(0));
    let mut third = Served::start(&args, GOOD);
    third.address();
}

#[test]
fn a_store_that_cannot_be_is_explained() {
    let folder = tempfile::tempdir().expect("a folder");
    let foreign = folder.path().join("notes.txt");
    std::fs::write(&foreign, "not a store at all, but somebody's notes").expect("written");
    for (store, word) in
        [(foreign.to_str().expect("UTF-8"), "not a session store"), ("/nowhere/at/all/x.redb", "cannot be opened")]
    {
        let done = run(&[SERVE, &["--store", store]].concat(), GOOD);
        assert_eq!(done.code, Some(1), "{}", done.err);
        assert!(done.err.contains(word) && done.err.contains(store), "{}", done.err);
    }
    assert_eq!(std::fs::read_to_string(&foreign).expect("still there"), "not a store at all, but somebody's notes");
}

#[test]
fn a_busy_port_is_said_to_be_busy() {
    let busy = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = busy.local_addr().expect("an address").to_string();
    for args in [
        &["serve", "--upstream", "http://h", "--store", "memory:", "--listen", &address][..],
        &["provider", "--listen", &address],
    ] {
        let done = run(args, GOOD);
        assert_eq!(done.code, Some(1), "{}", done.err);
        assert!(done.err.contains(&format!("{address} cannot be listened on: ")), "{}", done.err);
        assert!(done.err.contains("in use") && done.err.contains("--listen"), "{}", done.err);
    }
}

#[test]
fn sigterm_ends_it_with_0_after_the_request_under_way() {
    let upstream = TcpListener::bind("127.0.0.1:0").expect("a port");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("perennial.toml");
    let text = format!(
        "listen = \"127.0.0.1:0\"\npublic_url = \"http://127.0.0.1:4200\"\nstore = \"memory:\"\n\
         [[routes]]\naccess = \"public\"\nupstream = \"http://{}\"\n",
        upstream.local_addr().expect("an address")
    );
    std::fs::write(&file, text).expect("written");
    let mut served = Served::start(&["serve", "--config", file.to_str().expect("UTF-8")], GOOD);
    let address: SocketAddr = served.address();
    let answer = std::thread::spawn(move || get(address, "/slow"));
    let (mut asked, _) = upstream.accept().expect("the gateway");
    read_head(&mut asked);
    served.terminate();
    served.until("ending");
    let body = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nslow";
    asked.write_all(body.as_bytes()).expect("written");
    let answer = answer.join().expect("no panic");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("slow"), "{answer}");
    assert_eq!(served.code(), Some(0));
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn sigterm_ends_the_provider_with_0_too() {
    let (mut provider, _) = Served::provider(&[]);
    provider.terminate();
    assert_eq!(provider.code(), Some(0));
}

fn read_head(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a request");
        head.push(byte[0]);
    }
}
