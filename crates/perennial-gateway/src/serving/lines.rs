//! How the lines of an HTTP/1.1 connection end (RFC 9112 §2.2, §7.1). hyper takes a bare line feed for a line's end, other servers
//! do not, and where two servers cut a request differently somebody hides a second one in it.
//!
//! This reads along and can only refuse: what it lets through, it lets through unchanged, and how long a body is it is told by
//! hyper, who has parsed the head. Where it reads for itself (lines, chunk sizes), it takes less than hyper does and gives it the
//! same meaning.

use memchr::memchr_iter;

/// Where in a connection the next byte belongs.
#[derive(Debug)]
pub(super) struct Lines {
    place: Place,
}

/// How the body of a request is delimited, as hyper understood its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes; none is zero.
    Length(u64),
    /// In chunks.
    Chunked,
    /// What follows is not HTTP any more.
    Foreign,
}

/// The bytes cannot be cut into requests in one way alone.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

#[derive(Clone, Copy, Debug)]
enum Place {
    /// In a head, in a line of so far so many bytes; nothing but empty lines came before if it is not `begun`.
    Head {
        begun: bool,
        line: Line,
    },
    /// A head is complete; how its body is delimited is still to be told.
    Between,
    Body(u64),
    ChunkSize {
        digits: u8,
        size: u64,
    },
    ChunkExtension {
        size: u64,
    },
    ChunkSizeEnd {
        size: u64,
    },
    Chunk(u64),
    ChunkEnd {
        carriage_return: bool,
    },
    Trailers(Line),
    Foreign,
}

/// A line under way: its length so far, and whether its last byte is a carriage return.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    bytes: usize,
    returned: bool,
}

/// How a look for the end of a part ended.
enum Seen {
    /// An empty line ends before this byte.
    Empty(usize),
    /// No empty line yet.
    More,
    /// A line feed alone stands at this byte.
    Bare(usize),
}

impl Lines {
    /// At the beginning of a connection.
    pub(super) fn new() -> Self {
        Self { place: Place::Head { begun: false, line: Line::default() } }
    }

    /// Whether somebody has begun a head and not ended it.
    pub(super) fn in_head(&self) -> bool {
        matches!(self.place, Place::Head { begun: true, .. })
    }

    /// Whether nothing more can be let through before [`Self::resume`].
    pub(super) fn is_between(&self) -> bool {
        matches!(self.place, Place::Between)
    }

    /// Goes on after a head, with what was understood of it.
    pub(super) fn resume(&mut self, framing: Framing) {
        self.place = match framing {
            Framing::Length(bytes) => Place::after_body(bytes),
            Framing::Chunked => Place::ChunkSize { digits: 0, size: 0 },
            Framing::Foreign => Place::Foreign,
        };
    }

    /// How many of `bytes` may go on to the parser: all of them, or those up to the end of a head. A bare line feed in a head
    /// becomes a NUL, which no head may hold, so that the parser answers 400 at that very request.
    ///
    /// # Errors
    /// [`Malformed`] in the delimiters of a chunked body.
    pub(super) fn pass(&mut self, bytes: &mut [u8]) -> Result<usize, Malformed> {
        let mut at = 0;
        while at < bytes.len() {
            match self.place {
                Place::Between => break,
                Place::Foreign => return Ok(bytes.len()),
                Place::Head { begun, line } => at += self.head(&mut bytes[at..], begun, line),
                Place::Body(left) => {
                    let taken = clamp(left, bytes.len() - at);
                    at += taken;
                    self.place = Place::after_body(left - taken as u64);
                }
                Place::Chunk(left) => {
                    let taken = clamp(left, bytes.len() - at);
                    at += taken;
                    self.place = match left - taken as u64 {
                        0 => Place::ChunkEnd { carriage_return: false },
                        left => Place::Chunk(left),
                    };
                }
                Place::Trailers(line) => at += self.trailers(&bytes[at..], line)?,
                delimiter => {
                    self.place = delimiter.after(bytes[at])?;
                    at += 1;
                }
            }
        }
        Ok(at)
    }

