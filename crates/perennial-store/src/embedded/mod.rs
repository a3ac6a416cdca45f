//! The keeper on disk.

/// Keeps records in one file.
#[derive(Debug)]
pub struct EmbeddedStore {}
