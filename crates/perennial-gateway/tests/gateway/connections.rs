//! Connections and what they may cost: each limit at its edge, TLS and HTTP/2 seen by curl, whom a request came from, the end.

use std::process::Stdio;
use std::time::Duration;

use perennial_gateway::{CertificateFiles, Certificates, Tls};
use tokio::process::Command;

use crate::harness::{PATIENCE, Stage, Wire, raw, verdict};

const PUBLIC: &str = "[[routes]]\npath = \"/\"\nupstream = \"UPSTREAM\"\naccess = \"public\"\n";

/// A certificate of its own for `name`, as files.
pub(crate) fn certificate(folder: &std::path::Path, name: &str) -> CertificateFiles {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
    let files = CertificateFiles {
        cert_file: folder.join(format!("{name}.crt")),
        key_file: folder.join(format!("{name}.key")),
    };
    std::fs::write(&files.cert_file, made.cert.pem()).expect("written");
    std::fs::write(&files.key_file, made.signing_key.serialize_pem()).expect("written");
    files
}

pub(crate) fn tls_section(files: &CertificateFiles) -> String {
    format!("[tls]\ncert_file = \"{}\"\nkey_file = \"{}\"\n", files.cert_file.display(), files.key_file.display())
}

/// What curl prints; it fails when curl does.
async fn curl(args: &[&str]) -> Result<String, String> {
    let mut run = Command::new("curl");
    run.args(["--silent", "--show-error", "--max-time", "20"]).args(args).stdin(Stdio::null());
    let run = run.output().await.expect("curl is installed");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if run.status.success() { Ok(text(&run.stdout)) } else { Err(text(&run.stderr)) }
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_speaks_tls_and_http2_and_sees_a_new_certificate_without_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = certificate(folder.path(), "app.example");
    let stage = Stage::with(&(tls_section(&files) + PUBLIC)).await;
    let port = stage.gateway.address.port();
    let (resolve, url) = (format!("app.example:{port}:127.0.0.1"), format!("https://app.example:{port}/echo"));
    let first = folder.path().join("first.crt");
    std::fs::copy(&files.cert_file, &first).expect("copied");
    let ask = async |ca: &std::path::Path, how: &str| {
        let ca = ca.to_str().expect("UTF-8");
        let write = "\n%{http_version} %{response_code}";
        curl(&["--resolve", &resolve, "--cacert", ca, how, "--cookie", "a=b", "--write-out", write, &url]).await
    };
    for (how, version) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let answer = ask(&first, how).await.expect("an answer");
        assert!(answer.ends_with(&format!("\n{version} 200")), "{answer}");
        assert!(answer.contains(&format!("[\"host\",\"app.example:{port}\"]")), "{answer}");
        assert!(answer.contains("[\"cookie\",\"a=b\"]"), "{answer}");
    }
    let plain = raw(stage.gateway.address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(!plain.contains("HTTP/"), "nothing is said without TLS: {plain:?}");
    assert_eq!(stage.upstream.hits(), 2);
    certificate(folder.path(), "app.example");
    assert_eq!(stage.gateway.gateway.certificates().map(Certificates::reload), Some(Ok(true)));
    assert!(ask(&first, "--http2").await.is_err(), "the certificate of before is not shown any more");
    assert!(ask(&files.cert_file, "--http2").await.is_ok());
    std::fs::write(&files.key_file, "no key").expect("written");
    let faults = stage.gateway.gateway.certificates().expect("TLS").reload().expect_err("a bad key");
    assert_eq!((faults.len(), &*faults[0].key), (1, "tls.key_file"), "{faults:?}");
    assert!(!faults[0].to_string().contains("no key"), "what is in the file is not repeated: {faults:?}");
    assert!(ask(&files.cert_file, "--http2").await.is_ok(), "the good ones stay in use");
}

#[test]
fn files_of_certificates_are_judged_one_by_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let (good, other) = (certificate(folder.path(), "a.example"), certificate(folder.path(), "b.example"));
    let missing = folder.path().join("missing");
    let pair = |cert: &std::path::Path, key: &std::path::Path| CertificateFiles {
        cert_file: cert.into(),
        key_file: key.into(),
    };
    for (what, pair, keys) in [
        ("good", good.clone(), &[][..]),
        ("the key of another", pair(&good.cert_file, &other.key_file), &["tls.key_file"]),
        ("exchanged", pair(&good.key_file, &good.cert_file), &["tls.cert_file", "tls.key_file"]),
        ("missing", pair(&missing, &missing), &["tls.cert_file", "tls.key_file"]),
    ] {
        let loaded = Certificates::load(Tls { certificates: vec![pair] });
        let faults = loaded.err().unwrap_or_default();
        assert_eq!(faults.iter().map(|fault| &*fault.key).collect::<Vec<_>>(), keys, "{what}: {faults:?}");
    }
}

