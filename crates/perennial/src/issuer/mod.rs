//! One provider as the driver talks to it: metadata and keys cached, calls with a deadline, outages remembered.

mod doubt;
mod identity;
mod keys;
mod logout;
mod metadata;
mod outage;
mod report;
mod token_endpoint;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use perennial_core::Timestamp;
use perennial_core::provider::{Provider, ResolvedProvider};
use perennial_core::renewal::RenewalPolicy;
use tokio::sync::Mutex as AsyncMutex;

pub(crate) use identity::Identity;
pub(crate) use outage::{Denied, RefreshPass};
pub use report::{ProviderReport, Refreshing};
pub(crate) use token_endpoint::Revocation;

use crate::machine::MachineTokens;
use keys::Keys;
use metadata::Metadata;
use outage::RefreshGate;

/// A configured provider, its caches and the memory of its failures.
pub(crate) struct IssuerClient {
    provider: Arc<Provider>,
    /// Held while it is fetched, so that a burst of sign-ins fetches once.
    metadata: AsyncMutex<Metadata>,
    /// What `metadata` holds, for those who cannot wait for its lock.
    last_resolved: Mutex<Option<Arc<ResolvedProvider>>>,
    keys: AsyncMutex<Keys>,
    gate: Arc<RefreshGate>,
    pub(crate) machine_tokens: MachineTokens,
}

/// The provider could not be asked, or said what cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct IssuerError(String);

#[derive(Clone)]
struct Cached<T> {
    value: T,
    at: Timestamp,
}

impl IssuerClient {
    pub(crate) fn new(provider: Provider, policy: &RenewalPolicy) -> Self {
        Self {
            provider: Arc::new(provider),
            metadata: AsyncMutex::default(),
            last_resolved: Mutex::default(),
            keys: AsyncMutex::default(),
            gate: RefreshGate::new(policy),
            machine_tokens: MachineTokens::default(),
        }
    }

    /// The same, let through and turned away together with `other`.
    pub(crate) fn at_the_gate_of(self, other: &Self) -> Self {
        Self { gate: other.gate.clone(), ..self }
    }

    pub(crate) fn provider(&self) -> &Provider {
        &self.provider
    }

    /// What stands in for an absent `expires_in`: the provider's own rule, else the policy's.
    pub(crate) fn lifetime(&self, policy: &RenewalPolicy) -> Option<Duration> {
        self.provider.default_token_lifetime.or(policy.default_lifetime)
    }
}
