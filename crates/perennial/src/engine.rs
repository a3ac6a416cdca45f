//! The engine behind [`Auth`](crate::Auth): settings, keys, edges and what is known of sessions under way.

use std::sync::Arc;

use perennial_core::names::ProviderId;
use perennial_core::secret::BackendSecret;
use perennial_core::{SecureRandom, Timestamp};
use perennial_store::SessionStore;
use tokio::sync::broadcast;

use crate::alarm::Alarms;
use crate::audiences::AudienceTokens;
use crate::backchannel::LogoutTokens;
use crate::callbacks::CallbackSet;
use crate::cookies::CookieNames;
use crate::doubts::Doubts;
use crate::edge::Edges;
use crate::errands::Errands;
use crate::event::Event;
use crate::flight::Flights;
use crate::hall::{Arrival, SeenCookies};
use crate::happened::{Forks, StaleCookies};
use crate::issuer::IssuerClient;
use crate::keys::KeyChest;
use crate::marks::Marks;
use crate::metrics::Metrics;
use crate::renew::Debts;
use crate::settings::Settings;
use crate::tombstones::Tombstones;
use crate::unwritten::UnwrittenEnds;

/// Somebody who is told of every event as it happens.
pub(crate) type Listener = Arc<dyn Fn(&Event) + Send + Sync>;

pub(crate) struct Inner {
    pub(crate) settings: Settings,
    pub(crate) names: CookieNames,
    pub(crate) chest: KeyChest,
    /// Who knows one of them may ask for a visitor's session; nobody may when there is none.
    pub(crate) backend_secrets: Vec<BackendSecret>,
    pub(crate) issuers: Vec<IssuerClient>,
    pub(crate) default_provider: ProviderId,
    pub(crate) store: Arc<dyn SessionStore>,
    pub(crate) edges: Edges,
    pub(crate) callbacks: CallbackSet,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) flights: Arc<Flights<Arrival>>,
    /// Visits that are being noted in records.
    pub(crate) notes: Arc<Flights<()>>,
    pub(crate) seen_cookies: SeenCookies,
    pub(crate) tombstones: Tombstones,
    pub(crate) doubts: Doubts,
    pub(crate) marks: Marks,
    pub(crate) logout_tokens: LogoutTokens,
    pub(crate) errands: Arc<Errands>,
    pub(crate) debts: Arc<Debts>,
    pub(crate) unwritten_ends: Arc<UnwrittenEnds>,
    pub(crate) stale_cookies: StaleCookies,
    pub(crate) forks: Forks,
    pub(crate) alarms: Alarms,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) audience_tokens: AudienceTokens,
}

impl Inner {
    pub(crate) fn issuer(&self, id: &ProviderId) -> Option<&IssuerClient> {
        let found = self.issuers.iter().find(|issuer| issuer.provider().id == *id);
        if found.is_none() {
            tracing::error!(
                provider = id.as_str(),
                "a session was begun at a provider that is no longer configured: it cannot be renewed"
            );
        }
        found
    }

    pub(crate) fn at_kill(&self, id: &ProviderId) -> bool {
        self.issuers.iter().any(|issuer| issuer.provider().id == *id && issuer.provider().at_kill)
    }

    pub(crate) fn emit(&self, event: Event) {
        self.metrics.count(&event);
        for listener in &self.listeners {
            listener(&event);
        }
        // Nobody subscribed is fine.
        let _ = self.events.send(event);
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.edges.now()
    }

    pub(crate) fn random(&self) -> &dyn SecureRandom {
        &*self.edges.random
    }
}
