//! What the engine may not have itself: a clock, randomness and a network. Each is a trait with one real implementation,
//! so that a test or a simulation can put its own in place.

mod clock;
mod dated_client;
mod http_client;
mod random;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use perennial_core::random::random_bytes;
use perennial_core::{SecureRandom, Timestamp};

pub use clock::{Clock, SystemClock};
pub(crate) use dated_client::DatedClient;
pub use http_client::{HttpClient, HyperClient, SendError};
pub use random::SystemRandom;

/// The edges of one engine.
#[derive(Clone)]
pub(crate) struct Edges {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn SecureRandom>,
    pub(crate) http: Arc<dyn HttpClient>,
    /// The longest a call to a provider may take.
    pub(crate) call_deadline: Duration,
}

impl Edges {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A number in [0, 1).
    pub(crate) fn roll(&self) -> f64 {
        f64::from(u32::from_be_bytes(random_bytes(&*self.random))) / (f64::from(u32::MAX) + 1.0)
    }

    pub(crate) async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Bytes>, SendError> {
        self.http.send(request, self.call_deadline).await
    }
}
