//! What a session is made of, and how it lies in the claims of the session cookie.
//!
//! [`SessionState`] is a session at one generation: who it is ([`SessionId`], [`KeyShare`], [`Generation`]) and its
//! [`TokenSet`]. The same state is sealed into the cookie and into the record, as claims that an Auth.js app can read.
//! How long it lasts is for [`Lifetimes`] to say, and whether a request speaks for a person, for [`interaction`].

mod audience;
mod claims;
mod identity;
mod interaction;
mod lifetime;
mod own;
mod reading;
mod recipes;
mod state;
mod subject;
mod tokens;
mod writing;

#[cfg(test)]
mod fixtures;

pub use audience::{Audience, AudienceToken};
pub use claims::{Carried, NotASession, RESERVED_CLAIMS};
pub(crate) use identity::derive;
pub use identity::{Epoch, FINGERPRINT_BYTES, Generation, Handle, KeyShare, SessionId};
pub use interaction::{IdleFedBy, Interaction, interaction};
pub use lifetime::Lifetimes;
pub use reading::SessionClaims;
pub use state::SessionState;
pub use subject::{MarkId, Subject};
pub use tokens::TokenSet;
pub(crate) use writing::{Form, Written};
