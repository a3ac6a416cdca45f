//! The real engine on any store, at a provider in the same process, with a clock that is set by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use perennial::provider::RefreshClass;
use perennial::secret::{ClientSecret, CookieSecret};
use perennial::store::SessionStore;
use perennial::{Auth, Clock, ConfigError, Entry, Provider, RenewalPolicy, SessionStrategy, SystemClock, Timestamp};

use crate::InstantProvider;
use crate::session::SECRET;

/// Where browsers would reach the site.
pub const PUBLIC_URL: &str = "http://127.0.0.1:4200";

/// An engine whose provider may be asked as fast as the settings allow.
///
/// # Errors
/// What the configuration is at fault with.
pub fn engine(
    store: Arc<dyn SessionStore>,
    strategy: SessionStrategy,
    clock: &ManualClock,
    provider: &InstantProvider,
) -> Result<Auth, ConfigError> {
    let provides = Provider::preset("oidc").expect("a preset").issuer(InstantProvider::ISSUER).client_id("bench");
    // The defaults keep a deployment from falling upon its provider; here it is the deployment that is measured.
    let policy = RenewalPolicy {
        max_per_second: 10_000,
        max_at_once: 1_024,
        // A machine that is measured to its limits answers late; that is no outage.
        wait_max: Duration::from_secs(60),
        ..RenewalPolicy::default()
    };
    Auth::builder()
        .secret(CookieSecret::new(SECRET))
        .public_url(PUBLIC_URL)
        .provider(provides.client_secret(ClientSecret::new("bench")).class(RefreshClass::Family))
        .renewal(policy)
        .store(store)
        .strategy(strategy)
        .clock(clock.clone())
        .http_client(provider.clone())
        .build()
}

/// A request's headers with these cookies, and what a browser sends with a `fetch`.
pub fn headers(cookie: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", "127.0.0.1:4200"),
        ("accept", "*/*"),
        ("sec-fetch-dest", "empty"),
        ("sec-fetch-mode", "cors"),
        ("sec-fetch-site", "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(COOKIE, HeaderValue::from_str(cookie).expect("cookies are ASCII"));
    headers
}

/// The `Cookie` header of the next request, if the answer sets the session anew. Sessions here fit into one cookie.
pub fn next_cookie(entry: &Entry) -> Option<String> {
    let line = entry.set_cookies.iter().find_map(|line| line.to_str().ok()?.split_once(';'))?;
    Some(line.0.to_owned())
}

/// The system's time, and as much later as it was put forward.
#[derive(Clone, Default)]
pub struct ManualClock {
    ahead_millis: Arc<AtomicI64>,
}

impl ManualClock {
    /// Puts it forward.
    pub fn advance(&self, by: Duration) {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.ahead_millis.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        let millis = SystemClock.now().unix_millis() + self.ahead_millis.load(Ordering::Relaxed);
        Timestamp::from_unix_millis(millis)
    }
}
