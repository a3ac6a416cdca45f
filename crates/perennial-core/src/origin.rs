//! Placeholder: origin.
