//! Auth.js's callbacks: `signIn`, `jwt`, `session` and `redirect`, as a trait with defaults and as closures.
//!
//! An error in a callback never ends a session: it is logged, and the session goes on as it was before the call.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use perennial_core::Timestamp;
use perennial_core::session::TokenSet;
use serde_json::{Map, Value};

/// A JSON object: claims, a profile, a session as the browser sees it.
pub type Claims = Map<String, Value>;

/// What a callback may fail with; the text is logged.
pub type CallbackError = Box<dyn std::error::Error + Send + Sync>;

/// Decisions an application may take over. Every method has Auth.js's default.
///
/// ```
/// use futures_util::future::BoxFuture;
/// use perennial::{CallbackError, Callbacks, Claims, JwtCallback, JwtTrigger};
///
/// /// Keeps the user's role from the provider's profile.
/// struct WithRole;
///
/// impl Callbacks for WithRole {
///     fn jwt(&self, jwt: JwtCallback) -> BoxFuture<'_, Result<Option<Claims>, CallbackError>> {
///         Box::pin(async move {
///             let mut token = jwt.token;
///             if let (Some(JwtTrigger::SignIn), Some(profile)) = (jwt.trigger, jwt.profile) {
///                 token.insert("role".into(), profile.get("role").cloned().unwrap_or_default());
///             }
///             Ok(Some(token))
///         })
///     }
/// }
/// ```
pub trait Callbacks: Send + Sync + 'static {
    /// `signIn`: whether this person may sign in. Default: yes.
    fn sign_in(&self, _: SignInCallback) -> BoxFuture<'_, Result<SignInVerdict, CallbackError>> {
        Box::pin(async { Ok(SignInVerdict::Allow) })
    }

    /// `jwt`: the claims to keep, `None` to end the session. Default: the claims as they are.
    fn jwt(&self, jwt: JwtCallback) -> BoxFuture<'_, Result<Option<Claims>, CallbackError>> {
        Box::pin(async { Ok(Some(jwt.token)) })
    }

    /// `session`: what the browser may see, `None` to hide the session. Default: name, email, picture and expiry.
    fn session(&self, session: SessionCallback) -> BoxFuture<'_, Result<Option<Claims>, CallbackError>> {
        Box::pin(async { Ok(Some(session.session)) })
    }

    /// `redirect`: where to go instead of `url`, which is a URL of this site or an allow-listed one already. Whatever
    /// comes back is checked once more.
    fn redirect(&self, url: &str, _base_url: &str) -> String {
        url.to_owned()
    }

    /// Whether [`jwt`](Self::jwt) wants to be asked on every read of a session, as in Auth.js. Default: no, because it
    /// costs a call on every request.
    fn jwt_on_read(&self) -> bool {
        false
    }
}

/// Auth.js's defaults.
#[derive(Clone, Copy, Debug, Default)]
pub struct DefaultCallbacks;

impl Callbacks for DefaultCallbacks {}

/// What `signIn` is asked with.
#[derive(Clone, Debug)]
pub struct SignInCallback {
    /// The user as the session would know them.
    pub user: User,
    /// The provider's answer.
    pub account: Account,
    /// The ID token's claims or the userinfo answer, as received.
    pub profile: Claims,
}

/// What `signIn` answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignInVerdict {
    /// Go on.
    Allow,
    /// Show the error page with `AccessDenied`.
    Deny,
    /// Go there instead, without a session; must be a URL of this site or an allow-listed one.
    Redirect(String),
}

/// What `jwt` is asked with.
#[derive(Clone, Debug)]
pub struct JwtCallback {
    /// The session's claims: `name`, `email`, `picture`, `sub` and what earlier calls kept.
    pub token: Claims,
    /// Why it is asked; `None` when a session is merely read.
    pub trigger: Option<JwtTrigger>,
    /// At sign-in: the user.
    pub user: Option<User>,
    /// At sign-in and renewal: the provider's answer, with the tokens.
    pub account: Option<Account>,
    /// At sign-in: the ID token's claims or the userinfo answer.
    pub profile: Option<Claims>,
    /// At update: what the client sent. Not to be trusted.
    pub session: Option<Value>,
}

/// Why `jwt` is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwtTrigger {
    /// The session's tokens were renewed; Auth.js has no such trigger.
    Renewal,
    /// A user signed in.
    SignIn,
    /// The client asked to update the session.
    Update,
}

