//! GET `/providers`: who can be signed in with.

use axum::Json;
use axum::extract::State;
use perennial_core::provider::ProviderKind;
use serde_json::{Map, Value, json};

use crate::auth::Auth;

pub(super) async fn list(State(auth): State<Auth>) -> Json<Map<String, Value>> {
    let settings = &auth.inner.settings;
    let entry = |provider: &perennial_core::provider::Provider| {
        let kind = match provider.kind {
            ProviderKind::Oidc => "oidc",
            ProviderKind::OAuth => "oauth",
        };
        json!({
            "id": provider.id,
            "name": provider.name,
            "type": kind,
            "signinUrl": settings.endpoint(&format!("/signin/{}", provider.id)),
            "callbackUrl": settings.endpoint(&format!("/callback/{}", provider.id)),
        })
    };
    Json(auth.inner.issuers.iter().map(|issuer| (issuer.provider().id.to_string(), entry(issuer.provider()))).collect())
}
