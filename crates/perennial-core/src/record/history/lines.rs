//! The text of a history, line by line: an entry is added without reading those that it has nothing to do with.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

use crate::limits::{HISTORY_BYTES, HISTORY_ENTRIES, HISTORY_WORD_CHARS};

use super::entry::is_zero;
use super::{Entry, RenewalEntry, RenewalVerdict, Repeated, What};

/// A history in its JSON form: how many entries had to go, and a line for each of the others.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Lines<'a> {
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) gone: u32,
    #[serde(borrow, default)]
    pub(super) log: Vec<Line<'a>>,
}

/// An entry, or what another version of Perennial wrote there.
pub(super) enum Line<'a> {
    /// As it lies in the record.
    Told(&'a RawValue),
    /// To be written there.
    New(Box<RawValue>),
}

impl<'a> Lines<'a> {
    /// The lines of `text`; none, if they cannot be told apart.
    pub(super) fn of(text: Option<&'a RawValue>) -> Self {
        text.and_then(|text| serde_json::from_str(text.get()).ok()).unwrap_or_default()
    }

    /// The text they make.
    pub(super) fn written(&self) -> Option<Box<RawValue>> {
        // A number and texts that are JSON already: serialising them cannot fail.
        to_raw_value(self).ok()
    }

    /// Adds `entry`. The outcome of an attempt takes the place of its beginning; failures alike become one entry.
    pub(super) fn note(&mut self, mut entry: Entry) {
        if let What::Renewal(renewal) = &mut entry.what {
            for word in [&mut renewal.error, &mut renewal.replica].into_iter().flatten() {
                *word = plain(word);
            }
            if let Some(begun) = self.take_begun(&renewal.attempt) {
                entry.stale_cookies = entry.stale_cookies.saturating_add(begun.stale_cookies);
                entry.fork = entry.fork.or(begun.fork);
            }
        }
        if let Some(both) = self.log.last().and_then(|last| folded(last, &entry)) {
            self.log.pop();
            entry = both;
        }
        // Numbers, codes and plain words: serialising them cannot fail.
        self.log.extend(to_raw_value(&entry).ok().map(Line::New));
        while self.log.len() > HISTORY_ENTRIES || self.bytes() > HISTORY_BYTES {
            let signed_in = self.log.first().and_then(Line::entry).is_some_and(|first| first.what == What::SignedIn);
            let oldest = usize::from(signed_in && self.log.len() > 1);
            self.log.remove(oldest);
            self.gone = self.gone.saturating_add(1);
        }
    }

    fn take_begun(&mut self, attempt: &str) -> Option<Entry> {
        let found = self.log.iter().enumerate().find_map(|(at, line)| {
            // An attempt's name is plain text: what does not contain it need not be read.
            let entry = line.text().contains(attempt).then(|| line.entry()).flatten()?;
            match &entry.what {
                What::Renewal(renewal) if renewal.attempt == attempt && renewal.verdict == RenewalVerdict::Begun => {
                    Some((at, entry))
                }
                _ => None,
            }
        });
        let (at, begun) = found?;
        self.log.remove(at);
        Some(begun)
    }

    /// How long the text is that they make.
    fn bytes(&self) -> usize {
        let dropped = if self.gone == 0 { 0 } else { r#""gone":,"#.len() + self.gone.ilog10() as usize + 1 };
        let between = self.log.len().saturating_sub(1);
        r#"{"log":[]}"#.len() + dropped + between + self.log.iter().map(|line| line.text().len()).sum::<usize>()
    }
}

impl Line<'_> {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Told(text) => text.get(),
            Self::New(text) => text.get(),
        }
    }

    /// What it says; `None` if another version wrote it.
    pub(super) fn entry(&self) -> Option<Entry> {
        serde_json::from_str(self.text()).ok()
    }
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Told(text) => text.serialize(serializer),
            Self::New(text) => text.serialize(serializer),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Line<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&RawValue>::deserialize(deserializer).map(Self::Told)
    }
}

/// `entry` counted with the one before, if both tell the same failure: so an outage does not crowd out the rest.
fn folded(last: &Line<'_>, entry: &Entry) -> Option<Entry> {
    let What::Renewal(renewal) = &entry.what else { return None };
    if !renewal.verdict.is_failure() {
        return None;
    }
    let last = last.entry()?;
    let What::Renewal(before) = &last.what else { return None };
    let alike = before.verdict == renewal.verdict
        && (before.status, &before.error) == (renewal.status, &renewal.error)
        && (&before.replica, &before.resend) == (&renewal.replica, &renewal.resend)
        && last.generation == entry.generation;
    if !alike {
        return None;
    }
    let Repeated { since, times } = before.repeated.unwrap_or(Repeated { since: last.at, times: 1 });
    let repeated = Some(Repeated { since, times: times.saturating_add(1) });
    Some(Entry {
        stale_cookies: last.stale_cookies.saturating_add(entry.stale_cookies),
        fork: entry.fork.or(last.fork),
        what: What::Renewal(RenewalEntry { repeated, ..renewal.clone() }),
        ..*entry
    })
}

/// What a name or a code keeps of a text that came from outside.
pub(super) fn plain(text: &str) -> String {
    let allowed = |char: &char| char.is_ascii_alphanumeric() || "._-:".contains(*char);
    text.chars().filter(allowed).take(HISTORY_WORD_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::EndReason;
    use crate::session::Generation;
    use crate::time::Timestamp;

    #[test]
    fn the_length_is_that_of_the_text() {
        let at = Timestamp::from_unix_seconds(1);
        let what = What::Ended(EndReason::SignedOut);
        let entry = Entry { at, generation: Generation(1), expires_at: None, stale_cookies: 0, fork: None, what };
        for (gone, count) in [(0, 0), (0, 1), (9, 1), (10, 2), (u32::MAX, 3)] {
            let line = || Line::New(to_raw_value(&entry).expect("JSON"));
            let lines = Lines { gone, log: (0..count).map(|_| line()).collect() };
            let text = lines.written().expect("JSON");
            assert_eq!(lines.bytes(), text.get().len(), "{}", text.get());
        }
    }
}
