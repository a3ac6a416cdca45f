//! Signing in, second half: the provider's answer becomes a session.

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::{HeaderMap, Method};
use perennial_core::authorize::{self, Manner};
use perennial_core::names::ProviderId;

use super::guard::return_url;
use crate::auth::Auth;
use crate::hall::Door;
use crate::sign_in::{SendOff, SignInFailure};

/// GET `/callback/{provider}`: response mode `query`, the only one: a form posted by the provider's site would come without the
/// sign-in's cookie, which is `SameSite=Lax`.
pub(super) async fn by_query(
    State(auth): State<Auth>,
    headers: HeaderMap,
    Path(provider): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    land(&auth, &headers, &provider, &query.unwrap_or_default()).await
}

async fn land(auth: &Auth, headers: &HeaderMap, provider: &str, answer: &str) -> Response {
    let inner = &auth.inner;
    let mut cookies = Vec::new();
    // Used or refused, the flow is over: its cookie goes either way.
    if let Some(state) = authorize::state_of(answer)
        && inner.flow_of(headers, &state).is_some()
    {
        cookies.push(inner.forget_flow(&state));
    }
    let provider = ProviderId::new(provider);
    let to = match inner.end_sign_in(headers, &provider, answer).await {
        Ok((return_to, session)) => {
            // What is left of a session that no longer opens goes too.
            cookies.extend(inner.cookies_of_stored(&session, &inner.present(headers)));
            cookies.extend(inner.forget_challenge(headers));
            return_to
        }
        Err(SignInFailure::Elsewhere(url)) => return_url(auth, Some(&url)),
        Err(SignInFailure::Noticed(return_to)) => {
            let wish = SendOff { manner: Manner::Interactive, challenge: inner.challenge_of(headers) };
            match auth.send_to_provider(headers, &provider, &return_to, &[], wish).await {
                Ok(start) => {
                    cookies.extend(start.set_cookies);
                    start.location
                }
                Err(_) => inner.settings.error_page("Configuration"),
            }
        }
        Err(SignInFailure::AccessDenied) => inner.settings.error_page("AccessDenied"),
        Err(SignInFailure::OAuthCallbackError) => inner.settings.sign_in_page("OAuthCallbackError"),
        // The back button, a reload, a second click: whoever is signed in already goes on.
        Err(SignInFailure::UnknownFlow) => {
            let entry = auth.enter(&Method::GET, headers, Door::Ordinary).await;
            cookies.extend(entry.set_cookies);
            match (entry.session, entry.unavailable) {
                (Some(_), _) | (_, Some(_)) => return_url(auth, None),
                (None, None) => inner.settings.sign_in_page("Verification"),
            }
        }
        Err(SignInFailure::StoreUnavailable) => inner.settings.error_page("SessionStore"),
        Err(SignInFailure::Configuration) => inner.settings.error_page("Configuration"),
    };
    super::go(headers, &to, cookies)
}
