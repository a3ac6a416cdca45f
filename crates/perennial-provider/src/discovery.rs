//! What the provider says of itself: OpenID Connect Discovery 1.0 §3, RFC 8414 §2, RFC 9207 §3.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Extract;
use jsonwebtoken::jwk::JwkSet;
use serde_json::{Value, json};

use crate::provider::State;

pub(crate) async fn metadata(Extract(state): Extract<Arc<State>>) -> Json<Value> {
    let settings = &state.settings;
    let secret_methods = json!(["client_secret_basic", "client_secret_post"]);
    Json(json!({
        "issuer": settings.issuer,
        "authorization_endpoint": settings.url("/authorize"),
        "token_endpoint": settings.url("/token"),
        "userinfo_endpoint": settings.url("/userinfo"),
        "jwks_uri": settings.url("/jwks"),
        "revocation_endpoint": settings.url("/revoke"),
        "introspection_endpoint": settings.url("/introspect"),
        "end_session_endpoint": settings.url("/end-session"),
        "scopes_supported": ["openid", "profile", "email", "groups", "offline_access"],
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "sid",
                             "name", "preferred_username", "picture", "email", "email_verified", "groups"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [settings.alg.name()],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "revocation_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "introspection_endpoint_auth_methods_supported": secret_methods,
        "code_challenge_methods_supported": ["S256"],
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
        "authorization_response_iss_parameter_supported": true,
        "claims_parameter_supported": false,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
    }))
}

pub(crate) async fn jwks(Extract(state): Extract<Arc<State>>) -> Json<JwkSet> {
    Json(state.keys().jwks())
}
