//! Attempts to hide one request in another (RFC 9112 §11.2), each written to a socket byte by byte. An attempt is good when it is
//! refused, or when what the upstream gets is one request, whole, with its end where we say it is.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::harness::{PATIENCE, Stage, Wire, bind, verdict};

/// An upstream that keeps every byte it gets, and answers what is a whole request.
struct Recorder(Arc<Mutex<Vec<u8>>>);

impl Recorder {
    fn start(listener: TcpListener) -> Self {
        let bytes = Arc::<Mutex<Vec<u8>>>::default();
        let kept = bytes.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let kept = kept.clone();
                tokio::spawn(async move {
                    let (mut buffer, mut request) = ([0; 4096], String::new());
                    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                        kept.lock().expect("no panic").extend_from_slice(&buffer[..count]);
                        request += &String::from_utf8_lossy(&buffer[..count]);
                        if body(&request).is_some() {
                            let _ = stream
                                .write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
                                .await;
                        }
                    }
                });
            }
        });
        Self(bytes)
    }

    fn take(&self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut *self.0.lock().expect("no panic"))).into_owned()
    }
}

enum Expected {
    /// Refused with this status, the connection closed, and nothing but perhaps the beginning of a broken body passed on.
    Refused(u16),
    /// The upstream gets this target and body, and what follows on our connection is not passed on.
    One(&'static str, &'static str),
}

use Expected::{One, Refused};

/// What a request that was smuggled would be recognised by.
const LURE: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

