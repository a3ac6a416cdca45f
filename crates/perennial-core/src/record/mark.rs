//! An end mark: "every session of this name that began before this moment is over". It lies in the store under a key made of
//! the name ([`MarkId`](crate::session::MarkId)), so that sessions end which nobody can list.

use serde::{Deserialize, Serialize};

use super::EndReason;
use crate::session::SessionState;
use crate::time::Timestamp;

/// Who says that sessions are over, and up to which beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndMark {
    v: u8,
    /// The provider's word, at this moment by its clock: those for which it vouched until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    provider: Option<Timestamp>,
    /// An operator's word, at this moment by ours: those that began until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    operator: Option<Timestamp>,
}

impl EndMark {
    /// The provider has signed the user out at `at`, by the provider's clock.
    pub fn by_provider(at: Timestamp) -> Self {
        Self { v: FORMAT, provider: Some(at), operator: None }
    }

    /// An operator has ended all there were at `at`.
    pub fn by_operator(at: Timestamp) -> Self {
        Self { v: FORMAT, provider: None, operator: Some(at) }
    }

    /// The mark that says both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let (provider, operator) = (self.provider.max(other.provider), self.operator.max(other.operator));
        Self { v: FORMAT, provider, operator }
    }

    /// Whether and why `state`, whose name it is about, is over.
    ///
    /// A session of the very moment is: a provider's clock tells seconds, and who is signed out wrongly signs in again.
    pub fn ends(&self, state: &SessionState) -> Option<EndReason> {
        let vouched_at = state.subject.map_or(state.started_at, |subject| subject.vouched_at);
        if self.operator.is_some_and(|at| state.started_at <= at) {
            return Some(EndReason::OperatorEnded);
        }
        self.provider.filter(|at| vouched_at <= *at).map(|_| EndReason::ProviderSignedOut)
    }

    /// The bytes a store keeps.
    pub fn encode(&self) -> Vec<u8> {
        // Numbers: serialising them cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads what [`encode`](Self::encode) wrote; `None` if it is something else, or of a later version.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(|mark: &Self| mark.v == FORMAT)
    }
}

const FORMAT: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::ProviderId;
    use crate::record::fixtures::{Fixed, at};
    use crate::secret::AccessToken;
    use crate::session::{MarkId, Subject, TokenSet};

    /// A session that began at `started` by our clock and at `vouched` by the provider's.
    fn session(started: i64, vouched: i64) -> SessionState {
        let tokens = TokenSet {
            access_token: AccessToken::new("at"),
            token_type: "Bearer".into(),
            refresh_token: None,
            id_token: None,
            scope: None,
            issued_at: at(started),
            expires_at: None,
            refresh_token_expires_at: None,
        };
        let user = MarkId::of_user(&ProviderId::new("p"), "u");
        let subject = Subject { user, provider_session: None, vouched_at: at(vouched) };
        let claims = serde_json::Map::new();
        SessionState::begin(ProviderId::new("p"), claims, tokens, at(started), &Fixed(1)).known_as(subject)
    }

    #[test]
    fn what_began_until_then_is_over_each_by_its_own_clock() {
        let (provider, operator) = (EndMark::by_provider(at(100)), EndMark::by_operator(at(200)));
        let both = provider.and(operator);
        for (mark, started, vouched, expected) in [
            // Our clock is ahead of the provider's, or behind.
            (provider, 150, 99, Some(EndReason::ProviderSignedOut)),
            (provider, 150, 100, Some(EndReason::ProviderSignedOut)),
            (provider, 50, 101, None),
            (operator, 200, 999, Some(EndReason::OperatorEnded)),
            (operator, 201, 0, None),
            (both, 150, 101, Some(EndReason::OperatorEnded)),
            (both, 201, 100, Some(EndReason::ProviderSignedOut)),
            (both, 201, 101, None),
        ] {
            assert_eq!(mark.ends(&session(started, vouched)), expected, "{mark:?} {started} {vouched}");
        }
    }

    #[test]
    fn the_later_word_of_each_counts_and_survives_its_bytes() {
        let mark = EndMark::by_provider(at(7)).and(EndMark::by_operator(at(3))).and(EndMark::by_provider(at(5)));
        assert_eq!(mark, EndMark::by_operator(at(3)).and(EndMark::by_provider(at(7))));
        assert_eq!(EndMark::decode(&mark.encode()), Some(mark));
        let later = String::from_utf8(mark.encode()).expect("JSON").replacen("\"v\":1", "\"v\":2", 1);
        for bytes in [later.as_bytes(), b"{}", b"", b"\xff"] {
            assert_eq!(EndMark::decode(bytes), None, "{bytes:?}");
        }
    }
}
