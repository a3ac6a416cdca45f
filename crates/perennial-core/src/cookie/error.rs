//! Why something sealed does not open.

/// Why a sealed value, or a sealed record, does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It is longer than any that we write.
    #[error("the sealed value is longer than any that is written here; discard it")]
    TooLong,
    /// It does not have the form of a sealed value.
    #[error("this is not a sealed value, or it was cut; discard it")]
    Malformed,
    /// It is sealed in a way that is refused here: see RFC 7516 §4.1.
    #[error("the value is sealed in a way that is not accepted here; discard it")]
    Unsupported,
    /// No configured secret has the key id that it names.
    #[error("no configured secret sealed this value: has a secret been removed?")]
    UnknownKey,
    /// The tag is wrong: it was changed, or sealed by somebody else.
    #[error("the sealed value was changed or sealed elsewhere; discard it")]
    NotAuthentic,
    /// `exp` has passed.
    #[error("the sealed value has expired; sign in again")]
    Expired,
    /// `nbf` has not come yet.
    #[error("the sealed value is not valid yet; compare the clocks")]
    NotYetValid,
    /// It is authentic, but not an object of claims with a numeric `exp`, `nbf` and `iat`.
    #[error("the sealed value has unusable claims; discard it")]
    Claims,
}

impl OpenError {
    /// The stable name of this error, for logs and answers.
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLong => "seal_too_long",
            Self::Malformed => "seal_malformed",
            Self::Unsupported => "seal_unsupported",
            Self::UnknownKey => "seal_unknown_key",
            Self::NotAuthentic => "seal_not_authentic",
            Self::Expired => "seal_expired",
            Self::NotYetValid => "seal_not_yet_valid",
            Self::Claims => "seal_claims",
        }
    }
}
