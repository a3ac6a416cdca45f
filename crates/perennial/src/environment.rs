//! What Auth.js infers from the environment: `AUTH_SECRET`, `AUTH_URL`, `AUTH_<PROVIDER>_{ID,SECRET,ISSUER}`.

use perennial_core::provider::{PRESETS, Provider};
use perennial_core::secret::{BackendSecret, ClientSecret, CookieSecret};

use crate::builder::AuthBuilder;
use crate::config_error::ConfigFault;

impl AuthBuilder {
    /// Takes from `variables` (usually `std::env::vars()`) what Auth.js would take:
    ///
    /// - `AUTH_SECRET`, and `AUTH_SECRET_3`, `_2`, `_1` before it, the highest being the newest;
    /// - `AUTH_URL`: the public URL, and the base path if it has one;
    /// - `AUTH_BACKEND_SECRET`: see [`backend_secret`](Self::backend_secret), ours;
    /// - for each preset, `AUTH_<PROVIDER>_ID`, `_SECRET`, `_ISSUER` and our `_SCOPE`, the provider's id in upper case with `_`
    ///   for `-`: `AUTH_OIDC_ID`, `AUTH_MICROSOFT_ENTRA_ID_ID`.
    ///
    /// ```
    /// let variables = [
    ///     ("AUTH_SECRET", "32 random bytes or more, if possible"),
    ///     ("AUTH_URL", "http://localhost:4200"),
    ///     ("AUTH_OIDC_ISSUER", "http://localhost:4201"),
    ///     ("AUTH_OIDC_ID", "app"),
    ///     ("AUTH_OIDC_SECRET", "secret"),
    /// ];
    /// let auth = perennial::Auth::builder()
    ///     .environment(variables.map(|(name, value)| (name.to_owned(), value.to_owned())))
    ///     .build()?;
    /// assert_eq!(auth.providers().next().map(|id| id.as_str()), Some("oidc"));
    /// # Ok::<(), perennial::ConfigError>(())
    /// ```
    pub fn environment(self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let variables: std::collections::BTreeMap<String, String> =
            variables.into_iter().filter(|(name, value)| name.starts_with("AUTH_") && !value.is_empty()).collect();
        let value = |name: &str| variables.get(name).cloned();
        let mut builder = self.place("environment");
        for name in ["AUTH_SECRET_3", "AUTH_SECRET_2", "AUTH_SECRET_1", "AUTH_SECRET"] {
            if let Some(secret) = value(name) {
                builder = builder.secret(CookieSecret::new(secret));
            }
        }
        if let Some(secret) = value("AUTH_BACKEND_SECRET") {
            builder = builder.backend_secret(BackendSecret::new(secret));
        }
        if let Some(url) = value("AUTH_URL") {
            builder = builder.auth_url(url);
        }
        for preset in PRESETS {
            let name = |part: &str| preset.variable(part);
            let given = ["ID", "SECRET", "ISSUER"].map(|part| value(&name(part)));
            // AUTH_SECRET_1 and its like are no provider's; a preset is meant when its id or issuer is there.
            if let [id, secret, issuer] = given
                && (id.is_some() || issuer.is_some())
                && let Ok(provider) = Provider::preset(preset.id)
            {
                let provider = id.into_iter().fold(provider, |provider, id| provider.client_id(id));
                let provider = issuer.into_iter().fold(provider, |provider, issuer| provider.issuer(issuer));
                let provider =
                    secret.into_iter().fold(provider, |provider, s| provider.client_secret(ClientSecret::new(s)));
                let settings =
                    [("client_id", "ID"), ("client_secret", "SECRET"), ("issuer", "ISSUER"), ("scope", "SCOPE")];
                let places = settings.map(|(setting, part)| {
                    (format!("providers.{}.{setting}", preset.id), format!("environment, {}", name(part)))
                });
                builder = builder.places(places);
                let scope = value(&name("SCOPE"));
                builder = builder.provider(scope.into_iter().fold(provider, |provider, scope| provider.scope(scope)));
            }
        }
        builder
    }

    /// `AUTH_URL`, whose path is the base path if it has one.
    fn auth_url(self, text: String) -> Self {
        match url::Url::parse(&text) {
            Ok(url) if url.path() != "/" => {
                let path = url.path().trim_end_matches('/').to_owned();
                self.public_url(url.origin().ascii_serialization()).base_path(path)
            }
            Ok(_) => self.public_url(text),
            Err(_) => {
                let remedy = "write a whole URL, such as https://app.example";
                self.fault(ConfigFault::new("AUTH_URL", "environment", remedy))
            }
        }
    }
}
