//! A table that was read by its rows: every value is of its setting's kind and within its range, or there is a fault.

use std::collections::BTreeMap;

use std::time::Duration;

use perennial::ConfigFault;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::kind::Value;
use super::setting::{Change, Fallback, Holds, Kind, Section, Setting};
use super::source::Source;

/// The values of one table, to be taken by key. What is not given has its row's default.
#[derive(Debug)]
pub(crate) struct Values {
    section: &'static Section,
    /// The table's name with a dot after it: `session.`, or nothing at the top.
    prefix: String,
    /// Where it begins, as far as known.
    place: String,
    given: BTreeMap<&'static str, Given>,
    tables: BTreeMap<&'static str, Values>,
    lists: BTreeMap<&'static str, Vec<Values>>,
    maps: BTreeMap<&'static str, Vec<(String, String)>>,
}

#[derive(Debug)]
struct Given {
    /// Nothing where it has a fault.
    value: Option<Value>,
    place: String,
}

impl Values {
    /// Reads `table` by the rows of `section`, and reports all that is wrong with it.
    pub(super) fn read(
        section: &'static Section,
        prefix: String,
        place: String,
        mut table: DeTable<'_>,
        source: &Source<'_>,
        faults: &mut Vec<ConfigFault>,
    ) -> Self {
        let (given, tables, lists, maps) = Default::default();
        let mut values = Self { section, prefix, place, given, tables, lists, maps };
        for setting in section.settings {
            values.take(setting, table.remove(setting.key), source, faults);
        }
        values.close(&table, source, faults);
        values
    }

    /// A setting's name with the tables it lies in.
    pub(crate) fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// Where a setting stands, or if it does not, where its table begins as far as known.
    pub(crate) fn place_of(&self, key: &str) -> String {
        self.given.get(key).map_or_else(|| self.place.clone(), |given| given.place.clone())
    }

    /// Whether a setting was given, perhaps with a fault.
    pub(crate) fn is_given(&self, key: &str) -> bool {
        self.given.contains_key(key)
    }

    /// A fault of a setting, where it stands.
    pub(crate) fn fault(&self, key: &str, remedy: impl Into<String>) -> ConfigFault {
        ConfigFault::new(self.key(key), self.place_of(key), remedy)
    }

