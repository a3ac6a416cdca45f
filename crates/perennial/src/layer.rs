//! The tower layer: opens the session before the inner service, sets cookies after it.

use std::convert::Infallible;
use std::task::{Context, Poll};

use axum::response::IntoResponse;
use futures_util::future::BoxFuture;
use http::header::{CACHE_CONTROL, SET_COOKIE};
use http::{HeaderValue, Request, Response};
use tower_layer::Layer;
use tower_service::Service;
use tracing::Instrument;

use crate::auth::Auth;
use crate::cookies::CookieNames;
use crate::hall::Door;
use crate::session::Visitor;
use crate::trace::request_span;

/// Gives every request its session, renewed when due; made by [`Auth::layer`].
#[derive(Clone, Debug)]
pub struct SessionLayer {
    pub(crate) auth: Auth,
}

impl<S> Layer<S> for SessionLayer {
    type Service = SessionService<S>;

    fn layer(&self, inner: S) -> SessionService<S> {
        SessionService { auth: self.auth.clone(), inner }
    }
}

/// The service of [`SessionLayer`].
#[derive(Clone, Debug)]
pub struct SessionService<S> {
    auth: Auth,
    inner: S,
}

impl<S, B> Service<Request<B>> for SessionService<S>
where
    S: Service<Request<B>, Error = Infallible> + Clone + Send + 'static,
    S::Response: IntoResponse,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = axum::response::Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let auth = self.auth.clone();
        // The clone that was polled ready goes with the call; the fresh one stays (tower's rule).
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        let span = request_span(request.headers());
        let served = async move {
            // The endpoints enter by doors of their own: signing out must not wait for a renewal.
            if auth.is_endpoint(request.uri().path()) {
                return inner.call(request).await.map(IntoResponse::into_response);
            }
            let entry = auth.enter(request.method(), request.headers(), Door::Ordinary).await;
            let target = request.uri().clone();
            request.extensions_mut().insert(Visitor { session: entry.session, unavailable: entry.unavailable, target });
            if let Some(challenge) = entry.challenge {
                request.extensions_mut().insert(challenge);
            }
            let mut response = inner.call(request).await.into_response();
            attach_cookies(&mut response, entry.set_cookies, &auth.inner.names);
            Ok(response)
        };
        Box::pin(served.instrument(span))
    }
}

/// Adds the session's cookies to an answer, which then must not be kept by any cache.
///
/// An answer that sets the session cookie itself (a sign-in, a sign-out) knows better and is left alone.
fn attach_cookies<B>(response: &mut Response<B>, cookies: Vec<HeaderValue>, names: &CookieNames) {
    let sets_session = |set: &HeaderValue| names.is_session(&String::from_utf8_lossy(set.as_bytes()));
    if cookies.is_empty() || response.headers().get_all(SET_COOKIE).iter().any(sets_session) {
        return;
    }
    for cookie in cookies {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
}
