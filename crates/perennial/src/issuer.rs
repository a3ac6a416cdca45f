//! One provider as the driver talks to it: metadata and keys cached, calls with a deadline, outages remembered.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Request;
use perennial_core::Timestamp;
use perennial_core::authorize::{AuthorizationResponse, PendingSignIn};
use perennial_core::id_token::{
    Expectation, ExpectedNonce, IdTokenClaims, IdTokenError, VerifiedIdToken, check_renewed, read_unverified_claims,
    read_userinfo, verify,
};
use perennial_core::metadata::{JwkSet, discovery_request, jwks_request, read_jwk_set, read_metadata};
use perennial_core::provider::{Profile, Provider, ProviderKind, RefreshClass, ResolvedProvider};
use perennial_core::record::Intent;
use perennial_core::renewal::{RenewalPolicy, backoff};
use perennial_core::secret::{AccessToken, IdToken, RefreshToken};
use perennial_core::session::{SessionState, TokenSet};
use perennial_core::token::{
    RevocableToken, TokenExchange, TokenFailure, TokenResponse, Verdict, client_credentials_request, code_request,
    read_revocation, read_token_response, refresh_request, revoke_request, userinfo_request,
};
use tokio::sync::Mutex as AsyncMutex;

use crate::callbacks::Claims;
use crate::edge::{Edges, SendError};
use crate::machine::MachineTokens;

/// A configured provider, its caches and the memory of its failures.
pub(crate) struct IssuerClient {
    provider: Arc<Provider>,
    /// Held while it is fetched, so that a burst of sign-ins fetches once.
    metadata: AsyncMutex<Metadata>,
    /// What `metadata` holds, for those who cannot wait for its lock.
    last_resolved: Mutex<Option<Arc<ResolvedProvider>>>,
    keys: AsyncMutex<Keys>,
    outage: Mutex<Outage>,
    pub(crate) machine_tokens: MachineTokens,
}

/// What [`Auth::inspect_providers`](crate::Auth::inspect_providers) found about one provider.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProviderReport {
    /// Its id.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// Whether metadata and keys could be fetched and are usable; if not, why.
    pub reached: Result<(), String>,
    /// Whether it publishes metadata; where endpoints are known beforehand, nothing is asked of it.
    pub discovered: bool,
    /// What its metadata say against this configuration.
    pub remarks: Vec<String>,
    /// Whether sessions will be able to renew.
    pub refreshing: Refreshing,
    /// What it is taken to do with a refresh token that is presented again.
    pub class: RefreshClass,
    /// What to set at the provider.
    pub hint: &'static str,
}

/// Whether a refresh token can be expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refreshing {
    /// Yes.
    Expected,
    /// No: sessions will live without renewal.
    NotExpected,
}

#[derive(Clone)]
struct Cached<T> {
    value: T,
    at: Timestamp,
}

#[derive(Default)]
struct Metadata {
    known: Option<Cached<Arc<ResolvedProvider>>>,
    /// The last attempt that failed, so that those who queued behind it need not each try again.
    failed: Option<Cached<String>>,
}

#[derive(Default)]
struct Keys {
    known: Option<Cached<Arc<JwkSet>>>,
    /// The last attempt that failed: renewals must not queue up behind keys that do not come.
    failed: Option<Cached<String>>,
}

#[derive(Default)]
struct Outage {
    failures: u32,
    until: Option<Timestamp>,
}

/// The provider could not be asked, or said what cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct IssuerError(String);

/// Whether a renewed ID token is about the same person.
pub(crate) enum Identity {
    /// It is.
    Same,
    /// It could not be verified: it is left aside, as if none had come.
    Unproven,
    /// It is authentic and about somebody else (OIDC Core §12.2).
    Changed,
}

impl IssuerClient {
    pub(crate) fn new(provider: Provider) -> Self {
        Self {
            provider: Arc::new(provider),
            metadata: AsyncMutex::default(),
            last_resolved: Mutex::default(),
            keys: AsyncMutex::default(),
            outage: Mutex::default(),
            machine_tokens: MachineTokens::default(),
        }
    }

