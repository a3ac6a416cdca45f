//! Placeholder: client_auth.
