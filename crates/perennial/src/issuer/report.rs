//! What a look at a provider finds, for `perennial check` and for people.

use std::time::Duration;

use perennial_core::metadata::{discovery_request, read_metadata};
use perennial_core::provider::RefreshClass;

use super::IssuerClient;
use crate::edge::Edges;

/// What [`Auth::inspect_providers`](crate::Auth::inspect_providers) found about one provider.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProviderReport {
    /// Its id.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// Whether metadata and keys could be fetched and are usable; if not, why.
    pub reached: Result<(), String>,
    /// Whether it publishes metadata; where endpoints are known beforehand, nothing is asked of it.
    pub discovered: bool,
    /// Whether it has an endpoint that signs users out.
    pub has_end_session: bool,
    /// Whether it tells of sign-outs by back-channel logout, as its metadata say.
    pub signs_out_by_back_channel: bool,
    /// What its metadata say against this configuration.
    pub remarks: Vec<String>,
    /// Whether sessions will be able to renew.
    pub refreshing: Refreshing,
    /// What it is taken to do with a refresh token that is presented again.
    pub class: RefreshClass,
    /// What to set at the provider.
    pub hint: &'static str,
}

/// Whether a refresh token can be expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refreshing {
    /// Yes.
    Expected,
    /// No: sessions will live without renewal.
    NotExpected,
}

impl IssuerClient {
    /// Reaches the provider anew and says what was found.
    pub(crate) async fn inspect(&self, edges: &Edges) -> ProviderReport {
        let provider = &self.provider;
        let (mut remarks, mut signs_out_by_back_channel, mut has_end_session) = (Vec::new(), false, false);
        let reached = async {
            if let Some(request) = discovery_request(provider) {
                let url = request.uri().to_string();
                let answer = edges.send(request).await.map_err(|error| format!("{url}: {error}"))?;
                let metadata =
                    read_metadata(provider, answer.status(), answer.body()).map_err(|error| error.to_string())?;
                remarks = metadata.remarks(provider);
                signs_out_by_back_channel = metadata.backchannel_logout_supported;
            }
            let resolved = self.resolved(edges).await.map_err(|error| error.to_string())?;
            has_end_session = resolved.end_session.is_some();
            self.keys(edges, &resolved, Duration::ZERO).await.map(drop).map_err(|error| error.to_string())
        };
        let reached = reached.await;
        ProviderReport {
            id: provider.id.to_string(),
            name: provider.name.clone(),
            reached,
            discovered: discovery_request(provider).is_some(),
            signs_out_by_back_channel,
            has_end_session,
            remarks,
            refreshing: match provider.refresh_token_expected() {
                true => Refreshing::Expected,
                false => Refreshing::NotExpected,
            },
            class: provider.class,
            hint: provider.refresh_hint,
        }
    }
}
