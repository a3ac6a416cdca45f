//! Collects the settings of a provider.

use std::time::Duration;

use super::{
    AudienceParameter, ClientAuthentication, ClientAuthenticationMethod, ConsentPrompt, DRAIN_DEFAULT, FailurePattern,
    Introspection, LastResort, PRESETS, PlainHttp, Preset, Probe, ProfileMapping, ProviderKind, RefreshClass,
};
use crate::id_token::JwsAlgorithm;
use crate::secret::{ClientSecret, PrivateKeyPem};

/// A provider under construction. Setters replace what the preset said; [`build`](Self::build) judges the whole.
#[derive(Clone, Debug)]
#[must_use]
pub struct ProviderBuilder {
    pub(super) preset: &'static Preset,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) kind: ProviderKind,
    pub(super) issuer: Option<String>,
    pub(super) urls: Urls,
    pub(super) plain_http: PlainHttp,
    pub(super) client_id: String,
    pub(super) secret: Option<ClientSecret>,
    pub(super) private_key: Option<(PrivateKeyPem, Option<String>, JwsAlgorithm)>,
    pub(super) method: Option<ClientAuthenticationMethod>,
    pub(super) scope: String,
    pub(super) authorization_params: Vec<(String, String)>,
    pub(super) token_params: Vec<(String, String)>,
    pub(super) id_token_algs: Option<Vec<JwsAlgorithm>>,
    pub(super) class: RefreshClass,
    pub(super) at_kill: bool,
    pub(super) audience_parameter: AudienceParameter,
    pub(super) introspection: Introspection,
    pub(super) probe: Option<Probe>,
    pub(super) last_resort: LastResort,
    pub(super) drain: Duration,
    pub(super) consent: ConsentPrompt,
    pub(super) default_token_lifetime: Option<Duration>,
    pub(super) failures: Vec<FailurePattern>,
    pub(super) profile: ProfileMapping,
}

/// Endpoints as typed.
#[derive(Clone, Debug, Default)]
pub(super) struct Urls {
    pub(super) authorization: Option<String>,
    pub(super) token: Option<String>,
    pub(super) userinfo: Option<String>,
    pub(super) jwks: Option<String>,
    pub(super) end_session: Option<String>,
    pub(super) revocation: Option<String>,
    pub(super) introspection: Option<String>,
}

/// There is no preset of this id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no provider preset `{id}`; there are: {known}")]
pub struct UnknownPreset {
    id: String,
    known: String,
}

impl UnknownPreset {
    pub(super) fn new(id: &str) -> Self {
        let known: Vec<&str> = PRESETS.iter().map(|row| row.id).collect();
        Self { id: id.chars().take(64).collect(), known: known.join(", ") }
    }
}

/// A setter that replaces a text.
macro_rules! text_setters {
    ($($(#[$doc:meta])* $name:ident => $($field:ident).+;)+) => {$(
        $(#[$doc])*
        pub fn $name(mut self, value: impl Into<String>) -> Self {
            let text: String = value.into();
            self.$($field).+ = text.into();
            self
        }
    )+};
}

/// A setter that replaces a value.
macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $type:ty;)+) => {$(
        $(#[$doc])*
        pub fn $name(mut self, $name: $type) -> Self {
            self.$name = $name.into();
            self
        }
    )+};
}

