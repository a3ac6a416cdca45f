//! An OpenID provider for development and tests that misbehaves on request.
//!
//! OpenID Connect Core 1.0 · Discovery 1.0 · RP-Initiated Logout 1.0 · RFC 6749 · RFC 6750 · RFC 7009 · RFC 7636 ·
//! RFC 7662 · RFC 9207 · RFC 9700 §4.14.
//!
//! **For development only.** Anyone who reaches it may sign in as anyone: there are no passwords, everything is kept in memory, and a
//! restart forgets all of it. It refuses an issuer, a `Host` and a listener that are not loopback unless told so loudly with
//! [`DevProviderBuilder::dangerous_allow_remote`].
//!
//! What it is for: a relying party that renews sessions must survive rotation, reuse detection, lost replies, outages and nonsense.
//! Each of these is a [`Behaviour`] here, set by the builder, by a [`Control`] in the same process, or over HTTP under `/admin`;
//! and the provider counts what really arrived, so that a test can say "50 requests, one redemption".
//!
//! It shares no code with the rest of Perennial, so that both sides cannot agree on one mistake.
//!
//! ```
//! use perennial_provider::{Client, DevProvider, Outcome};
//!
//! let provider = DevProvider::builder()
//!     .issuer("http://localhost:4201")
//!     .client(Client::confidential("demo", "demo-secret").redirect_uri("http://localhost:4200/auth/callback/demo"))
//!     .build()?;
//! let control = provider.control();
//! let app: axum::Router = provider.router();
//!
//! // The next refresh is committed, and its answer never arrives.
//! control.update_faults(|faults| faults.lose_reply = 1.into());
//! assert_eq!(control.counters().of(Outcome::ReplyLost), 0);
//! # drop(app);
//! # Ok::<(), perennial_provider::BuildError>(())
//! ```

mod account;
mod admin;
mod answer;
mod authorize;
mod backchannel;
mod behaviour;
mod builder;
mod client;
mod client_auth;
mod control;
mod discovery;
mod end_session;
mod event;
mod faults;
mod keys;
mod ledger;
mod limits;
mod page;
mod params;
mod provider;
mod random;
mod resource;
mod revocation;
mod script;
mod serve;
mod tally;
mod thief;
mod token;
mod token_answer;
mod under_way;
mod visitors;

pub use account::Account;
pub use behaviour::{Behaviour, BehaviourError, RefreshClass};
pub use builder::{BuildError, Clock, DevProviderBuilder};
pub use client::{Client, TokenEndpointAuthMethod};
pub use control::Control;
pub use event::{EventKind, Outcome, ProviderEvent};
pub use faults::{Faults, GrantType, IdTokenDefect, Times};
pub use keys::{Alg, KeyError};
pub use ledger::{Family, RefreshTokenState, RefreshTokenView, RevocationReason};
pub use provider::DevProvider;
pub use serve::ServeError;
pub use tally::Counters;
