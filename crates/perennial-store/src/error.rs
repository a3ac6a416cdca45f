//! What goes wrong in a store, and what the operator should do.

use std::error::Error;
use std::sync::Arc;

/// A store's refusal or failure: a kind to act on, and a sentence for the operator.
///
/// Cheap to clone, because one failed batch fails many callers. It never quotes a record.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct StoreError {
    kind: StoreErrorKind,
    message: String,
    wrote_nothing: bool,
    #[source]
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// Who must act on a [`StoreError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The store cannot be reached or does not answer: the operator looks at it, the caller tries again later.
    Unavailable,
    /// There is no room: the operator makes some, the caller tries again later.
    Full,
    /// What was read back is not what was written: the operator restores the store.
    Corrupt,
    /// The record is above the limit: the caller keeps less in the session.
    TooLarge,
}

impl StoreError {
    /// An error of `kind`; `message` is one sentence that says what the operator should do.
    pub fn new(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), wrote_nothing: false, source: None }
    }

    /// The refusal of a record of `bytes` bytes, above [`limits::RECORD_BYTES`](crate::limits::RECORD_BYTES).
    pub fn too_large(bytes: usize) -> Self {
        let most = crate::limits::RECORD_BYTES;
        Self::new(
            StoreErrorKind::TooLarge,
            format!("a session record of {bytes} bytes is above the limit of {most}: keep fewer or smaller claims in the session"),
        )
        .before_writing()
    }

    /// The same error, with the promise that nothing of the refused write will ever be stored.
    #[must_use]
    pub fn before_writing(mut self) -> Self {
        self.wrote_nothing = true;
        self
    }

    /// The same error, with what caused it.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(cause));
        self
    }

    /// Who must act.
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// Whether the same call may succeed later without anybody changing the record.
    pub fn is_retryable(&self) -> bool {
        match self.kind {
            StoreErrorKind::Unavailable | StoreErrorKind::Full => true,
            StoreErrorKind::Corrupt | StoreErrorKind::TooLarge => false,
        }
    }

    /// Whether the failed write certainly left nothing behind; otherwise it is unknown whether it was stored.
    pub fn wrote_nothing(&self) -> bool {
        self.wrote_nothing
    }

    /// The stable name of the kind, for logs, metrics and answers.
    pub fn code(&self) -> &'static str {
        match self.kind {
            StoreErrorKind::Unavailable => "store_unavailable",
            StoreErrorKind::Full => "store_full",
            StoreErrorKind::Corrupt => "store_corrupt",
            StoreErrorKind::TooLarge => "record_too_large",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_code_and_a_verdict_on_retrying() {
        let table = [
            (StoreErrorKind::Unavailable, "store_unavailable", true),
            (StoreErrorKind::Full, "store_full", true),
            (StoreErrorKind::Corrupt, "store_corrupt", false),
            (StoreErrorKind::TooLarge, "record_too_large", false),
        ];
        for (kind, code, retryable) in table {
            let error = StoreError::new(kind, "do this");
            assert_eq!((error.code(), error.is_retryable(), error.wrote_nothing()), (code, retryable, false));
        }
    }

    #[test]
    fn a_record_above_the_limit_is_refused_before_anything_is_written() {
        let error = StoreError::too_large(70_000);
        assert!(error.wrote_nothing());
        assert!(error.to_string().contains("70000"), "{error}");
    }

    #[test]
    fn the_cause_stays_reachable() {
        let error = StoreError::new(StoreErrorKind::Full, "make room").caused_by(std::io::Error::other("why"));
        assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("why"));
    }
}
