//! The session cookie's bytes: JWE in Auth.js's exact form, spread over chunks. The only place that knows the format.
//!
//! A value is a compact JWE (RFC 7516 §7.1) with `alg` `dir` and `enc` `A256CBC-HS512`, under a key derived from the secret
//! with the cookie's name as salt. Values over 3936 characters are cut into `name.0`, `name.1`, …. [`at_rest`](seal_at_rest)
//! is our own format for what the store keeps.

mod at_rest;
mod chunk;
mod keyring;
mod seal;

pub use at_rest::{RecordKeys, open_at_rest, seal_at_rest};
pub use chunk::{ChunkWrite, Joined, TooLarge, clear, join, split};
pub use keyring::{KeyRing, KeyRingError};
pub use seal::{OpenError, Opened, open, seal};
