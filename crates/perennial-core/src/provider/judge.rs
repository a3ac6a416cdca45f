//! Judges the settings of a provider as a whole, so that every fault is told at once.

use super::{
    ClientAuthentication, ClientAuthenticationMethod, Endpoint, EndpointFault, Endpoints, Probe, Provider,
    ProviderBuilder, ProviderKind,
};
use crate::authorize::PROTOCOL_PARAMETERS;
use crate::client_auth::{self, PROTOCOL_TOKEN_PARAMETERS};
use crate::id_token::JwsAlgorithm;
use crate::limits::RETRY_AFTER_MAX;
use crate::metadata::discovery_url;
use crate::names::{ClientId, Issuer, ProviderId, Scope};
use crate::secret::ClientSecret;

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

impl ProviderBuilder {
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
        self.judge_algs(&mut faults);
        let probe = self.judge_doubt(&mut faults);
        match client_authentication {
            Some(client_authentication) if faults.found.is_empty() => Ok(Provider {
                tenant_issuer: self.tenant_issuer(),
                id: ProviderId::new(self.id),
                preset: self.preset.id,
                name: self.name,
                kind: self.kind,
                issuer: self.issuer.map(Issuer::new),
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
                introspection: self.introspection,
                probe,
                last_resort: self.last_resort,
                drain: self.drain,
                consent: self.consent,
                refresh_token_by: self.preset.refresh_token_by,
                audience_parameter: self.audience_parameter,
                default_token_lifetime: self.default_token_lifetime,
                failures: self.failures,
                profile: self.profile,
                refresh_hint: self.preset.refresh_hint,
            }),
            _ => Err(faults.found),
        }
    }

    /// Where an access token outlives its renewal, a living one says nothing: the token would be sent again although spent.
    fn judge_doubt(&self, faults: &mut Faults) -> Probe {
        if self.probe == Some(Probe::UserInfo) && !self.at_kill {
            faults.add(
                "probe",
                "asks the access token, which this provider does not kill at a renewal",
                "set at_kill if the provider does, or leave the probe out",
            );
        }
        if self.drain > RETRY_AFTER_MAX {
            faults.add("drain", "is too long", "choose from 0 to 5 minutes");
        }
        match self.probe {
            Some(probe) => probe,
            None if self.at_kill => self.preset.probe,
            None => Probe::None,
        }
    }

    /// A tenant of its own names its own issuer; only the shared ones leave it open.
    fn tenant_issuer(&self) -> Option<&'static str> {
        let template = self.preset.tenant_issuer?;
        let issuer = self.issuer.as_deref()?;
        ["common", "organizations"]
            .into_iter()
            .any(|shared| template.replace("{tenantid}", shared) == issuer)
            .then_some(template)
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
        Endpoint::parse(&discovery_url(issuer), self.plain_http).map_err(refused)?;
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
            introspection: read("introspection_endpoint", &self.urls.introspection),
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

    /// Nothing is verified by no algorithm, nor by a secret that is not there.
    fn judge_algs(&self, faults: &mut Faults) {
        let algs = self.id_token_algs.as_deref();
        if algs.is_some_and(<[JwsAlgorithm]>::is_empty) {
            faults.add(
                "id_token_algs",
                "is empty",
                "name the algorithm registered at the provider, or leave the setting out",
            );
        }
        let symmetric = |alg: &JwsAlgorithm| JwsAlgorithm::SYMMETRIC.contains(alg);
        if algs.is_some_and(|algs| algs.iter().any(symmetric)) && self.secret.is_none() {
            faults.add(
                "id_token_algs",
                "names an HMAC algorithm, whose key is the client secret, and there is none",
                "give the client secret or register an asymmetric algorithm",
            );
        }
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
