//! RFC 7518 §3.1: the signature algorithms we verify. `none` is not among them and cannot be written down.

use serde::{Deserialize, Serialize};

/// A JWS signature algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each variant is its registered name")]
pub enum JwsAlgorithm {
    #[serde(rename = "EdDSA")]
    EdDsa,
    #[serde(rename = "ES256")]
    Es256,
    #[serde(rename = "ES384")]
    Es384,
    #[serde(rename = "HS256")]
    Hs256,
    #[serde(rename = "HS384")]
    Hs384,
    #[serde(rename = "HS512")]
    Hs512,
    #[serde(rename = "PS256")]
    Ps256,
    #[serde(rename = "PS384")]
    Ps384,
    #[serde(rename = "PS512")]
    Ps512,
    #[serde(rename = "RS256")]
    Rs256,
    #[serde(rename = "RS384")]
    Rs384,
    #[serde(rename = "RS512")]
    Rs512,
}

/// The keys an algorithm works with. An EC algorithm names its curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyFamily {
    Ed25519,
    Hmac,
    P256,
    P384,
    Rsa,
}

impl JwsAlgorithm {
    /// Those whose verification key is public: what is accepted when nothing else was registered.
    pub const ASYMMETRIC: [Self; 9] = [
        Self::EdDsa,
        Self::Es256,
        Self::Es384,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
    ];

    /// Those whose key is the client secret: accepted only where registered by name.
    pub const SYMMETRIC: [Self; 3] = [Self::Hs256, Self::Hs384, Self::Hs512];

    /// The registered name: `RS256`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
        }
    }

    /// The algorithm of this registered name, if we verify it. `Ed25519` is RFC 9864's name for our `EdDSA`.
    pub fn parse(name: &str) -> Option<Self> {
        if name == "Ed25519" {
            return Some(Self::EdDsa);
        }
        Self::ASYMMETRIC.into_iter().chain(Self::SYMMETRIC).find(|one| one.as_str() == name)
    }

    pub(crate) fn family(self) -> KeyFamily {
        match self {
            Self::EdDsa => KeyFamily::Ed25519,
            Self::Es256 => KeyFamily::P256,
            Self::Es384 => KeyFamily::P384,
            Self::Hs256 | Self::Hs384 | Self::Hs512 => KeyFamily::Hmac,
            Self::Ps256 | Self::Ps384 | Self::Ps512 => KeyFamily::Rsa,
            Self::Rs256 | Self::Rs384 | Self::Rs512 => KeyFamily::Rsa,
        }
    }

    /// The hash that `at_hash` is cut from (OIDC Core §3.1.3.6); Ed25519 hashes with SHA-512 inside.
    pub(crate) fn digest(self) -> &'static aws_lc_rs::digest::Algorithm {
        match self {
            Self::Es256 | Self::Hs256 | Self::Ps256 | Self::Rs256 => &aws_lc_rs::digest::SHA256,
            Self::Es384 | Self::Hs384 | Self::Ps384 | Self::Rs384 => &aws_lc_rs::digest::SHA384,
            Self::EdDsa | Self::Hs512 | Self::Ps512 | Self::Rs512 => &aws_lc_rs::digest::SHA512,
        }
    }
}

impl From<JwsAlgorithm> for jsonwebtoken::Algorithm {
    fn from(alg: JwsAlgorithm) -> Self {
        match alg {
            JwsAlgorithm::EdDsa => Self::EdDSA,
            JwsAlgorithm::Es256 => Self::ES256,
            JwsAlgorithm::Es384 => Self::ES384,
            JwsAlgorithm::Hs256 => Self::HS256,
            JwsAlgorithm::Hs384 => Self::HS384,
            JwsAlgorithm::Hs512 => Self::HS512,
            JwsAlgorithm::Ps256 => Self::PS256,
            JwsAlgorithm::Ps384 => Self::PS384,
            JwsAlgorithm::Ps512 => Self::PS512,
            JwsAlgorithm::Rs256 => Self::RS256,
            JwsAlgorithm::Rs384 => Self::RS384,
            JwsAlgorithm::Rs512 => Self::RS512,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written_and_none_is_unspeakable() {
        for alg in JwsAlgorithm::ASYMMETRIC.into_iter().chain(JwsAlgorithm::SYMMETRIC) {
            assert_eq!(JwsAlgorithm::parse(alg.as_str()), Some(alg));
            assert_eq!(serde_json::to_value(alg).unwrap(), alg.as_str());
        }
        for name in ["none", "None", "rs256", "ES512", "RS256 ", ""] {
            assert_eq!(JwsAlgorithm::parse(name), None, "{name}");
        }
    }
}
