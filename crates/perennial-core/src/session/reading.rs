//! Sealed claims as they are read: those that only the engine sets are kept apart from all others, without a tree in between.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::claims::{NotASession, RESERVED_CLAIMS};
use super::own::{OWN, OwnClaims};

/// The claims of a session cookie or of a record.
pub struct SessionClaims {
    /// Those of [`RESERVED_CLAIMS`], in that order; our own part is below.
    reserved: [Option<Value>; RESERVED_CLAIMS.len()],
    own: Option<Result<OwnClaims<'static>, NotASession>>,
    others: Map<String, Value>,
}

impl SessionClaims {
    /// The claim of that name, which is one of [`RESERVED_CLAIMS`].
    pub fn reserved(&self, name: &str) -> Option<&Value> {
        self.reserved[place_of(name)?].as_ref()
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.reserved[place_of(name)?].take()
    }

    /// The claims, and our own part if there is one.
    ///
    /// # Errors
    /// Our own part is not understood.
    pub(super) fn split(mut self) -> Result<(Self, Option<OwnClaims<'static>>), NotASession> {
        let own = self.own.take().transpose()?;
        Ok((self, own))
    }

    /// Those that a callback may set.
    pub(super) fn into_others(self) -> Map<String, Value> {
        self.others
    }

    /// All but our own part.
    pub(super) fn into_map(self) -> Map<String, Value> {
        let named = RESERVED_CLAIMS.iter().zip(self.reserved);
        let reserved = named.filter_map(|(name, value)| Some(((*name).to_owned(), value?)));
        self.others.into_iter().chain(reserved).collect()
    }

    fn empty() -> Self {
        Self { reserved: Default::default(), own: None, others: Map::new() }
    }
}

/// They may hold tokens.
impl fmt::Debug for SessionClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionClaims([redacted])")
    }
}

fn place_of(name: &str) -> Option<usize> {
    RESERVED_CLAIMS.iter().position(|reserved| *reserved == name)
}

impl From<Map<String, Value>> for SessionClaims {
    fn from(claims: Map<String, Value>) -> Self {
        let mut read = Self::empty();
        for (name, value) in claims {
            match place_of(&name) {
                Some(_) if name == OWN => read.own = Some(serde_json::from_value(value).map_err(|_| NotASession)),
                Some(place) => read.reserved[place] = Some(value),
                None => drop(read.others.insert(name, value)),
            }
        }
        read
    }
}

impl<'de> Deserialize<'de> for SessionClaims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl<'de> Visitor<'de> for Text {
            type Value = SessionClaims;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the claims of a session")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut claims: A) -> Result<SessionClaims, A::Error> {
                let mut read = SessionClaims::empty();
                while let Some(Name(name)) = claims.next_key()? {
                    match place_of(&name) {
                        // On its own, because what another version wrote there must not make the rest unreadable.
                        Some(_) if name == OWN => {
                            let own: &RawValue = claims.next_value()?;
                            read.own = Some(serde_json::from_str(own.get()).map_err(|_| NotASession));
                        }
                        Some(place) => read.reserved[place] = Some(claims.next_value()?),
                        None => drop(read.others.insert(name.into_owned(), claims.next_value()?)),
                    }
                }
                Ok(read)
            }
        }

        deserializer.deserialize_map(Text)
    }
}

/// A name, borrowed from the text where nothing in it is escaped.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Both ways lead to the same, whatever another version or Auth.js wrote.
    #[test]
    fn text_and_tree_are_read_alike() {
        let good = super::super::fixtures::session().to_claims();
        let mut odd = good.clone();
        odd.insert("na\"me".into(), json!({ "deep": [1, null, { "iat": "no date" }] }));
        odd.insert("iat".into(), json!(null));
        odd.insert("exp".into(), json!(1e300));
        let mut later = good.clone();
        later[OWN]["v"] = json!(3);
        let mut strange = good.clone();
        strange.insert(OWN.into(), json!(["strange"]));
        for claims in [good, odd, later, strange, Map::new()] {
            let text = serde_json::to_string(&claims).expect("JSON");
            let read: SessionClaims = serde_json::from_str(&text).expect("an object");
            let tree = SessionClaims::from(claims);
            assert_eq!(read.reserved, tree.reserved, "{text}");
            assert_eq!(read.others, tree.others, "{text}");
            let [read, tree] = [read.own, tree.own].map(|own| own.map(|own| own.map(|own| json!(own))));
            assert_eq!(read, tree, "{text}");
        }
    }

    #[test]
    fn of_a_name_that_comes_twice_the_last_counts() {
        let text = r#"{"exp":1,"a":1,"exp":2,"a":2,"perennial":7,"perennial":{"v":1}}"#;
        let read: SessionClaims = serde_json::from_str(text).expect("an object");
        assert_eq!((read.reserved("exp"), &read.others["a"]), (Some(&json!(2)), &json!(2)));
        assert!(read.own.is_some_and(|own| own.is_ok()));
    }
}