    /// Reaches the provider anew and says what was found.
    pub(crate) async fn inspect(&self, edges: &Edges) -> ProviderReport {
        let provider = &self.provider;
        let mut remarks = Vec::new();
        let reached = async {
            if let Some(request) = discovery_request(provider) {
                let url = request.uri().to_string();
                let answer = edges.send(request).await.map_err(|error| format!("{url}: {error}"))?;
                let metadata =
                    read_metadata(provider, answer.status(), answer.body()).map_err(|error| error.to_string())?;
                remarks = metadata.remarks(provider);
            }
            let resolved = self.resolved(edges).await.map_err(|error| error.to_string())?;
            self.keys(edges, &resolved, Duration::ZERO).await.map(drop).map_err(|error| error.to_string())
        };
        let reached = reached.await;
        ProviderReport {
            id: provider.id.to_string(),
            name: provider.name.clone(),
            reached,
            discovered: discovery_request(provider).is_some(),
            remarks,
            refreshing: match provider.refresh_token_expected() {
                true => Refreshing::Expected,
                false => Refreshing::NotExpected,
            },
            class: provider.class,
            hint: provider.refresh_hint,
        }
    }

    pub(crate) fn provider(&self) -> &Provider {
        &self.provider
    }

    /// What stands in for an absent `expires_in`: the provider's own rule, else the policy's.
    pub(crate) fn lifetime(&self, policy: &RenewalPolicy) -> Option<Duration> {
        self.provider.default_token_lifetime.or(policy.default_lifetime)
    }

    /// The provider with its endpoints, discovered once an hour; a stale copy serves while discovery fails.
    ///
    /// While one caller fetches, the others go on with the copy of before.
    pub(crate) async fn resolved(&self, edges: &Edges) -> Result<Arc<ResolvedProvider>, IssuerError> {
        let mut metadata = match (self.metadata.try_lock(), self.last_resolved()) {
            (Ok(metadata), _) => metadata,
            (Err(_), Some(before)) => return Ok(before),
            (Err(_), None) => self.metadata.lock().await,
        };
        let fresh = |at: Timestamp, age_max| edges.now().since(at) < age_max;
        if let Some(known) = metadata.known.as_ref().filter(|known| fresh(known.at, METADATA_AGE_MAX)) {
            return Ok(known.value.clone());
        }
        let failed = match metadata.failed.as_ref().filter(|failed| fresh(failed.at, METADATA_RETRY_INTERVAL)) {
            Some(failed) => IssuerError(failed.value.clone()),
            None => match self.discover(edges).await {
                Ok(value) => {
                    let value = Arc::new(value);
                    *self.last_resolved.lock().unwrap_or_else(PoisonError::into_inner) = Some(value.clone());
                    *metadata =
                        Metadata { known: Some(Cached { value: value.clone(), at: edges.now() }), failed: None };
                    return Ok(value);
                }
                Err(error) => {
                    metadata.failed = Some(Cached { value: error.to_string(), at: edges.now() });
                    error
                }
            },
        };
        match metadata.known.as_ref() {
            Some(stale) => {
                tracing::warn!(error = %failed, "discovery failed; the metadata of before serve on");
                Ok(stale.value.clone())
            }
            None => Err(failed),
        }
    }

