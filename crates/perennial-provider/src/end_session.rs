//! Sign-out at the provider: OpenID Connect RP-Initiated Logout 1.0 §2–§3. Clients that wish it are told (`backchannel`).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{RawQuery, State as Extract};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use url::Url;

use crate::answer::see_other;
use crate::backchannel;
use crate::client::Client;
use crate::event::EventKind;
use crate::page;
use crate::params::Params;
use crate::provider::{News, State};
use crate::visitors::Pending;

pub(crate) async fn by_query(
    Extract(state): Extract<Arc<State>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    end_session(&state, &headers, query.unwrap_or_default().as_bytes())
}

pub(crate) async fn by_form(Extract(state): Extract<Arc<State>>, headers: HeaderMap, body: Bytes) -> Response {
    end_session(&state, &headers, &body)
}

fn end_session(state: &Arc<State>, headers: &HeaderMap, encoded: &[u8]) -> Response {
    let Ok(params) = Params::parse(encoded) else {
        return refuse(state, "A parameter came twice.");
    };
    let hint = params.of("id_token_hint").and_then(|token| Hint::read(state, token));
    let client_id = params.of("client_id").or(hint.as_ref().map(|hint| hint.client.as_str()));
    if let (Some(hint), Some(client_id)) = (&hint, client_id)
        && hint.client != client_id
    {
        return refuse(state, "The id_token_hint was issued to another client.");
    }
    let client = client_id.and_then(|id| state.settings.client(id));
    let location = match return_location(client, &params) {
        Ok(location) => location,
        Err(why) => return refuse(state, why),
    };
    match hint {
        Some(hint) => signed_out(state, &hint.sid, location.as_deref()),
        // Without a proof that this comes from a client the person is asked, or any site could sign people out (§6).
        None => {
            let (browser, set_cookie) = page::browser_or_new(page::browser_of(headers), state);
            let transaction =
                state.visitors().wait(&browser, Pending::SignOut { location: location.clone() }, state.now());
            page::with_cookie(page::confirm_sign_out(state, &transaction, location.as_deref()), set_cookie)
        }
    }
}

/// The form of the page that asks whether to sign out.
pub(crate) async fn confirm(Extract(state): Extract<Arc<State>>, headers: HeaderMap, body: Bytes) -> Response {
    if !page::is_same_origin(&headers) {
        return refuse(&state, "This form was sent by another site.");
    }
    let browser = page::browser_of(&headers);
    let pending = Params::parse(&body).ok().and_then(|params| {
        let transaction = params.of("transaction")?;
        state.visitors().answer(transaction, browser.as_deref(), state.now())
    });
    let (Some(Pending::SignOut { location }), Some(browser)) = (pending, browser) else {
        return refuse(&state, "This sign-out is no longer waiting, or began in another browser.");
    };
    let sid = state.visitors().sign_in_of(Some(&browser)).map(|sign_in| sign_in.sid);
    match sid {
        Some(sid) => signed_out(&state, &sid, location.as_deref()),
        None => leave(&state, location.as_deref()),
    }
}

/// One of our own ID tokens, expired or not.
struct Hint {
    client: String,
    sid: String,
}

impl Hint {
    fn read(state: &State, token: &str) -> Option<Self> {
        let claims = state.keys().read_own(token)?;
        let text = |name: &str| claims[name].as_str().map(str::to_owned);
        (claims["iss"] == state.settings.issuer).then_some(())?;
        Some(Self { client: text("aud")?, sid: text("sid")? })
    }
}

fn return_location(client: Option<&Client>, params: &Params) -> Result<Option<String>, &'static str> {
    let Some(uri) = params.of("post_logout_redirect_uri") else {
        return Ok(None);
    };
    let Some(client) = client else {
        return Err("A post_logout_redirect_uri needs a valid id_token_hint or a client_id.");
    };
    if !client.allows_post_logout(uri) {
        return Err("The post_logout_redirect_uri is not registered for this client.");
    }
    let mut url = Url::parse(uri).map_err(|_| "The post_logout_redirect_uri is not a URL.")?;
    if let Some(state) = params.of("state") {
        url.query_pairs_mut().append_pair("state", state);
    }
    Ok(Some(url.into()))
}

/// Ends the sign-in here and everything that was granted within it.
fn signed_out(state: &Arc<State>, sid: &str, location: Option<&str>) -> Response {
    state.visitors().sign_out_session(sid);
    let clients = state.ledger().clients_of_session(sid);
    let families = state.ledger().revoke_session(sid, state.now());
    state.tell(News {
        family: families.first().copied(),
        ..News::new(EventKind::EndSession, format!("Signed out; {} families were revoked.", families.len()))
    });
    backchannel::tell(state, sid, clients);
    leave(state, location)
}

fn leave(state: &State, location: Option<&str>) -> Response {
    match location {
        Some(location) => see_other(location),
        None => page::message(state, StatusCode::OK, "Signed out", "You are signed out at the development provider."),
    }
}

fn refuse(state: &State, why: &str) -> Response {
    page::message(state, StatusCode::BAD_REQUEST, "This sign-out cannot go on", why)
}
