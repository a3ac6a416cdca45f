//! A provider with every endpoint known: configuration joined with what was discovered.

use std::sync::Arc;

use super::{Endpoint, Provider, ProviderKind};
use crate::id_token::JwsAlgorithm;
use crate::metadata::ProviderMetadata;
use crate::names::Issuer;

/// A provider that requests can be written for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ResolvedProvider {
    /// As configured.
    pub provider: Arc<Provider>,
    /// Which issuers its answers may name; OIDC always has one.
    pub issuer: Option<IssuerRule>,
    /// RFC 6749 §3.1.
    pub authorization: Endpoint,
    /// RFC 6749 §3.2.
    pub token: Endpoint,
    /// OIDC Core §5.3.
    pub userinfo: Option<Endpoint>,
    /// RFC 7517 §5; OIDC always has one.
    pub jwks: Option<Endpoint>,
    /// RP-Initiated Logout §2.
    pub end_session: Option<Endpoint>,
    /// RFC 7009 §2.
    pub revocation: Option<Endpoint>,
    /// RFC 7662 §2.
    pub introspection: Option<Endpoint>,
    /// RFC 9207 §3: callbacks without `iss` are refused.
    pub iss_parameter_promised: bool,
    /// Signature algorithms accepted on ID tokens.
    pub id_token_algs: Vec<JwsAlgorithm>,
}

/// Which `iss` an answer may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IssuerRule {
    /// This one, byte for byte.
    Exact(Issuer),
    /// Microsoft's shared endpoints: this text with `{tenantid}` replaced by the token's signed `tid`.
    PerTenant(&'static str),
}

/// A provider lacks an endpoint that a sign-in needs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "provider `{provider}` has no {endpoint}: neither its metadata nor the configuration names one; set it by hand"
)]
pub struct ResolveError {
    /// The provider's id.
    pub provider: String,
    /// The metadata member that is missing: `token_endpoint`.
    pub endpoint: &'static str,
}

impl Provider {
    /// Joins the configuration with what was discovered; what was configured wins.
    ///
    /// # Errors
    /// [`ResolveError`] names the endpoint that is in neither.
    pub fn resolve(self: &Arc<Self>, metadata: Option<&ProviderMetadata>) -> Result<ResolvedProvider, ResolveError> {
        let missing = |endpoint| ResolveError { provider: self.id.to_string(), endpoint };
        let found = metadata.map(|metadata| &metadata.endpoints);
        let join = |configured: &Option<Endpoint>, pick: fn(&super::Endpoints) -> &Option<Endpoint>| {
            configured.clone().or_else(|| found.and_then(|found| pick(found).clone()))
        };
        let ours = &self.endpoints;
        let jwks = join(&ours.jwks, |found| &found.jwks);
        let userinfo = join(&ours.userinfo, |found| &found.userinfo);
        match self.kind {
            ProviderKind::Oidc if jwks.is_none() => return Err(missing("jwks_uri")),
            // Nothing else would say who the user is.
            ProviderKind::OAuth if userinfo.is_none() => return Err(missing("userinfo_endpoint")),
            ProviderKind::Oidc | ProviderKind::OAuth => {}
        }
        Ok(ResolvedProvider {
            provider: Arc::clone(self),
            issuer: self.issuer_rule(metadata),
            authorization: join(&ours.authorization, |found| &found.authorization)
                .ok_or_else(|| missing("authorization_endpoint"))?,
            token: join(&ours.token, |found| &found.token).ok_or_else(|| missing("token_endpoint"))?,
            userinfo,
            jwks,
            end_session: join(&ours.end_session, |found| &found.end_session),
            revocation: join(&ours.revocation, |found| &found.revocation),
            introspection: join(&ours.introspection, |found| &found.introspection),
            iss_parameter_promised: metadata
                .is_some_and(|metadata| metadata.authorization_response_iss_parameter_supported),
            id_token_algs: self.accepted_algs(metadata),
        })
    }

    fn issuer_rule(&self, metadata: Option<&ProviderMetadata>) -> Option<IssuerRule> {
        match (self.tenant_issuer, metadata) {
            (Some(template), Some(metadata)) if metadata.issuer.as_str() == template => {
                Some(IssuerRule::PerTenant(template))
            }
            _ => self.issuer.clone().map(IssuerRule::Exact),
        }
    }

    /// What was registered by hand; else every asymmetric algorithm that the metadata names.
    fn accepted_algs(&self, metadata: Option<&ProviderMetadata>) -> Vec<JwsAlgorithm> {
        let named =
            metadata.map(|metadata| metadata.id_token_signing_alg_values_supported.as_slice()).unwrap_or_default();
        match &self.id_token_algs {
            Some(registered) => registered.clone(),
            None => {
                JwsAlgorithm::ASYMMETRIC.into_iter().filter(|alg| named.is_empty() || named.contains(alg)).collect()
            }
        }
    }
}

impl ResolvedProvider {
    /// The issuer when it is one text for all tokens.
    pub fn exact_issuer(&self) -> Option<&Issuer> {
        match &self.issuer {
            Some(IssuerRule::Exact(issuer)) => Some(issuer),
            Some(IssuerRule::PerTenant(_)) | None => None,
        }
    }
}

impl IssuerRule {
    /// Whether a token that names `iss`, and `tid` if it has that claim, may come from here.
    pub fn accepts(&self, iss: &str, tid: Option<&str>) -> bool {
        match self {
            Self::Exact(issuer) => issuer.as_str() == iss,
            Self::PerTenant(template) => {
                tid.is_some_and(|tid| uuid::Uuid::try_parse(tid).is_ok() && template.replace("{tenantid}", tid) == iss)
            }
        }
    }

    /// RFC 9207 §2.4: whether an authorization response may name `iss`, where no `tid` is at hand to compare with.
    pub fn accepts_in_callback(&self, iss: &str) -> bool {
        match self {
            Self::Exact(issuer) => issuer.as_str() == iss,
            Self::PerTenant(template) => template
                .split_once("{tenantid}")
                .and_then(|(before, after)| iss.strip_prefix(before)?.strip_suffix(after))
                .is_some_and(|tid| self.accepts(iss, Some(tid))),
        }
    }
}
