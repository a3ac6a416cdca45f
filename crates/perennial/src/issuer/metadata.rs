//! OIDC Discovery §4 · RFC 8414: the provider's metadata, had once an hour, and an old copy rather than none.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use perennial_core::Timestamp;
use perennial_core::metadata::{discovery_request, read_metadata};
use perennial_core::provider::ResolvedProvider;

use super::{Cached, IssuerClient, IssuerError};
use crate::edge::Edges;

#[derive(Default)]
pub(super) struct Metadata {
    known: Option<Cached<Arc<ResolvedProvider>>>,
    /// The last attempt that failed, so that those who queued behind it need not each try again.
    failed: Option<Cached<String>>,
}

impl IssuerClient {
    /// The provider with its endpoints, discovered once an hour; a stale copy serves while discovery fails.
    ///
    /// While one caller fetches, the others go on with the copy of before.
    pub(crate) async fn resolved(&self, edges: &Edges) -> Result<Arc<ResolvedProvider>, IssuerError> {
        let mut metadata = match (self.metadata.try_lock(), self.last_resolved()) {
            (Ok(metadata), _) => metadata,
            (Err(_), Some(before)) => return Ok(before),
            (Err(_), None) => self.metadata.lock().await,
        };
        let fresh = |at: Timestamp, age_max| edges.now().since(at) < age_max;
        if let Some(known) = metadata.known.as_ref().filter(|known| fresh(known.at, METADATA_AGE_MAX)) {
            return Ok(known.value.clone());
        }
        let failed = match metadata.failed.as_ref().filter(|failed| fresh(failed.at, METADATA_RETRY_INTERVAL)) {
            Some(failed) => IssuerError(failed.value.clone()),
            None => match self.discover(edges).await {
                Ok(value) => {
                    let value = Arc::new(value);
                    *self.last_resolved.lock().unwrap_or_else(PoisonError::into_inner) = Some(value.clone());
                    *metadata =
                        Metadata { known: Some(Cached { value: value.clone(), at: edges.now() }), failed: None };
                    return Ok(value);
                }
                Err(error) => {
                    metadata.failed = Some(Cached { value: error.to_string(), at: edges.now() });
                    error
                }
            },
        };
        match metadata.known.as_ref() {
            Some(stale) => {
                tracing::warn!(error = %failed, "discovery failed; the metadata of before serve on");
                Ok(stale.value.clone())
            }
            None => Err(failed),
        }
    }

    fn last_resolved(&self) -> Option<Arc<ResolvedProvider>> {
        self.last_resolved.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn discover(&self, edges: &Edges) -> Result<ResolvedProvider, IssuerError> {
        let metadata = match discovery_request(&self.provider) {
            None => None,
            Some(request) => {
                let answer = edges.send(request).await.map_err(|error| IssuerError(error.to_string()))?;
                let metadata = read_metadata(&self.provider, answer.status(), answer.body());
                Some(metadata.map_err(|error| IssuerError(error.to_string()))?)
            }
        };
        self.provider.resolve(metadata.as_ref()).map_err(|error| IssuerError(error.to_string()))
    }
}

/// After this long, metadata are fetched anew.
const METADATA_AGE_MAX: Duration = Duration::from_secs(3600);

/// After a failure, metadata are not fetched again for this long.
pub(super) const METADATA_RETRY_INTERVAL: Duration = Duration::from_secs(2);
