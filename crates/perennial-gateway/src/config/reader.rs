//! Reads a TOML table setting by setting, and collects every fault with key and line instead of stopping at the first.

use std::time::Duration;

use perennial::ConfigFault;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A table being read. What is left over at the end was misspelt.
pub(crate) struct Reader<'a> {
    source: Source<'a>,
    /// The table's name with a dot after it: `session.`, or nothing at the top.
    prefix: String,
    table: DeTable<'a>,
}

/// The file a setting comes from.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) name: &'a str,
    pub(crate) text: &'a str,
}

impl Source<'_> {
    /// `perennial.toml:12`.
    pub(crate) fn place(self, offset: usize) -> String {
        let before = self.text.get(..offset).unwrap_or(self.text);
        format!("{}:{}", self.name, before.matches('\n').count() + 1)
    }

    fn note_places(self, prefix: &str, table: &DeTable<'_>, places: &mut Vec<(String, String)>) {
        for (key, value) in table {
            let name = format!("{prefix}{}", key.get_ref());
            match value.get_ref() {
                DeValue::Table(inner) => self.note_places(&format!("{name}."), inner, places),
                DeValue::Array(items) => items.iter().for_each(|item| self.note_item(&name, item, places)),
                _ => {}
            }
            places.push((name, self.place(key.span().start)));
        }
    }

    /// An item of an array of tables goes by its id, which is its preset's unless it says its own.
    fn note_item(self, name: &str, item: &Spanned<DeValue<'_>>, places: &mut Vec<(String, String)>) {
        let Some(table) = item.get_ref().as_table() else { return };
        let text = |key: &str| table.get(key).and_then(|value| value.get_ref().as_str());
        let id = text("id").or_else(|| text("preset")).unwrap_or("oidc");
        places.push((format!("{name}.{id}"), self.place(item.span().start)));
        self.note_places(&format!("{name}.{id}."), table, places);
    }
}

impl<'a> Reader<'a> {
    /// Reads the whole of a file.
    ///
    /// # Errors
    /// Every place where it is not TOML; what a file says that cannot be read as a whole is not judged any further.
    pub(crate) fn open(source: Source<'a>) -> Result<Self, Vec<ConfigFault>> {
        let (table, errors) = DeTable::parse_recoverable(source.text);
        let faults = errors.iter().map(|error| {
            let place = source.place(error.span().map_or(0, |span| span.start));
            ConfigFault::new("syntax", place, format!("correct the TOML: {}", error.message()))
        });
        match faults.collect::<Vec<_>>() {
            faults if faults.is_empty() => Ok(Self { source, prefix: String::new(), table: table.into_inner() }),
            faults => Err(faults),
        }
    }

    /// Where every setting of the table stands, by key: `session.max_age`, `providers.<id>.issuer`.
    pub(crate) fn places(&self) -> Vec<(String, String)> {
        let mut places = Vec::new();
        self.source.note_places("", &self.table, &mut places);
        places
    }

    /// Where a setting stands, or if it does not, where its table begins as far as known.
    pub(crate) fn place_of(&self, key: &str) -> String {
        let at = self.table.get(key).map(|value| value.span().start);
        at.map_or_else(|| self.source.name.to_owned(), |at| self.source.place(at))
    }

    /// Whether a setting was not given.
    pub(crate) fn is_missing(&self, key: &str) -> bool {
        !self.table.contains_key(key)
    }

    /// A setting's name with the tables it lies in.
    pub(crate) fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// A setting that must not stand here.
    pub(crate) fn refuse(&mut self, key: &str, remedy: &str, faults: &mut Vec<ConfigFault>) {
        let _: Option<()> = self.read(key, remedy, faults, |_| None);
    }

    /// A text that means something.
    pub(crate) fn parsed<T>(
        &mut self,
        key: &str,
        remedy: &str,
        faults: &mut Vec<ConfigFault>,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        self.read(key, remedy, faults, |value| parse(value.as_str()?))
    }

    /// A text.
    pub(crate) fn text(&mut self, key: &str, faults: &mut Vec<ConfigFault>) -> Option<String> {
        self.read(key, "write a text in quotes", faults, |value| value.as_str().map(str::to_owned))
    }

    /// `true` or `false`.
    pub(crate) fn flag(&mut self, key: &str, faults: &mut Vec<ConfigFault>) -> Option<bool> {
        self.read(key, "write true or false", faults, DeValue::as_bool)
    }

