//! OIDC Discovery §4: a provider's own description is believed only as a whole.

use std::sync::Arc;

use http::StatusCode;
use perennial_core::id_token::JwsAlgorithm;
use perennial_core::limits::PROVIDER_ANSWER_BYTES;
use perennial_core::metadata::{MetadataError, ProviderMetadata, discovery_request, read_metadata};
use perennial_core::provider::{EndpointFault, IssuerRule, Provider, ProviderBuilder};
use perennial_core::secret::ClientSecret;
use serde_json::{Value, json};

use crate::keys::merge;

fn provider(issuer: &str) -> ProviderBuilder {
    Provider::oidc("oidc").issuer(issuer).client_id("c").client_secret(ClientSecret::new("s"))
}

fn document(members: Value) -> Value {
    let mut document = json!({
        "issuer": "https://id.example/realm",
        "authorization_endpoint": "https://id.example/authorize",
        "token_endpoint": "https://id.example/token",
        "jwks_uri": "https://id.example/jwks",
    });
    merge(&mut document, members);
    document
}

fn read(provider: &Provider, document: &Value) -> Result<ProviderMetadata, MetadataError> {
    read_metadata(provider, StatusCode::OK, document.to_string().as_bytes())
}

#[test]
fn the_well_known_address_keeps_the_issuers_path() {
    for (issuer, expected) in [
        ("https://id.example", "https://id.example/.well-known/openid-configuration"),
        ("https://id.example/", "https://id.example/.well-known/openid-configuration"),
        ("https://id.example/a/b", "https://id.example/a/b/.well-known/openid-configuration"),
        ("https://id.example/a/", "https://id.example/a/.well-known/openid-configuration"),
    ] {
        let request = discovery_request(&provider(issuer).build().unwrap()).unwrap();
        assert_eq!(request.uri(), expected);
        assert_eq!(request.headers()["accept"], "application/json");
    }
    assert!(discovery_request(&crate::builder().build().unwrap()).is_none());
}

#[test]
fn what_is_refused() {
    use MetadataError::*;
    let mismatch = |found: &str| IssuerMismatch { expected: "https://id.example/realm".into(), found: found.into() };
    let provider = provider("https://id.example/realm").build().unwrap();
    for (members, expected) in [
        (json!({}), Ok(())),
        (json!({"issuer": "https://id.example/realm/"}), Err(mismatch("https://id.example/realm/"))),
        (json!({"issuer": "https://ID.example/realm"}), Err(mismatch("https://ID.example/realm"))),
        (json!({"issuer": "https://evil.example"}), Err(mismatch("https://evil.example"))),
        // Microsoft's rule is Microsoft's alone.
        (
            json!({"issuer": "https://login.microsoftonline.com/{tenantid}/v2.0"}),
            Err(mismatch("https://login.microsoftonline.com/{tenantid}/v2.0")),
        ),
        (json!({"issuer": null}), Err(Missing("issuer"))),
        (json!({"issuer": 1}), Err(Missing("issuer"))),
        (
            json!({"token_endpoint": "http://id.example/token"}),
            Err(Endpoint { member: "token_endpoint", fault: EndpointFault::PlainHttp }),
        ),
        (
            json!({"jwks_uri": "file:///etc/passwd"}),
            Err(Endpoint { member: "jwks_uri", fault: EndpointFault::NotAUrl }),
        ),
        (json!({"token_endpoint": "http://127.0.0.1/token"}), Ok(())),
        (json!({"userinfo_endpoint": null}), Ok(())),
    ] {
        let found = read(&provider, &document(members.clone())).map(|_| ());
        assert_eq!(found, expected, "{members}");
    }
}

