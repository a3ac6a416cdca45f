//! RFC 6749 §2.3 · RFC 7523 §2.2, §3 · OIDC Core §9: the client proves who it is, by exactly one method, never probed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use form_urlencoded::byte_serialize;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request};
use jsonwebtoken::EncodingKey;
use serde_json::json;

use crate::id_token::{JwsAlgorithm, KeyFamily};
use crate::limits::CLIENT_ASSERTION_LIFETIME;
use crate::provider::{ClientAuthentication, Endpoint, ResolvedProvider};
use crate::random::random_token;
use crate::secret::PrivateKeyPem;
use crate::{SecureRandom, Timestamp};

/// Parameters of a token request that belong to the protocol; configuration cannot set them.
pub const PROTOCOL_TOKEN_PARAMETERS: &[&str] = &[
    "assertion",
    "client_assertion",
    "client_assertion_type",
    "client_id",
    "client_secret",
    "code",
    "code_verifier",
    "grant_type",
    "redirect_uri",
    "refresh_token",
    "token",
    "token_type_hint",
];

/// RFC 7523 §2.2.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Sent with every request: GitHub refuses requests without one.
pub(crate) const OUR_USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("perennial/", env!("CARGO_PKG_VERSION")));

/// The client cannot prove who it is; nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientAuthenticationError {
    /// An HMAC algorithm: a secret is not a private key.
    #[error("is refused: {0} does not sign with a private key")]
    NotAsymmetric(&'static str),
    /// The PEM does not parse, or its key type does not suit the algorithm.
    #[error("is refused: the PEM holds no key that suits {0}")]
    UnsuitableKey(&'static str),
}

/// A form that goes to the token or revocation endpoint, before and after the client's proof is on it.
pub(crate) struct FormRequest {
    form: form_urlencoded::Serializer<'static, String>,
    headers: HeaderMap,
}

impl FormRequest {
    pub(crate) fn new() -> Self {
        Self { form: form_urlencoded::Serializer::new(String::new()), headers: HeaderMap::new() }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.form.append_pair(name, value);
        self
    }

    /// Adds the client's proof and addresses the request.
    ///
    /// # Errors
    /// [`ClientAuthenticationError`] when the private key cannot sign.
    pub(crate) fn authenticated(
        mut self,
        provider: &ResolvedProvider,
        endpoint: &Endpoint,
        now: Timestamp,
        random: &dyn SecureRandom,
    ) -> Result<Request<Vec<u8>>, ClientAuthenticationError> {
        let client_id = provider.provider.client_id.as_str();
        self = match &provider.provider.client_authentication {
            ClientAuthentication::ClientSecretBasic(secret) => {
                self.headers.insert(AUTHORIZATION, basic(client_id, secret.expose_secret()));
                self
            }
            ClientAuthentication::ClientSecretPost(secret) => {
                self.with("client_id", client_id).with("client_secret", secret.expose_secret())
            }
            ClientAuthentication::None => self.with("client_id", client_id),
            ClientAuthentication::PrivateKeyJwt { key, kid, alg } => {
                let assertion = assertion(provider, key, kid.as_deref(), *alg, now, random)?;
                self.with("client_id", client_id)
                    .with("client_assertion_type", JWT_BEARER)
                    .with("client_assertion", &assertion)
            }
        };
        Ok(self.addressed(endpoint))
    }

    fn addressed(mut self, endpoint: &Endpoint) -> Request<Vec<u8>> {
        let mut request = Request::new(self.form.finish().into_bytes());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = endpoint.uri().clone();
        *request.headers_mut() = self.headers;
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(USER_AGENT, OUR_USER_AGENT);
        request
    }
}

/// RFC 6749 §2.3.1: both parts are form-urlencoded first.
fn basic(client_id: &str, secret: &str) -> HeaderValue {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encoded(client_id), encoded(secret));
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair))).expect("base64 is visible ASCII");
    value.set_sensitive(true);
    value
}

/// RFC 7523 §3, with the issuer as the one audience and a `jti` of its own for every attempt.
fn assertion(
    provider: &ResolvedProvider,
    key: &PrivateKeyPem,
    kid: Option<&str>,
    alg: JwsAlgorithm,
    now: Timestamp,
    random: &dyn SecureRandom,
) -> Result<String, ClientAuthenticationError> {
    let audience = match provider.exact_issuer() {
        Some(issuer) => issuer.as_str(),
        // Without one issuer of its own the token endpoint names the provider (RFC 7523 §3, item 3).
        None => provider.token.url().as_str(),
    };
    let client_id = provider.provider.client_id.as_str();
    let claims = json!({
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "iat": now.unix_seconds(),
        "exp": (now + CLIENT_ASSERTION_LIFETIME).unix_seconds(),
        "jti": random_token(random),
    });
    let mut header = jsonwebtoken::Header::new(alg.into());
    header.kid = kid.map(str::to_owned);
    jsonwebtoken::encode(&header, &claims, &encoding_key(key, alg)?)
        .map_err(|_| ClientAuthenticationError::UnsuitableKey(alg.as_str()))
}

/// Whether the key can sign with `alg`: a signature is made and thrown away.
pub(crate) fn judge_private_key(key: &PrivateKeyPem, alg: JwsAlgorithm) -> Result<(), ClientAuthenticationError> {
    jsonwebtoken::crypto::sign(b"", &encoding_key(key, alg)?, alg.into())
        .map(|_| ())
        .map_err(|_| ClientAuthenticationError::UnsuitableKey(alg.as_str()))
}

fn encoding_key(key: &PrivateKeyPem, alg: JwsAlgorithm) -> Result<EncodingKey, ClientAuthenticationError> {
    let pem = key.expose_secret().as_bytes();
    match alg.family() {
        KeyFamily::Rsa => EncodingKey::from_rsa_pem(pem),
        KeyFamily::P256 | KeyFamily::P384 => EncodingKey::from_ec_pem(pem),
        KeyFamily::Ed25519 => EncodingKey::from_ed_pem(pem),
        KeyFamily::Hmac => return Err(ClientAuthenticationError::NotAsymmetric(alg.as_str())),
    }
    .map_err(|_| ClientAuthenticationError::UnsuitableKey(alg.as_str()))
}
