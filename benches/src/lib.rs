//! What all measurements share: a session as a provider with opaque tokens begins it, an engine that knows it, and a provider that
//! answers at once and does no work of its own.

mod engine;
mod provider;
mod session;
mod spread;

pub use engine::{ManualClock, PUBLIC_URL, engine, headers, next_cookie};
pub use provider::InstantProvider;
pub use session::{COOKIE_NAME, LIFETIME, Sealer, person, person_by};
pub use spread::Spread;
