//! Request parameters: RFC 6749 §3.1 and §3.2 (an empty value is an absent one, a repeated name is an error).

use std::collections::BTreeMap;

/// The parameters of one query or form, each at most once.
pub(crate) struct Params(BTreeMap<String, String>);

impl Params {
    /// Reads a query or an `application/x-www-form-urlencoded` body; the error is the name that came twice.
    pub(crate) fn parse(encoded: &[u8]) -> Result<Self, String> {
        let mut found = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(encoded) {
            if value.is_empty() {
                continue;
            }
            if found.insert(name.to_string(), value.into_owned()).is_some() {
                return Err(name.into_owned());
            }
        }
        Ok(Self(found))
    }

    pub(crate) fn of(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn owned(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }
}
