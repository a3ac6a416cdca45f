//! Placeholder: authorize.
