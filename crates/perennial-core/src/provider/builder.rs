//! Collects the settings of a provider and checks them as a whole, so that every fault is told at once.

use std::time::Duration;

use super::{
    ClientAuthentication, ClientAuthenticationMethod, ConsentPrompt, Endpoint, EndpointFault, Endpoints,
    FailurePattern, PRESETS, PlainHttp, Preset, ProfileMapping, Provider, ProviderKind, RefreshClass,
};
use crate::authorize::PROTOCOL_PARAMETERS;
use crate::client_auth::{self, PROTOCOL_TOKEN_PARAMETERS};
use crate::id_token::JwsAlgorithm;
use crate::names::{ClientId, Issuer, ProviderId, Scope};
use crate::secret::{ClientSecret, PrivateKeyPem};

/// A provider under construction. Setters replace what the preset said; [`build`](Self::build) judges the whole.
#[derive(Clone, Debug)]
#[must_use]
pub struct ProviderBuilder {
    preset: &'static Preset,
    id: String,
    name: String,
    kind: ProviderKind,
    issuer: Option<String>,
    urls: Urls,
    plain_http: PlainHttp,
    client_id: String,
    secret: Option<ClientSecret>,
    private_key: Option<(PrivateKeyPem, Option<String>, JwsAlgorithm)>,
    method: Option<ClientAuthenticationMethod>,
    scope: String,
    authorization_params: Vec<(String, String)>,
    token_params: Vec<(String, String)>,
    id_token_algs: Option<Vec<JwsAlgorithm>>,
    class: RefreshClass,
    at_kill: bool,
    consent: ConsentPrompt,
    default_token_lifetime: Option<Duration>,
    failures: Vec<FailurePattern>,
    profile: ProfileMapping,
}

/// Endpoints as typed.
#[derive(Clone, Debug, Default)]
struct Urls {
    authorization: Option<String>,
    token: Option<String>,
    userinfo: Option<String>,
    jwks: Option<String>,
    end_session: Option<String>,
    revocation: Option<String>,
}

