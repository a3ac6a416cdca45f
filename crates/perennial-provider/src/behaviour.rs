//! How the provider treats refresh tokens, and the faults on top: RFC 9700 §4.14.2 and what real servers make of it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::faults::Faults;

/// The class of refresh, and what goes wrong.
///
/// It can be written as a script, which is how flags carry it:
///
/// ```
/// use perennial_provider::{Behaviour, RefreshClass, Times};
///
/// let behaviour: Behaviour = "class=overlap:10,at_kill,lose_reply=1".parse()?;
/// assert_eq!(behaviour.class, RefreshClass::Overlap { seconds: 10 });
/// assert!(behaviour.at_kill);
/// assert_eq!(behaviour.faults.lose_reply, Times::Count(1));
/// # Ok::<(), perennial_provider::BehaviourError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Behaviour {
    /// What the second presentation of a refresh token costs.
    pub class: RefreshClass,
    /// Whether a refresh kills the access tokens issued before it, at once.
    pub at_kill: bool,
    /// What goes wrong at the token endpoint.
    #[serde(flatten)]
    pub faults: Faults,
}

impl Behaviour {
    /// The same behaviour with the members of `patch` replaced; a `null` puts a member back to its default.
    ///
    /// # Errors
    /// When a name is unknown or a value does not fit; the message names it.
    pub fn patched(&self, mut patch: Map<String, Value>) -> Result<Self, BehaviourError> {
        let class = match patch.remove("class") {
            None => self.class,
            Some(Value::Null) => RefreshClass::default(),
            Some(value) => serde_json::from_value(value).map_err(BehaviourError::value)?,
        };
        let at_kill = match patch.remove("at_kill") {
            None => self.at_kill,
            Some(Value::Null) => false,
            Some(value) => serde_json::from_value(value).map_err(BehaviourError::value)?,
        };
        let Ok(Value::Object(mut faults)) = serde_json::to_value(&self.faults) else {
            unreachable!("faults are a JSON object");
        };
        for (name, value) in patch {
            match value {
                Value::Null => faults.remove(&name),
                value => faults.insert(name, value),
            };
        }
        let faults: Faults = serde_json::from_value(Value::Object(faults)).map_err(BehaviourError::value)?;
        match faults.respond_status {
            Some(status) if !(400..=599).contains(&status) => {
                Err(BehaviourError(format!("respond_status is {status}; give one from 400 to 599")))
            }
            _ => Ok(Self { class, at_kill, faults }),
        }
    }

    /// The same behaviour with a script applied: `name=value` pairs, separated by commas; a bare name means `true`.
    ///
    /// # Errors
    /// When a name is unknown or a value does not fit; the message names it.
    pub fn scripted(&self, script: &str) -> Result<Self, BehaviourError> {
        let patch = script
            .split(',')
            .map(str::trim)
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, "true"));
                let text = || Value::String(value.to_owned());
                (name.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| text()))
            })
            .collect();
        self.patched(patch)
    }
}

impl FromStr for Behaviour {
    type Err = BehaviourError;

    fn from_str(script: &str) -> Result<Self, Self::Err> {
        Self::default().scripted(script)
    }
}

/// What it costs to present one refresh token a second time.
///
/// As text, in JSON and in scripts: `rotating`, `reusable`, `overlap:10`, `idempotent:3`, `acknowledged`, `single_use`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum RefreshClass {
    /// The old token stays good until its successor, or an access token that came with it, is first used (Doorkeeper).
    Acknowledged,
    /// For this long after the rotation the old token returns the *same* successor (Dex); later it is refused, and nothing else dies.
    Idempotent {
        /// The length of the window, in seconds.
        seconds: u64,
    },
    /// For this long after the rotation the old token still works and returns a *different* successor (Hydra, Okta); later it is reuse and
    /// revokes the family.
    Overlap {
        /// The length of the window, in seconds.
        seconds: u64,
    },
    /// One token, good as often as wanted (Keycloak, Entra).
    Reusable,
    /// Each token works once; the second presentation revokes the whole family (Auth0).
    #[default]
    Rotating,
    /// Each token works once; the second presentation is refused, and nothing else dies (Spring, Zitadel).
    SingleUse,
}

