//! What the engine may not have itself: a clock, randomness and a network. Each is a trait with one real implementation,
//! so that a test or a simulation can put its own in place.

mod clock;
mod http_client;
mod random;

pub use clock::{Clock, SystemClock};
pub use http_client::{HttpClient, HyperClient, SendError};
pub use random::SystemRandom;
