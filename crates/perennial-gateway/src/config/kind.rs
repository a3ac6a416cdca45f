//! How a kind of setting is read from TOML and from an environment variable, and how it is spoken of.

use std::time::Duration;

use toml::de::DeValue;

use super::setting::{Kind, Range};

/// A value of a kind, as it was written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    Flag(bool),
    Number(u64),
    Time(Duration),
    Texts(Vec<String>),
}

impl Kind {
    /// What a file says, if it is of this kind. Tables are read by whoever knows their rows.
    pub(super) fn read(self, value: &DeValue<'_>) -> Option<Value> {
        match (self, value) {
            (Self::Flag, DeValue::Boolean(on)) => Some(Value::Flag(*on)),
            (Self::Number(_) | Self::Size(_), DeValue::Integer(number)) => {
                u64::from_str_radix(number.as_str(), number.radix()).ok().map(Value::Number)
            }
            (Self::Text | Self::Choice(_) | Self::Time(_) | Self::Size(_), DeValue::String(text)) => self.parse(text),
            (Self::Texts, DeValue::Array(items)) => {
                let texts = items.iter().map(|item| item.get_ref().as_str().map(str::to_owned));
                texts.collect::<Option<Vec<_>>>().map(Value::Texts)
            }
            _ => None,
        }
    }

    /// What a text says, as in an environment variable or on the command line: texts are separated by commas.
    pub(super) fn parse(self, text: &str) -> Option<Value> {
        match self {
            Self::Text => Some(Value::Text(text.to_owned())),
            Self::Flag => text.parse().ok().map(Value::Flag),
            Self::Number(_) => text.parse().ok().map(Value::Number),
            Self::Size(_) => size(text).map(Value::Number),
            Self::Time(_) => humantime::parse_duration(text).ok().map(Value::Time),
            Self::Texts => Some(Value::Texts(
                text.split(',').map(|each| each.trim().to_owned()).filter(|each| !each.is_empty()).collect(),
            )),
            Self::Choice(choices) => choices.contains(&text).then(|| Value::Text(text.to_owned())),
            Self::Map | Self::Table(_) | Self::Tables(_) => None,
        }
    }

    /// Whether the value lies within the range of the kind, if it has one.
    pub(super) fn covers(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Number(range) | Self::Size(range), Value::Number(number)) => range.covers(number),
            (Self::Time(range), Value::Time(time)) => range.covers(time),
            _ => true,
        }
    }

    /// What to do about a value of another kind.
    pub(super) fn advice(self) -> String {
        match self {
            Self::Text => "write a text in quotes".to_owned(),
            Self::Flag => "write true or false".to_owned(),
            Self::Number(_) => "write a whole number, such as 100".to_owned(),
            Self::Size(_) => {
                "write a number of bytes, or a text with a unit, such as \"64KiB\" or \"10MiB\"".to_owned()
            }
            Self::Time(_) => "write a length of time with a unit, such as \"60s\", \"30m\" or \"30d\"".to_owned(),
            Self::Texts => "write texts in brackets: [\"a\", \"b\"]".to_owned(),
            Self::Choice(choices) => format!("write one of {}", quoted(choices)),
            Self::Map => "write a table of texts by name".to_owned(),
            Self::Table(section) => format!("write a table: [{}]", section.key),
            Self::Tables(section) => format!("write each one as a table: [[{}]]", section.key),
        }
    }

    /// What to do about a value out of range.
    pub(super) fn range_advice(self) -> String {
        format!("choose {}", self.range_words().unwrap_or("another"))
    }

    fn range_words(self) -> Option<&'static str> {
        let words = match self {
            Self::Number(range) | Self::Size(range) => range.words,
            Self::Time(range) => range.words,
            _ => "",
        };
        (!words.is_empty()).then_some(words)
    }

    /// What the reference page says it takes.
    pub(super) fn words(self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Flag => "flag".to_owned(),
            Self::Number(_) => self.range_words().unwrap_or("whole number").to_owned(),
            Self::Size(_) => self.range_words().unwrap_or("size").to_owned(),
            Self::Time(_) => self.range_words().unwrap_or("length of time").to_owned(),
            Self::Texts => "texts".to_owned(),
            Self::Choice(choices) => {
                choices.iter().map(|choice| format!("`\"{choice}\"`")).collect::<Vec<_>>().join(", ")
            }
            Self::Map => "texts by name".to_owned(),
            Self::Table(_) => "table".to_owned(),
            Self::Tables(_) => "tables".to_owned(),
        }
    }

    /// A value as it stands in a file.
    pub(super) fn literal(self, text: &str) -> String {
        match self {
            Self::Flag | Self::Number(_) => text.to_owned(),
            Self::Size(_) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.to_owned(),
            Self::Texts => match self.parse(text) {
                Some(Value::Texts(texts)) => format!("[{}]", quoted(&texts)),
                _ => "[]".to_owned(),
            },
            _ => format!("\"{text}\""),
        }
    }
}

impl<T: PartialOrd> Range<T> {
    fn covers(&self, value: &T) -> bool {
        self.least <= *value && *value <= self.most
    }
}

fn quoted(texts: &[impl AsRef<str>]) -> String {
    texts.iter().map(|text| format!("\"{}\"", text.as_ref())).collect::<Vec<_>>().join(", ")
}

/// A number of bytes: `4096`, `64KiB`, `10MiB`, `1GiB`.
fn size(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_the_environment_are_read_by_their_kind() {
        let text = |text: &str| Some(Value::Text(text.to_owned()));
        let texts = |texts: &[&str]| Some(Value::Texts(texts.iter().map(|text| (*text).to_owned()).collect()));
        for (kind, written, expected) in [
            (Kind::Text, "a, b", text("a, b")),
            (Kind::Flag, "true", Some(Value::Flag(true))),
            (Kind::Flag, "1", None),
            (Kind::Number(Range::ANY_NUMBER), "12", Some(Value::Number(12))),
            (Kind::Number(Range::ANY_NUMBER), "-1", None),
            (Kind::Number(Range::ANY_NUMBER), "1.5", None),
            (Kind::Size(Range::ANY_NUMBER), "64KiB", Some(Value::Number(65_536))),
            (Kind::Size(Range::ANY_NUMBER), "10 MiB", Some(Value::Number(10_485_760))),
            (Kind::Size(Range::ANY_NUMBER), "4096", Some(Value::Number(4096))),
            (Kind::Size(Range::ANY_NUMBER), "64kb", None),
            (Kind::Size(Range::ANY_NUMBER), "KiB", None),
            (Kind::Size(Range::ANY_NUMBER), "17179869184GiB", None),
            (Kind::Time(Range::ANY_TIME), "1h 30m", Some(Value::Time(Duration::from_secs(5400)))),
            (Kind::Time(Range::ANY_TIME), "90", None),
            (Kind::Texts, "a, b,,c ", texts(&["a", "b", "c"])),
            (Kind::Texts, "", texts(&[])),
            (Kind::Choice(&["a", "b"]), "b", text("b")),
            (Kind::Choice(&["a", "b"]), "B", None),
            (Kind::Map, "a=b", None),
        ] {
            assert_eq!(kind.parse(written), expected, "{written} as {kind:?}");
        }
    }
}
