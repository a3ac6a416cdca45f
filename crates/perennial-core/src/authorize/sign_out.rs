//! RP-Initiated Logout §2: the user is signed out at the provider as well.

use url::Url;

use crate::limits::END_SESSION_CHARS;
use crate::provider::ResolvedProvider;
use crate::secret::{IdToken, State};

/// The URL that ends the user's session at the provider; `None` when it has no such endpoint.
///
/// The ID token in it is the hint that the specification asks for: send the browser there and do not log it. A hint that makes
/// the URL longer than [`END_SESSION_CHARS`] is left out, and the provider asks the user instead.
pub fn end_session_url(
    provider: &ResolvedProvider,
    id_token_hint: Option<&IdToken>,
    post_logout_redirect_uri: Option<&Url>,
    state: Option<&State>,
) -> Option<Url> {
    let endpoint = provider.end_session.as_ref()?.url();
    let with_hint = |hint: Option<&IdToken>| {
        let mut url = endpoint.clone();
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("client_id", provider.provider.client_id.as_str());
            if let Some(token) = hint {
                query.append_pair("id_token_hint", token.expose_secret());
            }
            if let Some(uri) = post_logout_redirect_uri {
                query.append_pair("post_logout_redirect_uri", uri.as_str());
            }
            if let Some(state) = state {
                query.append_pair("state", state.expose_secret());
            }
        }
        url
    };
    let url = with_hint(id_token_hint);
    Some(if url.as_str().len() > END_SESSION_CHARS { with_hint(None) } else { url })
}
