//! The door on the public port: the harness sees `/demo/api/*`, the gateway everything else, and both pass the tap.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use perennial::record::EndReason;

use super::harness;
use super::house::House;
use super::jar::Jar;
use super::words;

/// The page's own request once a second.
const HEARTBEAT: &str = "/demo/me";
/// Where its Refresh Token button posts to.
const REFRESH: &str = "/auth/refresh";

/// The routes of the public port; `gateway` answers whatever is not the harness's.
pub(super) fn router(house: &Arc<House>, gateway: Router) -> Router {
    let tapped = gateway.layer(from_fn_with_state(Arc::clone(house), tap));
    Router::new().nest("/demo/api", harness::router(Arc::clone(house))).fallback_service(tapped)
}

/// Learns from what passes: counts requests, notes sessions, and keeps each generation's cookie for later.
async fn tap(State(house): State<Arc<House>>, request: Request<Body>, next: Next) -> Response {
    let seen = house.peek(request.headers());
    // Experiments send the same requests with a query.
    let page = request.uri().query().is_none().then(|| request.uri().path());
    let (is_heartbeat, is_refresh) = (page == Some(HEARTBEAT), page == Some(REFRESH));
    if let Some(seen) = &seen {
        if is_heartbeat && house.is_held(&seen.session) {
            return StatusCode::NO_CONTENT.into_response();
        }
        house.note(seen);
    }
    house.count_request();
    let newest = seen.as_ref().and_then(|seen| house.story().view(&seen.session)).map_or(0, |view| view.generation);
    let mut jar = Jar::of_request(request.headers());
    if let Some(seen) = &seen {
        house.story().keep(seen, jar.clone());
    }
    let answer = next.run(request).await;
    if jar.take(answer.headers()) {
        match (house.peek(&jar.headers()), seen) {
            (Some(newer), seen) => {
                if let Some(seen) = seen.filter(|seen| is_refresh && newest > seen.generation) {
                    house.story().action(&seen.session, words::given(seen.generation, newer.generation));
                }
                house.note(&newer);
                house.story().keep(&newer, jar);
            }
            // The gateway took the cookie away. Had it been signed out, the engine would have said so before.
            (None, Some(seen)) => house.story().ended(&seen.session, EndReason::Refused),
            (None, None) => {}
        }
    }
    answer
}
