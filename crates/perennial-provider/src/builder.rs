//! How a provider is put together, and what it refuses to be.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use url::Url;

use crate::account::Account;
use crate::behaviour::Behaviour;
use crate::client::{Client, is_loopback};
use crate::keys::{Alg, KeyRing};
use crate::provider::{DevProvider, Settings, State};

/// Where the provider reads the time: a test may turn it forward.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// Builds a [`DevProvider`].
///
/// ```
/// use std::time::Duration;
/// use perennial_provider::{Alg, Client, DevProvider};
///
/// let provider = DevProvider::builder()
///     .issuer("http://localhost:4201")
///     .client(Client::public("spa").redirect_uri("http://localhost:4200/callback"))
///     .access_token_lifetime(Duration::from_secs(5))
///     .id_token_alg(Alg::Rs256)
///     .behaviour("class=overlap:10,delay_ms=20".parse()?)
///     .build()?;
/// assert_eq!(provider.issuer(), "http://localhost:4201");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct DevProviderBuilder {
    issuer: String,
    clients: Vec<Client>,
    accounts: Vec<Account>,
    access_token_lifetime: Duration,
    refresh_token_lifetime: Duration,
    id_token_lifetime: Duration,
    alg: Alg,
    behaviour: Behaviour,
    clock: Clock,
    auto_sign_in: bool,
    always_issue_refresh_token: bool,
    jwt_access_tokens: bool,
    admin_token: Option<String>,
    allow_remote: bool,
}

impl Default for DevProviderBuilder {
    fn default() -> Self {
        Self {
            issuer: "http://localhost:4201".to_owned(),
            clients: Vec::new(),
            accounts: Account::defaults(),
            access_token_lifetime: Duration::from_secs(300),
            refresh_token_lifetime: Duration::from_secs(14 * 24 * 3600),
            id_token_lifetime: Duration::from_secs(3600),
            alg: Alg::default(),
            behaviour: Behaviour::default(),
            clock: Arc::new(SystemTime::now),
            auto_sign_in: false,
            always_issue_refresh_token: false,
            jwt_access_tokens: false,
            admin_token: None,
            allow_remote: false,
        }
    }
}

impl DevProviderBuilder {
    /// The issuer, an http or https URL without query and fragment; default `http://localhost:4201`. A path in it is served.
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = issuer.into();
        self
    }

    /// Registers a client.
    #[must_use]
    pub fn client(mut self, client: Client) -> Self {
        self.clients.push(client);
        self
    }

    /// The accounts one may sign in as; default Alice, Bob and Carol.
    #[must_use]
    pub fn accounts(mut self, accounts: Vec<Account>) -> Self {
        self.accounts = accounts;
        self
    }

    /// How long access tokens live; whole seconds, at least one; default 5 minutes.
    #[must_use]
    pub fn access_token_lifetime(mut self, lifetime: Duration) -> Self {
        self.access_token_lifetime = lifetime;
        self
    }

    /// How long each refresh token lives, counted anew at every rotation; default 14 days.
    #[must_use]
    pub fn refresh_token_lifetime(mut self, lifetime: Duration) -> Self {
        self.refresh_token_lifetime = lifetime;
        self
    }

    /// How long ID tokens live; default 1 hour.
    #[must_use]
    pub fn id_token_lifetime(mut self, lifetime: Duration) -> Self {
        self.id_token_lifetime = lifetime;
        self
    }

    /// The algorithm of ID tokens; default ES256.
    #[must_use]
    pub fn id_token_alg(mut self, alg: Alg) -> Self {
        self.alg = alg;
        self
    }

    /// The behaviour at the start and after a reset; default: rotation with reuse detection, no faults.
    #[must_use]
    pub fn behaviour(mut self, behaviour: Behaviour) -> Self {
        self.behaviour = behaviour;
        self
    }

    /// The clock that everything but delays goes by.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Skips the sign-in page when `login_hint` is the id or e-mail address of an account; default off.
    #[must_use]
    pub fn auto_sign_in(mut self, on: bool) -> Self {
        self.auto_sign_in = on;
        self
    }

    /// Gives a refresh token even without `offline_access`; default off.
    #[must_use]
    pub fn always_issue_refresh_token(mut self, on: bool) -> Self {
        self.always_issue_refresh_token = on;
        self
    }

    /// Makes access tokens JWTs (RFC 9068) in place of opaque strings; default off.
    #[must_use]
    pub fn jwt_access_tokens(mut self, on: bool) -> Self {
        self.jwt_access_tokens = on;
        self
    }

    /// Demands this bearer token at every `/admin` request; default none.
    #[must_use]
    pub fn admin_token(mut self, token: impl Into<String>) -> Self {
        self.admin_token = Some(token.into());
        self
    }

    /// Allows issuers, `Host` headers and listeners that are not loopback. Anyone who reaches the provider can then sign in as anyone.
    #[must_use]
    pub fn dangerous_allow_remote(mut self, on: bool) -> Self {
        self.allow_remote = on;
        self
    }

    /// Checks everything, generates the keys and builds the provider.
    ///
    /// # Errors
    /// Names everything that is wrong, at once.
    pub fn build(self) -> Result<DevProvider, BuildError> {
        let mut problems = self.problems();
        let issuer_url = match issuer_url(&self.issuer, self.allow_remote) {
            Ok(url) => Some(url),
            Err(problem) => {
                problems.insert(0, problem);
                None
            }
        };
        let Some(issuer_url) = issuer_url.filter(|_| problems.is_empty()) else {
            return Err(BuildError { problems });
        };
        let keys = KeyRing::generate(self.alg)
            .map_err(|_| BuildError { problems: vec!["The signing key could not be generated.".to_owned()] })?;
        let settings = Settings {
            issuer: self.issuer,
            issuer_url,
            clients: self.clients,
            accounts: self.accounts,
            access_token_lifetime: self.access_token_lifetime,
            refresh_token_lifetime: self.refresh_token_lifetime,
            id_token_lifetime: self.id_token_lifetime,
            alg: self.alg,
            auto_sign_in: self.auto_sign_in,
            always_issue_refresh_token: self.always_issue_refresh_token,
            jwt_access_tokens: self.jwt_access_tokens,
            admin_token: self.admin_token,
            allow_remote: self.allow_remote,
        };
        Ok(DevProvider { state: Arc::new(State::new(settings, self.clock, self.behaviour, keys)) })
    }

    fn problems(&self) -> Vec<String> {
        let mut problems: Vec<String> = self.clients.iter().flat_map(Client::problems).collect();
        if self.clients.iter().map(|client| &client.id).collect::<BTreeSet<_>>().len() != self.clients.len() {
            problems.push("Two clients have the same id; each id may be there once.".to_owned());
        }
        if self.accounts.is_empty() {
            problems.push("There are no accounts; give at least one, or leave the default three.".to_owned());
        }
        if self.accounts.iter().map(|account| &account.id).collect::<BTreeSet<_>>().len() != self.accounts.len() {
            problems.push("Two accounts have the same id; each id may be there once.".to_owned());
        }
        for (name, lifetime) in [
            ("access_token_lifetime", self.access_token_lifetime),
            ("refresh_token_lifetime", self.refresh_token_lifetime),
            ("id_token_lifetime", self.id_token_lifetime),
        ] {
            // A hundred years keep every sum within the range of the clock.
            if !(1..=100 * 366 * 24 * 3600).contains(&lifetime.as_secs()) {
                problems.push(format!("{name} is {lifetime:?}; give 1 second to 100 years."));
            }
        }
        if self.admin_token.as_deref() == Some("") {
            problems.push("admin_token is empty; give one or leave it out.".to_owned());
        }
        problems
    }
}

