//! Where sign-in is required: strangers are sent to sign in or told so, and whoever's access token cannot be replaced just now
//! is asked to wait, never to sign in again.

use std::convert::Infallible;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use http::header::{CACHE_CONTROL, LOCATION, SET_COOKIE};
use http::request::Parts;
use http::{HeaderValue, Request, StatusCode};
use perennial_core::authorize::Manner;
use tower_layer::Layer;
use tower_service::Service;

use crate::auth::Auth;
use crate::pages;
use crate::refusal::Refusal;
use crate::routes::wants_page;
use crate::session::{Session, Visitor};
use crate::sign_in::SendOff;

impl Auth {
    /// A tower layer that lets only those pass who are signed in. It belongs inside [`Auth::layer`], which says who is there:
    ///
    /// ```
    /// # use axum::{Router, routing::get};
    /// # fn app(auth: perennial::Auth) -> Router {
    /// Router::new()
    ///     .route("/account", get(|session: perennial::Session| async move { session.user().id }))
    ///     .layer(auth.require_sign_in())
    ///     .merge(auth.router())
    ///     .layer(auth.layer())
    /// # }
    /// ```
    pub fn require_sign_in(&self) -> RequireSignInLayer {
        RequireSignInLayer { auth: self.clone() }
    }

    /// What `session` is told where sign-in is required; `None` for those who may pass.
    ///
    /// A stranger's page load is redirected to the provider, or to the choice between several, and comes back afterwards; other
    /// requests of strangers get 401. A session whose access token has died while the provider is out of reach gets 503 with
    /// `Retry-After`, and a page load a page that tries again by itself. Where the provider must see the user once more, a page
    /// load goes there with `prompt=none` and comes back, and anything else gets 401 `reauthentication_required`.
    pub async fn require(&self, request: &Parts, session: Option<&Session>) -> Option<Response> {
        let page = wants_page(&request.headers) && request.method.is_safe();
        match session.map(Session::bearer) {
            None if page => Some(self.to_sign_in(request, None).await),
            None => Some(Refusal::NotSignedIn.into_response()),
            Some(Err(refusal @ Refusal::RenewalSuspended { .. })) => Some(self.refuse(request, refusal)),
            Some(Err(Refusal::ReauthenticationRequired)) if page => Some(self.to_sign_in(request, session).await),
            Some(Err(refusal @ Refusal::ReauthenticationRequired)) => Some(refusal.into_response()),
            Some(_) => None,
        }
    }

    /// The answer to a request that cannot be served although nobody need sign in again: for a page load a page that tries
    /// again by itself, for others the refusal as it is.
    pub fn refuse(&self, request: &Parts, refusal: Refusal) -> Response {
        match refusal {
            Refusal::RenewalSuspended { retry_after } | Refusal::SessionUnavailable { retry_after }
                if wants_page(&request.headers) && request.method.is_safe() =>
            {
                pages::holding(self, &request.headers, refusal, retry_after)
            }
            refusal => refusal.into_response(),
        }
    }

    /// To the provider: a stranger to the only one or to the choice, whoever is signed in to theirs and, if it will have it so,
    /// without noticing.
    async fn to_sign_in(&self, request: &Parts, signed_in: Option<&Session>) -> Response {
        let settings = self.settings();
        // A nested router has cut its prefix off the URI; the layer knows the whole.
        let target = request.extensions.get().map_or(&request.uri, |Visitor { target, .. }| target);
        let here = target.path_and_query().map_or("/", |path| path.as_str());
        let return_to = format!("{}{here}", settings.origin());
        let (provider, manner) = match signed_in {
            Some(session) => (Some(session.provider()), Manner::Silent),
            None => {
                let mut providers = self.providers();
                let only = providers.next().filter(|_| providers.next().is_none());
                (only, Manner::Interactive)
            }
        };
        let challenge = request.extensions.get().cloned().or_else(|| self.inner.challenge_of(&request.headers));
        let wish = SendOff { manner, challenge };
        let (location, cookies) = match provider {
            Some(provider) => match self.send_to_provider(&request.headers, provider, &return_to, &[], wish).await {
                Ok(start) => (start.location, start.set_cookies),
                Err(refusal @ Refusal::RenewalSuspended { .. }) => return self.refuse(request, refusal),
                Err(refusal) => return refusal.into_response(),
            },
            None => {
                let query = url::form_urlencoded::Serializer::new(String::new())
                    .append_pair("callbackUrl", &return_to)
                    .finish();
                (format!("{}/signin?{query}", settings.base_path), Vec::new())
            }
        };
        let mut response = StatusCode::FOUND.into_response();
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
        if let Ok(location) = HeaderValue::from_str(&location) {
            headers.insert(LOCATION, location);
        }
        for cookie in cookies {
            headers.append(SET_COOKIE, cookie);
        }
        response
    }
}

/// Lets only those pass who are signed in; made by [`Auth::require_sign_in`].
#[derive(Clone, Debug)]
pub struct RequireSignInLayer {
    auth: Auth,
}

impl<S> Layer<S> for RequireSignInLayer {
    type Service = RequireSignIn<S>;

    fn layer(&self, inner: S) -> RequireSignIn<S> {
        RequireSignIn { auth: self.auth.clone(), inner }
    }
}

/// The service of [`RequireSignInLayer`].
#[derive(Clone, Debug)]
pub struct RequireSignIn<S> {
    auth: Auth,
    inner: S,
}

impl<S> Service<Request<Body>> for RequireSignIn<S>
where
    S: Service<Request<Body>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let auth = self.auth.clone();
        // The clone that was polled ready goes with the call; the fresh one stays (tower's rule).
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let visitor = Visitor::of(&parts.extensions);
            let unavailable = visitor.and_then(|visitor| visitor.unavailable);
            let session = visitor.and_then(|visitor| visitor.session.clone());
            let refused = match unavailable {
                Some(refusal) => Some(auth.refuse(&parts, refusal)),
                None => auth.require(&parts, session.as_ref()).await,
            };
            match refused {
                Some(refused) => Ok(refused),
                None => inner.call(Request::from_parts(parts, body)).await,
            }
        })
    }
}
