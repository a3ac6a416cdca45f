//! What one setting is: a row. Rows make a section, sections make the table, and everything that is said about settings
//! anywhere, to a reader, an editor or a terminal, is made from them.

use std::time::Duration;

/// One row of the table: a key and all that is known about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    /// Its name within its section.
    pub(crate) key: &'static str,
    pub(crate) kind: Kind,
    /// What it does, in Markdown, for the reference page; without the links also for editors and `--help`.
    pub(crate) meaning: &'static str,
    pub(crate) fallback: Fallback,
    /// What to do about a value that is not good; the kind's own advice if empty.
    pub(crate) remedy: &'static str,
    /// What the reference page says it takes; the kind's own words if empty.
    pub(crate) value: &'static str,
    /// Its line in the example file: the value, or what it falls back to if empty.
    pub(crate) sample: &'static str,
    /// What stands after that value as a comment.
    pub(crate) note: &'static str,
    /// Whether the example file has the line in force, or commented out.
    pub(crate) shown: Shown,
    pub(crate) change: Change,
    pub(crate) holds: Holds,
}

/// A table of settings.
#[derive(Debug)]
pub(crate) struct Section {
    /// Its key in the table around it; empty for the whole.
    pub(crate) key: &'static str,
    /// What it is about, in one sentence, for editors and the example file.
    pub(crate) about: &'static str,
    pub(crate) settings: &'static [Setting],
    /// Keys that somebody may well write here and must not, with what to do instead.
    pub(crate) refused: &'static [(&'static str, &'static str)],
    /// How the example file shows a table that occurs several times; other sections are made from their rows.
    pub(crate) sample: &'static str,
}

/// What a setting takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// A text, perhaps one that means something: then whoever uses it parses it.
    Text,
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Number(Range<u64>),
    /// A number of bytes: `65536`, `"64KiB"`, `"10MiB"`.
    Size(Range<u64>),
    /// A length of time with a unit.
    Time(Range<Duration>),
    /// Several texts.
    Texts,
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// Texts by names that the table does not know.
    Map,
    /// A table within.
    Table(&'static Section),
    /// Tables within, each `[[…]]`.
    Tables(&'static Section),
}

/// From the least to the most, both included, and in words for people.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range<T> {
    pub(crate) least: T,
    pub(crate) most: T,
    /// Such as `1 minute to 400 days`; empty where there is nothing to say.
    pub(crate) words: &'static str,
}

/// What holds when a setting is not given.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fallback {
    /// This value, written as in an environment variable.
    Value(&'static str),
    /// What these words say, which somebody else knows: a preset, another setting.
    Words(&'static str),
    /// Nothing: it has to be given.
    Required,
}

/// How the example file shows a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    InForce,
    CommentedOut,
}

/// When a changed setting takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// At the next reload.
    Reload,
    /// At the next start: a reload keeps the old value and says so.
    Restart,
}

/// What is to be kept in mind about a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// Nothing: it may be shown.
    Plain,
    /// A secret may be part of it: it is never repeated, and may come from a file that a variable with `_FILE` names.
    Secret,
    /// The path of a file, or several: a reload is due when one of them changes.
    Paths,
}

impl Section {
    /// The table of the name `key`.
    pub(crate) const fn new(key: &'static str, about: &'static str, settings: &'static [Setting]) -> Self {
        Self { key, about, settings, refused: &[], sample: "" }
    }

    /// With this in the example file, for a table that occurs several times.
    pub(crate) const fn sample(mut self, sample: &'static str) -> Self {
        self.sample = sample;
        self
    }

    /// Without these keys, which somebody may well write, each with what to do instead.
    pub(crate) const fn refusing(mut self, refused: &'static [(&'static str, &'static str)]) -> Self {
        self.refused = refused;
        self
    }

    /// The row of a key.
    pub(crate) fn find(&self, key: &str) -> Option<&'static Setting> {
        self.settings.iter().find(|setting| setting.key == key)
    }

    /// How its keys are written in a file, in order.
    pub(crate) fn known(&self) -> impl Iterator<Item = String> {
        self.settings.iter().map(|Setting { key, kind, .. }| match (kind, self.key) {
            (Kind::Tables(_), _) => format!("[[{key}]]"),
            (Kind::Table(_) | Kind::Map, "") => format!("[{key}]"),
            (Kind::Table(_) | Kind::Map, section) => format!("[{section}.{key}]"),
            _ => (*key).to_owned(),
        })
    }
}

