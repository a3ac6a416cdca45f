//! Whether the gateway is about to end: known before it happens, for load balancers and for connections that are kept alive.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The life of one gateway, cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Life(Arc<AtomicBool>);

impl Life {
    /// From now on `/readyz` says no, and answers over HTTP/1.1 are the last on their connection.
    pub(crate) fn end(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
