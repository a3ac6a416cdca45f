//! How providers word their refusals where they depart from RFC 6749 §5.2.

use http::StatusCode;

/// One wording of a refusal and what it means. Every part that is given must match.
///
/// ```
/// use perennial_core::provider::{FailureMeaning, FailurePattern};
///
/// const LOST_RACE: FailurePattern = FailurePattern::new(FailureMeaning::Transient)
///     .error("invalid_request")
///     .description("multiple concurrent requests");
/// let status = http::StatusCode::BAD_REQUEST;
/// assert!(LOST_RACE.matches(status, Some("invalid_request"), "Multiple concurrent requests: retry"));
/// assert!(!LOST_RACE.matches(status, Some("invalid_request"), "missing parameter"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailurePattern {
    error: ErrorPart,
    description: Option<&'static str>,
    status: Option<u16>,
    means: FailureMeaning,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ErrorPart {
    Absent,
    Any,
    Is(&'static str),
}

/// What a [`FailurePattern`] means for the refresh token that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureMeaning {
    /// Nobody can tell whether it was spent.
    InDoubt,
    /// Our configuration is refused; the token is not judged.
    Misconfigured,
    /// The token is dead.
    Rejected,
    /// Not processed: the same token may be sent again later.
    Transient,
}

impl FailurePattern {
    /// A pattern that matches every failure; narrow it.
    pub const fn new(means: FailureMeaning) -> Self {
        Self { error: ErrorPart::Any, description: None, status: None, means }
    }

    /// Narrows to this `error` code.
    pub const fn error(mut self, code: &'static str) -> Self {
        self.error = ErrorPart::Is(code);
        self
    }

    /// Narrows to answers that name no `error` code at all.
    pub const fn without_error(mut self) -> Self {
        self.error = ErrorPart::Absent;
        self
    }

    /// Narrows to descriptions that contain this text, whatever its case.
    pub const fn description(mut self, part: &'static str) -> Self {
        self.description = Some(part);
        self
    }

    /// Narrows to this HTTP status.
    pub const fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// What a match means.
    pub const fn means(&self) -> FailureMeaning {
        self.means
    }

    /// Whether the failure is worded like this; `error` is `None` when the answer named no code.
    pub fn matches(&self, status: StatusCode, error: Option<&str>, description: &str) -> bool {
        let error_matches = match self.error {
            ErrorPart::Absent => error.is_none(),
            ErrorPart::Any => true,
            ErrorPart::Is(code) => error == Some(code),
        };
        error_matches
            && self.status.is_none_or(|one| one == status.as_u16())
            && self.description.is_none_or(|part| contains_ignoring_case(description, part))
    }
}

/// Wordings that mean the same whoever uses them; tried after the provider's own.
pub(crate) fn common_failures() -> &'static [FailurePattern] {
    COMMON
}

const COMMON: &[FailurePattern] = &[
    // Ory Hydra: two requests with one token met; neither the loser's token nor its grant is harmed.
    FailurePattern::new(FailureMeaning::Transient).error("invalid_request").description("multiple concurrent requests"),
    // Salesforce says `invalid_grant` for the same.
    FailurePattern::new(FailureMeaning::Transient).error("invalid_grant").description("already being processed"),
];

fn contains_ignoring_case(text: &str, part: &str) -> bool {
    text.to_ascii_lowercase().contains(&part.to_ascii_lowercase())
}
