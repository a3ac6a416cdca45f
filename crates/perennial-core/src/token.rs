//! Placeholder: token.