impl ProviderBuilder {
    pub(super) fn from_preset(preset: &'static Preset) -> Self {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Self {
            preset,
            id: preset.id.to_owned(),
            name: preset.name.to_owned(),
            kind: preset.kind,
            issuer: owned(preset.issuer),
            urls: Urls {
                authorization: owned(preset.endpoints.authorization),
                token: owned(preset.endpoints.token),
                userinfo: owned(preset.endpoints.userinfo),
                revocation: owned(preset.endpoints.revocation),
                ..Urls::default()
            },
            plain_http: PlainHttp::LoopbackOnly,
            client_id: String::new(),
            secret: None,
            private_key: None,
            method: None,
            scope: preset.scope.to_owned(),
            authorization_params: preset
                .authorization_params
                .iter()
                .map(|&(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            token_params: Vec::new(),
            id_token_algs: None,
            class: preset.class,
            at_kill: preset.at_kill,
            audience_parameter: preset.audience_parameter,
            introspection: preset.introspection,
            probe: None,
            last_resort: preset.last_resort,
            drain: DRAIN_DEFAULT,
            consent: preset.consent,
            default_token_lifetime: preset.default_token_lifetime,
            failures: preset.failures.to_vec(),
            profile: preset.profile.into(),
        }
    }

    text_setters! {
        /// Its short name in our URLs: lower-case letters, digits, `-` and `_`.
        id => id;
        /// Its name for people.
        name => name;
        /// Its issuer identifier, byte for byte.
        issuer => issuer;
        /// Our name at the provider.
        client_id => client_id;
        /// What is asked for at sign-in, separated by spaces.
        scope => scope;
        /// RFC 6749 §3.1, instead of discovery.
        authorization_endpoint => urls.authorization;
        /// RFC 6749 §3.2, instead of discovery.
        token_endpoint => urls.token;
        /// OIDC Core §5.3, instead of discovery.
        userinfo_endpoint => urls.userinfo;
        /// RFC 7517 §5, instead of discovery.
        jwks_uri => urls.jwks;
        /// RP-Initiated Logout §2, instead of discovery.
        end_session_endpoint => urls.end_session;
        /// RFC 7009 §2, instead of discovery.
        revocation_endpoint => urls.revocation;
        /// RFC 7662 §2, instead of discovery.
        introspection_endpoint => urls.introspection;
    }

    setters! {
        /// Whether ID tokens are expected.
        kind: ProviderKind;
        /// What it costs to present a refresh token a second time, if you know it better than the preset.
        class: RefreshClass;
        /// Whether a renewal kills the previous access token at once.
        at_kill: bool;
        /// By which parameter a refresh names another audience, if you know it better than the preset.
        audience_parameter: AudienceParameter;
        /// Whether the provider tells about refresh tokens (RFC 7662).
        introspection: Introspection;
        /// Whether the access token tells if the refresh token beside it was spent; only where a renewal kills it at once.
        probe: Probe;
        /// What remains when nobody knows whether a refresh token is spent.
        last_resort: LastResort;
        /// How long after its caller was gone a request may still reach the provider; 30 s, at most 5 minutes.
        drain: Duration;
        /// Whether `prompt=consent` goes with `offline_access`.
        consent: ConsentPrompt;
        /// The lifetime of an access token whose answer does not tell it.
        default_token_lifetime: Duration;
        /// The signature algorithms registered for ID tokens; needed for `HS…`, which is never assumed.
        id_token_algs: Vec<JwsAlgorithm>;
        /// Which claims describe the user.
        profile: ProfileMapping;
    }

    /// The client's password at the provider.
    pub fn client_secret(mut self, secret: ClientSecret) -> Self {
        self.secret = Some(secret);
        self
    }

    /// The key that signs client assertions; `alg` must suit it. Makes the method `private_key_jwt`.
    pub fn private_key(mut self, key: PrivateKeyPem, kid: Option<String>, alg: JwsAlgorithm) -> Self {
        self.private_key = Some((key, kid, alg));
        self
    }

    /// The one method by which we prove who we are, instead of the preset's.
    pub fn client_authentication_method(mut self, method: ClientAuthenticationMethod) -> Self {
        self.method = Some(method);
        self
    }

    /// Method and credentials at once.
    pub fn client_authentication(mut self, authentication: ClientAuthentication) -> Self {
        self.method = Some(authentication.method());
        match authentication {
            ClientAuthentication::ClientSecretBasic(secret) | ClientAuthentication::ClientSecretPost(secret) => {
                self.secret = Some(secret)
            }
            ClientAuthentication::None => {}
            ClientAuthentication::PrivateKeyJwt { key, kid, alg } => {
                self.private_key = Some((key, kid, alg));
            }
        }
        self
    }

    /// One more parameter of the authorization request; replaces one of the same name.
    pub fn authorization_param(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        replace(&mut self.authorization_params, name.into(), value.into());
        self
    }

    /// One more parameter of each token request; replaces one of the same name.
    pub fn token_param(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        replace(&mut self.token_params, name.into(), value.into());
        self
    }

    /// A wording of refusals, tried before the preset's.
    pub fn failure(mut self, pattern: FailurePattern) -> Self {
        self.failures.insert(0, pattern);
        self
    }

    /// Accepts plain http for every host: tokens and secrets travel in clear. Loopback hosts do not need it.
    pub fn dangerous_allow_http(mut self) -> Self {
        self.plain_http = PlainHttp::DangerouslyAllowed;
        self
    }
}

fn replace(params: &mut Vec<(String, String)>, name: String, value: String) {
    params.retain(|(one, _)| *one != name);
    params.push((name, value));
}
