//! The successful token response and the tokens in it: RFC 6749 §5.1, OIDC Core §2, §3.1.3.3, §12.2, RFC 9068 §2.2.

use axum::body::Bytes;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::answer::{NO_STORE, broken_off};
use crate::client::Client;
use crate::faults::{GrantType, IdTokenDefect};
use crate::keys::{KeyError, Spoil};
use crate::ledger::{AccessRecord, Grant, Issued};
use crate::limits::OVERSIZED_BYTES;
use crate::params::Params;
use crate::provider::{State, unix_seconds};
use crate::random::{left_half, opaque};
use crate::script::Departure;

/// What is to be answered, before faults of form.
pub(crate) struct TokenAnswer {
    access_token: String,
    expires_in: u64,
    scope: String,
    refresh_token: Option<String>,
    id_token: Option<String>,
}

impl TokenAnswer {
    /// Mints and records the access token, and signs the ID token where `openid` was granted.
    pub(crate) fn for_person(
        state: &State,
        issued: &Issued,
        scope: &str,
        grant_type: GrantType,
        departure: &Departure,
    ) -> Result<Self, KeyError> {
        let grant = &issued.grant;
        let record = AccessRecord {
            client: grant.client.clone(),
            subject: grant.subject.clone(),
            scope: scope.to_owned(),
            audience: grant.audience.clone(),
            issued_at: state.now(),
            expires_at: state.now() + state.settings.access_token_lifetime,
            family: Some(issued.family),
            serial: issued.issued_serial,
            epoch: issued.epoch,
            killed: false,
        };
        let access_token = mint_access(state, record)?;
        let id_token = if grant.has_scope("openid") {
            Some(id_token(state, grant, &access_token, grant_type, departure)?)
        } else {
            None
        };
        Ok(Self { id_token, refresh_token: issued.refresh_token.clone(), ..Self::bare(state, access_token, scope) })
    }

    /// An access token for the client itself, with the `audience` it asked for.
    pub(crate) fn for_machine(state: &State, client: &Client, params: &Params) -> Result<Self, KeyError> {
        let scope = params.owned("scope").unwrap_or_default();
        let record = AccessRecord {
            client: client.id.clone(),
            subject: client.id.clone(),
            scope: scope.clone(),
            audience: params.owned("audience"),
            issued_at: state.now(),
            expires_at: state.now() + state.settings.access_token_lifetime,
            family: None,
            serial: None,
            epoch: 0,
            killed: false,
        };
        Ok(Self::bare(state, mint_access(state, record)?, &scope))
    }

    fn bare(state: &State, access_token: String, scope: &str) -> Self {
        Self {
            access_token,
            expires_in: state.settings.access_token_lifetime.as_secs(),
            scope: scope.to_owned(),
            refresh_token: None,
            id_token: None,
        }
    }
}

/// Writes the answer with the faults of form.
pub(crate) fn write(answer: TokenAnswer, departure: &Departure) -> Response {
    let mut members = Map::new();
    members.insert("access_token".into(), answer.access_token.into());
    members.insert("token_type".into(), "Bearer".into());
    if !departure.omit_expires_in {
        let expires_in = match departure.expires_in_as_string {
            true => answer.expires_in.to_string().into(),
            false => answer.expires_in.into(),
        };
        members.insert("expires_in".into(), expires_in);
    }
    if !answer.scope.is_empty() {
        members.insert("scope".into(), answer.scope.into());
    }
    if let Some(token) = answer.refresh_token.filter(|_| !departure.omit_refresh_token) {
        members.insert("refresh_token".into(), token.into());
    }
    if let Some(token) = answer.id_token.filter(|_| !departure.omit_id_token) {
        members.insert("id_token".into(), token.into());
    }
    if departure.oversized {
        members.insert("padding".into(), "x".repeat(OVERSIZED_BYTES).into());
    }
    let body = Bytes::from(Value::Object(members).to_string());
    let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    let response = (NO_STORE, json, body.clone()).into_response();
    if departure.cut { broken_off(&body, response) } else { response }
}

fn mint_access(state: &State, record: AccessRecord) -> Result<String, KeyError> {
    let token = if state.settings.jwt_access_tokens {
        let claims = json!({
            "iss": state.settings.issuer,
            "sub": record.subject,
            "aud": record.audience.as_deref().unwrap_or(&record.client),
            "client_id": record.client,
            "scope": record.scope,
            "iat": unix_seconds(record.issued_at),
            "exp": unix_seconds(record.expires_at),
            "jti": opaque(""),
        });
        state.keys().sign("at+jwt", &claims, None)?
    } else {
        opaque("at_")
    };
    state.ledger().record_access(token.clone(), record);
    Ok(token)
}

fn id_token(
    state: &State,
    grant: &Grant,
    access_token: &str,
    grant_type: GrantType,
    departure: &Departure,
) -> Result<String, KeyError> {
    let settings = &state.settings;
    let iat = unix_seconds(state.now()).saturating_add_signed(departure.id_token_skew_seconds);
    let mut claims = json!({
        "iss": settings.issuer,
        "sub": grant.subject,
        "aud": grant.client,
        "iat": iat,
        "exp": iat.saturating_add(settings.id_token_lifetime.as_secs()),
        "auth_time": unix_seconds(grant.auth_time),
        "sid": grant.sid,
        "at_hash": left_half(access_token),
    });
    // OIDC Core §12.2: a refreshed ID token should have no nonce.
    if let (Some(nonce), GrantType::AuthorizationCode) = (&grant.nonce, grant_type) {
        claims["nonce"] = nonce.as_str().into();
    }
    for (name, value) in profile_claims(state, &grant.subject, &grant.scope) {
        claims[name] = value;
    }
    let mut spoil = None;
    match departure.defect {
        None => {}
        Some(IdTokenDefect::AlgNone) => spoil = Some(Spoil::AlgNone),
        Some(IdTokenDefect::Kid) => spoil = Some(Spoil::Kid),
        Some(IdTokenDefect::Sig) => spoil = Some(Spoil::Sig),
        Some(IdTokenDefect::Aud) => claims["aud"] = "another-client".into(),
        Some(IdTokenDefect::Exp) => claims["exp"] = iat.saturating_sub(3600).into(),
        Some(IdTokenDefect::Iss) => claims["iss"] = format!("{}/another", settings.issuer).into(),
        Some(IdTokenDefect::Nonce) => claims["nonce"] = "another-nonce".into(),
        Some(IdTokenDefect::Sub) => claims["sub"] = format!("{}-another", grant.subject).into(),
    }
    state.keys().sign("JWT", &claims, spoil)
}

/// The claims that the scopes `profile` and `email` ask for (OIDC Core §5.4), and those of the scope `groups`.
pub(crate) fn profile_claims(state: &State, subject: &str, scope: &str) -> Vec<(&'static str, Value)> {
    let mut claims: Vec<(&'static str, Value)> = Vec::new();
    let Some(account) = state.settings.account(subject) else {
        return claims;
    };
    for scope in scope.split(' ') {
        match scope {
            "profile" => {
                claims.push(("name", account.name.as_str().into()));
                claims.push(("preferred_username", account.id.as_str().into()));
                if let Some(picture) = &account.picture {
                    claims.push(("picture", picture.as_str().into()));
                }
            }
            "email" => {
                claims.push(("email", account.email.as_str().into()));
                claims.push(("email_verified", true.into()));
            }
            "groups" => claims.push(("groups", account.groups.clone().into())),
            _ => {}
        }
    }
    claims
}
