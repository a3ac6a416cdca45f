//! Attacks on HTTP/2 (RFC 9113 §5.4, §6, §8, §10.5), each written frame by frame over a connection of its own. Each is refused, and an
//! honest connection beside it is served on.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::connections::{certificate, tls_section};
use crate::frames::*;
use crate::harness::{PATIENCE, Stage};

const PUBLIC: &str = "[[routes]]\npath = \"/\"\nupstream = \"UPSTREAM\"\naccess = \"public\"\n";

/// Errors of RFC 9113 §7. h2 says PROTOCOL_ERROR also where the RFC has a narrower word, and ends the connection where it would do to
/// end the stream: both are a refusal.
const PROTOCOL: End = End::GoAway(1);
const FLOW_CONTROL: End = End::GoAway(3);
const FRAME_SIZE: End = End::GoAway(6);
const ENHANCE_YOUR_CALM: End = End::GoAway(11);
const RESET: End = End::Reset(1);
const REFUSED_STREAM: End = End::Reset(7);

const GET: [(&str, &str); 4] = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/echo")];
const POST: [(&str, &str); 4] = [(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", "/echo")];

/// Takes HTTP/2 without TLS.
async fn stage(limits: &str) -> Stage {
    Stage::with(&format!("http2 = true\n{limits}{PUBLIC}")).await
}

/// A whole request without a body.
fn request(stream: u32, lines: &[(&str, &str)]) -> Frame {
    Frame(HEADERS, END_HEADERS | END_STREAM, stream, fields(lines))
}

/// A request with these lines after those of a good one.
fn with(lines: &[(&str, &str)]) -> Vec<Frame> {
    vec![request(1, &[&GET[..], lines].concat())]
}

/// A request with another line in place of that of the same name.
fn but(line: (&'static str, &'static str)) -> Vec<Frame> {
    vec![request(1, &GET.map(|good| if good.0 == line.0 { line } else { good }))]
}

/// The head of a request whose body follows.
fn open(lines: &[(&str, &str)]) -> Frame {
    Frame(HEADERS, END_HEADERS, 1, fields(&[&POST[..], lines].concat()))
}

/// Runs a table of attacks without TLS and over it, and tells how many requests the upstream saw. Those on a stream are made on the
/// first, those on the connection on any.
async fn all_refused(table: Vec<(&str, Vec<Frame>, End)>) -> usize {
    let folder = tempfile::tempdir().expect("a folder");
    let files = certificate(folder.path(), "app.example");
    let secure = Stage::with(&(tls_section(&files) + PUBLIC)).await;
    let ways = [(Way::Plain, stage("").await), (Way::tls(&files.cert_file), secure)];
    let mut wrong = Vec::new();
    for (way, stage) in &ways {
        let address = stage.gateway.address;
        let mut honest = Peer::over(way, address).await;
        for (at, (what, frames, expected)) in (0..).zip(&table) {
            let mut peer = Peer::over(way, address).await;
            peer.send(frames).await;
            let end = if matches!(expected, End::GoAway(_)) { peer.end().await } else { peer.end_of(1).await };
            if end != *expected {
                wrong.push(format!("{what}: {end:?} in place of {expected:?}"));
            }
            let turn = at * 2 + 1;
            honest.send(&[request(turn, &[GET[0], GET[1], GET[2], (":path", "/healthz")])]).await;
            assert_eq!(honest.end_of(turn).await, End::Status(200), "the honest connection, after {what}");
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    ways.iter().map(|(_, stage)| stage.upstream.hits()).sum()
}

#[tokio::test]
async fn frames_that_break_the_protocol_end_the_connection() {
    let frame = |kind, flags, stream, payload: &[u8]| vec![Frame(kind, flags, stream, payload.to_vec())];
    let setting = |id: u8, value: u32| frame(SETTINGS, 0, 0, &[&[0, id][..], &value.to_be_bytes()].concat());
    let window = |stream, add: u32| frame(WINDOW_UPDATE, 0, stream, &add.to_be_bytes());
    let head = || frame(HEADERS, END_STREAM, 1, &fields(&GET));
    let block = |bytes: &[u8]| frame(HEADERS, END_HEADERS | END_STREAM, 1, bytes);
    let seen = all_refused(vec![
        ("a frame larger than agreed", block(&[0; 16_385]), FRAME_SIZE),
        ("DATA on an idle stream", frame(DATA, 0, 1, b"x"), PROTOCOL),
        ("DATA on no stream", frame(DATA, 0, 0, b"x"), PROTOCOL),
        ("DATA with more padding than frame", frame(DATA, PADDED, 1, &[9, 0]), PROTOCOL),
        ("HEADERS on no stream", vec![request(0, &GET)], PROTOCOL),
        ("HEADERS on a stream of the server's", vec![request(2, &GET)], PROTOCOL),
        ("RST_STREAM of an idle stream", frame(RST_STREAM, 0, 1, &[0; 4]), PROTOCOL),
        ("RST_STREAM too short", frame(RST_STREAM, 0, 1, &[0; 3]), PROTOCOL),
        ("PUSH_PROMISE", frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2]), PROTOCOL),
        ("PRIORITY on no stream", frame(PRIORITY, 0, 0, &[0; 5]), PROTOCOL),
        ("PING too short", frame(PING, 0, 0, &[0; 7]), PROTOCOL),
        ("PING on a stream", frame(PING, 0, 1, &[0; 8]), PROTOCOL),
        ("GOAWAY on a stream", frame(GOAWAY, 0, 1, &[0; 8]), PROTOCOL),
        ("SETTINGS on a stream", frame(SETTINGS, 0, 1, &[]), PROTOCOL),
        ("SETTINGS cut short", frame(SETTINGS, 0, 0, &[0; 5]), PROTOCOL),
        ("an acknowledgement that says something", frame(SETTINGS, ACK, 0, &[0; 6]), PROTOCOL),
        ("ENABLE_PUSH of 2", setting(2, 2), PROTOCOL),
        ("INITIAL_WINDOW_SIZE of 2^31", setting(4, 1 << 31), PROTOCOL),
        ("MAX_FRAME_SIZE of 1", setting(5, 1), PROTOCOL),
        ("the connection's window overflows", window(0, (1 << 31) - 1), FLOW_CONTROL),
        ("the connection's window grows by 0", window(0, 0), PROTOCOL),
        ("the window of an idle stream grows", window(1, 1), PROTOCOL),
        ("CONTINUATION of nothing", frame(CONTINUATION, END_HEADERS, 1, &[]), PROTOCOL),
        ("a head that PING interrupts", [head(), frame(PING, 0, 0, &[0; 8])].concat(), PROTOCOL),
        ("a head that another stream goes on with", [head(), frame(CONTINUATION, 4, 3, &[])].concat(), PROTOCOL),
        ("a field that no table has", block(&[0xff, 0xff, 0x0f]), PROTOCOL),
        ("a table larger than agreed", block(&[0x3f, 0xff, 0xff, 0x0f]), PROTOCOL),
        ("a name without an end", block(&[0, 9, b'x']), PROTOCOL),
    ])
    .await;
    assert_eq!(seen, 0);
}

#[tokio::test]
async fn requests_that_are_none_are_reset_or_refused() {
    let body =
        |length, body: &[u8]| vec![open(&[("content-length", length)]), Frame(DATA, END_STREAM, 1, body.to_vec())];
    let two_lengths = |one, other| {
        let head = open(&[("content-length", one), ("content-length", other)]);
        vec![head, Frame(DATA, END_STREAM, 1, b"xx".to_vec())]
    };
    let swapped = vec![request(1, &[GET[0], GET[1], ("x", "y"), GET[2], GET[3]])];
    let seen = all_refused(vec![
        ("Connection", with(&[("connection", "close")]), RESET),
        ("Transfer-Encoding", with(&[("transfer-encoding", "chunked")]), RESET),
        ("Keep-Alive", with(&[("keep-alive", "9")]), RESET),
        ("Proxy-Connection", with(&[("proxy-connection", "keep-alive")]), RESET),
        ("Upgrade", with(&[("upgrade", "websocket")]), RESET),
        ("TE of something but trailers", with(&[("te", "gzip")]), RESET),
        ("a name in upper case", with(&[("X-Upper", "y")]), PROTOCOL),
        ("a name with a blank", with(&[("x y", "z")]), PROTOCOL),
        ("a name that is none", with(&[("", "z")]), PROTOCOL),
        ("a line end in a value", with(&[("x", "y\r\nz: w")]), PROTOCOL),
        ("a NUL in a value", with(&[("x", "y\0")]), PROTOCOL),
        (":path twice", with(&[GET[3]]), RESET),
        ("a pseudo-header after a header", swapped, RESET),
        ("a pseudo-header of answers", with(&[(":status", "200")]), RESET),
        ("no :method", vec![request(1, &GET[1..])], RESET),
        ("no :path", vec![request(1, &GET[..3])], RESET),
        ("an empty :path", but((":path", "")), RESET),
        ("a line end in :path", but((":path", "/\r\nx: y")), RESET),
        ("a blank in :method", but((":method", "GET /x")), PROTOCOL),
        ("a user in :authority", but((":authority", "u@a")), End::Status(400)),
        (":authority against Host", with(&[("host", "b")]), End::Status(400)),
        ("two hosts", with(&[("host", "a"), ("host", "a")]), End::Status(400)),
        ("no host", vec![request(1, &[GET[0], GET[1], GET[3]])], End::Status(400)),
        ("a length in disguise", with(&[("content_length", "5")]), End::Status(400)),
        ("a length without a body", vec![request(1, &[&POST[..], &[("content-length", "3")]].concat())], RESET),
        ("a length that is no number", body("2x", b"xx"), RESET),
        ("two lengths, the first of them right", two_lengths("2", "3"), RESET),
        ("two lengths, the last of them right", two_lengths("3", "2"), RESET),
        ("too many lines", with(&[("x", "y"); 129]), End::Status(431)),
    ])
    .await;
    assert_eq!(seen, 0);
}

/// The upstream may have seen the beginning of these, and never an end.
#[tokio::test]
async fn bodies_that_are_not_as_long_as_they_say_are_reset() {
    let body =
        |length, body: &[u8]| vec![open(&[("content-length", length)]), Frame(DATA, END_STREAM, 1, body.to_vec())];
    all_refused(vec![
        ("more body than its length", body("1", b"xx"), RESET),
        ("less body than its length", body("3", b"xx"), RESET),
        ("trailers that do not end", vec![open(&[]), Frame(HEADERS, END_HEADERS, 1, fields(&[("x", "y")]))], RESET),
    ])
    .await;
}

/// h2 does not call them malformed, as RFC 9113 §8.1 would, but nobody is told of them.
#[tokio::test]
async fn pseudo_headers_in_trailers_are_thrown_away() {
    let stage = stage("").await;
    let mut peer = Peer::open(stage.gateway.address).await;
    let head = [POST[0], POST[1], POST[2], (":path", "/trailers"), ("te", "trailers"), ("trailer", "x-came")];
    peer.send(&[Frame(HEADERS, END_HEADERS, 1, fields(&head)), request(1, &[(":path", "/other"), ("x-came", "yes")])])
        .await;
    assert_eq!(peer.end_of(1).await, End::Status(200));
    let Some(Frame(DATA, _, 1, told)) = peer.frame().await else { panic!("no body") };
    assert_eq!(String::from_utf8_lossy(&told), "came=Some(\"yes\")");
}

#[tokio::test]
async fn floods_end_the_connection() {
    let head = || Frame(HEADERS, END_STREAM, 1, fields(&GET));
    let continued = |count, payload: &[u8]| {
        let mut frames = vec![head()];
        frames.extend(std::iter::repeat_n(Frame(CONTINUATION, 0, 1, payload.to_vec()), count));
        frames
    };
    let large = "x".repeat(15_000);
    let mut over = continued(5, &fields(&[("x", &large)]));
    over.push(Frame(CONTINUATION, END_HEADERS, 1, Vec::new()));
    let streams = || (0..1000).map(|at| at * 2 + 1);
    let rapid = streams().flat_map(|at| [request(at, &GET), Frame(RST_STREAM, 0, at, vec![0, 0, 0, 8])]);
    let made_to = streams().map(|at| request(at, &[&GET[..], &[("connection", "close")]].concat()));
    all_refused(vec![
        ("a head larger than the limit", over, End::Status(431)),
        ("CONTINUATION without a byte", continued(1000, &[]), ENHANCE_YOUR_CALM),
        ("CONTINUATION with small fields", continued(1000, &fields(&[("x", "y")])), ENHANCE_YOUR_CALM),
        ("streams taken back at once (CVE-2023-44487)", rapid.collect(), ENHANCE_YOUR_CALM),
        ("streams that we must reset (CVE-2025-8671)", made_to.collect(), ENHANCE_YOUR_CALM),
    ])
    .await;
}

#[tokio::test]
async fn so_many_streams_may_be_taken_back_or_wrong_on_one_connection_and_not_one_more() {
    let stage = stage("").await;
    let taken_back = |at| vec![request(at, &GET), Frame(RST_STREAM, 0, at, vec![0, 0, 0, 8])];
    let wrong = |at| vec![request(at, &[&GET[..], &[("connection", "close")]].concat())];
    type Streams<'a> = &'a dyn Fn(u32) -> Vec<Frame>;
    for (what, bad, count, expected) in [
        ("taken back", &taken_back as Streams<'_>, 20, End::Status(200)),
        ("taken back", &taken_back, 21, ENHANCE_YOUR_CALM),
        ("wrong", &wrong, 256, End::Status(200)),
        ("wrong", &wrong, 257, ENHANCE_YOUR_CALM),
    ] {
        let mut frames: Vec<_> = (0..count).flat_map(|at| bad(at * 2 + 1)).collect();
        let last = count * 2 + 1;
        frames.push(request(last, &GET));
        let mut peer = Peer::open(stage.gateway.address).await;
        peer.send(&frames).await;
        assert_eq!(peer.end_of(last).await, expected, "{count} {what}");
    }
}

/// Each of these asks for an answer. Whoever takes none is not read from any more, and is let go after `answer_wait`.
#[tokio::test]
async fn floods_whose_answers_nobody_takes_are_not_read_and_then_let_go() {
    let stage = stage("[limits]\nanswer_wait = \"1s\"\n").await;
    let mut honest = Peer::open(stage.gateway.address).await;
    for (turn, frame) in [(1, Frame(PING, 0, 0, vec![0; 8])), (3, Frame(SETTINGS, 0, 0, Vec::new()))] {
        Peer::open(stage.gateway.address).await.flood(&frame).await;
        honest.send(&[request(turn, &GET)]).await;
        assert_eq!(honest.end_of(turn).await, End::Status(200));
    }
}

#[tokio::test]
async fn a_preface_that_is_none_is_no_request() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = certificate(folder.path(), "app.example");
    let secure = Stage::with(&(tls_section(&files) + PUBLIC)).await;
    for (way, stage) in [(Way::Plain, stage("").await), (Way::tls(&files.cert_file), secure)] {
        let mut stream = way.connect(stage.gateway.address).await;
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("written");
        let mut answer = Vec::new();
        // A reset is an end as well.
        let reading = async { drop(stream.read_to_end(&mut answer).await) };
        tokio::time::timeout(PATIENCE, reading).await.expect("closed in time");
        let answer = String::from_utf8_lossy(&answer);
        assert!(!answer.contains("200"), "{answer}");
        assert_eq!(stage.upstream.hits(), 0);
    }
}

#[tokio::test]
async fn streams_are_limited_at_once_and_not_in_all() {
    let stage = stage("[limits]\nstreams = 2\n").await;
    let mut peer = Peer::open(stage.gateway.address).await;
    for stream in [1, 3] {
        peer.send(&[request(stream, &[GET[0], GET[1], GET[2], (":path", "/hold")])]).await;
        stage.upstream.told.until_reached().await;
    }
    peer.send(&[request(5, &GET)]).await;
    assert_eq!(peer.end_of(5).await, REFUSED_STREAM, "a third at once");
    stage.upstream.told.go_on.notify_one();
    // One of the two has ended when its last piece has come.
    while !matches!(peer.frame().await.expect("a frame"), Frame(DATA, flags, ..) if flags & END_STREAM != 0) {}
    peer.send(&[request(7, &GET)]).await;
    assert_eq!(peer.end_of(7).await, End::Status(200), "its place is free");
    assert_eq!(stage.upstream.hits(), 3);
}
