//! RFC 3986 §6.2.2: the one reading of a path that is judged and passed on, and how servers may read it differently.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Whether servers disagree on what a path means: doubled slashes, backslashes, encoded separators and control characters,
/// encodings that are none, that stand for an overlong form of UTF-8, or that are encoded twice.
pub(super) fn is_ambiguous(path: &str) -> bool {
    if path.contains("//") || path.contains('\\') {
        return true;
    }
    if !path.contains('%') {
        return false;
    }
    let Some(bytes) = decoded(path.as_bytes()) else { return true };
    let odd = |byte: &Byte| byte.encoded && matches!(byte.value, b'/' | b'\\' | ..=0x1f | 0x7f);
    bytes.iter().any(odd) || is_encoded_twice(&bytes) || is_overlong(&bytes)
}

/// The path with what needs no encoding decoded, what needs one encoded, and all encodings in capital letters. To every server that
/// keeps to the standard it is the same path.
pub(super) fn normalised(path: &str) -> Cow<'_, str> {
    if path.is_ascii() && !path.contains('%') {
        return Cow::Borrowed(path);
    }
    let as_is = |byte: Byte| if byte.encoded { !is_unreserved(byte.value) } else { byte.value.is_ascii() };
    let capital = !path.split('%').skip(1).any(|rest| rest.bytes().take(2).any(|byte| byte.is_ascii_lowercase()));
    match decoded(path.as_bytes()) {
        Some(bytes) if !(capital && bytes.iter().copied().all(as_is)) => {
            let written = bytes.into_iter().map(|byte| match byte {
                byte if as_is(byte) != byte.encoded => char::from(byte.value).to_string(),
                byte => format!("%{:02X}", byte.value),
            });
            Cow::Owned(written.collect())
        }
        _ => Cow::Borrowed(path),
    }
}

#[derive(Clone, Copy)]
struct Byte {
    value: u8,
    encoded: bool,
}

/// The bytes of a path, decoded; `None` where a `%` begins no encoding.
fn decoded(path: &[u8]) -> Option<Vec<Byte>> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [first, tail @ ..] = rest {
        let (byte, after) = match (first, tail) {
            (b'%', [high, low, after @ ..]) => {
                let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                (Byte { value: digit(*high)? << 4 | digit(*low)?, encoded: true }, after)
            }
            (b'%', _) => return None,
            (plain, after) => (Byte { value: *plain, encoded: false }, after),
        };
        bytes.push(byte);
        rest = after;
    }
    Some(bytes)
}

/// Whether decoding once leaves something to decode.
fn is_encoded_twice(bytes: &[Byte]) -> bool {
    bytes.windows(3).any(|window| match window {
        [percent, high, low] => {
            percent.value == b'%' && high.value.is_ascii_hexdigit() && low.value.is_ascii_hexdigit()
        }
        _ => false,
    })
}

/// RFC 3629 §3: forms of UTF-8 that are longer than they need be stand for nothing, and for a dot or a slash to some decoders.
fn is_overlong(bytes: &[Byte]) -> bool {
    let second = |at: usize| bytes.get(at + 1).map_or(0, |byte| byte.value);
    bytes.iter().enumerate().any(|(at, byte)| match byte.value {
        0xc0 | 0xc1 => true,
        0xe0 => (0x80..=0x9f).contains(&second(at)),
        0xf0 => (0x80..=0x8f).contains(&second(at)),
        _ => false,
    })
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// The segments of a path as the most forgiving server reads them: decoded, without `;parameters`, in one case, and without
/// the dots and blanks at their ends that some file systems drop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Loose(Vec<String>);

impl Loose {
    pub(super) fn read(path: &str) -> Self {
        // Up and down again: some letters have a capital that is another letter's as well.
        let decoded = percent_decode_str(path).decode_utf8_lossy().to_uppercase().to_lowercase();
        let bare = decoded.split('/').map(|segment| segment.split(';').next().unwrap_or_default().trim());
        let kept = bare.map(|segment| match segment {
            "." | ".." => segment,
            _ => segment.trim_end_matches(['.', ' ']),
        });
        Self(kept.filter(|segment| !segment.is_empty()).map(str::to_owned).collect())
    }

    /// Whether it leaves the folder it seems to lie in.
    pub(super) fn climbs(&self) -> bool {
        self.0.iter().any(|segment| segment == "." || segment == "..")
    }

    pub(super) fn segments(&self) -> &[String] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_read_differently_is_seen() {
        for (path, expected) in [
            ("/", false),
            ("/a/b", false),
            ("/a%20b", false),
            ("/caf%C3%A9", false),
            ("/100%25", false),
            ("/%25x", false),
            ("/a;v=1", false),
            ("/%7Euser", false),
            ("//a", true),
            ("/a//b", true),
            ("/a\\b", true),
            ("/a%2fb", true),
            ("/a%2Fb", true),
            ("/a%5cb", true),
            ("/a%00", true),
            ("/a%0d%0aX", true),
            ("/a%09", true),
            ("/a%7f", true),
            ("/100%", true),
            ("/a%2", true),
            ("/a%zz", true),
            ("/a%u002e", true),
            ("/%252e", true),
            ("/%25%32%65", true),
            ("/%2%35", true),
            ("/%c0%ae", true),
            ("/%C1%9C", true),
            ("/%e0%80%ae", true),
            ("/%f0%80%80%ae", true),
            ("/%e2%82%ac", false),
            ("/%f0%9f%98%80", false),
        ] {
            assert_eq!(is_ambiguous(path), expected, "{path}");
        }
    }

    #[test]
    fn one_spelling_stands_for_all_that_mean_the_same() {
        for (path, expected) in [
            ("/a/b", "/a/b"),
            ("/%61dmin", "/admin"),
            ("/%7euser/%2d%5F%2e", "/~user/-_."),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/caf%C3%A9", "/caf%C3%A9"),
            ("/a%20b%3a", "/a%20b%3A"),
            ("/100%25", "/100%25"),
            ("/100%", "/100%"),
            ("/caf\u{e9}/%61", "/caf%C3%A9/a"),
            ("/\u{20ac}", "/%E2%82%AC"),
            ("/%2e%2e/x", "/../x"),
        ] {
            assert_eq!(normalised(path), expected, "{path}");
        }
        assert!(matches!(normalised("/plain"), Cow::Borrowed(_)));
        assert!(matches!(normalised("/caf%C3%A9"), Cow::Borrowed(_)));
    }

    #[test]
    fn the_most_forgiving_reading_folds_what_any_server_folds() {
        for (path, expected) in [
            ("/Admin/Users", "admin/users"),
            ("/admin;v=1/users", "admin/users"),
            ("/admin./users%20", "admin/users"),
            ("/;x/admin", "admin"),
            ("/%41dmin", "admin"),
            ("/mi%C5%BFt", "mist"),
            ("/%E2%84%AAey", "key"),
        ] {
            assert_eq!(Loose::read(path).segments().join("/"), expected, "{path}");
        }
        assert!(Loose::read("/a/..;/b").climbs() && Loose::read("/a/./b").climbs());
        assert!(!Loose::read("/.well-known/...").climbs());
    }
}
