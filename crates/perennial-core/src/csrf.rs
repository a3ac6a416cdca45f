//! Placeholder: csrf.