const ATTEMPTS: &[(&str, &str, Expected)] = &[
    // Line ends.
    ("a bare line feed after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", Refused(400)),
    ("a bare line feed after a header", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", Refused(400)),
    ("bare line feeds everywhere", "GET / HTTP/1.1\nHost: a\n\n", Refused(400)),
    ("a bare line feed ends the head", "GET / HTTP/1.1\r\nHost: a\r\n\n", Refused(400)),
    ("a bare line feed before the request", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("a bare carriage return in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n", Refused(400)),
    ("a bare carriage return ends a line", "GET / HTTP/1.1\rHost: a\r\n\r\n", Refused(400)),
    ("two carriage returns", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", Refused(400)),
    // Names and values.
    ("a folded line", "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", Refused(400)),
    ("a folded length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n 5\r\n\r\nhello", Refused(400)),
    ("a first line that is folded", "GET / HTTP/1.1\r\n Host: a\r\nHost: a\r\n\r\n", Refused(400)),
    ("a blank before the colon", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nhello", Refused(400)),
    (
        "a tab before the colon",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
        Refused(400),
    ),
    ("a blank before the name", "POST / HTTP/1.1\r\nHost: a\r\n Content-Length: 5\r\n\r\nhello", Refused(400)),
    ("no colon", "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", Refused(400)),
    ("no name", "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", Refused(400)),
    ("a NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", Refused(400)),
    ("a NUL in a name", "GET / HTTP/1.1\r\nHost: a\r\nX\0: b\r\n\r\n", Refused(400)),
    ("a length in disguise", "POST / HTTP/1.1\r\nHost: a\r\nContent_Length: 5\r\n\r\n", Refused(400)),
    ("a coding in disguise", "POST / HTTP/1.1\r\nHost: a\r\nTransfer_Encoding: chunked\r\n\r\n", Refused(400)),
    // Request lines.
    ("two blanks before the target", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("two blanks before the version", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("tabs for blanks", "GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("a blank at the end", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", Refused(400)),
    ("a blank at the beginning", " GET / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("a NUL in the target", "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("no version", "GET /\r\nHost: a\r\n\r\n", Refused(400)),
    ("a version to come", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", Refused(400)),
    ("a version in small letters", "GET / http/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("HTTP/2 in plain text", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", Refused(400)),
    (
        "another request in the target",
        "GET / HTTP/1.1\r\nX: GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        One("GET / ", ""),
    ),
    // Hosts.
    ("no host", "GET / HTTP/1.1\r\n\r\n", Refused(400)),
    ("two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", Refused(400)),
    ("the same host twice", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Refused(400)),
    ("a target that names another host", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    ("a target that names the host", "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", One("GET / ", "")),
    // Lengths.
    ("two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", Refused(400)),
    ("a list of lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello", Refused(400)),
    ("a list without blanks", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5,6\r\n\r\nhello!", Refused(400)),
    ("a signed length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello", Refused(400)),
    ("a negative length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\nhello", Refused(400)),
    ("a hexadecimal length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nhello", Refused(400)),
    ("a length with a fraction", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5.0\r\n\r\nhello", Refused(400)),
    ("digits with a separator", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1_0\r\n\r\nhello", Refused(400)),
    ("an empty length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", Refused(400)),
    (
        "a length beyond 64 bits",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551617\r\n\r\nh",
        Refused(400),
    ),
    (
        "the same length twice",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        One("POST / ", "hello"),
    ),
    // Codings.
    (
        "length and coding",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        One("POST / ", "hello"),
    ),
    (
        "coding and length",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        One("POST / ", "hello"),
    ),
    ("an unknown coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", Refused(400)),
    (
        "a coding that begins like one",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked-not\r\n\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "not chunked at the end",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "compressed before it is chunked",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "chunked twice in a list",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "chunked twice in lines",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "identity before chunked",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "a vertical tab before chunked",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "quotes around chunked",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "an empty coding",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\nContent-Length: 5\r\n\r\nhello",
        Refused(400),
    ),
    ("a coding in HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Refused(400)),
    (
        "a tab before chunked",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\tchunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        One("POST / ", "hello"),
    ),
    (
        "capitals",
        "POST / HTTP/1.1\r\nHost: a\r\nTRANSFER-ENCODING: CHUNKED\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        One("POST / ", "hello"),
    ),
    (
        "a length named as of this connection",
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: content-length\r\nContent-Length: 5\r\n\r\nhello",
        One("POST / ", "hello"),
    ),
    (
        "a coding named as of this connection",
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        One("POST / ", "hello"),
    ),
    ("a body of a GET", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", One("GET / ", "hello")),
    (
        "another request as a body",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 38\r\n\r\nGET /inside HTTP/1.1\r\nHost: inside\r\n\r\n",
        One("POST / ", "GET /inside HTTP/1.1\r\nHost: inside\r\n\r\n"),
    ),
    // Chunks.
    (
        "a chunk size beyond 64 bits",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "a chunk size of 0x",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "a signed chunk size",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "no chunk size",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\nhello\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "a blank after the chunk size",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "a bare line feed after the chunk size",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "a bare line feed after a chunk",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "a chunk longer than its size",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhello\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "a bare line feed in an extension",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a\nb\r\nhello\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "a bare carriage return in an extension",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a\rb\r\nhello\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "a NUL in an extension",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;\0\r\nhello\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "a bare line feed in a trailer",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: a\nY: b\r\n\r\n",
        Refused(400),
    ),
    (
        "a bare line feed ends the trailers",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\n",
        Refused(400),
    ),
    (
        "an extension",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=\"b;c\"\r\nhello\r\n0\r\n\r\n",
        One("POST / ", "hello"),
    ),
    (
        "zeros before the size",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0005\r\nhello\r\n000\r\n\r\n",
        One("POST / ", "hello"),
    ),
    (
        "a length in a trailer",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nContent-Length: 99\r\n\r\n",
        One("POST / ", "hello"),
    ),
    // Other protocols.
    (
        "an upgrade to HTTP/2",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
        One("GET / ", ""),
    ),
    ("HTTP/2 where it is not spoken", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Refused(400)),
    (
        "a WebSocket with a body",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\nhello",
        One("GET / ", "hello"),
    ),
];

#[tokio::test]
async fn no_attempt_smuggles_a_request_past_the_gateway() {
    let listener = bind().await;
    let route = format!(
        "[[routes]]\npath = \"/\"\nupstream = \"http://{}\"\naccess = \"public\"\n",
        listener.local_addr().expect("an address")
    );
    let recorder = Recorder::start(listener);
    let stage = Stage::with(&route).await;
    for (what, attempt, expected) in ATTEMPTS {
        let mut wire = Wire::open(stage.gateway.address).await;
        // The gateway may answer and close before it has read everything.
        let _ = wire.stream.write_all(attempt.as_bytes()).await;
        match expected {
            Refused(status) => {
                let _ = wire.stream.write_all(LURE.as_bytes()).await;
                let answer = wire.rest().await;
                assert_eq!((verdict(&answer).0, answer.matches("HTTP/1.1 ").count()), (*status, 1), "{what}: {answer}");
                let got = recorder.take();
                assert!(!got.contains("smuggled") && !got.ends_with("0\r\n\r\n"), "{what}: {got}");
            }
            One(line, expected) => {
                let answer = tokio::time::timeout(PATIENCE, wire.until("\r\n\r\nok")).await.expect("an answer");
                assert_eq!(verdict(&answer).0, 200, "{what}: {answer}");
                let got = recorder.take();
                assert!(got.starts_with(line), "{what}: {got}");
                assert_eq!(body(&got).as_deref(), Some(*expected), "{what}: {got}");
            }
        }
    }
}

/// The body of a request that says how long it is in one way alone, if all of it is there and nothing after it.
fn body(request: &str) -> Option<String> {
    let (head, rest) = request.split_once("\r\n\r\n")?;
    let head = format!("{}\r\n", head.to_ascii_lowercase());
    let lines = |name: &str| head.lines().filter(|line| line.starts_with(name)).count();
    match (lines("content-length:"), lines("transfer-encoding:")) {
        (0, 0) => rest.is_empty().then(String::new),
        (1, 0) => head.contains(&format!("content-length: {}\r\n", rest.len())).then(|| rest.to_owned()),
        (0, 1) => {
            let (size, rest) = rest.split_once("\r\n")?;
            let (body, end) = rest.split_at_checked(usize::from_str_radix(size, 16).ok()?)?;
            let trailers = end.strip_prefix("\r\n0\r\n")?;
            (trailers == "\r\n" || trailers.ends_with("\r\n\r\n")).then(|| body.to_owned())
        }
        _ => None,
    }
}

#[tokio::test]
async fn requests_in_a_row_are_answered_in_a_row() {
    let stage = Stage::with("[[routes]]\npath = \"/\"\nupstream = \"UPSTREAM\"\naccess = \"public\"\n").await;
    let mut wire = Wire::open(stage.gateway.address).await;
    let request = |number: usize| match number % 3 {
        0 => format!("GET /echo/{number} HTTP/1.1\r\nHost: a\r\n\r\n"),
        1 => format!("POST /echo/{number} HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n\n\r\n\r\n\n"),
        _ => format!(
            "POST /echo/{number} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n\n\r\n\r\n\n\r\n0\r\n\r\n"
        ),
    };
    let all: String = (0..12).map(request).collect();
    // In pieces that fall anywhere between two bytes.
    for piece in all.as_bytes().chunks(7) {
        wire.write(piece).await;
    }
    for number in 0..12 {
        let answer = wire.until("\"bytes\":").await;
        assert!(answer.contains(&format!("\"target\":\"/echo/{number}\"")), "{number}: {answer}");
        wire.until("}").await;
    }
    wire.write("GET /echo/last HTTP/1.1\nHost: a\r\n\r\n").await;
    assert_eq!(verdict(&wire.rest().await).0, 400, "the line ends of later requests are looked at, too");
    assert_eq!(stage.upstream.hits(), 12);
}
