//! RFC 7517 §5: the provider's keys, had once an hour or when a token names one nobody knows.

use std::sync::Arc;
use std::time::Duration;

use perennial_core::metadata::{JwkSet, jwks_request, read_jwk_set};
use perennial_core::provider::ResolvedProvider;

use super::metadata::METADATA_RETRY_INTERVAL;
use super::{Cached, IssuerClient, IssuerError};
use crate::edge::Edges;

#[derive(Default)]
pub(super) struct Keys {
    known: Option<Cached<Arc<JwkSet>>>,
    /// The last attempt that failed: renewals must not queue up behind keys that do not come.
    failed: Option<Cached<String>>,
}

impl IssuerClient {
    /// The provider's keys, at most `age_max` old; a stale copy serves while they cannot be fetched.
    pub(super) async fn keys(
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
}

async fn fetch_keys(edges: &Edges, resolved: &ResolvedProvider) -> Result<Arc<JwkSet>, IssuerError> {
    let Some(request) = jwks_request(resolved) else { return Ok(Arc::default()) };
    let answer = edges.send(request).await.map_err(|error| IssuerError(error.to_string()))?;
    let keys = read_jwk_set(answer.status(), answer.body()).map_err(|error| IssuerError(error.to_string()))?;
    Ok(Arc::new(keys))
}

/// After this long, keys are fetched anew.
pub(super) const KEYS_AGE_MAX: Duration = Duration::from_secs(3600);

/// The shortest time between two fetches for the sake of a key nobody knows.
pub(super) const KEYS_REFETCH_INTERVAL: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

    use bytes::Bytes;
    use futures_util::future::BoxFuture;
    use http::{Request, Response};
    use perennial_core::Timestamp;
    use perennial_core::provider::Provider;

    use super::*;
    use crate::edge::{Clock, HttpClient, SendError, SystemRandom};

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
        let issuer = IssuerClient::new(provider.client_secret(secret).build().expect("complete"), &Default::default());
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
