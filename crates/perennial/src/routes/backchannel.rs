//! POST `/backchannel-logout`: OIDC Back-Channel Logout 1.0 §2.5, §2.8. Asked by providers, never by browsers.

use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use perennial_core::secret::LogoutToken;
use serde::Deserialize;

use crate::auth::Auth;
use crate::refusal::Refusal;

/// What a provider posts.
#[derive(Deserialize)]
pub(super) struct Posted {
    logout_token: String,
}

/// 200 once the sessions are over, so that a provider tries again after anything else. What it posts proves itself by its
/// signature: neither cookies nor an origin play a part.
pub(super) async fn log_out(State(auth): State<Auth>, posted: Result<Form<Posted>, FormRejection>) -> Response {
    let Ok(Form(posted)) = posted else { return Refusal::BadBody.into_response() };
    match auth.inner.end_by_logout_token(&LogoutToken::new(posted.logout_token)).await {
        Ok(()) => super::uncached(StatusCode::OK.into_response()),
        Err(refusal) => refusal.into_response(),
    }
}
