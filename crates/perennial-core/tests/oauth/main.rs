//! What providers say, and what we make of it: one module per exchange, each a table of answers.

mod client_authentication;
mod id_tokens;
mod key_sets;
mod keys;
mod logout_tokens;
mod metadata;
mod odd_answers;
mod providers;
mod renewed_id_tokens;
mod sign_in;
mod token_failures;
mod token_responses;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use http::Request;
use perennial_core::provider::{Provider, ProviderBuilder, ResolvedProvider};
use perennial_core::secret::ClientSecret;
use perennial_core::{SecureRandom, Timestamp};

/// A Tuesday in 2027.
const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

/// Predictable on purpose.
#[derive(Default)]
struct Counting(AtomicU8);

impl SecureRandom for Counting {
    fn fill(&self, out: &mut [u8]) {
        out.fill_with(|| self.0.fetch_add(1, Ordering::Relaxed));
    }
}

/// An OpenID provider with every endpoint given by hand.
fn builder() -> ProviderBuilder {
    Provider::oidc("oidc")
        .issuer("https://id.example/")
        .authorization_endpoint("https://id.example/authorize?tenant=blue&state=stale")
        .token_endpoint("https://id.example/token")
        .userinfo_endpoint("https://id.example/userinfo")
        .jwks_uri("https://id.example/jwks")
        .revocation_endpoint("https://id.example/revoke")
        .client_id("my app")
        .client_secret(ClientSecret::new("s:cret+ä"))
}

fn resolved(builder: ProviderBuilder) -> ResolvedProvider {
    Arc::new(builder.build().expect("a provider without faults")).resolve(None).expect("a provider with every endpoint")
}

/// A preset with what it leaves open filled in.
fn preset(id: &str) -> Provider {
    Provider::preset(id)
        .expect(id)
        .issuer("https://id.example/")
        .authorization_endpoint("https://id.example/authorize")
        .token_endpoint("https://id.example/token")
        .userinfo_endpoint("https://id.example/userinfo")
        .client_id("c")
        .client_secret(ClientSecret::new("s"))
        .scope("openid")
        .build()
        .expect(id)
}

fn form(request: &Request<Vec<u8>>) -> HashMap<String, String> {
    let pairs: Vec<(String, String)> = form_urlencoded::parse(request.body()).into_owned().collect();
    let form: HashMap<String, String> = pairs.iter().cloned().collect();
    assert_eq!(form.len(), pairs.len(), "a parameter is there twice");
    form
}
