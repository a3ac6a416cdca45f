//! From the one word of configuration that names a store to the store.

use std::sync::Arc;

use crate::{MemoryStore, SessionStore};

/// Opens the store that `url` names.
///
/// # Errors
/// [`OpenError`] says what is wrong with the name or the place.
pub fn open(url: &str) -> Result<Arc<dyn SessionStore>, OpenError> {
    match url {
        "memory:" => Ok(Arc::new(MemoryStore::new())),
        _ => Err(OpenError::NotBuiltIn),
    }
}

/// Why a store did not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// This build has no keeper for that kind of store.
    #[error("this build has no keeper for that store yet: use memory:")]
    NotBuiltIn,
}
