//! OIDC Discovery §3, §4 · RFC 8414: what a provider publishes about itself.

mod jwks;

use http::header::{ACCEPT, USER_AGENT};
use http::{HeaderValue, Request, StatusCode};
pub use jwks::{JwkSet, JwkSetError, VerificationKey, jwks_request, read_jwk_set};
use serde_json::{Map, Value};

use crate::client_auth::OUR_USER_AGENT;
use crate::id_token::JwsAlgorithm;
use crate::limits::PROVIDER_ANSWER_BYTES;
use crate::names::Issuer;
use crate::provider::{Endpoint, EndpointFault, Endpoints, Provider, ProviderKind, RefreshTokenBy};

/// What a provider publishes about itself, checked: the issuer is the one asked for and every endpoint may be used.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProviderMetadata {
    /// `issuer`; for Microsoft's shared endpoints the text with `{tenantid}` in it.
    pub issuer: Issuer,
    /// The endpoints it names.
    pub endpoints: Endpoints,
    /// Those of `id_token_signing_alg_values_supported` that we verify.
    pub id_token_signing_alg_values_supported: Vec<JwsAlgorithm>,
    /// `token_endpoint_auth_methods_supported`, verbatim; by default `client_secret_basic`.
    pub token_endpoint_auth_methods_supported: Vec<String>,
    /// RFC 9207 §3.
    pub authorization_response_iss_parameter_supported: bool,
    /// Back-Channel Logout §2.1.
    pub backchannel_logout_supported: bool,
    /// RFC 8414 `code_challenge_methods_supported`, verbatim.
    pub code_challenge_methods_supported: Vec<String>,
    /// `scopes_supported`, verbatim.
    pub scopes_supported: Vec<String>,
    /// `grant_types_supported`, verbatim.
    pub grant_types_supported: Vec<String>,
}

/// Why published metadata is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// An endpoint that must not be used.
    #[error("the metadata's {member} is refused: {fault}")]
    Endpoint {
        /// The member that names it.
        member: &'static str,
        /// What is wrong with it.
        fault: EndpointFault,
    },
    /// Another issuer than the one asked for; a trailing slash is enough.
    #[error(
        "the metadata names the issuer `{found}` where `{expected}` was asked for; they must be the same byte for byte"
    )]
    IssuerMismatch {
        /// As configured.
        expected: String,
        /// As published, cut to the length of an issuer.
        found: String,
    },
    /// A member without which nothing can begin.
    #[error("the metadata lacks {0}")]
    Missing(&'static str),
    /// Not a JSON object.
    #[error("the metadata is not a JSON object")]
    NotJson,
    /// Not 200.
    #[error("the metadata was answered with HTTP {0}")]
    Status(u16),
    /// Larger than [`PROVIDER_ANSWER_BYTES`].
    #[error("the metadata is larger than {PROVIDER_ANSWER_BYTES} bytes")]
    TooLarge,
}

/// Asks for the metadata at `<issuer>/.well-known/openid-configuration`; `None` when nothing needs to be discovered.
///
/// ```
/// # use perennial_core::{metadata::discovery_request, provider::Provider, secret::ClientSecret};
/// # let provider = Provider::oidc("oidc").issuer("https://id.example/realm/").client_id("a")
/// #     .client_secret(ClientSecret::new("b")).build().unwrap();
/// let request = discovery_request(&provider).expect("an issuer alone has to be discovered");
/// assert_eq!(request.uri(), "https://id.example/realm/.well-known/openid-configuration");
/// ```
pub fn discovery_request(provider: &Provider) -> Option<Request<Vec<u8>>> {
    let issuer = provider.issuer.as_ref()?;
    if !provider.needs_discovery() {
        return None;
    }
    Endpoint::parse(&discovery_url(issuer.as_str()), provider.plain_http).ok().map(|endpoint| json_request(&endpoint))
}

/// OIDC Discovery §4.1: a trailing slash of the issuer is dropped, a path stays in front.
pub(crate) fn discovery_url(issuer: &str) -> String {
    let base = issuer.strip_suffix('/').unwrap_or(issuer);
    format!("{base}/.well-known/openid-configuration")
}

