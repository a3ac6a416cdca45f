//! RFC 6749 §2 · OIDC Core §9: a provider as configured: who it is, who we are there, and how its refresh tokens behave.

mod builder;
mod doubt;
mod endpoint;
mod failures;
mod judge;
mod presets;
mod profile;
mod resolved;

use std::time::Duration;

pub use builder::{ProviderBuilder, UnknownPreset};
pub use doubt::{DRAIN_DEFAULT, DoubtRules, Introspection, LastResort, Probe};
pub use endpoint::{Endpoint, EndpointFault, PlainHttp};
pub(crate) use failures::common_failures;
pub use failures::{FailureMeaning, FailurePattern};
pub use judge::ProviderFault;
pub use presets::{PRESETS, Preset, PresetEndpoints, preset};
pub use profile::{NoProfileId, Profile, ProfileMapping, ProfileMembers};
pub use resolved::{IssuerRule, ResolveError, ResolvedProvider};

use crate::id_token::JwsAlgorithm;
use crate::names::{ClientId, Issuer, ProviderId, Scope};
use crate::secret::{ClientSecret, PrivateKeyPem};

/// A provider as configured. Built from a [`preset`](Provider::preset) or from scratch, checked as a whole.
///
/// ```
/// use perennial_core::provider::Provider;
/// use perennial_core::secret::ClientSecret;
///
/// let provider = Provider::preset("auth0")?
///     .issuer("https://tenant.eu.auth0.com/")
///     .client_id("my-app")
///     .client_secret(ClientSecret::new("from the environment"))
///     .build()
///     .expect("nothing is missing");
/// assert!(provider.scope.contains("offline_access"));
///
/// let faults = Provider::oidc("oidc").build().unwrap_err();
/// assert_eq!(faults.len(), 3); // issuer, client_id and client_secret are named at once
/// # Ok::<(), perennial_core::provider::UnknownPreset>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Provider {
    /// Its short name in our URLs.
    pub id: ProviderId,
    /// The row of [`PRESETS`] it was built from.
    pub preset: &'static str,
    /// Its name for people.
    pub name: String,
    /// Whether ID tokens are expected.
    pub kind: ProviderKind,
    /// Its issuer identifier; OIDC always has one.
    pub issuer: Option<Issuer>,
    /// Set for Microsoft's shared endpoints alone: the issuer their metadata names, with `{tenantid}` in it.
    pub tenant_issuer: Option<&'static str>,
    /// Endpoints given by hand; each is used instead of the discovered one.
    pub endpoints: Endpoints,
    /// Where plain http is accepted.
    pub plain_http: PlainHttp,
    /// Our name at the provider.
    pub client_id: ClientId,
    /// The one method by which we prove who we are; never probed.
    pub client_authentication: ClientAuthentication,
    /// What is asked for at sign-in.
    pub scope: Scope,
    /// Whether granted scopes come back separated by commas (GitHub).
    pub comma_scopes: bool,
    /// Further parameters of the authorization request.
    pub authorization_params: Vec<(String, String)>,
    /// Further parameters of each token request.
    pub token_params: Vec<(String, String)>,
    /// Signature algorithms accepted on ID tokens; `None` takes every asymmetric one the metadata names.
    pub id_token_algs: Option<Vec<JwsAlgorithm>>,
    /// What it costs to present a refresh token a second time.
    pub class: RefreshClass,
    /// Whether a renewal kills the previous access token at once.
    pub at_kill: bool,
    /// Whether it tells about refresh tokens (RFC 7662).
    pub introspection: Introspection,
    /// Whether the access token tells if the refresh token beside it was spent.
    pub probe: Probe,
    /// What remains when nobody knows whether a refresh token is spent.
    pub last_resort: LastResort,
    /// How long after its caller was gone a request may still reach the provider.
    pub drain: Duration,
    /// Whether `prompt=consent` goes with `offline_access`.
    pub consent: ConsentPrompt,
    /// What a refresh token comes by.
    pub refresh_token_by: RefreshTokenBy,
    /// By which parameter a refresh names another audience.
    pub audience_parameter: AudienceParameter,
    /// The lifetime of an access token whose answer does not tell it.
    pub default_token_lifetime: Option<Duration>,
    /// How this provider words its refusals where it departs from RFC 6749 §5.2; the first match counts.
    pub failures: Vec<FailurePattern>,
    /// Which members of ID token or UserInfo describe the user.
    pub profile: ProfileMapping,
    /// What to set at the provider so that a refresh token comes and renewal is safe.
    pub refresh_hint: &'static str,
}

/// By which parameter a refresh request names the API that the access token is to be for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AudienceParameter {
    /// RFC 8707 §2: an absolute URI without a fragment.
    #[default]
    Resource,
    /// `audience`, as Auth0 and others have it.
    Audience,
}

impl AudienceParameter {
    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resource => "resource",
            Self::Audience => "audience",
        }
    }
}

/// Which protocol a provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderKind {
    /// OpenID Connect: an ID token comes at sign-in and is verified.
    Oidc,
    /// OAuth 2.0 alone: the user is whom UserInfo says.
    OAuth,
}

