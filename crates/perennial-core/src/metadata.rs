//! Placeholder: metadata.