#[tokio::test]
async fn heads_are_limited_in_bytes_and_lines() {
    let stage = Stage::with(&format!("[limits]\nheader_bytes = \"2KiB\"\nheader_lines = 16\n{PUBLIC}")).await;
    let head = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";
    let padded = |bytes: usize| format!("{head}X: {}\r\n\r\n", "x".repeat(bytes - head.len() - "X: \r\n\r\n".len()));
    let lines = |count: usize| format!("{head}{}\r\n", "X: 1\r\n".repeat(count - 2));
    for (what, request, status) in [
        ("2 KiB", padded(2048), 200),
        ("a byte more", padded(2049), 431),
        ("16 lines", lines(16), 200),
        ("a line more", lines(17), 431),
    ] {
        assert_eq!(verdict(&raw(stage.gateway.address, request).await).0, status, "{what}");
    }
}

#[tokio::test]
async fn bodies_are_limited_whether_their_length_is_told_or_not() {
    let stage = Stage::with(&format!("[limits]\nbody_bytes = 5\n{PUBLIC}")).await;
    let post = |rest: &str| format!("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{rest}");
    for (what, rest, expected) in [
        ("at the limit", "Content-Length: 5\r\n\r\nhello", (200, "")),
        ("a byte more", "Content-Length: 6\r\n\r\nhello!", (413, "body_too_large")),
        ("chunks at the limit", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", (200, "")),
        (
            "chunks a byte more",
            "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n",
            (413, "body_too_large"),
        ),
    ] {
        let answer = raw(stage.gateway.address, post(rest)).await;
        assert_eq!(verdict(&answer), (expected.0, expected.1.to_owned()), "{what}: {answer}");
    }
}

#[tokio::test]
async fn slow_clients_are_let_go_and_idle_ones_too() {
    let stage =
        Stage::with(&format!("[limits]\nheader_wait = \"1s\"\nbody_wait = \"1s\"\nkeep_alive = \"1s\"\n{PUBLIC}"))
            .await;
    let mut silent = Wire::open(stage.gateway.address).await;
    let mut slow = Wire::open(stage.gateway.address).await;
    slow.write("GET / HTTP/1.1\r\nHost:").await;
    let mut stalled = Wire::open(stage.gateway.address).await;
    stalled.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel").await;
    let mut idle = Wire::open(stage.gateway.address).await;
    idle.write("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!((silent.rest().await, slow.rest().await), (String::new(), String::new()));
    assert_eq!(verdict(&stalled.rest().await), (408, "body_timeout".into()));
    assert!(idle.rest().await.starts_with("HTTP/1.1 200"), "answered, and closed when nothing followed");
}

#[tokio::test]
async fn connections_are_counted_by_address_and_in_all() {
    let stage = Stage::with(&format!("[limits]\nconnections = 3\nconnections_per_address = 2\n{PUBLIC}")).await;
    let probe = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut wire = Wire::open(stage.gateway.address).await;
        wire.write(probe).await;
        wire.until("ok").await;
        kept.push(wire);
    }
    assert_eq!(Wire::open(stage.gateway.address).await.rest().await, "", "the third of an address is closed");
    drop(kept.pop());
    let again = async {
        while !raw(stage.gateway.address, "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .await
            .contains("ok")
        {}
    };
    tokio::time::timeout(PATIENCE, again).await.expect("the seat is given back");

    let stage = Stage::with(&format!("[limits]\nconnections = 1\n{PUBLIC}")).await;
    let mut first = Wire::open(stage.gateway.address).await;
    first.write(probe).await;
    first.until("ok").await;
    let mut second = Wire::open(stage.gateway.address).await;
    second.write(probe).await;
    let unheard = tokio::time::timeout(Duration::from_millis(200), second.until("ok")).await;
    assert!(unheard.is_err(), "the second waits");
    drop(first);
    second.until("ok").await;
}

/// How long exactly, a test of the connection's bytes says, in paused time.
#[tokio::test]
async fn whoever_takes_nothing_of_an_answer_is_let_go() {
    // More than the system keeps for both sides.
    const SIZE: usize = 32 << 20;
    let stage = Stage::with(&format!("[limits]\nanswer_wait = \"1s\"\nconnections = 1\n{PUBLIC}")).await;
    let mut silent = Wire::open(stage.gateway.address).await;
    silent.write(format!("GET /large/{SIZE} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
    silent.until("\r\n\r\n").await;
    let next = raw(stage.gateway.address, "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert_eq!(verdict(&next).0, 200, "its seat, the only one, is free");
    assert!(silent.rest().await.len() < SIZE, "it was cut off");
}

#[tokio::test]
async fn sign_ins_and_renewals_have_a_rate_for_each_client() {
    let stage = Stage::with(&format!(
        "trusted_proxies = [\"127.0.0.1\"]\n[limits]\nsign_ins_per_minute = 2\nrenewals_per_minute = 3\n{PUBLIC}"
    ))
    .await;
    let ask = async |path: &str, client: &str| {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {client}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        raw(stage.gateway.address, request).await
    };
    for (path, count) in [("/auth/signin/oidc", 2), ("/auth/refresh", 3)] {
        for turn in 0..count {
            assert_ne!(verdict(&ask(path, "192.0.2.1").await).0, 429, "{path}, {turn}");
        }
        let refused = ask(path, "192.0.2.1").await;
        assert_eq!(verdict(&refused), (429, "too_many_requests".into()), "{path}");
        let wait =
            refused.split_once("retry-after: ").and_then(|(_, rest)| rest.split("\r\n").next()?.parse::<u64>().ok());
        assert!(wait.is_some_and(|wait| (1..=60).contains(&wait)), "{refused}");
        assert_ne!(verdict(&ask(path, "192.0.2.2").await).0, 429, "another client has a bucket of its own");
    }
    assert_eq!(verdict(&ask("/any", "192.0.2.1").await).0, 200, "nothing else is counted");
}

#[tokio::test]
async fn only_trusted_proxies_are_believed_for_whom_a_request_came() {
    let request = "GET /echo HTTP/1.1\r\nHost: in.example\r\nX-Forwarded-For: 6.6.6.6, 192.0.2.1\r\nX-Forwarded-Proto: https\r\n\
                   X-Forwarded-Host: app.example\r\nForwarded: for=6.6.6.6\r\nConnection: close\r\n\r\n";
    for (trusted, expected) in [
        ("", ["127.0.0.1", "http", "in.example"]),
        ("trusted_proxies = [\"10.0.0.0/8\"]\n", ["127.0.0.1", "http", "in.example"]),
        ("trusted_proxies = [\"127.0.0.0/8\"]\n", ["192.0.2.1, 127.0.0.1", "https", "app.example"]),
        (
            "trusted_proxies = [\"127.0.0.1\"]\nforwarded_by = \"forwarded\"\n",
            ["6.6.6.6, 127.0.0.1", "http", "in.example"],
        ),
    ] {
        let stage = Stage::with(&format!("{trusted}{PUBLIC}")).await;
        let answer = raw(stage.gateway.address, request).await;
        for (name, value) in ["for", "proto", "host"].iter().zip(expected) {
            assert!(answer.contains(&format!("[\"x-forwarded-{name}\",\"{value}\"]")), "{trusted}{name}: {answer}");
        }
        assert!(!answer.contains("\"forwarded\""), "{answer}");
    }
}

#[tokio::test]
async fn an_end_is_told_before_it_comes() {
    let stage = Stage::with(&format!("drain_delay = \"2s\"\n{PUBLIC}")).await;
    let address = stage.gateway.address;
    let mut kept = Wire::open(address).await;
    kept.write("GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(kept.until("\"status\":\"ready\"").await.starts_with("HTTP/1.1 200"));
    let ended = stage.gateway.end();
    let told = async {
        loop {
            let answer = raw(address, "GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
            if answer.starts_with("HTTP/1.1 503") && answer.contains("\"status\":\"ending\"") {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, told).await.expect("told");
    kept.until("}").await;
    kept.write("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let last = kept.rest().await;
    assert!(
        last.starts_with("HTTP/1.1 200") && last.contains("connection: close"),
        "served, and for the last time: {last}"
    );
    tokio::time::timeout(PATIENCE, ended).await.expect("ended").expect("no panic");
}