    /// Lets the bytes of a head through; how many it took.
    fn head(&mut self, bytes: &mut [u8], begun: bool, mut line: Line) -> usize {
        match line.seek_empty(bytes) {
            Seen::Bare(at) => {
                bytes[at] = 0;
                self.place = Place::Foreign;
                bytes.len()
            }
            // Empty lines before a request are skipped (RFC 9112 §2.2).
            Seen::Empty(end) if !begun && end == 2 - line.bytes.min(2) => {
                self.place = Place::Head { begun: false, line: Line::default() };
                end
            }
            Seen::Empty(end) => {
                self.place = Place::Between;
                end
            }
            Seen::More => {
                self.place = Place::Head { begun: begun || bytes != b"\r", line };
                bytes.len()
            }
        }
    }

    fn trailers(&mut self, bytes: &[u8], mut line: Line) -> Result<usize, Malformed> {
        match line.seek_empty(bytes) {
            Seen::Bare(_) => Err(Malformed),
            Seen::Empty(end) => {
                self.place = Place::after_body(0);
                Ok(end)
            }
            Seen::More => {
                self.place = Place::Trailers(line);
                Ok(bytes.len())
            }
        }
    }
}

impl Place {
    fn after_body(left: u64) -> Self {
        match left {
            0 => Self::Head { begun: false, line: Line::default() },
            left => Self::Body(left),
        }
    }

    /// What follows `byte` among the delimiters of chunks. Blanks around the size are refused, because servers disagree on them;
    /// so are control characters in extensions.
    fn after(self, byte: u8) -> Result<Self, Malformed> {
        match (self, byte) {
            (Self::ChunkSize { digits, size }, byte) if byte.is_ascii_hexdigit() && digits < CHUNK_SIZE_DIGITS_MAX => {
                let digit = char::from(byte).to_digit(16).ok_or(Malformed)?;
                Ok(Self::ChunkSize { digits: digits + 1, size: size << 4 | u64::from(digit) })
            }
            (Self::ChunkSize { digits: 1.., size }, b';') => Ok(Self::ChunkExtension { size }),
            (Self::ChunkSize { digits: 1.., size } | Self::ChunkExtension { size }, b'\r') => {
                Ok(Self::ChunkSizeEnd { size })
            }
            (Self::ChunkExtension { .. }, b'\t' | b' '..=b'~' | 0x80..) => Ok(self),
            (Self::ChunkSizeEnd { size: 0 }, b'\n') => Ok(Self::Trailers(Line::default())),
            (Self::ChunkSizeEnd { size }, b'\n') => Ok(Self::Chunk(size)),
            (Self::ChunkEnd { carriage_return: false }, b'\r') => Ok(Self::ChunkEnd { carriage_return: true }),
            (Self::ChunkEnd { carriage_return: true }, b'\n') => Ok(Self::ChunkSize { digits: 0, size: 0 }),
            _ => Err(Malformed),
        }
    }
}

impl Line {
    /// Looks for the end of an empty line, and remembers the line that `bytes` end in.
    fn seek_empty(&mut self, bytes: &[u8]) -> Seen {
        let (mut begin, before) = (0, *self);
        for feed in memchr_iter(b'\n', bytes) {
            let earlier = if begin == 0 { before } else { Self::default() };
            let length = earlier.bytes + (feed - begin);
            let returned = if feed > begin { bytes[feed - 1] == b'\r' } else { earlier.returned };
            match (returned, length) {
                (false, _) => return Seen::Bare(feed),
                (true, 1) => return Seen::Empty(feed + 1),
                (true, _) => begin = feed + 1,
            }
        }
        let earlier = if begin == 0 { before } else { Self::default() };
        let rest = &bytes[begin..];
        self.bytes = earlier.bytes + rest.len();
        self.returned = rest.last().map_or(earlier.returned, |last| *last == b'\r');
        Seen::More
    }
}

fn clamp(left: u64, there: usize) -> usize {
    usize::try_from(left).map_or(there, |left| left.min(there))
}

