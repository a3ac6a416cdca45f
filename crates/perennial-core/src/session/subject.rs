//! By which names a session's provider knows it, kept as digests: what the provider (OIDC Back-Channel Logout 1.0 §2.3) or an
//! operator ends it by, without an index of sessions.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::identity::{derive, derive_name};
use crate::id_token::read_unverified_claims;
use crate::names::ProviderId;
use crate::provider::{Provider, ProviderKind};
use crate::secret::IdToken;
use crate::time::Timestamp;

/// Names all sessions of one user at one provider, or those that began within one session there.
#[derive(Clone, Copy)]
pub struct MarkId {
    bytes: [u8; 16],
    /// Derived once: every request of a session asks for it.
    record_key: [u8; 32],
}

impl MarkId {
    /// All sessions of the user whom `provider` calls `sub`.
    pub fn of_user(provider: &ProviderId, sub: &str) -> Self {
        Self::of("perennial end mark of a user", provider, sub)
    }

    /// All sessions that began within the session which `provider` calls `sid`.
    pub fn of_provider_session(provider: &ProviderId, sid: &str) -> Self {
        Self::of("perennial end mark of a provider's session", provider, sid)
    }

    /// The key of the mark's record.
    pub fn record_key(self) -> [u8; 32] {
        self.record_key
    }

    fn of(label: &str, provider: &ProviderId, name: &str) -> Self {
        // With its length in front no provider's id can run into a name.
        let provider = provider.as_str();
        let mut id = [0; 16];
        id.copy_from_slice(&derive(label, &format!("{}\n{provider}\n{name}", provider.len()))[..16]);
        Self::new(id)
    }

    fn new(bytes: [u8; 16]) -> Self {
        Self { bytes, record_key: derive_name("perennial end mark", &bytes) }
    }

    fn to_text(self) -> String {
        URL_SAFE_NO_PAD.encode(self.bytes)
    }

    fn from_text(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self::new)
    }
}

impl PartialEq for MarkId {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for MarkId {}

impl fmt::Debug for MarkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MarkId({})", &self.to_text()[..6])
    }
}

/// Whom a session is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Written", try_from = "Written")]
pub struct Subject {
    /// The user, by `sub`.
    pub user: MarkId,
    /// The session at the provider, by `sid`, where the provider tells it.
    pub provider_session: Option<MarkId>,
    /// When the provider vouched for the user at sign-in, by the provider's clock (`iat`).
    pub vouched_at: Timestamp,
}

impl Subject {
    /// Of a session that begins: by the claims that `provider` told at `now` of the user it calls `id`.
    pub fn at_sign_in(provider: &Provider, claims: &Map<String, Value>, id: &str, now: Timestamp) -> Self {
        let text = |name: &str| claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let (sid, issued_at) = match provider.kind {
            ProviderKind::Oidc => (text("sid"), claims.get("iat").and_then(Value::as_f64)),
            // What UserInfo says under these names is of no standard.
            ProviderKind::OAuth => (None, None),
        };
        Self {
            user: MarkId::of_user(&provider.id, text("sub").unwrap_or(id)),
            provider_session: sid.map(|sid| MarkId::of_provider_session(&provider.id, sid)),
            vouched_at: issued_at.map_or(now, |seconds| Timestamp::from_unix_seconds(seconds as i64)),
        }
    }

    /// Of a session that Auth.js began at `provider`, by the ID token in its cookie.
    pub(super) fn of_id_token(provider: &ProviderId, id_token: &IdToken) -> Option<Self> {
        let claims = read_unverified_claims(id_token).ok()?;
        Some(Self {
            user: MarkId::of_user(provider, &claims.sub),
            provider_session: claims.sid.as_deref().map(|sid| MarkId::of_provider_session(provider, sid)),
            vouched_at: claims.iat,
        })
    }

    /// The marks that may end it.
    pub fn marks(&self) -> impl Iterator<Item = MarkId> + use<> {
        [self.provider_session, Some(self.user)].into_iter().flatten()
    }
}

/// As short as it can be: it is a part of every cookie.
#[derive(Serialize, Deserialize)]
struct Written(String, Option<String>, Timestamp);

impl From<Subject> for Written {
    fn from(subject: Subject) -> Self {
        Self(subject.user.to_text(), subject.provider_session.map(MarkId::to_text), subject.vouched_at)
    }
}

impl TryFrom<Written> for Subject {
    type Error = &'static str;

    fn try_from(Written(user, session, vouched_at): Written) -> Result<Self, Self::Error> {
        let read = |text: &str| MarkId::from_text(text).ok_or("not the name of a mark");
        Ok(Self { user: read(&user)?, provider_session: session.as_deref().map(read).transpose()?, vouched_at })
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::*;
    use super::*;
    use crate::secret::ClientSecret;
    use serde_json::json;

    #[test]
    fn a_name_stands_for_one_thing_at_one_provider() {
        let (a, b) = (ProviderId::new("a"), ProviderId::new("b"));
        let all = [
            MarkId::of_user(&a, "x"),
            MarkId::of_user(&a, "X"),
            MarkId::of_user(&b, "x"),
            MarkId::of_provider_session(&a, "x"),
            MarkId::of_user(&a, "b\nx"),
            MarkId::of_user(&ProviderId::new("a\nb"), "x"),
        ];
        for (at, one) in all.iter().enumerate() {
            assert_eq!(MarkId::from_text(&one.to_text()), Some(*one));
            for other in &all[at + 1..] {
                assert!(one != other && one.record_key() != other.record_key(), "{one:?} {other:?}");
            }
        }
        assert!(MarkId::from_text("short").is_none() && MarkId::from_text("!").is_none());
    }

    #[test]
    fn the_providers_names_and_clock_count_where_they_are_told() {
        let oidc = Provider::preset("oidc").expect("a preset").issuer("https://id.example").client_id("c");
        let oidc = oidc.client_secret(ClientSecret::new("s")).build().expect("complete");
        let user = |name: &str| MarkId::of_user(&oidc.id, name);
        let session = |name: &str| Some(MarkId::of_provider_session(&oidc.id, name));
        for (claims, expected) in [
            (json!({ "sub": "u", "sid": "s", "iat": 5 }), (user("u"), session("s"), at(5))),
            (json!({ "sub": "u", "iat": 5.9 }), (user("u"), None, at(5))),
            (json!({ "sid": "", "iat": "soon" }), (user("id"), None, at(9))),
            (json!({ "sub": 7, "sid": 7 }), (user("id"), None, at(9))),
        ] {
            let subject = Subject::at_sign_in(&oidc, &object(claims.clone()), "id", at(9));
            assert_eq!((subject.user, subject.provider_session, subject.vouched_at), expected, "{claims}");
            let written = serde_json::to_string(&subject).expect("text and a number");
            assert!(written.len() < 70, "{written}");
            assert_eq!(serde_json::from_str::<Subject>(&written).expect("the same"), subject);
        }
    }
}