/// Judges the answer to [`discovery_request`].
///
/// # Errors
/// [`MetadataError`] says what is wrong with the document; it is then not used at all.
pub fn read_metadata(provider: &Provider, status: StatusCode, body: &[u8]) -> Result<ProviderMetadata, MetadataError> {
    if status != StatusCode::OK {
        return Err(MetadataError::Status(status.as_u16()));
    }
    if body.len() > PROVIDER_ANSWER_BYTES {
        return Err(MetadataError::TooLarge);
    }
    let document: Map<String, Value> = serde_json::from_slice(body).map_err(|_| MetadataError::NotJson)?;
    let issuer = judged_issuer(provider, &document)?;
    let endpoint = |member: &'static str| judged_endpoint(provider, &document, member);
    let endpoints = Endpoints {
        authorization: endpoint("authorization_endpoint")?,
        token: endpoint("token_endpoint")?,
        userinfo: endpoint("userinfo_endpoint")?,
        jwks: endpoint("jwks_uri")?,
        end_session: endpoint("end_session_endpoint")?,
        revocation: endpoint("revocation_endpoint")?,
        // Nobody needs it to sign in: one that must not be used is as good as none.
        introspection: endpoint("introspection_endpoint").unwrap_or_default(),
    };
    let texts = |member: &str| texts(&document, member);
    let says = |member: &str| document.get(member) == Some(&Value::Bool(true));
    let auth_methods = texts("token_endpoint_auth_methods_supported");
    Ok(ProviderMetadata {
        issuer,
        endpoints,
        id_token_signing_alg_values_supported: texts("id_token_signing_alg_values_supported")
            .iter()
            .filter_map(|name| JwsAlgorithm::parse(name))
            .collect(),
        token_endpoint_auth_methods_supported: match auth_methods.is_empty() {
            true => vec!["client_secret_basic".to_owned()],
            false => auth_methods,
        },
        authorization_response_iss_parameter_supported: says("authorization_response_iss_parameter_supported"),
        backchannel_logout_supported: says("backchannel_logout_supported"),
        code_challenge_methods_supported: texts("code_challenge_methods_supported"),
        scopes_supported: texts("scopes_supported"),
        grant_types_supported: texts("grant_types_supported"),
    })
}

impl ProviderMetadata {
    /// What an operator should know about `provider` in the light of this metadata, one sentence each.
    pub fn remarks(&self, provider: &Provider) -> Vec<String> {
        let lacks = |list: &[String], item: &str| !list.is_empty() && !list.iter().any(|one| one == item);
        let mut remarks = Vec::new();
        let method = provider.client_authentication.method().as_str();
        if lacks(&self.token_endpoint_auth_methods_supported, method) {
            remarks.push(format!(
                "The provider does not list the client authentication method {method}; it lists {}.",
                self.token_endpoint_auth_methods_supported.join(", ")
            ));
        }
        if lacks(&self.code_challenge_methods_supported, "S256") {
            remarks.push("The provider does not list PKCE with S256; it is sent all the same.".to_owned());
        }
        if lacks(&self.grant_types_supported, "refresh_token") {
            remarks.push("The provider does not list the grant refresh_token.".to_owned());
        }
        for scope in provider.scope.as_str().split(' ').filter(|scope| !scope.is_empty()) {
            if lacks(&self.scopes_supported, scope) {
                remarks.push(format!("The provider does not list the scope {scope}."));
            }
        }
        if !provider.refresh_token_expected() {
            let remedy = match provider.refresh_token_by {
                RefreshTokenBy::Provider => String::new(),
                RefreshTokenBy::Scope(scope) => format!("; add the scope {scope}"),
                RefreshTokenBy::Parameter(name, value) => {
                    format!("; add the authorization parameter {name}={value}")
                }
            };
            remarks.push(format!("No refresh token can be expected{remedy}."));
        }
        if provider.kind == ProviderKind::Oidc && self.id_token_signing_alg_values_supported.is_empty() {
            remarks.push("The provider lists no ID token signature algorithm that is verified here.".to_owned());
        }
        remarks
    }
}

/// A GET that wants JSON.
pub(crate) fn json_request(endpoint: &Endpoint) -> Request<Vec<u8>> {
    let mut request = Request::new(Vec::new());
    *request.uri_mut() = endpoint.uri().clone();
    let headers = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, OUR_USER_AGENT);
    request
}

fn judged_issuer(provider: &Provider, document: &Map<String, Value>) -> Result<Issuer, MetadataError> {
    let found = document.get("issuer").and_then(Value::as_str).ok_or(MetadataError::Missing("issuer"))?;
    let expected = provider.issuer.as_ref().map_or("", Issuer::as_str);
    match found == expected || Some(found) == provider.tenant_issuer {
        true => Ok(Issuer::new(found)),
        false => Err(MetadataError::IssuerMismatch {
            expected: expected.to_owned(),
            found: found.chars().take(crate::limits::ENDPOINT_CHARS).collect(),
        }),
    }
}

fn judged_endpoint(
    provider: &Provider,
    document: &Map<String, Value>,
    member: &'static str,
) -> Result<Option<Endpoint>, MetadataError> {
    match document.get(member).and_then(Value::as_str) {
        None | Some("") => Ok(None),
        Some(text) => Endpoint::parse(text, provider.plain_http)
            .map(Some)
            .map_err(|fault| MetadataError::Endpoint { member, fault }),
    }
}

fn texts(document: &Map<String, Value>, member: &str) -> Vec<String> {
    document
        .get(member)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|one| one.as_str().map(str::to_owned))
        .collect()
}
