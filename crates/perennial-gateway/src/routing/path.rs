//! How servers may read a path differently from one another.

use percent_encoding::percent_decode_str;

/// Doubled slashes, backslashes, encoded separators and what is encoded twice: servers disagree on what they mean.
pub(super) fn is_ambiguous(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let hex = |rest: &str| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    let twice = lower.split("%25").skip(1).any(hex);
    twice || ["%2f", "%5c", "%00", "\\", "//"].iter().any(|odd| lower.contains(odd))
}

/// The segments of a path as the most forgiving server reads them: decoded, without `;parameters`, in one case, and without
/// the dots and blanks at their ends that some file systems drop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Loose(Vec<String>);

impl Loose {
    pub(super) fn read(path: &str) -> Self {
        let decoded = percent_decode_str(path).decode_utf8_lossy().to_lowercase();
        let bare = decoded.split('/').map(|segment| segment.split(';').next().unwrap_or_default().trim());
        let kept = bare.map(|segment| match segment {
            "." | ".." => segment,
            _ => segment.trim_end_matches(['.', ' ']),
        });
        Self(kept.filter(|segment| !segment.is_empty()).map(str::to_owned).collect())
    }

    pub(super) fn climbs(&self) -> bool {
        self.0.iter().any(|segment| segment == "." || segment == "..")
    }

    pub(super) fn is_below(&self, prefix: &Self) -> bool {
        self.0.starts_with(&prefix.0)
    }

    /// How many segments it has.
    pub(super) fn depth(&self) -> usize {
        self.0.len()
    }
}
