//! What is wrong with a configuration: each fault with key, place and remedy.

use std::collections::BTreeMap;

/// Everything that is wrong with a configuration.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", self.listed())]
pub struct ConfigError {
    /// One entry for each fault, in the order of the settings.
    pub faults: Vec<ConfigFault>,
}

impl ConfigError {
    fn listed(&self) -> String {
        let lines: Vec<_> = self.faults.iter().map(ToString::to_string).collect();
        lines.join("\n")
    }
}

/// One fault of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} ({place}): {remedy}")]
pub struct ConfigFault {
    /// The setting.
    pub key: String,
    /// Where it is set, or should be.
    pub place: String,
    /// What to do.
    pub remedy: String,
}

impl ConfigFault {
    /// A fault of `key` at `place`.
    pub fn new(key: impl Into<String>, place: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { key: key.into(), place: place.into(), remedy: remedy.into() }
    }
}

/// Where settings stand, by key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places(BTreeMap<String, String>);

impl Places {
    pub(crate) fn extend(&mut self, places: impl IntoIterator<Item = (String, String)>) {
        self.0.extend(places);
    }

    /// Gives faults that know no better place than `general` the one where their setting stands, or the section above it.
    pub(crate) fn correct(&self, faults: &mut [ConfigFault], general: &str) {
        for fault in faults.iter_mut().filter(|fault| fault.place == general) {
            if let Some(place) = self.find(&fault.key) {
                fault.place.clone_from(place);
            }
        }
    }

    fn find(&self, key: &str) -> Option<&String> {
        let above = std::iter::successors(Some(key), |key| key.rsplit_once('.').map(|(above, _)| above));
        above.into_iter().find_map(|key| self.0.get(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_where_its_setting_or_its_section_stands() {
        let mut places = Places::default();
        places.extend([("session", "a:1"), ("session.max_age", "a:2")].map(|(k, p)| (k.to_owned(), p.to_owned())));
        for (key, place, corrected) in [
            ("session.max_age", "environment", "a:2"),
            ("session.update_age", "environment", "a:1"),
            ("AUTH_SECRET", "environment", "environment"),
            ("session.max_age", "b:7", "b:7"),
        ] {
            let mut faults = [ConfigFault::new(key, place, "do something")];
            places.correct(&mut faults, "environment");
            assert_eq!(faults[0].place, corrected, "{key} at {place}");
        }
    }
}