impl RefreshClass {
    /// How long after its redemption a token may be presented again, for the classes that have such a window.
    pub(crate) fn window(self) -> Option<Duration> {
        match self {
            Self::Idempotent { seconds } | Self::Overlap { seconds } => Some(Duration::from_secs(seconds)),
            _ => None,
        }
    }

    /// The word for it without the number.
    pub fn name(self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Idempotent { .. } => "idempotent",
            Self::Overlap { .. } => "overlap",
            Self::Reusable => "reusable",
            Self::Rotating => "rotating",
            Self::SingleUse => "single_use",
        }
    }
}

impl fmt::Display for RefreshClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Idempotent { seconds } | Self::Overlap { seconds } => {
                write!(f, "{}:{seconds}", self.name())
            }
            _ => f.write_str(self.name()),
        }
    }
}

impl FromStr for RefreshClass {
    type Err = BehaviourError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, seconds) = match text.split_once(':') {
            None => (text, None),
            Some((name, number)) => (name, number.parse::<u64>().ok()),
        };
        match (name, seconds) {
            ("acknowledged", None) if name == text => Ok(Self::Acknowledged),
            ("idempotent", Some(seconds)) => Ok(Self::Idempotent { seconds }),
            ("overlap", Some(seconds)) => Ok(Self::Overlap { seconds }),
            ("reusable", None) if name == text => Ok(Self::Reusable),
            ("rotating", None) if name == text => Ok(Self::Rotating),
            ("single_use", None) if name == text => Ok(Self::SingleUse),
            _ => Err(BehaviourError(format!(
                "class `{text}` is unknown; one of rotating, reusable, overlap:SECONDS, idempotent:SECONDS, acknowledged, single_use"
            ))),
        }
    }
}

impl TryFrom<String> for RefreshClass {
    type Error = BehaviourError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<RefreshClass> for String {
    fn from(class: RefreshClass) -> Self {
        class.to_string()
    }
}

/// A behaviour that cannot be understood; the text says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BehaviourError(String);

impl BehaviourError {
    fn value(error: serde_json::Error) -> Self {
        Self(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::{GrantType, Times};

    #[test]
    fn scripts_are_read() {
        for (script, expected) in [
            ("", Behaviour::default()),
            ("class=reusable", Behaviour { class: RefreshClass::Reusable, ..Behaviour::default() }),
            (
                "class=idempotent:3",
                Behaviour { class: RefreshClass::Idempotent { seconds: 3 }, ..Behaviour::default() },
            ),
            (
                "respond_status=503, respond_for_ms=10000, grant=refresh_token",
                Behaviour {
                    faults: Faults {
                        respond_status: Some(503),
                        respond_for_ms: Some(10_000),
                        grant: Some(GrantType::RefreshToken),
                        ..Faults::default()
                    },
                    ..Behaviour::default()
                },
            ),
            ("html", Behaviour { faults: Faults { html: Times::Always, ..Faults::default() }, ..Behaviour::default() }),
        ] {
            assert_eq!(script.parse::<Behaviour>().as_ref(), Ok(&expected), "{script}");
        }
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for (script, names) in [
            ("class=sometimes", "sometimes"),
            ("class=overlap", "overlap"),
            ("class=rotating:3", "rotating:3"),
            ("lose_replies=1", "lose_replies"),
            ("lose_reply=often", "number of times"),
            ("respond_status=200", "200"),
            ("at_kill=7", "7"),
        ] {
            let refused = script.parse::<Behaviour>().expect_err(script).to_string();
            assert!(refused.contains(names), "{script}: {refused}");
        }
    }

    #[test]
    fn what_is_shown_can_be_sent_back() {
        let behaviour: Behaviour = "class=overlap:5,at_kill,lose_reply=2,delay_ms=9".parse().unwrap();
        let Value::Object(shown) = serde_json::to_value(&behaviour).unwrap() else { panic!("an object") };
        assert_eq!(Behaviour::default().patched(shown).unwrap(), behaviour);
    }
}
