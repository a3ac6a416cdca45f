//! What is kept of a sign-in between the redirect and the callback.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::names::ProviderId;
use crate::secret::{CodeVerifier, Nonce, State};

/// A sign-in under way. Serialise it only to seal it into a cookie of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingSignIn {
    /// Where the user was sent.
    pub provider: ProviderId,
    /// RFC 6749 §4.1.1 `state`.
    #[serde(with = "state")]
    pub state: State,
    /// OIDC Core §3.1.2.1 `nonce`; a plain OAuth provider gets none.
    #[serde(with = "nonce", default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<Nonce>,
    /// RFC 7636 §4.1.
    #[serde(with = "code_verifier")]
    pub code_verifier: CodeVerifier,
    /// Our callback; RFC 6749 §4.1.3 wants it repeated with the code.
    pub redirect_uri: String,
    /// Where the user goes afterwards.
    pub return_to: String,
    /// OIDC Core §3.1.2.1 `max_age`, when it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Duration>,
    /// Whether the user was to notice.
    #[serde(default)]
    pub manner: Manner,
    /// When it began.
    pub started: Timestamp,
}

/// Whether the user is to notice a sign-in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Manner {
    /// The provider may ask for anything.
    #[default]
    Interactive,
    /// The provider is to answer without a question, by `prompt=none` (OIDC Core §3.1.2.1). If it will not, the user is sent
    /// there once more.
    Silent,
}

/// Writes a secret into something about to be sealed.
macro_rules! sealed {
    ($name:ident: $type:ident) => {
        mod $name {
            use serde::{Deserialize, Deserializer, Serializer};

            use super::$type;

            pub(super) fn serialize<S: Serializer>(secret: &$type, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(secret.expose_secret())
            }

            pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                String::deserialize(deserializer).map($type::new)
            }
        }
    };
}

sealed!(state: State);
sealed!(code_verifier: CodeVerifier);

mod nonce {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Nonce;

    pub(super) fn serialize<S: Serializer>(nonce: &Option<Nonce>, serializer: S) -> Result<S::Ok, S::Error> {
        nonce.as_ref().map(Nonce::expose_secret).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Nonce>, D::Error> {
        Ok(Option::<String>::deserialize(deserializer)?.map(Nonce::new))
    }
}
