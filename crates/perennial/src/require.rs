//! Routes for signed-in users only, and what a stranger is told there.

use std::convert::Infallible;
use std::task::{Context, Poll};

use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, Request};
use tower_layer::Layer;
use tower_service::Service;

use crate::auth::Auth;
use crate::refusal::Refusal;
use crate::routes::{go, wants_page};
use crate::session::Visitor;

impl Auth {
    /// The tower layer for routes that nobody enters without a session. It belongs inside [`layer`](Self::layer).
    ///
    /// ```
    /// use axum::{Router, routing::get};
    /// use perennial::{Auth, Session};
    ///
    /// # fn app(auth: Auth) -> Router {
    /// Router::new()
    ///     .route("/me", get(|session: Session| async move { session.user().name.unwrap_or_default() }))
    ///     .layer(auth.require_sign_in())
    ///     // Routes added from here on are open to strangers.
    ///     .route("/", get(|| async { "Hello" }))
    ///     .merge(auth.router())
    ///     .layer(auth.layer())
    /// # }
    /// ```
    pub fn require_sign_in(&self) -> RequireSignIn {
        RequireSignIn { auth: self.clone() }
    }

    /// What a stranger is told who asked for `here`, a path of this site with its query.
    ///
    /// A browser that loads a page is sent to the provider, or to the choice between several, and comes back to `here`;
    /// anything else gets [`Refusal::NotSignedIn`], since a script cannot follow to another site.
    pub async fn to_sign_in(&self, method: &Method, headers: &HeaderMap, here: &str) -> Response {
        if !wants_page(headers) || !method.is_safe() {
            return Refusal::NotSignedIn.into_response();
        }
        let settings = self.settings();
        let return_to = format!("{}{here}", settings.origin());
        let mut providers = self.providers();
        match (providers.next(), providers.next()) {
            (Some(only), None) => match self.begin_sign_in(headers, only.as_str(), &return_to, &[]).await {
                Ok(start) => go(headers, &start.location, start.set_cookies),
                Err(_) => go(headers, &settings.error_page("Configuration"), Vec::new()),
            },
            _ => {
                let mut query = url::form_urlencoded::Serializer::new(String::new());
                let query = query.append_pair("callbackUrl", &return_to).finish();
                go(headers, &settings.endpoint(&format!("/signin?{query}")), Vec::new())
            }
        }
    }
}

/// Turns strangers away; made by [`Auth::require_sign_in`].
#[derive(Clone, Debug)]
pub struct RequireSignIn {
    auth: Auth,
}

impl<S> Layer<S> for RequireSignIn {
    type Service = RequireSignInService<S>;

    fn layer(&self, inner: S) -> RequireSignInService<S> {
        RequireSignInService { auth: self.auth.clone(), inner }
    }
}

/// The service of [`RequireSignIn`].
#[derive(Clone, Debug)]
pub struct RequireSignInService<S> {
    auth: Auth,
    inner: S,
}

impl<S, B> Service<Request<B>> for RequireSignInService<S>
where
    S: Service<Request<B>, Error = Infallible> + Clone + Send + 'static,
    S::Response: IntoResponse,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let auth = self.auth.clone();
        // The clone that was polled ready goes with the call; the fresh one stays (tower's rule).
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        Box::pin(async move {
            let visitor = Visitor::of(request.extensions());
            if visitor.is_some_and(|visitor| visitor.session.is_some()) {
                return inner.call(request).await.map(IntoResponse::into_response);
            }
            let target = visitor.map_or_else(|| request.uri().clone(), |visitor| visitor.target.clone());
            let here = target.path_and_query().map_or("/", |target| target.as_str());
            Ok(auth.to_sign_in(request.method(), request.headers(), here).await)
        })
    }
}
