//! Where settings come from: a TOML file, above it environment variables, above these the command line.

use std::collections::BTreeMap;

use perennial::ConfigFault;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::setting::{Holds, Kind, Section, Setting};
use super::values::Values;

/// The text of a file, and what goes before it.
pub(super) struct Source<'a> {
    pub(super) name: &'a str,
    pub(super) text: &'a str,
    pub(super) overrides: Overrides,
}

/// What was said elsewhere than in the file, by the whole key: `session.max_age`.
#[derive(Default)]
pub(super) struct Overrides(BTreeMap<String, Override>);

pub(super) struct Override {
    pub(super) text: String,
    pub(super) place: String,
}

impl Source<'_> {
    /// Reads all of it by the rows of `section`.
    ///
    /// # Errors
    /// Every place where the file is not TOML; what cannot be read as a whole is not judged any further.
    pub(super) fn read(
        &self,
        section: &'static Section,
        faults: &mut Vec<ConfigFault>,
    ) -> Result<Reading, Vec<ConfigFault>> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        let errors = errors.iter().map(|error| {
            let place = self.place(error.span().map_or(0, |span| span.start));
            ConfigFault::new("syntax", place, format!("correct the TOML: {}", error.message()))
        });
        match errors.collect::<Vec<_>>() {
            errors if errors.is_empty() => {
                let table = table.into_inner();
                let mut places = Vec::new();
                self.note_places("", &table, &mut places);
                let overridden = self.overrides.0.iter().map(|(key, said)| (key.clone(), said.place.clone()));
                places.extend(overridden);
                let values = Values::read(section, String::new(), self.name.to_owned(), table, self, faults);
                Ok(Reading { values, places })
            }
            errors => Err(errors),
        }
    }

    /// `perennial.toml:12`.
    pub(super) fn place(&self, offset: usize) -> String {
        let before = self.text.get(..offset).unwrap_or(self.text);
        format!("{}:{}", self.name, before.matches('\n').count() + 1)
    }

    fn note_places(&self, prefix: &str, table: &DeTable<'_>, places: &mut Vec<(String, String)>) {
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
    fn note_item(&self, name: &str, item: &Spanned<DeValue<'_>>, places: &mut Vec<(String, String)>) {
        let Some(table) = item.get_ref().as_table() else { return };
        let text = |key: &str| table.get(key).and_then(|value| value.get_ref().as_str());
        let id = text("id").or_else(|| text("preset")).unwrap_or("oidc");
        places.push((format!("{name}.{id}"), self.place(item.span().start)));
        self.note_places(&format!("{name}.{id}."), table, places);
    }
}

/// A source that was read.
pub(super) struct Reading {
    pub(super) values: Values,
    /// Where every setting stands, by key: `session.max_age`, `providers.<id>.issuer`.
    pub(super) places: Vec<(String, String)>,
}

impl Overrides {
    /// What `variables` say of the settings of `section`: `PERENNIAL_SESSION_MAX_AGE`. One that may hold a secret can also be
    /// the content of a file, whose path `PERENNIAL_STORE_FILE` is.
    pub(super) fn from_environment(
        section: &Section,
        variables: &BTreeMap<String, String>,
        faults: &mut Vec<ConfigFault>,
    ) -> Self {
        let mut overrides = Self::default();
        overrides.note_variables("", section, variables, faults);
        overrides
    }

    /// Goes before what there is.
    pub(super) fn set(&mut self, key: &str, text: impl Into<String>, place: impl Into<String>) {
        self.0.insert(key.to_owned(), Override { text: text.into(), place: place.into() });
    }

    /// What was said of a setting.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.find(key).map(|said| said.text.clone())
    }

    pub(super) fn find(&self, key: &str) -> Option<&Override> {
        self.0.get(key)
    }

    fn note_variables(
        &mut self,
        prefix: &str,
        section: &Section,
        variables: &BTreeMap<String, String>,
        faults: &mut Vec<ConfigFault>,
    ) {
        for setting in section.settings {
            let key = format!("{prefix}{}", setting.key);
            match setting.kind {
                Kind::Table(inner) => self.note_variables(&format!("{key}."), inner, variables, faults),
                Kind::Tables(_) | Kind::Map => {}
                _ => self.note_variable(&key, setting, variables, faults),
            }
        }
    }

    fn note_variable(
        &mut self,
        key: &str,
        setting: &Setting,
        variables: &BTreeMap<String, String>,
        faults: &mut Vec<ConfigFault>,
    ) {
        let name = variable(key);
        if let Some(text) = variables.get(&name) {
            return self.set(key, text, format!("environment, {name}"));
        }
        let name = format!("{name}_FILE");
        if let (Holds::Secret, Some(path)) = (setting.holds, variables.get(&name)) {
            let place = format!("environment, {name}");
            match std::fs::read_to_string(path) {
                Ok(text) => self.set(key, text.trim(), place),
                Err(error) => {
                    faults.push(ConfigFault::new(key, place, format!("make `{path}` readable: {error}")));
                }
            }
        }
    }
}

/// The environment variable of a key: `PERENNIAL_SESSION_MAX_AGE` of `session.max_age`.
pub(super) fn variable(key: &str) -> String {
    format!("PERENNIAL_{}", key.replace('.', "_").to_uppercase())
}
