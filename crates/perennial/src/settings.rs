//! What an engine was built with.

use std::time::Duration;

use perennial_core::renewal::RenewalPolicy;
use perennial_core::session::{Epoch, IdleFedBy, Lifetimes};
use url::Url;

use crate::pages::Theme;

/// What an engine was built with, secrets aside.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Where browsers reach this site; the origin of every URL we make.
    pub public_url: Url,
    /// Where our endpoints lie: `/auth`, or `/api/auth` for clients of next-auth.
    pub base_path: String,
    /// Where sessions lie: in their cookies, or in the store.
    pub strategy: SessionStrategy,
    /// How long a session lasts without an interactive visit; 30 days, at most 400 (browsers keep cookies no longer).
    pub max_age: Duration,
    /// How old a cookie gets before a visit renews its `max_age`; 1 day.
    pub update_age: Duration,
    /// Which requests count as a visit; those that speak for a person.
    pub idle_fed_by: IdleFedBy,
    /// The deployment's epoch; 0. Raised after the store was restored from a backup: see [`crate::AuthBuilder::epoch`].
    pub epoch: Epoch,
    /// How long replicas that share a store may take until all of them know a new secret; 10 minutes.
    pub secret_roll_out: Duration,
    /// How long a session lasts at all; `None` (the default) for no end.
    pub absolute_max_age: Option<Duration>,
    /// When and how sessions renew.
    pub renewal: RenewalPolicy,
    /// Other origins that return URLs may lead to; none.
    pub return_origins: Vec<url::Origin>,
    /// Claims that `POST /api/update-user-data` may set; `name`, `nickname`, `picture`, `locale`.
    pub updatable_claims: Vec<String>,
    /// Claims that a session keeps of what its provider tells at sign-in, besides its name, email and picture; none.
    pub kept_claims: Vec<String>,
    /// The application's own pages, instead of ours.
    pub pages: Pages,
    /// How our own pages look.
    pub theme: Theme,
    /// Whether the four `/api/...` routes of the SvelteKitAuth recipe are served; no.
    pub compat_routes: bool,
    /// Whether a sign-out goes on to the provider's end-session endpoint; no.
    pub sign_out_at_provider: bool,
    /// What this process is called in the histories of sessions; nothing.
    pub replica_name: Option<String>,
}

/// Where sessions lie; the names are Auth.js's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SessionStrategy {
    /// Whole in the cookie. The store keeps the newest generation beside it, and is asked only when something is due.
    #[default]
    Jwt,
    /// In the store alone: the cookie is a handle with half of the key, small and never chunked. Every request asks the
    /// store, so that a sign-out is known everywhere at once, and nobody is served while the store is out of reach.
    Database,
}

/// Pages of the application that stand in for ours (Auth.js `pages`): paths of this site, such as `/login`.
///
/// A sign-in page gets `callbackUrl`, and `error` after a failure; the error page gets `error`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pages {
    /// Instead of `/auth/signin`.
    pub sign_in: Option<String>,
    /// Instead of `/auth/signout`.
    pub sign_out: Option<String>,
    /// Instead of `/auth/error`.
    pub error: Option<String>,
}

/// Whose session cookie we write. Both are read, so that sessions begun under either go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CookieFormat {
    /// `authjs.session-token`, as Auth.js 5 and SvelteKitAuth write it.
    #[default]
    AuthJs5,
    /// `next-auth.session-token`, for applications that read it with `next-auth/jwt` of next-auth 4.
    NextAuth4,
}

impl CookieFormat {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::AuthJs5 => Self::NextAuth4,
            Self::NextAuth4 => Self::AuthJs5,
        }
    }
}

impl Settings {
    /// The lifetimes of sessions.
    pub fn lifetimes(&self) -> Lifetimes {
        Lifetimes { idle: self.max_age, absolute: self.absolute_max_age, note_after: self.update_age }
    }

    /// The origin of `public_url`, as browsers write it.
    pub fn origin(&self) -> String {
        self.public_url.origin().ascii_serialization()
    }

    /// Whether browsers reach us by https, and cookies are `Secure`.
    pub fn secure(&self) -> bool {
        self.public_url.scheme() == "https"
    }

    /// The URL of one of our endpoints, as text.
    pub(crate) fn endpoint(&self, path: &str) -> String {
        format!("{}{}{path}", self.origin(), self.base_path)
    }

    /// Where sign-in failures are told, with Auth.js's name for this one.
    pub(crate) fn sign_in_page(&self, error: &str) -> String {
        match &self.pages.sign_in {
            Some(page) => format!("{}{page}?error={error}", self.origin()),
            None => self.endpoint(&format!("/signin?error={error}")),
        }
    }

    /// Where other failures are told, with Auth.js's name for this one.
    pub(crate) fn error_page(&self, error: &str) -> String {
        match &self.pages.error {
            Some(page) => format!("{}{page}?error={error}", self.origin()),
            None => self.endpoint(&format!("/error?error={error}")),
        }
    }

    /// The URL of one of our endpoints.
    pub(crate) fn endpoint_url(&self, path: &str) -> Url {
        let mut url = self.public_url.clone();
        url.set_path(&format!("{}{path}", self.base_path));
        url.set_query(None);
        url.set_fragment(None);
        url
    }
}