/// One setting of a provider that is missing or wrong, and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("provider `{provider}`: {setting} {problem}; {remedy}")]
pub struct ProviderFault {
    /// The provider's id.
    pub provider: String,
    /// The setting: `client_id`.
    pub setting: &'static str,
    /// What is wrong with it: `is missing`.
    pub problem: String,
    /// What to do.
    pub remedy: String,
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
    }

    setters! {
        /// Whether ID tokens are expected.
        kind: ProviderKind;
        /// What it costs to present a refresh token a second time, if you know it better than the preset.
        class: RefreshClass;
        /// Whether a renewal kills the previous access token at once.
        at_kill: bool;
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

    /// Judges the whole.
    ///
    /// # Errors
    /// Every [`ProviderFault`] there is, at once.
    pub fn build(self) -> Result<Provider, Vec<ProviderFault>> {
        let mut faults = Faults { provider: self.id.clone(), found: Vec::new() };
        self.judge_names(&mut faults);
        self.judge_params(&mut faults);
        let endpoints = self.endpoints(&mut faults);
        let client_authentication = self.authentication(&mut faults);
        match client_authentication {
            Some(client_authentication) if faults.found.is_empty() => Ok(Provider {
                id: ProviderId::new(self.id),
                preset: self.preset.id,
                name: self.name,
                kind: self.kind,
                issuer: self.issuer.map(Issuer::new),
                tenant_issuer: self.preset.tenant_issuer,
                endpoints,
                plain_http: self.plain_http,
                client_id: ClientId::new(self.client_id),
                client_authentication,
                scope: Scope::new(self.scope),
                comma_scopes: self.preset.comma_scopes,
                authorization_params: self.authorization_params,
                token_params: self.token_params,
                id_token_algs: self.id_token_algs,
                class: self.class,
                at_kill: self.at_kill,
                consent: self.consent,
                refresh_token_by: self.preset.refresh_token_by,
                default_token_lifetime: self.default_token_lifetime,
                failures: self.failures,
                profile: self.profile,
                refresh_hint: self.preset.refresh_hint,
            }),
            _ => Err(faults.found),
        }
    }

    fn judge_names(&self, faults: &mut Faults) {
        let well_formed = (1..=64).contains(&self.id.len())
            && self.id.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'));
        if !well_formed {
            faults.add("id", "cannot stand in a URL", "use 1 to 64 lower-case letters, digits, `-` and `_`");
        }
        if self.client_id.is_empty() {
            faults.add("client_id", "is missing", "copy it from the application's page at the provider");
        }
        if self.kind == ProviderKind::Oidc && !Scope::new(&*self.scope).contains("openid") {
            faults.add("scope", "lacks `openid`", "add it, or set the kind to plain OAuth");
        }
        match &self.issuer {
            None if self.kind == ProviderKind::Oidc => {
                faults.add("issuer", "is missing", format!("it looks like {}", self.preset.issuer_example))
            }
            Some(issuer) => {
                if let Err(fault) = self.judge_issuer(issuer) {
                    faults.add("issuer", fault, format!("it looks like {}", self.preset.issuer_example));
                }
            }
            None => {}
        }
    }

    /// OIDC Discovery §3: a URL without query and fragment.
    fn judge_issuer(&self, issuer: &str) -> Result<(), String> {
        let url = Endpoint::parse(issuer, self.plain_http).map_err(refused)?;
        match url.url().query() {
            Some(_) => Err("is refused: an issuer has no query".to_owned()),
            None => Ok(()),
        }
    }

    fn judge_params(&self, faults: &mut Faults) {
        let mut judge = |setting: &'static str, params: &[(String, String)], reserved: &[&str]| {
            for (name, _) in params {
                if reserved.contains(&name.as_str()) {
                    faults.add(setting, format!("must not set `{name}`, which belongs to the protocol"), "remove it");
                }
            }
        };
        judge("authorization_params", &self.authorization_params, PROTOCOL_PARAMETERS);
        judge("token_params", &self.token_params, PROTOCOL_TOKEN_PARAMETERS);
    }

    fn endpoints(&self, faults: &mut Faults) -> Endpoints {
        let mut read = |setting: &'static str, text: &Option<String>| {
            let parsed = Endpoint::parse(text.as_deref()?, self.plain_http);
            match parsed {
                Ok(endpoint) => Some(endpoint),
                Err(fault) => {
                    faults.add(setting, refused(fault), "correct the URL");
                    None
                }
            }
        };
        let endpoints = Endpoints {
            authorization: read("authorization_endpoint", &self.urls.authorization),
            token: read("token_endpoint", &self.urls.token),
            userinfo: read("userinfo_endpoint", &self.urls.userinfo),
            jwks: read("jwks_uri", &self.urls.jwks),
            end_session: read("end_session_endpoint", &self.urls.end_session),
            revocation: read("revocation_endpoint", &self.urls.revocation),
        };
        // Without an issuer nothing can be discovered; an OIDC provider without one is a fault already.
        if self.issuer.is_none() && self.kind == ProviderKind::OAuth {
            for (setting, url) in [
                ("authorization_endpoint", &self.urls.authorization),
                ("token_endpoint", &self.urls.token),
                ("userinfo_endpoint", &self.urls.userinfo),
            ] {
                if url.is_none() {
                    faults.add(
                        setting,
                        "is missing",
                        "copy it from the provider's documentation, or set the issuer to discover it",
                    );
                }
            }
        }
        endpoints
    }

    fn authentication(&self, faults: &mut Faults) -> Option<ClientAuthentication> {
        let method = self.method.unwrap_or(match self.private_key {
            Some(_) => ClientAuthenticationMethod::PrivateKeyJwt,
            None => self.preset.authentication,
        });
        match (method, &self.secret, &self.private_key) {
            (ClientAuthenticationMethod::None, _, _) => Some(ClientAuthentication::None),
            (ClientAuthenticationMethod::ClientSecretBasic, Some(secret), _) if !is_empty(secret) => {
                Some(ClientAuthentication::ClientSecretBasic(secret.clone()))
            }
            (ClientAuthenticationMethod::ClientSecretPost, Some(secret), _) if !is_empty(secret) => {
                Some(ClientAuthentication::ClientSecretPost(secret.clone()))
            }
            (ClientAuthenticationMethod::PrivateKeyJwt, _, Some((key, kid, alg))) => {
                if let Err(fault) = client_auth::judge_private_key(key, *alg) {
                    faults.add("private_key", fault.to_string(), "give a PKCS#8 PEM whose type suits the algorithm");
                    return None;
                }
                Some(ClientAuthentication::PrivateKeyJwt { key: key.clone(), kid: kid.clone(), alg: *alg })
            }
            (ClientAuthenticationMethod::PrivateKeyJwt, ..) => {
                faults.add(
                    "private_key",
                    "is missing",
                    "give the PKCS#8 PEM whose public half is registered at the provider",
                );
                None
            }
            _ => {
                faults.add(
                    "client_secret",
                    "is missing",
                    "copy it from the application's page at the provider, or set the client authentication \
                     method to `none` for a public client",
                );
                None
            }
        }
    }
}

struct Faults {
    provider: String,
    found: Vec<ProviderFault>,
}

impl Faults {
    fn add(&mut self, setting: &'static str, problem: impl Into<String>, remedy: impl Into<String>) {
        self.found.push(ProviderFault {
            provider: self.provider.clone(),
            setting,
            problem: problem.into(),
            remedy: remedy.into(),
        });
    }
}

fn refused(fault: EndpointFault) -> String {
    format!("is refused: {fault}")
}

fn is_empty(secret: &ClientSecret) -> bool {
    secret.expose_secret().is_empty()
}

fn replace(params: &mut Vec<(String, String)>, name: String, value: String) {
    params.retain(|(one, _)| *one != name);
    params.push((name, value));
}
