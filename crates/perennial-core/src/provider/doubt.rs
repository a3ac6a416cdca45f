//! RFC 7662 · RFC 9700 §4.14.2: what can be found out about a refresh token that may be spent, and what remains when nothing
//! can. Data, provider by provider; `record::plan` decides by it.

use std::time::Duration;

use super::{ClientAuthentication, Provider, RefreshClass, ResolvedProvider};

/// All that decides what is done about a refresh token that may be spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoubtRules {
    /// What it costs to present a refresh token a second time.
    pub class: RefreshClass,
    /// Whether the provider can be asked about the refresh token.
    pub introspection: Introspection,
    /// Whether the access token tells.
    pub probe: Probe,
    /// What remains when nothing else is known.
    pub last_resort: LastResort,
    /// How long after its caller was gone a request may still reach the provider.
    pub drain: Duration,
}

/// RFC 7662 §2.1: whether the provider tells about refresh tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Introspection {
    /// No, or not reliably.
    None,
    /// When asked with `token_type_hint=refresh_token`.
    WithHint,
    /// When asked without a hint.
    WithoutHint,
}

/// Whether the access token tells if the refresh token beside it was spent: a renewal kills it at once, so that it is alive
/// exactly as long as its refresh token is unspent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// It does not.
    None,
    /// UserInfo (OIDC Core §5.3) takes it or answers 401.
    UserInfo,
}

/// What remains when the access token has died and nobody knows whether the refresh token is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastResort {
    /// Send it once more: a refusal, or a revoked family, costs nothing but the session that is as good as lost.
    Retry,
    /// Never send it again, because a reuse costs more than this session; send the browser to the provider instead.
    Reauthenticate,
}

/// How long after its caller was gone a request is taken to be still on its way, unless configured: longer than common
/// proxies hold one back.
pub const DRAIN_DEFAULT: Duration = Duration::from_secs(30);

impl Introspection {
    /// By the names that configuration knows.
    pub const ALL: [(&'static str, Self); 3] =
        [("none", Self::None), ("with_hint", Self::WithHint), ("without_hint", Self::WithoutHint)];
}

impl Probe {
    /// By the names that configuration knows.
    pub const ALL: [(&'static str, Self); 2] = [("none", Self::None), ("userinfo", Self::UserInfo)];
}

impl LastResort {
    /// By the names that configuration knows.
    pub const ALL: [(&'static str, Self); 2] = [("retry", Self::Retry), ("reauthenticate", Self::Reauthenticate)];
}

impl DoubtRules {
    /// Nothing can be found out; one last try after the usual drain.
    pub const fn of_class(class: RefreshClass) -> Self {
        Self {
            class,
            introspection: Introspection::None,
            probe: Probe::None,
            last_resort: LastResort::Retry,
            drain: DRAIN_DEFAULT,
        }
    }
}

impl ResolvedProvider {
    /// The rules as far as the provider's endpoints and our standing there let them be followed: a public client may not
    /// introspect (RFC 7662 §2.1).
    pub fn doubt_rules(&self) -> DoubtRules {
        let Provider { class, introspection, probe, last_resort, drain, client_authentication, .. } = &*self.provider;
        let public = matches!(client_authentication, ClientAuthentication::None);
        DoubtRules {
            class: *class,
            introspection: match self.introspection {
                Some(_) if !public => *introspection,
                _ => Introspection::None,
            },
            probe: if self.userinfo.is_some() { *probe } else { Probe::None },
            last_resort: *last_resort,
            drain: *drain,
        }
    }
}
