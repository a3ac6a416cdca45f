//! RFC 7662 · OIDC Core §5.3: asks the provider whether a refresh token is spent, without spending it.

use perennial_core::provider::ResolvedProvider;
use perennial_core::record::{Question, Told};
use perennial_core::session::SessionState;
use perennial_core::token::{introspection_request, read_introspection, read_probe, userinfo_request};

use super::IssuerClient;
use crate::edge::Edges;

impl IssuerClient {
    /// Asks `question` about the tokens of `state`. Introspection goes where the provider's metadata or the configuration says,
    /// as revocation does, and nowhere else: no redirect is followed.
    pub(crate) async fn ask(
        &self,
        edges: &Edges,
        provider: &ResolvedProvider,
        question: Question,
        state: &SessionState,
    ) -> Told {
        let Some(tokens) = &state.tokens else { return Told::Nothing };
        let request = match (question, &tokens.refresh_token) {
            (Question::Introspection(how), Some(refresh_token)) => {
                introspection_request(provider, how, refresh_token, edges.now(), &*edges.random).ok().flatten()
            }
            (Question::Introspection(_), None) => None,
            (Question::Probe, _) => userinfo_request(provider, &tokens.access_token),
        };
        let Some(request) = request else { return Told::Nothing };
        let told = match edges.send(request).await {
            Ok(answer) => match question {
                Question::Introspection(_) => read_introspection(answer.status(), answer.body()),
                Question::Probe => read_probe(answer.status()),
            },
            Err(error) => {
                tracing::warn!(%error, provider = self.provider.id.as_str(), "no answer about a refresh token in doubt");
                Told::Nothing
            }
        };
        tracing::info!(session = state.id.fingerprint(), ?question, ?told, "a refresh token in doubt was asked about");
        told
    }
}