    fn last_resolved(&self) -> Option<Arc<ResolvedProvider>> {
        self.last_resolved.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn discover(&self, edges: &Edges) -> Result<ResolvedProvider, IssuerError> {
        let metadata = match discovery_request(&self.provider) {
            None => None,
            Some(request) => {
                let answer = edges.send(request).await.map_err(|error| IssuerError(error.to_string()))?;
                let metadata = read_metadata(&self.provider, answer.status(), answer.body());
                Some(metadata.map_err(|error| IssuerError(error.to_string()))?)
            }
        };
        self.provider.resolve(metadata.as_ref()).map_err(|error| IssuerError(error.to_string()))
    }

    /// Exchanges a code that came back to its sign-in.
    pub(crate) async fn exchange(
        &self,
        edges: &Edges,
        code: AuthorizationResponse,
    ) -> Result<TokenResponse, TokenFailure> {
        let resolved = self.resolved(edges).await.map_err(|_| TokenFailure::not_sent())?;
        let request = code_request(&resolved, code, edges.now(), &*edges.random);
        self.call_token_endpoint(edges, request.map_err(|_| TokenFailure::not_sent())?, None).await
    }

    /// Sends a refresh token, and nothing before it. Called by `renew` alone, after its intent is written.
    pub(crate) async fn refresh(
        &self,
        edges: &Edges,
        resolved: &ResolvedProvider,
        refresh_token: &RefreshToken,
        intent: &Intent,
    ) -> Result<TokenResponse, TokenFailure> {
        let request = refresh_request(resolved, refresh_token, edges.now(), &*edges.random);
        let request = request.map_err(|_| TokenFailure::not_sent())?;
        // Too late when the store or discovery took so long that somebody else may call before our call is over.
        if !intent.covers(edges.now() + edges.call_deadline) {
            tracing::warn!(provider = self.provider.id.as_str(), "the lease was nearly over before the call: not sent");
            return Err(TokenFailure::not_sent());
        }
        let answer = self.call_token_endpoint(edges, request, Some(refresh_token)).await;
        if answer.is_ok() {
            *self.outage() = Outage::default();
        }
        answer
    }

    /// RFC 6749 §4.4.2.
    pub(crate) async fn client_credentials(
        &self,
        edges: &Edges,
        audience: Option<&str>,
    ) -> Result<TokenResponse, TokenFailure> {
        let resolved = self.resolved(edges).await.map_err(|_| TokenFailure::not_sent())?;
        let request = client_credentials_request(&resolved, audience, edges.now(), &*edges.random);
        self.call_token_endpoint(edges, request.map_err(|_| TokenFailure::not_sent())?, None).await
    }

    async fn call_token_endpoint(
        &self,
        edges: &Edges,
        request: Request<Vec<u8>>,
        presented: Option<&RefreshToken>,
    ) -> Result<TokenResponse, TokenFailure> {
        let started = edges.now();
        let answer = edges.send(request).await.map_err(|error| {
            tracing::warn!(%error, provider = self.provider.id.as_str(), "no answer from the token endpoint");
            match error {
                SendError::NotSent(_) => TokenFailure::not_sent(),
                SendError::InDoubt(_) => TokenFailure::no_answer(),
            }
        })?;
        let exchange = TokenExchange { provider: &self.provider, presented, started, answered: edges.now() };
        read_token_response(&exchange, answer.status(), answer.headers(), answer.body())
    }

    /// RFC 7009; whether it worked is logged and otherwise of no consequence.
    pub(crate) async fn revoke(&self, edges: &Edges, refresh_token: &RefreshToken) {
        let revoked = async {
            let resolved = self.resolved(edges).await?;
            let token = RevocableToken::Refresh(refresh_token);
            let request = revoke_request(&resolved, token, edges.now(), &*edges.random);
            let Some(request) = request.map_err(|error| IssuerError(error.to_string()))? else { return Ok(()) };
            let answer = edges.send(request).await.map_err(|error| IssuerError(error.to_string()))?;
            read_revocation(answer.status(), answer.headers(), answer.body(), edges.now())
                .map_err(|error| IssuerError(error.to_string()))
        };
        if let Err(error) = revoked.await {
            tracing::warn!(%error, provider = self.provider.id.as_str(), "a refresh token could not be revoked");
        }
    }

    /// Who signed in: from the verified ID token, or from UserInfo where there is none.
    pub(crate) async fn who_is(
        &self,
        edges: &Edges,
        tokens: &TokenSet,
        pending: &PendingSignIn,
    ) -> Result<(Profile, Claims), IssuerError> {
        let resolved = self.resolved(edges).await?;
        let claims = match (self.provider.kind, &tokens.id_token, &pending.nonce) {
            (ProviderKind::Oidc, Some(id_token), Some(nonce)) => {
                let nonce = ExpectedNonce::Sent(nonce);
                let verified =
                    self.verify(edges, &resolved, id_token, nonce, &tokens.access_token, pending.max_age).await?;
                self.completed(edges, &resolved, tokens, verified.into_claims()).await
            }
            (ProviderKind::Oidc, ..) => return Err(IssuerError("the provider sent no ID token at sign-in".into())),
            (ProviderKind::OAuth, ..) => self.userinfo(edges, &resolved, tokens, None).await?,
        };
        let profile = self.provider.profile.read(&claims).map_err(|error| IssuerError(error.to_string()))?;
        Ok((profile, claims))
    }

    /// OIDC Core §5.4: a provider may tell name and email at UserInfo alone. It is asked when the ID token has neither, and
    /// believed about the same subject; without an answer the ID token has to do.
    async fn completed(
        &self,
        edges: &Edges,
        resolved: &ResolvedProvider,
        tokens: &TokenSet,
        id_token: IdTokenClaims,
    ) -> Claims {
        let mut claims = id_token.all;
        let told = self.provider.profile.read(&claims).is_ok_and(|who| who.name.is_some() || who.email.is_some());
        if told || resolved.userinfo.is_none() {
            return claims;
        }
        match self.userinfo(edges, resolved, tokens, Some(&id_token.sub)).await {
            Ok(info) => {
                for (name, value) in info {
                    claims.entry(name).or_insert(value);
                }
            }
            Err(error) => tracing::warn!(%error, "UserInfo was of no use; the session has what the ID token says"),
        }
        claims
    }

    async fn userinfo(
        &self,
        edges: &Edges,
        resolved: &ResolvedProvider,
        tokens: &TokenSet,
        subject: Option<&str>,
    ) -> Result<Claims, IssuerError> {
        let request = userinfo_request(resolved, &tokens.access_token);
        let request = request.ok_or_else(|| IssuerError("the provider has no userinfo endpoint".into()))?;
        let answer = edges.send(request).await.map_err(|error| IssuerError(error.to_string()))?;
        let info = read_userinfo(answer.status(), answer.body(), subject);
        info.map(|info| info.into_claims()).map_err(|error| IssuerError(error.to_string()))
    }

    /// OIDC Core §12.2: a renewed ID token against the one before.
    pub(crate) async fn judge_renewed(
        &self,
        edges: &Edges,
        before: &SessionState,
        after: &SessionState,
        id_token: &IdToken,
    ) -> Identity {
        let Some(tokens) = &after.tokens else { return Identity::Unproven };
        let verified = async {
            let resolved = self.resolved(edges).await?;
            self.verify(edges, &resolved, id_token, ExpectedNonce::AsBefore, &tokens.access_token, None).await
        };
        let verified = match verified.await {
            Ok(verified) => verified,
            Err(error) => {
                tracing::warn!(%error, session = before.id.fingerprint(), "a renewed ID token could not be verified and is left aside");
                return Identity::Unproven;
            }
        };
        let previous = before.tokens.as_ref().and_then(|tokens| tokens.id_token.as_ref());
        // The one before came out of our own sealed cookie and was verified when it went in.
        let Some(previous) = previous.and_then(|token| read_unverified_claims(token).ok()) else {
            return Identity::Same;
        };
        match check_renewed(&previous, &verified) {
            Ok(()) => Identity::Same,
            Err(error) => {
                tracing::error!(%error, session = before.id.fingerprint(), "a renewed ID token is about somebody else: the session ends");
                Identity::Changed
            }
        }
    }

    async fn verify(
        &self,
        edges: &Edges,
        resolved: &ResolvedProvider,
        id_token: &IdToken,
        nonce: ExpectedNonce<'_>,
        access_token: &AccessToken,
        max_age: Option<Duration>,
    ) -> Result<VerifiedIdToken, IssuerError> {
        let now = edges.now();
        let expected = Expectation::of(resolved, now)
            .ok_or_else(|| IssuerError("the provider has no issuer to check ID tokens against".into()))?;
        let expected = Expectation { nonce, access_token: Some(access_token), max_age, ..expected };
        let keys = self.keys(edges, resolved, KEYS_AGE_MAX).await?;
        match verify(id_token, &expected, &keys) {
            // A key we have not seen: look once more, but not more often than a flood of forgeries could make us.
            Err(IdTokenError::UnknownKid { .. }) => {
                let keys = self.keys(edges, resolved, KEYS_REFETCH_INTERVAL).await?;
                verify(id_token, &expected, &keys)
            }
            judged => judged,
        }
        .map_err(|error| IssuerError(error.to_string()))
    }

    /// The provider's keys, at most `age_max` old; a stale copy serves while they cannot be fetched.
    async fn keys(
        &self,
        edges: &Edges,
        resolved: &ResolvedProvider,
        age_max: Duration,
    ) -> Result<Arc<JwkSet>, IssuerError> {
        let now = edges.now();
        let mut keys = self.keys.lock().await;
        if let Some(cached) = keys.known.as_ref().filter(|cached| now.since(cached.at) < age_max) {
            return Ok(cached.value.clone());
        }
        let retry_interval = if keys.known.is_some() { KEYS_REFETCH_INTERVAL } else { METADATA_RETRY_INTERVAL };
        let error = match keys.failed.as_ref().filter(|failed| edges.now().since(failed.at) < retry_interval) {
            Some(failed) => IssuerError(failed.value.clone()),
            None => match fetch_keys(edges, resolved).await {
                Ok(value) => {
                    *keys = Keys { known: Some(Cached { value: value.clone(), at: now }), failed: None };
                    return Ok(value);
                }
                Err(error) => {
                    keys.failed = Some(Cached { value: error.to_string(), at: edges.now() });
                    error
                }
            },
        };
        match keys.known.as_ref() {
            Some(stale) => {
                tracing::warn!(%error, "the provider's keys could not be fetched; those of before serve on");
                Ok(stale.value.clone())
            }
            None => Err(error),
        }
    }

    /// Until when the provider is left alone, after failures that concern all sessions alike.
    pub(crate) fn held_until(&self, now: Timestamp) -> Option<Timestamp> {
        // Further ahead than anybody is ever held: the clock was set back since.
        self.outage().until.filter(|until| now < *until && *until <= now + OUTAGE_HOLD_MAX)
    }

    /// Takes note of a failure: what concerns all sessions holds them all back. Answers with what an operator must mend.
    #[must_use]
    pub(crate) fn note_failure(&self, edges: &Edges, failure: &TokenFailure) -> Option<String> {
        match &failure.verdict {
            Verdict::Ambiguous | Verdict::Rejected | Verdict::Reauthenticate { .. } => return None,
            Verdict::InDoubt | Verdict::Misconfigured | Verdict::NotProcessed { .. } | Verdict::NotSent => {}
        }
        let mut outage = self.outage();
        outage.failures += 1;
        let wait = backoff(outage.failures, failure.retry_after(), edges.roll());
        outage.until = Some(edges.now() + wait.min(OUTAGE_HOLD_MAX));
        self.to_mend(failure)
    }

    /// What an operator must mend, if that is why the provider refused.
    pub(crate) fn to_mend(&self, failure: &TokenFailure) -> Option<String> {
        (failure.verdict == Verdict::Misconfigured).then(|| {
            format!(
                "{} refuses our client ({}): check client id, secret and grant types there. Sessions are kept.",
                self.provider.id,
                failure.error.as_deref().unwrap_or("no reason given"),
            )
        })
    }

    fn outage(&self) -> std::sync::MutexGuard<'_, Outage> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn fetch_keys(edges: &Edges, resolved: &ResolvedProvider) -> Result<Arc<JwkSet>, IssuerError> {
    let Some(request) = jwks_request(resolved) else { return Ok(Arc::default()) };
    let answer = edges.send(request).await.map_err(|error| IssuerError(error.to_string()))?;
    let keys = read_jwk_set(answer.status(), answer.body()).map_err(|error| IssuerError(error.to_string()))?;
    Ok(Arc::new(keys))
}

/// After this long, metadata are fetched anew.
const METADATA_AGE_MAX: Duration = Duration::from_secs(3600);

/// After a failure, metadata are not fetched again for this long.
const METADATA_RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// After this long, keys are fetched anew.
const KEYS_AGE_MAX: Duration = Duration::from_secs(3600);

/// The shortest time between two fetches for the sake of a key nobody knows.
const KEYS_REFETCH_INTERVAL: Duration = Duration::from_secs(10);

/// The longest all sessions are held back because of one failure: a probe every few seconds notices recovery.
const OUTAGE_HOLD_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

