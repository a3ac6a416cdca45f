//! The nouns of the RFCs that are plain text on the wire.

use serde::{Deserialize, Serialize};

macro_rules! name {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes the text as it is.
            pub fn new(value: impl Into<String>) -> Self {
                Self(value.into())
            }

            /// The text, byte for byte as it was given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

name! {
    /// OIDC Discovery §3 `issuer`. Compared byte for byte: a trailing slash makes another issuer.
    Issuer,
    /// RFC 6749 §2.2: our name at the provider.
    ClientId,
    /// The provider's short name in our URLs: the `oidc` of `/auth/callback/oidc`.
    ProviderId,
    /// RFC 6749 §3.3: space-separated, order and spelling kept.
    Scope,
}

impl Scope {
    /// Whether `token` is one of the space-separated scope tokens.
    pub fn contains(&self, token: &str) -> bool {
        self.0.split(' ').any(|one| one == token)
    }
}
