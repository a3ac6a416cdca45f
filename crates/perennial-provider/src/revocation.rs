//! Revocation (RFC 7009) and introspection (RFC 7662).

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::answer::{NO_STORE, OAuthError};
use crate::client::Client;
use crate::client_auth::authenticate;
use crate::event::EventKind;
use crate::ledger::{RefreshTokenState, RevocationReason};
use crate::params::Params;
use crate::provider::{News, State, unix_seconds};

pub(crate) async fn revoke(Extract(state): Extract<Arc<State>>, headers: HeaderMap, body: Bytes) -> Response {
    match revoked(&state, &headers, &body) {
        Ok(()) => (StatusCode::OK, NO_STORE).into_response(),
        Err(error) => error.into_response(),
    }
}

pub(crate) async fn introspect(Extract(state): Extract<Arc<State>>, headers: HeaderMap, body: Bytes) -> Response {
    match introspected(&state, &headers, &body) {
        Ok(answer) => (NO_STORE, Json(answer)).into_response(),
        Err(error) => error.into_response(),
    }
}

/// Revokes an access token alone, or a refresh token with its family; a token nobody knows is as good as revoked (§2.2).
fn revoked(state: &State, headers: &HeaderMap, body: &[u8]) -> Result<(), OAuthError> {
    let began = Instant::now();
    let (client, token) = asked(state, headers, body)?;
    let now = state.now();
    let (family, text) = {
        let mut ledger = state.ledger();
        let refresh = ledger.find_refresh(&token).map(|(family, _)| (family.id, family.grant.client.clone()));
        let access = ledger.access_record(&token).map(|record| record.client.clone());
        match (refresh, access) {
            (Some((_, owner)), _) | (None, Some(owner)) if owner != client.id => {
                return Err(OAuthError::new(
                    StatusCode::BAD_REQUEST,
                    "unauthorized_client",
                    "The token belongs to another client.",
                ));
            }
            (Some((family, _)), _) => {
                ledger.revoke_family(family, RevocationReason::RevokedByClient, now);
                (Some(family), format!("{} revoked a refresh token and with it family {family}.", client.id))
            }
            (None, Some(_)) => {
                ledger.kill_access(&token);
                (None, format!("{} revoked an access token.", client.id))
            }
            (None, None) => (None, format!("{} revoked a token nobody knows.", client.id)),
        }
    };
    state.tell(News { client: Some(&client.id), family, began: Some(began), ..News::new(EventKind::Revoke, text) });
    Ok(())
}

fn introspected(state: &State, headers: &HeaderMap, body: &[u8]) -> Result<Value, OAuthError> {
    let began = Instant::now();
    let (client, token) = asked(state, headers, body)?;
    if client.secret.is_none() {
        return Err(OAuthError::invalid_client("A public client may not introspect."));
    }
    let answer = description(state, client, &token);
    let active = if answer["active"] == true { "active" } else { "not active" };
    state.tell(News {
        client: Some(&client.id),
        began: Some(began),
        ..News::new(EventKind::Introspect, format!("{} asked about a token; it is {active}.", client.id))
    });
    Ok(answer)
}

/// Any confidential client may ask about any access token, as resource servers do; about a refresh token only its own client.
fn description(state: &State, client: &Client, token: &str) -> Value {
    let now = state.now();
    let ledger = state.ledger();
    if let Some(record) = ledger.live_access(token, now) {
        return json!({
            "active": true,
            "token_type": "Bearer",
            "iss": state.settings.issuer,
            "client_id": record.client,
            "sub": record.subject,
            "aud": record.audience,
            "scope": record.scope,
            "iat": unix_seconds(record.issued_at),
            "exp": unix_seconds(record.expires_at),
        });
    }
    let own = ledger.find_refresh(token).filter(|(family, _)| family.grant.client == client.id);
    let live = own.and_then(|(family, serial)| {
        let link = family.link(serial)?;
        let good = matches!(family.state(link, now), RefreshTokenState::Live | RefreshTokenState::Lost);
        good.then_some((family, link))
    });
    match live {
        None => json!({ "active": false }),
        Some((family, link)) => json!({
            "active": true,
            "token_type": "refresh_token",
            "iss": state.settings.issuer,
            "client_id": family.grant.client,
            "sub": family.grant.subject,
            "scope": family.grant.scope,
            "iat": unix_seconds(link.issued_at),
            "exp": unix_seconds(link.expires_at),
        }),
    }
}

fn asked<'a>(state: &'a State, headers: &HeaderMap, body: &[u8]) -> Result<(&'a Client, String), OAuthError> {
    let params = Params::parse(body).map_err(|name| OAuthError::repeated(&name))?;
    let client = authenticate(&state.settings, headers, &params)?;
    let token = params.owned("token").ok_or_else(|| OAuthError::invalid_request("The token is missing."))?;
    Ok((client, token))
}