    /// What its row says to do about a value that is not good.
    pub(crate) fn remedy(&self, key: &str) -> &'static str {
        self.row(key).map_or("", |setting| setting.remedy)
    }

    /// A text, also one of a choice.
    pub(crate) fn text(&self, key: &str) -> Option<String> {
        match self.value(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A text that means something. If it does not, the row's remedy says what to do.
    pub(crate) fn parsed<T>(
        &self,
        key: &str,
        faults: &mut Vec<ConfigFault>,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let parsed = parse(&self.text(key)?);
        if parsed.is_none() {
            faults.push(self.fault(key, self.remedy(key)));
        }
        parsed
    }

    /// What one of the texts of a choice stands for.
    pub(crate) fn choice<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let chosen = self.text(key)?;
        choices.iter().find(|(name, _)| *name == chosen).map(|(_, choice)| *choice)
    }

    /// `true` or `false`; a flag that has a fault is off.
    pub(crate) fn flag(&self, key: &str) -> bool {
        self.flag_if_given(key) == Some(true)
    }

    /// A flag that knows a third answer.
    pub(crate) fn flag_if_given(&self, key: &str) -> Option<bool> {
        match self.value(key)? {
            Value::Flag(on) => Some(on),
            _ => None,
        }
    }

    /// A whole number or a number of bytes. The row's range must fit into the type that is asked for.
    pub(crate) fn number<T: TryFrom<u64>>(&self, key: &str) -> Option<T> {
        match self.value(key)? {
            Value::Number(number) => T::try_from(number).ok(),
            _ => None,
        }
    }

    /// A length of time.
    pub(crate) fn time(&self, key: &str) -> Option<Duration> {
        match self.value(key)? {
            Value::Time(time) => Some(time),
            _ => None,
        }
    }

    /// Several texts; none if there are none.
    pub(crate) fn texts(&self, key: &str) -> Vec<String> {
        match self.value(key) {
            Some(Value::Texts(texts)) => texts,
            _ => Vec::new(),
        }
    }

    /// Texts by names that the table does not know.
    pub(crate) fn map(&self, key: &str) -> &[(String, String)] {
        self.maps.get(key).map_or(&[], Vec::as_slice)
    }

    /// A table within this one; one that was not given has its defaults.
    pub(crate) fn table(&self, key: &'static str) -> &Self {
        self.tables.get(key).unwrap_or_else(|| unreachable!("the table has no [{key}]"))
    }

    /// The tables within this one that go by `key`, in order.
    pub(crate) fn tables(&self, key: &str) -> &[Self] {
        self.lists.get(key).map_or(&[], Vec::as_slice)
    }

    /// The paths of all files that the settings name.
    pub(super) fn paths(&self) -> Vec<String> {
        let named = self.section.settings.iter().filter(|setting| setting.holds == Holds::Paths);
        let own = named.filter_map(|setting| self.value(setting.key)).flat_map(|value| match value {
            Value::Text(path) => vec![path],
            Value::Texts(paths) => paths,
            _ => Vec::new(),
        });
        own.chain(self.inner().flat_map(Self::paths)).collect()
    }

    /// What only a start can change, by key, each with the place where it stands.
    pub(super) fn at_start(&self) -> Vec<(String, (Option<Value>, String))> {
        let fixed = self.section.settings.iter().filter(|setting| setting.change == Change::Restart);
        let told = |key| (self.key(key), (self.value(key), self.place_of(key)));
        let own = fixed.map(|setting| told(setting.key));
        own.chain(self.inner().flat_map(Self::at_start)).collect()
    }

    fn inner(&self) -> impl Iterator<Item = &Self> {
        self.tables.values().chain(self.lists.values().flatten())
    }

    fn row(&self, key: &str) -> Option<&'static Setting> {
        let row = self.section.find(key);
        debug_assert!(row.is_some(), "`{}{key}` has no row in the table of settings", self.prefix);
        row
    }

    fn value(&self, key: &str) -> Option<Value> {
        let row = self.row(key)?;
        match (self.given.get(key), row.fallback) {
            (Some(given), _) => given.value.clone(),
            (None, Fallback::Value(text)) => row.kind.parse(text),
            (None, _) => None,
        }
    }

    fn take(
        &mut self,
        setting: &'static Setting,
        value: Option<Spanned<DeValue<'_>>>,
        source: &Source<'_>,
        faults: &mut Vec<ConfigFault>,
    ) {
        match setting.kind {
            Kind::Table(section) => self.take_table(section, value, source, faults),
            Kind::Tables(section) => self.take_tables(section, value, source, faults),
            Kind::Map => self.take_map(setting, value, source, faults),
            _ => self.take_plain(setting, value, source, faults),
        }
    }

    fn take_plain(
        &mut self,
        setting: &'static Setting,
        value: Option<Spanned<DeValue<'_>>>,
        source: &Source<'_>,
        faults: &mut Vec<ConfigFault>,
    ) {
        let said = source.overrides.find(&self.key(setting.key));
        // What the file says is judged also where something else goes before it.
        let written = value.map(|value| (setting.kind.read(value.get_ref()), source.place(value.span().start)));
        let said = said.map(|said| (setting.kind.parse(&said.text), said.place.clone()));
        for (value, place) in [written, said].into_iter().flatten() {
            let remedy = match &value {
                None if setting.remedy.is_empty() => Some(setting.kind.advice()),
                None => Some(setting.remedy.to_owned()),
                Some(value) if !setting.kind.covers(value) => Some(setting.kind.range_advice()),
                Some(_) => None,
            };
            faults.extend(remedy.map(|remedy| ConfigFault::new(self.key(setting.key), &place, remedy)));
            // Out of range or not, what depends on it is judged by what was written.
            self.given.insert(setting.key, Given { value, place });
        }
        if matches!(setting.fallback, Fallback::Required) && !self.given.contains_key(setting.key) {
            faults.push(self.fault(setting.key, setting.remedy));
        }
    }

    fn take_table(
        &mut self,
        section: &'static Section,
        value: Option<Spanned<DeValue<'_>>>,
        source: &Source<'_>,
        faults: &mut Vec<ConfigFault>,
    ) {
        let place = value.as_ref().map(|value| source.place(value.span().start));
        if let Some(place) = &place {
            self.given.insert(section.key, Given { value: None, place: place.clone() });
        }
        let table = match value.map(Spanned::into_inner) {
            Some(DeValue::Table(table)) => table,
            None => DeTable::new(),
            Some(_) => {
                faults.push(self.fault(section.key, Kind::Table(section).advice()));
                DeTable::new()
            }
        };
        let (prefix, place) = (format!("{}.", self.key(section.key)), place.unwrap_or_else(|| self.place.clone()));
        self.tables.insert(section.key, Self::read(section, prefix, place, table, source, faults));
    }

    fn take_tables(
        &mut self,
        section: &'static Section,
        value: Option<Spanned<DeValue<'_>>>,
        source: &Source<'_>,
        faults: &mut Vec<ConfigFault>,
    ) {
        let Some(value) = value else { return };
        self.given.insert(section.key, Given { value: None, place: source.place(value.span().start) });
        let DeValue::Array(items) = value.into_inner() else {
            return faults.push(self.fault(section.key, Kind::Tables(section).advice()));
        };
        let mut list = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            let place = source.place(item.span().start);
            let DeValue::Table(table) = item.into_inner() else {
                faults.push(ConfigFault::new(self.key(section.key), place, Kind::Tables(section).advice()));
                continue;
            };
            let prefix = format!("{}[{index}].", self.key(section.key));
            list.push(Self::read(section, prefix, place, table, source, faults));
        }
        self.lists.insert(section.key, list);
    }

    fn take_map(
        &mut self,
        setting: &'static Setting,
        value: Option<Spanned<DeValue<'_>>>,
        source: &Source<'_>,
        faults: &mut Vec<ConfigFault>,
    ) {
        let Some(value) = value else { return };
        self.given.insert(setting.key, Given { value: None, place: source.place(value.span().start) });
        let DeValue::Table(table) = value.into_inner() else {
            return faults.push(self.fault(setting.key, setting.kind.advice()));
        };
        let mut map = Vec::new();
        for (name, value) in table {
            match value.get_ref().as_str() {
                Some(text) => map.push((name.get_ref().clone().into_owned(), text.to_owned())),
                None => {
                    let key = format!("{}.{}", self.key(setting.key), name.get_ref());
                    let place = source.place(value.span().start);
                    faults.push(ConfigFault::new(key, place, Kind::Text.advice()));
                }
            }
        }
        self.maps.insert(setting.key, map);
    }

    /// Reports whatever has no row.
    fn close(&self, left: &DeTable<'_>, source: &Source<'_>, faults: &mut Vec<ConfigFault>) {
        for key in left.keys() {
            let place = source.place(key.span().start);
            let key = key.get_ref();
            let refused = self.section.refused.iter().find(|(refused, _)| refused == key);
            let remedy = refused.map_or_else(|| self.spelling(key), |(_, remedy)| (*remedy).to_owned());
            faults.push(ConfigFault::new(self.key(key), place, remedy));
        }
    }

    fn spelling(&self, key: &str) -> String {
        let known = self.section.known().collect::<Vec<_>>().join(", ");
        match nearest(key, self.section.settings.iter().map(|setting| setting.key)) {
            Some(near) => format!("remove it or correct its spelling: did you mean `{near}`? known here are {known}"),
            None => format!("remove it or correct its spelling; known here are {known}"),
        }
    }
}

/// What somebody may have meant who wrote `key`.
pub(super) fn nearest<'a>(key: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let folded = key.to_lowercase().replace('-', "_");
    let near = known.map(|each| (strsim::damerau_levenshtein(&folded, each), each));
    near.filter(|(distance, each)| *distance <= each.len() / MISSES)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, each)| each)
}

/// One letter in so many may be wrong for a key to be taken for another.
const MISSES: usize = 3;