/// Everything that kept the provider from being built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", problems.join(" "))]
pub struct BuildError {
    /// One sentence each, with the remedy.
    pub problems: Vec<String>,
}

fn issuer_url(issuer: &str, allow_remote: bool) -> Result<Url, String> {
    let url = Url::parse(issuer)
        .map_err(|_| format!("Issuer `{issuer}` is not a URL; write one like http://localhost:4201."))?;
    if !matches!(url.scheme(), "http" | "https") || url.query().is_some() || url.fragment().is_some() {
        return Err(format!(
            "Issuer `{issuer}` must be http or https and have neither query nor fragment (OIDC Discovery §3)."
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("The issuer must not carry a user name or password.".to_owned());
    }
    let loopback = url.host().is_some_and(|host| is_loopback(&host));
    if loopback || allow_remote {
        Ok(url)
    } else {
        Err(format!(
            "Issuer `{issuer}` is not a loopback host. This provider lets anyone sign in as anyone: use localhost, 127.0.0.1 or [::1], \
             or say dangerous_allow_remote."
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_wrong_is_told_at_once() {
        let refused = DevProvider::builder()
            .issuer("https://idp.example")
            .client(Client::confidential("a", "s").redirect_uri("/relative"))
            .client(Client::public("a"))
            .accounts(Vec::new())
            .access_token_lifetime(Duration::ZERO)
            .build()
            .err()
            .expect("refused");
        let text = refused.to_string();
        for part in ["dangerous_allow_remote", "/relative", "same id", "no accounts", "access_token_lifetime"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert_eq!(refused.problems.len(), 5, "{refused:?}");
    }

    #[test]
    fn only_loopback_issuers_unless_told() {
        for (issuer, allowed) in [
            ("http://localhost:4201", true),
            ("http://127.0.0.2", true),
            ("http://[::1]:9/realms/a", true),
            ("http://idp.localhost", true),
            ("http://localhost.evil.test", false),
            ("http://192.168.1.2", false),
            ("http://0.0.0.0:4201", false),
            ("ftp://localhost", false),
            ("http://localhost/?a", false),
            ("http://me@localhost", false),
            ("localhost", false),
        ] {
            assert_eq!(issuer_url(issuer, false).is_ok(), allowed, "{issuer}");
        }
        assert!(issuer_url("https://idp.example", true).is_ok());
    }
}