    use bytes::Bytes;
    use futures_util::future::BoxFuture;
    use http::Response;

    use super::*;
    use crate::edge::{Clock, HttpClient, SystemRandom};

    /// A provider that answers discovery and whose key set is out of reach while `down`.
    #[derive(Default)]
    struct Net {
        now: AtomicI64,
        down: std::sync::atomic::AtomicBool,
        key_requests: AtomicU32,
    }

    impl Clock for Arc<Net> {
        fn now(&self) -> Timestamp {
            Timestamp::from_unix_seconds(self.now.load(Ordering::SeqCst))
        }
    }

    impl HttpClient for Arc<Net> {
        fn send(&self, request: Request<Vec<u8>>, _: Duration) -> BoxFuture<'_, Result<Response<Bytes>, SendError>> {
            let answer = if request.uri().path() == "/keys" {
                self.key_requests.fetch_add(1, Ordering::SeqCst);
                r#"{"keys":[]}"#
            } else {
                r#"{"issuer":"https://idp.example","authorization_endpoint":"https://idp.example/authorize",
                    "token_endpoint":"https://idp.example/token","jwks_uri":"https://idp.example/keys"}"#
            };
            let down = self.down.load(Ordering::SeqCst) && request.uri().path() == "/keys";
            Box::pin(async move {
                if down { Err(SendError::InDoubt("told to fail".into())) } else { Ok(Response::new(answer.into())) }
            })
        }
    }

    #[tokio::test]
    async fn keys_that_do_not_come_are_not_asked_for_by_everyone_in_the_queue() {
        let net = Arc::new(Net::default());
        let edges = Edges {
            clock: Arc::new(net.clone()),
            random: Arc::new(SystemRandom),
            http: Arc::new(net.clone()),
            call_deadline: Duration::from_secs(10),
        };
        let provider = Provider::preset("oidc").expect("a preset").issuer("https://idp.example").client_id("app");
        let secret = perennial_core::secret::ClientSecret::new("secret");
        let issuer = IssuerClient::new(provider.client_secret(secret).build().expect("complete"));
        let resolved = issuer.resolved(&edges).await.expect("discovery answers");
        for (at, down, requests, had) in [
            (0, true, 1, false),
            (1, true, 1, false),
            (2, true, 2, false),
            (4, false, 3, true),
            (3_603, false, 3, true),
            (3_604, true, 4, true),
            (3_613, true, 4, true),
            (3_614, true, 5, true),
            (3_624, false, 6, true),
        ] {
            net.now.store(at, Ordering::SeqCst);
            net.down.store(down, Ordering::SeqCst);
            for _ in 0..3 {
                let keys = issuer.keys(&edges, &resolved, KEYS_AGE_MAX).await;
                assert_eq!(keys.is_ok(), had, "at {at} s");
            }
            assert_eq!(net.key_requests.load(Ordering::SeqCst), requests, "at {at} s");
        }
    }
}