#[test]
fn only_a_whole_small_200_is_read() {
    let provider = provider("https://id.example/realm").build().unwrap();
    let good = document(json!({})).to_string();
    let padded = |bytes: usize| format!("{good}{}", " ".repeat(bytes - good.len()));
    for (status, body, expected) in [
        (200, good.clone(), Ok(())),
        (200, padded(PROVIDER_ANSWER_BYTES), Ok(())),
        (200, padded(PROVIDER_ANSWER_BYTES + 1), Err(MetadataError::TooLarge)),
        (404, good.clone(), Err(MetadataError::Status(404))),
        (301, good.clone(), Err(MetadataError::Status(301))),
        (200, "<html>".to_owned(), Err(MetadataError::NotJson)),
        (200, "[]".to_owned(), Err(MetadataError::NotJson)),
    ] {
        let status = StatusCode::from_u16(status).unwrap();
        let found = read_metadata(&provider, status, body.as_bytes()).map(|_| ());
        assert_eq!(found, expected, "{status} {:.20}", body);
    }
}

#[test]
fn configuration_wins_over_what_was_discovered() {
    let provider =
        Arc::new(provider("https://id.example/realm").token_endpoint("https://inside.example/token").build().unwrap());
    let metadata = read(
        &provider,
        &document(json!({
            "userinfo_endpoint": "https://id.example/userinfo",
            "authorization_response_iss_parameter_supported": true,
            "id_token_signing_alg_values_supported": ["none", "HS256", "ES256", "X"],
        })),
    )
    .unwrap();
    let resolved = provider.resolve(Some(&metadata)).unwrap();
    assert_eq!(resolved.token.url().as_str(), "https://inside.example/token");
    assert_eq!(resolved.authorization.url().as_str(), "https://id.example/authorize");
    assert!(resolved.userinfo.is_some() && resolved.revocation.is_none());
    assert!(resolved.iss_parameter_promised);
    // HMAC and `none` take a registration by hand.
    assert_eq!(resolved.id_token_algs, [JwsAlgorithm::Es256]);
}

#[test]
fn microsofts_shared_endpoint_leaves_the_tenant_open_and_a_tenants_own_does_not() {
    let template = "https://login.microsoftonline.com/{tenantid}/v2.0";
    let read_for = |issuer: &str| {
        let provider = Provider::preset("microsoft-entra-id")
            .unwrap()
            .issuer(issuer)
            .client_id("c")
            .client_secret(ClientSecret::new("s"))
            .build()
            .unwrap();
        let provider = Arc::new(provider);
        let metadata = read(&provider, &document(json!({ "issuer": template })))?;
        Ok::<_, MetadataError>(provider.resolve(Some(&metadata)).unwrap())
    };
    for shared in ["common", "organizations"] {
        let resolved = read_for(&template.replace("{tenantid}", shared)).unwrap();
        assert_eq!(resolved.issuer, Some(IssuerRule::PerTenant(template)));
        assert_eq!(resolved.exact_issuer(), None);
    }
    let own = template.replace("{tenantid}", "72f988bf-86f1-41af-91ab-2d7cd011db47");
    assert!(matches!(read_for(&own), Err(MetadataError::IssuerMismatch { .. })));
}

#[test]
fn remarks_say_what_will_not_work() {
    let provider = provider("https://id.example/realm").scope("openid custom").build().unwrap();
    let metadata = |members| read(&provider, &document(members)).unwrap();
    let remarks = metadata(json!({
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "code_challenge_methods_supported": ["plain"],
        "grant_types_supported": ["authorization_code"],
        "scopes_supported": ["openid"],
        "id_token_signing_alg_values_supported": ["HS256"],
    }))
    .remarks(&provider);
    for needle in ["client_secret_basic", "S256", "refresh_token", "scope custom", "offline_access"] {
        assert!(remarks.iter().any(|remark| remark.contains(needle)), "{needle}: {remarks:?}");
    }
    let silent = metadata(json!({"id_token_signing_alg_values_supported": ["RS256"]}));
    let remarks = silent.remarks(&provider);
    assert_eq!(remarks.len(), 1, "{remarks:?}");
}
