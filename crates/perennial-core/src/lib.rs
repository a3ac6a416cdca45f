//! The engine of Perennial: OAuth 2.0 and OpenID Connect, session cookies and renewal decisions as pure functions.
//!
//! Nothing here awaits, reads a clock, draws randomness or logs. The time is a [`Timestamp`] argument, randomness a
//! [`SecureRandom`] argument, and every exchange with a provider is a pair: one function that writes the request, one
//! that judges the answer. The `perennial` crate drives these pairs; most people want that crate.
//!
//! Read in the order of a session's life: [`provider`] → [`authorize`] → [`token`] → [`id_token`] → [`session`] →
//! [`cookie`] → [`renewal`] → [`record`].

pub mod authorize;
pub mod client_auth;
pub mod clock_skew;
pub mod condition;
pub mod cookie;
pub mod csrf;
pub mod id_token;
pub mod identity;
pub mod limits;
pub mod metadata;
pub mod names;
pub mod origin;
pub mod outage;
pub mod provider;
pub mod random;
pub mod record;
pub mod renewal;
pub mod secret;
pub mod session;
pub mod time;
pub mod token;

pub use random::SecureRandom;
pub use time::Timestamp;