/// Endpoints given by hand.
#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    /// RFC 6749 §3.1.
    pub authorization: Option<Endpoint>,
    /// RFC 6749 §3.2.
    pub token: Option<Endpoint>,
    /// OIDC Core §5.3.
    pub userinfo: Option<Endpoint>,
    /// RFC 7517 §5.
    pub jwks: Option<Endpoint>,
    /// RP-Initiated Logout §2.
    pub end_session: Option<Endpoint>,
    /// RFC 7009 §2.
    pub revocation: Option<Endpoint>,
    /// RFC 7662 §2.
    pub introspection: Option<Endpoint>,
}

/// RFC 6749 §2.3 · OIDC Core §9: how we prove who we are.
#[derive(Clone, Debug)]
pub enum ClientAuthentication {
    /// `client_secret_basic`.
    ClientSecretBasic(ClientSecret),
    /// `client_secret_post`.
    ClientSecretPost(ClientSecret),
    /// `none`: a public client.
    None,
    /// `private_key_jwt`, RFC 7523.
    PrivateKeyJwt {
        /// The key that signs.
        key: PrivateKeyPem,
        /// By which the provider finds the public half.
        kid: Option<String>,
        /// Must suit the key.
        alg: JwsAlgorithm,
    },
}

/// The names of [`ClientAuthentication`] alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuthenticationMethod {
    /// `client_secret_basic`.
    ClientSecretBasic,
    /// `client_secret_post`.
    ClientSecretPost,
    /// `none`.
    None,
    /// `private_key_jwt`.
    PrivateKeyJwt,
}

/// What it costs to present a refresh token a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshClass {
    /// The predecessor stays good until its successor is first used.
    Acknowledged,
    /// Single use, and a second use revokes the whole family.
    Family,
    /// Within this time a second use returns the same successor.
    Idempotent(Duration),
    /// Rotated; the predecessor stays good this long.
    Overlap(Duration),
    /// The same token stays good.
    Reusable,
    /// Single use; a second use is refused and nothing else dies.
    SingleUse,
    /// Not known: treated as single use.
    Unknown,
}

/// OIDC Core §11: whether `prompt=consent` goes with the scope `offline_access`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsentPrompt {
    /// The provider grants offline access without it, or refuses it.
    Never,
    /// As the specification asks.
    WithOfflineAccess,
}

/// What must be asked for so that a refresh token can be expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshTokenBy {
    /// It comes unasked, or a setting at the provider decides.
    Provider,
    /// This authorization parameter must have this value.
    Parameter(&'static str, &'static str),
    /// This scope must be asked for.
    Scope(&'static str),
}

impl Provider {
    /// Starts from a row of [`PRESETS`].
    ///
    /// # Errors
    /// [`UnknownPreset`] when there is no such row; it names those there are.
    pub fn preset(id: &str) -> Result<ProviderBuilder, UnknownPreset> {
        match preset(id) {
            Some(row) => Ok(ProviderBuilder::from_preset(row)),
            None => Err(UnknownPreset::new(id)),
        }
    }

    /// Starts an OpenID provider known by its issuer; the rest is discovered.
    pub fn oidc(id: &str) -> ProviderBuilder {
        ProviderBuilder::from_preset(presets::OIDC).id(id)
    }

    /// Starts a provider with explicit endpoints.
    pub fn custom(id: &str) -> ProviderBuilder {
        ProviderBuilder::from_preset(presets::CUSTOM).id(id)
    }

    /// Whether endpoints that a sign-in needs have to be discovered.
    pub fn needs_discovery(&self) -> bool {
        let Endpoints { authorization, token, jwks, userinfo, .. } = &self.endpoints;
        authorization.is_none()
            || token.is_none()
            || match self.kind {
                ProviderKind::Oidc => jwks.is_none(),
                ProviderKind::OAuth => userinfo.is_none() && self.issuer.is_some(),
            }
    }

    /// Whether what is asked for at sign-in can be expected to bring a refresh token.
    pub fn refresh_token_expected(&self) -> bool {
        match self.refresh_token_by {
            RefreshTokenBy::Provider => true,
            RefreshTokenBy::Scope(scope) => self.scope.contains(scope),
            RefreshTokenBy::Parameter(name, value) => {
                self.authorization_params.iter().any(|(n, v)| n == name && v == value)
            }
        }
    }
}

impl ClientAuthentication {
    /// The method's name alone.
    pub fn method(&self) -> ClientAuthenticationMethod {
        match self {
            Self::ClientSecretBasic(_) => ClientAuthenticationMethod::ClientSecretBasic,
            Self::ClientSecretPost(_) => ClientAuthenticationMethod::ClientSecretPost,
            Self::None => ClientAuthenticationMethod::None,
            Self::PrivateKeyJwt { .. } => ClientAuthenticationMethod::PrivateKeyJwt,
        }
    }
}

impl ClientAuthenticationMethod {
    /// All methods, by name.
    pub const ALL: [Self; 4] = [Self::ClientSecretBasic, Self::ClientSecretPost, Self::None, Self::PrivateKeyJwt];

    /// The registered name: `client_secret_basic`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::None => "none",
            Self::PrivateKeyJwt => "private_key_jwt",
        }
    }

    /// The method of this registered name, if we speak it.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }
}
