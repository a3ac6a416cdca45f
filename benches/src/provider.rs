//! A provider in the same process that answers a refresh at once: what a renewal costs then is the engine's and the store's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, ready};
use http::{Request, Response, StatusCode};
use perennial::{HttpClient, SendError, SystemRandom, random_token};
use serde_json::{Value, json};

use crate::LIFETIME;

/// Rotates at every refresh, and gives no ID token: a signature would cost more than all the rest.
#[derive(Clone, Default)]
pub struct InstantProvider {
    redemptions: Arc<AtomicU64>,
}

impl InstantProvider {
    /// Its issuer; nobody listens there.
    pub const ISSUER: &str = "http://127.0.0.1:9";

    /// How many refresh tokens it has exchanged.
    pub fn redemptions(&self) -> u64 {
        self.redemptions.load(Ordering::Relaxed)
    }

    fn answer(&self, request: &Request<Vec<u8>>) -> Option<Value> {
        match request.uri().path() {
            "/.well-known/openid-configuration" => Some(json!({
                "issuer": Self::ISSUER,
                "authorization_endpoint": format!("{}/authorize", Self::ISSUER),
                "token_endpoint": format!("{}/token", Self::ISSUER),
                "jwks_uri": format!("{}/jwks", Self::ISSUER),
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["ES256"],
            })),
            "/token" => {
                let mut form = url::form_urlencoded::parse(request.body());
                if !form.any(|(name, value)| name == "grant_type" && value == "refresh_token") {
                    return None;
                }
                self.redemptions.fetch_add(1, Ordering::Relaxed);
                let token = || random_token(&SystemRandom);
                Some(json!({
                    "access_token": token(), "refresh_token": token(), "token_type": "Bearer", "expires_in": LIFETIME.as_secs(),
                }))
            }
            _ => None,
        }
    }
}

impl HttpClient for InstantProvider {
    fn send(&self, request: Request<Vec<u8>>, _: Duration) -> BoxFuture<'_, Result<Response<Bytes>, SendError>> {
        let answer = match self.answer(&request) {
            Some(body) => Response::builder().header("content-type", "application/json").body(body.to_string().into()),
            None => Response::builder().status(StatusCode::NOT_FOUND).body(Bytes::new()),
        };
        Box::pin(ready(answer.map_err(|error| SendError::NotSent(error.to_string()))))
    }
}
