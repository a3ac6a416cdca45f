//! What goes wrong on request at the token endpoint: the fault script of one client or of all.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The faults of the token endpoint; the default is none.
///
/// Faults of type [`Times`] count down as they strike. Those in the first group strike before the provider has decided anything, those
/// in the second after the tokens are committed, and only if there are tokens.
///
/// ```
/// use perennial_provider::{Faults, Times};
///
/// let faults = Faults { lose_reply: Times::Count(1), delay_ms: 200, ..Faults::default() };
/// assert!(faults.any());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Strike at this grant alone; `None` means at every grant.
    pub grant: Option<GrantType>,

    /// Milliseconds to wait before anything is decided.
    pub delay_ms: u64,
    /// Answers `invalid_client` (401), as after a secret was rotated.
    pub invalid_client: Times,
    /// Answers this HTTP status (400–599) instead; 429 and 5xx are what providers do.
    pub respond_status: Option<u16>,
    /// How many times `respond_status` strikes.
    pub respond_times: Times,
    /// For how many milliseconds, counted from when it was set, `respond_status` strikes.
    pub respond_for_ms: Option<u64>,
    /// The `Retry-After` of `respond_status`, in seconds.
    pub retry_after_seconds: Option<u32>,
    /// Closes the connection without an answer; nothing was committed.
    pub drop_before_commit: Times,
    /// Answers 307 to another URL of the provider: a client must not follow it.
    pub redirect: Times,
    /// Answers 200 with a page of HTML, as a captive portal does.
    pub html: Times,

    /// Milliseconds to wait after the commit and before the answer.
    pub delay_after_commit_ms: u64,
    /// Closes the connection without an answer, after the commit: the tokens exist and nobody has them.
    pub lose_reply: Times,
    /// Sends the head and half of the body, then closes the connection, after the commit.
    pub cut_reply: Times,
    /// Pads the answer to 4 MiB.
    pub oversized: Times,
    /// Leaves out `expires_in`.
    pub omit_expires_in: Times,
    /// Sends `expires_in` as a string.
    pub expires_in_as_string: Times,
    /// Leaves out `refresh_token`, although it may have been rotated.
    pub omit_refresh_token: Times,
    /// Leaves out `id_token`.
    pub omit_id_token: Times,
    /// Shifts the clock of ID tokens by this many seconds; negative is the past.
    pub id_token_skew_seconds: i64,
    /// Spoils ID tokens in this way.
    pub defect: Option<IdTokenDefect>,
    /// How many ID tokens `defect` spoils.
    pub defect_times: Times,
}

impl Faults {
    /// Whether anything at all would go wrong.
    pub fn any(&self) -> bool {
        *self != Self { grant: self.grant, ..Self::default() }
    }

    /// Takes `respond_status` away with all that belongs to it.
    pub(crate) fn end_outage(&mut self) {
        let none = Self::default();
        self.respond_status = none.respond_status;
        self.respond_times = none.respond_times;
        self.respond_for_ms = none.respond_for_ms;
        self.retry_after_seconds = none.retry_after_seconds;
    }
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            grant: None,
            delay_ms: 0,
            invalid_client: Times::Never,
            respond_status: None,
            respond_times: Times::Always,
            respond_for_ms: None,
            retry_after_seconds: None,
            drop_before_commit: Times::Never,
            redirect: Times::Never,
            html: Times::Never,
            delay_after_commit_ms: 0,
            lose_reply: Times::Never,
            cut_reply: Times::Never,
            oversized: Times::Never,
            omit_expires_in: Times::Never,
            expires_in_as_string: Times::Never,
            omit_refresh_token: Times::Never,
            omit_id_token: Times::Never,
            id_token_skew_seconds: 0,
            defect: None,
            defect_times: Times::Always,
        }
    }
}

/// How often a fault strikes; in JSON `false`, `true`, or a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Times {
    /// Until it is taken away.
    Always,
    /// This many times more.
    Count(u32),
    /// Not at all.
    #[default]
    Never,
}

impl Times {
    /// Whether it strikes now; a count goes down by one.
    pub(crate) fn strike(&mut self) -> bool {
        match *self {
            Self::Always => true,
            Self::Never | Self::Count(0) => false,
            Self::Count(left) => {
                *self = Self::from(left - 1);
                true
            }
        }
    }
}

impl From<u32> for Times {
    fn from(count: u32) -> Self {
        match count {
            0 => Self::Never,
            count => Self::Count(count),
        }
    }
}

impl From<bool> for Times {
    fn from(always: bool) -> Self {
        if always { Self::Always } else { Self::Never }
    }
}

impl Serialize for Times {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Always => serializer.serialize_bool(true),
            Self::Count(count) => serializer.serialize_u32(*count),
            Self::Never => serializer.serialize_bool(false),
        }
    }
}

impl<'de> Deserialize<'de> for Times {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected true, false, or a number of times")]
        enum Wire {
            Flag(bool),
            Count(u32),
        }
        Ok(match Wire::deserialize(deserializer)? {
            Wire::Flag(always) => always.into(),
            Wire::Count(count) => count.into(),
        })
    }
}

/// A grant type of the token endpoint: RFC 6749 §4.1.3, §4.4.2, §6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantType {
    /// `authorization_code`.
    AuthorizationCode,
    /// `client_credentials`.
    ClientCredentials,
    /// `refresh_token`.
    RefreshToken,
}

/// How an ID token is spoilt; each must be refused by OIDC Core §3.1.3.7 or §12.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdTokenDefect {
    /// `alg` is `none` and there is no signature.
    AlgNone,
    /// `aud` names another client.
    Aud,
    /// `exp` lies in the past.
    Exp,
    /// `iss` is another issuer.
    Iss,
    /// `kid` is one the key set does not have.
    Kid,
    /// `nonce` is another one.
    Nonce,
    /// The signature does not fit.
    Sig,
    /// `sub` is another person.
    Sub,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_count_down() {
        let mut twice = Times::from(2);
        let struck: Vec<bool> = (0..3).map(|_| twice.strike()).collect();
        assert_eq!(struck, [true, true, false]);
        assert_eq!(twice, Times::Never);
        let mut always = Times::Always;
        assert!(always.strike() && always.strike());
    }

    #[test]
    fn faults_survive_json() {
        let faults = Faults {
            lose_reply: 2.into(),
            html: true.into(),
            defect: Some(IdTokenDefect::AlgNone),
            ..Faults::default()
        };
        let json = serde_json::to_value(&faults).unwrap();
        assert_eq!(json["lose_reply"], 2);
        assert_eq!(json["defect"], "alg_none");
        assert_eq!(serde_json::from_value::<Faults>(json).unwrap(), faults);
    }
}