    /// A number without sign and fraction.
    pub(crate) fn whole_number(&mut self, key: &str, faults: &mut Vec<ConfigFault>) -> Option<u32> {
        self.read(key, "write a whole number, such as 100", faults, |value| match value {
            DeValue::Integer(number) => u32::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        })
    }

    /// A length of time with a unit: `"60s"`, `"30m"`, `"30d"`.
    pub(crate) fn duration(&mut self, key: &str, faults: &mut Vec<ConfigFault>) -> Option<Duration> {
        let remedy = "write a length of time with a unit, such as \"60s\", \"30m\" or \"30d\"";
        self.read(key, remedy, faults, |value| humantime::parse_duration(value.as_str()?).ok())
    }

    /// Texts in brackets.
    pub(crate) fn texts(&mut self, key: &str, faults: &mut Vec<ConfigFault>) -> Option<Vec<String>> {
        self.read(key, "write texts in brackets: [\"a\", \"b\"]", faults, |value| {
            value.as_array()?.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect()
        })
    }

    /// A text that one of `choices` stands for.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        key: &str,
        choices: &[(&str, T)],
        faults: &mut Vec<ConfigFault>,
    ) -> Option<T> {
        let names: Vec<_> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        self.read(key, &format!("write one of {}", names.join(", ")), faults, |value| {
            let chosen = value.as_str()?;
            choices.iter().find(|(name, _)| *name == chosen).map(|(_, choice)| *choice)
        })
    }

    /// A table within this one.
    pub(crate) fn section(&mut self, key: &str, faults: &mut Vec<ConfigFault>) -> Reader<'a> {
        let table = match self.table.remove(key) {
            None => DeTable::new(),
            Some(value) => self.as_table(key, value, faults).unwrap_or_default(),
        };
        Reader { source: self.source, prefix: format!("{}{key}.", self.prefix), table }
    }

    /// An array of tables within this one, each with the place where it begins.
    pub(crate) fn sections(&mut self, key: &str, faults: &mut Vec<ConfigFault>) -> Vec<(Reader<'a>, String)> {
        let Some(value) = self.table.remove(key) else { return Vec::new() };
        let place = self.source.place(value.span().start);
        let DeValue::Array(items) = value.into_inner() else {
            faults.push(ConfigFault::new(key, place, format!("write each one as a table: [[{key}]]")));
            return Vec::new();
        };
        let sections = items.into_iter().enumerate().filter_map(|(index, item)| {
            let place = self.source.place(item.span().start);
            let table = self.as_table(key, item, faults)?;
            let prefix = format!("{}{key}[{index}].", self.prefix);
            Some((Reader { source: self.source, prefix, table }, place))
        });
        sections.collect()
    }

    /// All that is left, as texts.
    pub(crate) fn take_texts(&mut self, faults: &mut Vec<ConfigFault>) -> Vec<(String, String)> {
        let keys: Vec<String> = self.table.keys().map(|key| key.get_ref().clone().into_owned()).collect();
        keys.into_iter().filter_map(|key| Some((key.clone(), self.text(&key, faults)?))).collect()
    }

    /// Reports whatever was not asked for.
    pub(crate) fn close(self, known: &[&str], faults: &mut Vec<ConfigFault>) {
        for key in self.table.keys() {
            let place = self.source.place(key.span().start);
            let remedy = format!("remove it or correct its spelling; known here are {}", known.join(", "));
            faults.push(ConfigFault::new(format!("{}{}", self.prefix, key.get_ref()), place, remedy));
        }
    }

    fn read<T>(
        &mut self,
        key: &str,
        remedy: &str,
        faults: &mut Vec<ConfigFault>,
        convert: impl FnOnce(&DeValue<'a>) -> Option<T>,
    ) -> Option<T> {
        let value = self.table.remove(key)?;
        let converted = convert(value.get_ref());
        if converted.is_none() {
            let place = self.source.place(value.span().start);
            faults.push(ConfigFault::new(self.key(key), place, remedy));
        }
        converted
    }

    fn as_table(&self, key: &str, value: Spanned<DeValue<'a>>, faults: &mut Vec<ConfigFault>) -> Option<DeTable<'a>> {
        let place = self.source.place(value.span().start);
        match value.into_inner() {
            DeValue::Table(table) => Some(table),
            _ => {
                faults.push(ConfigFault::new(
                    format!("{}{key}", self.prefix),
                    place,
                    format!("write a table: [{key}]"),
                ));
                None
            }
        }
    }
}