/// What `session` is asked with.
#[derive(Clone, Debug)]
pub struct SessionCallback {
    /// What the browser would see by default: `user` and `expires`.
    pub session: Claims,
    /// The session's claims.
    pub token: Claims,
    /// The provider's tokens. To show one to the browser, copy it on purpose.
    pub tokens: Option<TokenSet>,
}

/// A person, as a session knows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// The provider's subject.
    pub id: String,
    /// Display name.
    pub name: Option<String>,
    /// Email address, lower-cased.
    pub email: Option<String>,
    /// Picture URL.
    pub image: Option<String>,
}

/// A provider's answer to a sign-in or a renewal (Auth.js `account`).
#[derive(Clone)]
pub struct Account {
    /// The provider's id.
    pub provider: String,
    /// The provider's subject.
    pub provider_account_id: String,
    /// The tokens.
    pub tokens: TokenSet,
    /// Members of the token answer that no standard names. They may hold secrets.
    pub extra: Claims,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let extra: Vec<&String> = self.extra.keys().collect();
        f.debug_struct("Account")
            .field("provider", &self.provider)
            .field("provider_account_id", &self.provider_account_id)
            .field("tokens", &self.tokens)
            .field("extra", &extra)
            .finish()
    }
}

impl Account {
    /// When the access token dies.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.tokens.expires_at
    }
}

type SignInFn = dyn Fn(SignInCallback) -> BoxFuture<'static, Result<SignInVerdict, CallbackError>> + Send + Sync;
type JwtFn = dyn Fn(JwtCallback) -> BoxFuture<'static, Result<Option<Claims>, CallbackError>> + Send + Sync;
type SessionFn = dyn Fn(SessionCallback) -> BoxFuture<'static, Result<Option<Claims>, CallbackError>> + Send + Sync;
type RedirectFn = dyn Fn(&str, &str) -> String + Send + Sync;

/// Closures where given, the trait object elsewhere.
#[derive(Clone)]
pub(crate) struct CallbackSet {
    pub(crate) base: Arc<dyn Callbacks>,
    pub(crate) sign_in: Option<Arc<SignInFn>>,
    pub(crate) jwt: Option<Arc<JwtFn>>,
    pub(crate) session: Option<Arc<SessionFn>>,
    pub(crate) redirect: Option<Arc<RedirectFn>>,
}

impl Default for CallbackSet {
    fn default() -> Self {
        Self { base: Arc::new(DefaultCallbacks), sign_in: None, jwt: None, session: None, redirect: None }
    }
}

impl CallbackSet {
    /// Whether reads have to call `jwt`: a closure is asked as in Auth.js, a trait says so itself.
    pub(crate) fn jwt_on_read(&self) -> bool {
        self.jwt.is_some() || self.base.jwt_on_read()
    }
}

impl Callbacks for CallbackSet {
    fn sign_in(&self, ask: SignInCallback) -> BoxFuture<'_, Result<SignInVerdict, CallbackError>> {
        calm(move || match &self.sign_in {
            Some(closure) => closure(ask),
            None => self.base.sign_in(ask),
        })
    }

    fn jwt(&self, ask: JwtCallback) -> BoxFuture<'_, Result<Option<Claims>, CallbackError>> {
        calm(move || match &self.jwt {
            Some(closure) => closure(ask),
            None => self.base.jwt(ask),
        })
    }

    fn session(&self, ask: SessionCallback) -> BoxFuture<'_, Result<Option<Claims>, CallbackError>> {
        calm(move || match &self.session {
            Some(closure) => closure(ask),
            None => self.base.session(ask),
        })
    }

    fn redirect(&self, url: &str, base_url: &str) -> String {
        let asked = AssertUnwindSafe(|| match &self.redirect {
            Some(closure) => closure(url, base_url),
            None => self.base.redirect(url, base_url),
        });
        std::panic::catch_unwind(asked).unwrap_or_else(|_| {
            tracing::error!("the redirect callback panicked; the way leads to the site's root");
            format!("{base_url}/")
        })
    }
}

/// Turns a panic into an error, whether the callback panics when called or while it runs: somebody else's code must not
/// take a renewal down with it.
fn calm<'a, T: Send + 'a>(
    call: impl FnOnce() -> BoxFuture<'a, Result<T, CallbackError>> + Send + 'a,
) -> BoxFuture<'a, Result<T, CallbackError>> {
    let called = async move { call().await };
    Box::pin(async move {
        AssertUnwindSafe(called).catch_unwind().await.unwrap_or_else(|_| Err("the callback panicked".into()))
    })
}