impl Setting {
    const fn new(key: &'static str, kind: Kind, meaning: &'static str) -> Self {
        Self {
            key,
            kind,
            meaning,
            fallback: Fallback::Words("–"),
            remedy: "",
            value: "",
            sample: "",
            note: "",
            shown: Shown::CommentedOut,
            change: Change::Reload,
            holds: Holds::Plain,
        }
    }

    pub(crate) const fn text(key: &'static str, meaning: &'static str) -> Self {
        Self::new(key, Kind::Text, meaning)
    }

    /// A flag, off unless it has another [`default`](Self::default).
    pub(crate) const fn flag(key: &'static str, meaning: &'static str) -> Self {
        Self::new(key, Kind::Flag, meaning).default("false")
    }

    pub(crate) const fn number(key: &'static str, range: Range<u64>, meaning: &'static str) -> Self {
        Self::new(key, Kind::Number(range), meaning)
    }

    pub(crate) const fn size(key: &'static str, range: Range<u64>, meaning: &'static str) -> Self {
        Self::new(key, Kind::Size(range), meaning)
    }

    pub(crate) const fn time(key: &'static str, range: Range<Duration>, meaning: &'static str) -> Self {
        Self::new(key, Kind::Time(range), meaning)
    }

    pub(crate) const fn texts(key: &'static str, meaning: &'static str) -> Self {
        Self::new(key, Kind::Texts, meaning)
    }

    pub(crate) const fn choice(key: &'static str, choices: &'static [&'static str], meaning: &'static str) -> Self {
        Self::new(key, Kind::Choice(choices), meaning)
    }

    pub(crate) const fn map(key: &'static str, meaning: &'static str) -> Self {
        Self::new(key, Kind::Map, meaning)
    }

    pub(crate) const fn table(section: &'static Section) -> Self {
        Self::new(section.key, Kind::Table(section), section.about)
    }

    pub(crate) const fn tables(section: &'static Section) -> Self {
        Self::new(section.key, Kind::Tables(section), section.about)
    }

    /// Holds when nothing else is given; written as in an environment variable.
    pub(crate) const fn default(mut self, value: &'static str) -> Self {
        self.fallback = Fallback::Value(value);
        self
    }

    /// What holds when nothing is given, in words, because somebody else knows it.
    pub(crate) const fn falls_back_to(mut self, words: &'static str) -> Self {
        self.fallback = Fallback::Words(words);
        self
    }

    /// Has to be given.
    pub(crate) const fn required(mut self) -> Self {
        self.fallback = Fallback::Required;
        self
    }

    /// What to do about a value that is not good.
    pub(crate) const fn remedy(mut self, remedy: &'static str) -> Self {
        self.remedy = remedy;
        self
    }

    /// What the reference page says it takes, where the kind alone does not tell.
    pub(crate) const fn value(mut self, words: &'static str) -> Self {
        self.value = words;
        self
    }

    /// In the example file, in force.
    pub(crate) const fn shown(mut self, sample: &'static str, note: &'static str) -> Self {
        (self.sample, self.note, self.shown) = (sample, note, Shown::InForce);
        self
    }

    /// In the example file, commented out.
    pub(crate) const fn sample(mut self, sample: &'static str, note: &'static str) -> Self {
        (self.sample, self.note) = (sample, note);
        self
    }

    /// What the example file says about it; its line there is the default, commented out.
    pub(crate) const fn note(mut self, note: &'static str) -> Self {
        self.note = note;
        self
    }

    /// Cannot change while the gateway runs.
    pub(crate) const fn at_start(mut self) -> Self {
        self.change = Change::Restart;
        self
    }

    /// A secret may be part of the value.
    pub(crate) const fn secret(mut self) -> Self {
        self.holds = Holds::Secret;
        self
    }

    /// The value is the path of a file, or several.
    pub(crate) const fn paths(mut self) -> Self {
        self.holds = Holds::Paths;
        self
    }
}

impl Range<u64> {
    pub(crate) const fn of(least: u64, most: u64, words: &'static str) -> Self {
        Self { least, most, words }
    }

    /// Any number that fits into 32 bits.
    pub(crate) const ANY_NUMBER: Self = Self::of(0, u32::MAX as u64, "");
}

impl Range<Duration> {
    /// In milliseconds.
    pub(crate) const fn of_millis(least: u64, most: u64, words: &'static str) -> Self {
        Self { least: Duration::from_millis(least), most: Duration::from_millis(most), words }
    }

    pub(crate) const ANY_TIME: Self = Self { least: Duration::ZERO, most: Duration::MAX, words: "" };
}

pub(crate) const SECOND: u64 = 1000;
pub(crate) const MINUTE: u64 = 60 * SECOND;
pub(crate) const DAY: u64 = 24 * 60 * MINUTE;
