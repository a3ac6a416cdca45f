//! What a session is made of, and how it lies in the claims of the session cookie.
//!
//! [`SessionState`] is a session at one generation: who it is ([`SessionId`], [`KeyShare`], [`Generation`]) and its
//! [`TokenSet`]. The same state is sealed into the cookie and into the record, as claims that an Auth.js app can read.

mod audience;
mod claims;
mod identity;
mod state;
mod tokens;

#[cfg(test)]
mod fixtures;

pub use audience::{Audience, AudienceToken};
pub use claims::{NotASession, RESERVED_CLAIMS};
pub use identity::{FINGERPRINT_BYTES, Generation, KeyShare, SessionId};
pub use state::SessionState;
pub use tokens::TokenSet;
