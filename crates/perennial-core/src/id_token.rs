//! Placeholder: id_token.