/// As many digits as a 64-bit size has.
const CHUNK_SIZE_DIGITS_MAX: u8 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    /// What gets through of `bytes` when they come in pieces of at most `piece`; after each head the next of `framings` is told.
    fn through(bytes: &[u8], piece: usize, framings: &[Framing]) -> Result<Vec<u8>, Malformed> {
        let (mut lines, mut framings, mut got) = (Lines::new(), framings.iter(), Vec::new());
        let mut waiting = bytes.to_vec();
        while !waiting.is_empty() {
            if lines.is_between() {
                let Some(framing) = framings.next() else { break };
                lines.resume(*framing);
            }
            let some = piece.min(waiting.len());
            let passed = lines.pass(&mut waiting[..some])?;
            got.extend(waiting.drain(..passed));
        }
        Ok(got)
    }

    const NONE: Framing = Framing::Length(0);
    const CHUNKED: Framing = Framing::Chunked;

    #[test]
    fn heads_with_whole_line_ends_pass_unchanged_and_one_at_a_time() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let two = [&head[..], head].concat();
        let blank = [b"\r\n\r\n", &head[..]].concat();
        for piece in 1..=two.len() {
            assert_eq!(
                through(&two, piece, &[]).as_deref(),
                Ok(&head[..]),
                "{piece}: the second waits for a word on the first"
            );
            assert_eq!(through(&two, piece, &[NONE]).as_deref(), Ok(&two[..]), "{piece}");
            assert_eq!(through(&blank, piece, &[]).as_deref(), Ok(&blank[..]), "{piece}: empty lines before a request");
        }
    }

    #[test]
    fn a_bare_line_feed_in_a_head_becomes_what_no_head_may_hold() {
        for head in [
            "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\nX: b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\n",
            "GET / HTTP/1.1\n\n",
            "\r\n\nGET / HTTP/1.1\r\n\r\n",
        ] {
            for piece in 1..=head.len() {
                let got = through(head.as_bytes(), piece, &[]).expect("no body");
                let bare = head
                    .bytes()
                    .zip(std::iter::once(0).chain(head.bytes()))
                    .position(|pair| pair.0 == b'\n' && pair.1 != b'\r');
                let bare = bare.expect("a bare one");
                assert_eq!((got[bare], &got[..bare]), (0, &head.as_bytes()[..bare]), "{piece}: {head:?}");
            }
        }
    }

    #[test]
    fn bodies_may_hold_anything_and_are_followed_by_heads() {
        let request = |head: &str, body: &str| [head, "\r\n\r\n", body].concat();
        let next = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        for (what, framing, body) in [
            ("a length", Framing::Length(12), "a\nb\n\nc\r\n\r\nd"),
            ("chunks", CHUNKED, "3\r\na\nb\r\n00A;x=\"y\"\r\n\n\r\n\n\r\n0\r\n\r\r\n0\r\n\r\n"),
            ("trailers", CHUNKED, "1\r\na\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n"),
        ] {
            let good = request("POST / HTTP/1.1", body) + next;
            let bad = request("POST / HTTP/1.1", body) + "GET / HTTP/1.1\nHost: a\r\n\r\n";
            for piece in 1..=good.len() {
                assert_eq!(
                    through(good.as_bytes(), piece, &[framing, NONE]).as_deref(),
                    Ok(good.as_bytes()),
                    "{what}, {piece}"
                );
                let got = through(bad.as_bytes(), piece, &[framing, NONE]).expect("good chunks");
                assert_eq!(
                    got.iter().filter(|byte| **byte == 0).count(),
                    1,
                    "{what}, {piece}: the next head is looked at"
                );
            }
        }
    }

    #[test]
    fn delimiters_of_chunks_are_what_the_standard_says_and_no_more() {
        for body in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "+1\r\n",
            "0x1\r\n",
            " 1\r\n",
            "1 \r\n",
            "1\n",
            "1\ra",
            ";a\r\n",
            "1;a\n",
            "1;a\0\r\n",
            "1;a\rb\r\n",
            "1\r\nab",
            "1\r\na\n",
            "1\r\na\rb",
            "1\r\na\r\n\n",
            "11111111111111111\r\n",
            "0\r\nX: a\nY: b\r\n\r\n",
            "0\r\n\n",
        ] {
            let request = format!("POST / HTTP/1.1\r\n\r\n{body}");
            for piece in 1..=request.len() {
                assert_eq!(through(request.as_bytes(), piece, &[CHUNKED]), Err(Malformed), "{piece}: {body:?}");
            }
        }
    }

    #[test]
    fn another_protocol_is_not_looked_at() {
        let tunnel = "GET / HTTP/1.1\r\n\r\n\n\0\n\n";
        assert_eq!(through(tunnel.as_bytes(), 3, &[Framing::Foreign]).as_deref(), Ok(tunnel.as_bytes()));
    }
}
