//! A client of HTTP/2 that writes its frames byte by byte (RFC 9113 §4, §6) and reads what is done about them.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::harness::PATIENCE;

/// One frame: kind, flags, stream, payload.
#[derive(Clone)]
pub(crate) struct Frame(pub(crate) u8, pub(crate) u8, pub(crate) u32, pub(crate) Vec<u8>);

impl Frame {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let Self(kind, flags, stream, payload) = self;
        let length = u32::try_from(payload.len()).expect("a length").to_be_bytes();
        [&length[1..], &[*kind, *flags], &stream.to_be_bytes(), payload].concat()
    }
}

/// A field block of literals that no table remembers (RFC 7541 §6.2.2).
pub(crate) fn fields(lines: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in lines {
        block.push(0);
        for text in [name, value] {
            length(&mut block, text.len());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// An integer with a prefix of seven bits (RFC 7541 §5.1).
fn length(block: &mut Vec<u8>, length: usize) {
    let Some(mut rest) = length.checked_sub(127) else { return block.push(length as u8) };
    block.push(127);
    while rest >= 128 {
        block.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    block.push(rest as u8);
}

/// What became of a stream or of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The connection ends, with this error.
    GoAway(u32),
    /// The stream ends, with this error.
    Reset(u32),
    /// The request was answered.
    Status(u16),
    /// The connection was closed without a word.
    Closed,
}

/// How clients of HTTP/2 reach a gateway.
pub(crate) enum Way {
    /// By prior knowledge.
    Plain,
    /// As they agree on over TLS.
    Tls(TlsConnector),
}

impl Way {
    /// Over TLS, to a server that shows this certificate.
    pub(crate) fn tls(certificate: &Path) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(certificate).expect("a certificate")).expect("a good one");
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = versions.expect("versions").with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Self::Tls(TlsConnector::from(Arc::new(config)))
    }

    pub(crate) async fn connect(&self, address: SocketAddr) -> Box<dyn Io> {
        let stream = TcpStream::connect(address).await.expect("a connection");
        let Self::Tls(connector) = self else { return Box::new(stream) };
        let name = ServerName::try_from("app.example").expect("a name");
        let stream = connector.connect(name, stream).await.expect("TLS");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        Box::new(stream)
    }
}

pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Io for S {}

/// A connection on which HTTP/2 was begun.
pub(crate) struct Peer {
    stream: Box<dyn Io>,
    read: Vec<u8>,
}

impl Peer {
    /// Without TLS, with the preface and settings that ask for nothing.
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self::over(&Way::Plain, address).await
    }

    /// The same in this way.
    pub(crate) async fn over(way: &Way, address: SocketAddr) -> Self {
        let mut peer = Self { stream: way.connect(address).await, read: Vec::new() };
        peer.write(PREFACE).await;
        peer.send(&[Frame(SETTINGS, 0, 0, Vec::new())]).await;
        peer
    }

    /// What cannot be written any more was refused already: what was read says how.
    async fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    pub(crate) async fn send(&mut self, frames: &[Frame]) {
        self.write(&frames.iter().flat_map(Frame::bytes).collect::<Vec<_>>()).await;
    }

    /// Writes a frame again and again without reading a byte, until the connection is closed.
    pub(crate) async fn flood(&mut self, frame: &Frame) {
        let many = frame.bytes().repeat(4096);
        let flood = async { while self.stream.write_all(&many).await.is_ok() {} };
        tokio::time::timeout(PATIENCE, flood).await.expect("closed in time");
    }

    /// The next frame, unless the connection ends before it.
    pub(crate) async fn frame(&mut self) -> Option<Frame> {
        let reading = async {
            loop {
                if let Some(frame) = self.whole() {
                    return Some(frame);
                }
                match self.stream.read_buf(&mut self.read).await {
                    Ok(1..) => {}
                    _ => return None,
                }
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("a frame or an end in time")
    }

    fn whole(&mut self) -> Option<Frame> {
        let &[a, b, c, kind, flags, d, e, f, g, ..] = &*self.read else { return None };
        let end = HEAD_BYTES + u32::from_be_bytes([0, a, b, c]) as usize;
        if self.read.len() < end {
            return None;
        }
        let rest = self.read.split_off(end);
        let frame = std::mem::replace(&mut self.read, rest);
        Some(Frame(kind, flags, u32::from_be_bytes([d, e, f, g]), frame[HEAD_BYTES..].to_vec()))
    }

    /// Reads until it is clear what became of `stream`, or of them all.
    pub(crate) async fn end_of(&mut self, stream: u32) -> End {
        loop {
            match self.frame().await {
                None => return End::Closed,
                Some(Frame(GOAWAY, _, _, payload)) if number(&payload[4..]) != 0 => {
                    return End::GoAway(number(&payload[4..]));
                }
                Some(Frame(RST_STREAM, _, of, payload)) if of == stream => return End::Reset(number(&payload)),
                Some(Frame(HEADERS, _, of, block)) if of == stream => return End::Status(status(&block)),
                Some(_) => {}
            }
        }
    }

    /// Reads until the error with which the connection ends.
    pub(crate) async fn end(&mut self) -> End {
        // No stream has this number.
        self.end_of(0).await
    }
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().expect("four bytes"))
}

/// The status at the head of a field block: from the static table, or three digits (RFC 7541 §6.1, §6.2, Appendix B).
fn status(block: &[u8]) -> u16 {
    match block {
        [indexed @ 0x88..=0x8e, ..] => [200, 204, 206, 304, 400, 404, 500][usize::from(indexed - 0x88)],
        [0x48 | 0x08, 3, digits @ ..] => String::from_utf8_lossy(&digits[..3]).parse().expect("three digits"),
        [0x48 | 0x08, length @ 0x80..=0xff, code @ ..] => huffman_digits(&code[..usize::from(length & 0x7f)]),
        _ => panic!("no status at the head of {block:02x?}"),
    }
}

/// Digits have five bits up to 2, and six from 3 on.
fn huffman_digits(code: &[u8]) -> u16 {
    let bits: Vec<u16> = code.iter().flat_map(|byte| (0..8).rev().map(move |at| u16::from(byte >> at & 1))).collect();
    let value = |from: usize, count: usize| bits[from..from + count].iter().fold(0, |value, bit| value << 1 | bit);
    let (mut at, mut status) = (0, 0);
    for _ in 0..3 {
        let (digit, count) = match value(at, 5) {
            short @ 0..=2 => (short, 5),
            _ => (value(at, 6) - 0b01_1001 + 3, 6),
        };
        status = status * 10 + digit;
        at += count;
    }
    status
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEAD_BYTES: usize = 9;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;
