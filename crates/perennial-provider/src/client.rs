//! The registered clients and their redirect URIs: RFC 6749 §2, RFC 9700 §4.1.3 (exact match), RFC 8252 §7.3 (loopback ports).

use std::fmt;

use url::{Host, Url};

/// A relying party the provider knows.
///
/// ```
/// use perennial_provider::Client;
///
/// let app = Client::confidential("demo", "demo-secret").redirect_uri("http://localhost:4200/auth/callback/demo");
/// let spa = Client::public("spa").redirect_uri("http://127.0.0.1/callback").any_loopback_port(true);
/// # drop((app, spa));
/// ```
#[derive(Clone)]
pub struct Client {
    /// The `client_id`.
    pub id: String,
    /// The secret of a confidential client; `None` makes it public.
    pub secret: Option<String>,
    /// Where the browser may be sent back to, compared character by character.
    pub redirect_uris: Vec<String>,
    /// Where the browser may be sent after sign-out, compared character by character.
    pub post_logout_redirect_uris: Vec<String>,
    /// Where it is told of sign-outs, by plain http: OIDC Back-Channel Logout 1.0.
    pub backchannel_logout_uri: Option<String>,
    /// The one way this client authenticates at the token endpoint; others are refused.
    pub token_endpoint_auth_method: TokenEndpointAuthMethod,
    /// Whether any port matches in a redirect URI whose host is loopback.
    pub any_loopback_port: bool,
}

impl Client {
    /// A client with a secret, sent as HTTP Basic.
    pub fn confidential(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self {
            secret: Some(secret.into()),
            token_endpoint_auth_method: TokenEndpointAuthMethod::ClientSecretBasic,
            ..Self::public(id)
        }
    }

    /// A client without a secret.
    pub fn public(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            secret: None,
            redirect_uris: Vec::new(),
            post_logout_redirect_uris: Vec::new(),
            backchannel_logout_uri: None,
            token_endpoint_auth_method: TokenEndpointAuthMethod::None,
            any_loopback_port: false,
        }
    }

    /// Adds a redirect URI.
    #[must_use]
    pub fn redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.redirect_uris.push(uri.into());
        self
    }

    /// Adds a URI to return to after sign-out.
    #[must_use]
    pub fn post_logout_redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.post_logout_redirect_uris.push(uri.into());
        self
    }

    /// Says where to tell it of sign-outs.
    #[must_use]
    pub fn backchannel_logout_uri(mut self, uri: impl Into<String>) -> Self {
        self.backchannel_logout_uri = Some(uri.into());
        self
    }

    /// Sets how the client authenticates.
    #[must_use]
    pub fn auth_method(mut self, method: TokenEndpointAuthMethod) -> Self {
        self.token_endpoint_auth_method = method;
        self
    }

    /// Lets any port match where a registered URI's host is loopback.
    #[must_use]
    pub fn any_loopback_port(mut self, allowed: bool) -> Self {
        self.any_loopback_port = allowed;
        self
    }

    pub(crate) fn allows_redirect(&self, uri: &str) -> bool {
        self.matches(&self.redirect_uris, uri)
    }

    pub(crate) fn allows_post_logout(&self, uri: &str) -> bool {
        self.matches(&self.post_logout_redirect_uris, uri)
    }

    fn matches(&self, registered: &[String], uri: &str) -> bool {
        registered
            .iter()
            .any(|known| known == uri || (self.any_loopback_port && same_but_for_a_loopback_port(known, uri)))
    }

    /// What is wrong with the registration, in sentences.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let id = &self.id;
        if id.is_empty() {
            problems.push("A client has an empty id; give it one.".to_owned());
        }
        match (self.token_endpoint_auth_method, &self.secret) {
            (TokenEndpointAuthMethod::None, Some(_)) => problems.push(format!(
                "Client `{id}` has a secret but the method `none`; drop the secret or choose `client_secret_basic` or `client_secret_post`."
            )),
            (TokenEndpointAuthMethod::None, None) => {}
            (_, None) => problems.push(format!("Client `{id}` authenticates with a secret but has none; give it one.")),
            (_, Some(_)) => {}
        }
        let redirects = self.redirect_uris.iter().chain(&self.post_logout_redirect_uris);
        for uri in redirects.chain(&self.backchannel_logout_uri) {
            match Url::parse(uri) {
                Ok(url) if url.fragment().is_none() => {}
                _ => problems.push(format!(
                    "Client `{id}` registers `{uri}`, which is not an absolute URI without a fragment (RFC 6749 §3.1.2)."
                )),
            }
        }
        problems
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("id", &self.id)
            .field("secret", &self.secret.as_ref().map(|_| "[redacted]"))
            .field("redirect_uris", &self.redirect_uris)
            .field("post_logout_redirect_uris", &self.post_logout_redirect_uris)
            .field("backchannel_logout_uri", &self.backchannel_logout_uri)
            .field("token_endpoint_auth_method", &self.token_endpoint_auth_method)
            .field("any_loopback_port", &self.any_loopback_port)
            .finish()
    }
}

/// How a client proves who it is: OIDC Core §9.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenEndpointAuthMethod {
    /// `client_secret_basic`: HTTP Basic, both halves form-urlencoded first.
    ClientSecretBasic,
    /// `client_secret_post`: id and secret in the form.
    ClientSecretPost,
    /// `none`: only the id, for public clients.
    None,
}

/// Whether a host name or address can only mean this machine.
pub(crate) fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => {
            let name = name.to_ascii_lowercase();
            name == "localhost" || name.ends_with(".localhost")
        }
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

fn same_but_for_a_loopback_port(registered: &str, given: &str) -> bool {
    let (Ok(mut registered), Ok(mut given)) = (Url::parse(registered), Url::parse(given)) else {
        return false;
    };
    let loopback = registered.host().is_some_and(|host| is_loopback(&host));
    let plain = given.username().is_empty() && given.password().is_none();
    loopback && plain && registered.set_port(None).is_ok() && given.set_port(None).is_ok() && registered == given
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirect_uris_match_exactly_or_by_loopback_port() {
        let exact = Client::public("c").redirect_uri("http://localhost:4200/cb");
        let any = exact.clone().any_loopback_port(true);
        let remote = Client::public("c").redirect_uri("https://app.example/cb").any_loopback_port(true);
        for (client, uri, expected) in [
            (&exact, "http://localhost:4200/cb", true),
            (&exact, "http://localhost:4200/cb/", false),
            (&exact, "http://localhost:4200/cb?x=1", false),
            (&exact, "http://LOCALHOST:4200/cb", false),
            (&exact, "http://localhost:4201/cb", false),
            (&any, "http://localhost:4201/cb", true),
            (&any, "http://localhost/cb", true),
            (&any, "http://127.0.0.1:4201/cb", false),
            (&any, "http://user@localhost:4201/cb", false),
            (&any, "https://localhost:4201/cb", false),
            (&any, "http://localhost:4201/cb#f", false),
            (&any, "http://localhost.evil.test:4201/cb", false),
            (&remote, "https://app.example:8443/cb", false),
        ] {
            assert_eq!(client.allows_redirect(uri), expected, "{uri}");
        }
    }

    #[test]
    fn a_secret_is_not_in_the_debug_output() {
        let shown = format!("{:?}", Client::confidential("c", "planted"));
        assert!(!shown.contains("planted"), "{shown}");
    }
}
