//! RFC 6749 §4.1.1 · RFC 7636 · OIDC Core §3.1.2.1, §11: a sign-in begins.

mod callback;
mod pending;
mod sign_out;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
pub use callback::{AuthorizationErrorCode, AuthorizationResponse, CallbackError, read_callback, state_of};
pub use pending::{Manner, PendingSignIn};
pub use sign_out::end_session_url;
use url::Url;

use crate::provider::{ConsentPrompt, Provider, ProviderKind, ResolvedProvider};
use crate::random::random_token;
use crate::secret::{CodeVerifier, Nonce, State};
use crate::{SecureRandom, Timestamp};

/// Parameters of an authorization request that belong to the protocol; neither configuration nor caller can set them.
pub const PROTOCOL_PARAMETERS: &[&str] = &[
    "client_id",
    "client_secret",
    "code_challenge",
    "code_challenge_method",
    "nonce",
    "redirect_uri",
    "request",
    "request_uri",
    "response_mode",
    "response_type",
    "scope",
    "state",
];

/// Parameters that the one who asks for a sign-in may add; all others are dropped.
pub const CALLER_PARAMETERS: &[&str] = &[
    "acr_values",
    "connection",
    "domain_hint",
    "kc_idp_hint",
    "login_hint",
    "max_age",
    "organization",
    "prompt",
    "screen_hint",
    "ui_locales",
];

/// What a sign-in is asked to do.
#[derive(Clone, Copy, Debug)]
pub struct SignInRequest<'a> {
    /// Our callback, as registered at the provider.
    pub redirect_uri: &'a Url,
    /// Where the user goes afterwards; already judged by the caller.
    pub return_to: &'a str,
    /// Wishes of the one who asks; only [`CALLER_PARAMETERS`] are heard.
    pub parameters: &'a [(String, String)],
    /// Whether the user is to notice.
    pub manner: Manner,
    /// The `claims` parameter (OIDC Core §5.5) that the provider asked for when it last refused to renew.
    pub claims: Option<&'a str>,
}

/// Begins a sign-in: the URL the browser goes to, and what must be kept, sealed, until it comes back.
pub fn begin(
    provider: &ResolvedProvider,
    request: &SignInRequest<'_>,
    random: &dyn SecureRandom,
    now: Timestamp,
) -> (Url, PendingSignIn) {
    let mut parameters = asked_for(&provider.provider, request);
    let pending = PendingSignIn {
        provider: provider.provider.id.clone(),
        state: State::new(random_token(random)),
        nonce: match provider.provider.kind {
            ProviderKind::Oidc => Some(Nonce::new(random_token(random))),
            ProviderKind::OAuth => None,
        },
        code_verifier: CodeVerifier::new(random_token(random)),
        redirect_uri: request.redirect_uri.to_string(),
        return_to: request.return_to.to_owned(),
        max_age: max_age(&parameters),
        manner: request.manner,
        started: now,
    };
    parameters.set("response_type", "code");
    parameters.set("client_id", provider.provider.client_id.as_str());
    parameters.set("redirect_uri", &pending.redirect_uri);
    if !provider.provider.scope.as_str().is_empty() {
        parameters.set("scope", provider.provider.scope.as_str());
    }
    parameters.set("state", pending.state.expose_secret());
    if let Some(nonce) = &pending.nonce {
        parameters.set("nonce", nonce.expose_secret());
    }
    parameters.set("code_challenge", &code_challenge(&pending.code_verifier));
    parameters.set("code_challenge_method", "S256");
    (parameters.appended_to(provider.authorization.url()), pending)
}

/// RFC 7636 §4.2, method S256.
pub fn code_challenge(verifier: &CodeVerifier) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier.expose_secret().as_bytes());
    URL_SAFE_NO_PAD.encode(digest)
}

/// Configuration first, then the caller's wishes, then what a refresh token needs.
fn asked_for(provider: &Provider, request: &SignInRequest<'_>) -> Parameters {
    let mut parameters = Parameters(Vec::new());
    let configured = &provider.authorization_params;
    for (name, value) in configured {
        if !PROTOCOL_PARAMETERS.contains(&name.as_str()) {
            parameters.set(name, value);
        }
    }
    let consent_configured = parameters.value("prompt").is_some_and(|prompt| has(prompt, "consent"));
    for (name, value) in request.parameters {
        if CALLER_PARAMETERS.contains(&name.as_str()) {
            parameters.set(name, value);
        }
    }
    if let Some(claims) = request.claims {
        parameters.set("claims", claims);
    }
    if request.manner == Manner::Silent {
        parameters.set("prompt", "none");
    }
    let consent_due = provider.consent == ConsentPrompt::WithOfflineAccess && provider.scope.contains("offline_access");
    if consent_configured || consent_due {
        parameters.add_consent();
    }
    if parameters.value("max_age").is_some_and(|age| age.parse::<u32>().is_err()) {
        parameters.remove("max_age");
    }
    parameters
}

fn max_age(parameters: &Parameters) -> Option<Duration> {
    let seconds: u32 = parameters.value("max_age")?.parse().ok()?;
    Some(Duration::from_secs(seconds.into()))
}

/// Parameters in order, each name once.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.0.push((name.to_owned(), value.to_owned()));
    }

    fn remove(&mut self, name: &str) {
        self.0.retain(|(one, _)| one != name);
    }

    fn value(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(one, _)| one == name)?;
        Some(value)
    }

    /// `prompt=login` becomes `login consent`; `none` stays alone, as OIDC Core §3.1.2.1 demands.
    fn add_consent(&mut self) {
        let prompt = self.value("prompt").unwrap_or_default();
        if has(prompt, "none") || has(prompt, "consent") {
            return;
        }
        let extended = format!("{prompt} consent");
        self.set("prompt", extended.trim_start());
    }

    /// RFC 6749 §3.1: the endpoint's own query is kept, except where it would repeat one of ours.
    fn appended_to(&self, endpoint: &Url) -> Url {
        let mut url = endpoint.clone();
        let own: Vec<(String, String)> = endpoint
            .query_pairs()
            .into_owned()
            .filter(|(name, _)| self.value(name).is_none() && !PROTOCOL_PARAMETERS.contains(&name.as_str()))
            .collect();
        url.query_pairs_mut().clear().extend_pairs(own).extend_pairs(&self.0);
        url
    }
}

fn has(prompt: &str, value: &str) -> bool {
    prompt.split(' ').any(|one| one == value)
}
