//! Secrets are types: they do not print, do not serialise, are compared in constant time and are wiped when dropped.
//!
//! A value gets out by [`expose_secret`](RefreshToken::expose_secret) alone, so that a search for that name finds every
//! place where one can leak.

use zeroize::Zeroizing;

macro_rules! secret {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        pub struct $name(Zeroizing<String>);

        impl $name {
            /// Takes the value into custody.
            pub fn new(value: impl Into<String>) -> Self {
                Self(Zeroizing::new(value.into()))
            }

            /// The value in clear. The caller must not log it, put it into a URL or keep it.
            pub fn expose_secret(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "([redacted])"))
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                constant_time_eq(self.0.as_bytes(), other.0.as_bytes())
            }
        }

        impl Eq for $name {}

        impl Clone for $name {
            fn clone(&self) -> Self {
                Self(self.0.clone())
            }
        }
    )+};
}

secret! {
    /// RFC 6749 §1.4: what an upstream accepts as proof of authorization.
    AccessToken,
    /// RFC 6749 §1.5: what a new access token is bought with. A rotating provider accepts each one once.
    RefreshToken,
    /// OIDC Core §2, as received: a claim about the user that still has to be verified.
    IdToken,
    /// OIDC Back-Channel Logout §2.4, as received: a claim that somebody is signed out, which still has to be verified.
    LogoutToken,
    /// RFC 6749 §2.3.1: the client's password at the provider.
    ClientSecret,
    /// RFC 6749 §4.1.2: exchanged for tokens, once.
    AuthorizationCode,
    /// RFC 7636 §4.1: proves that the one who exchanges the code also asked for it.
    CodeVerifier,
    /// One of `AUTH_SECRET`: session cookies are sealed under a key derived from it.
    CookieSecret,
    /// What an application behind the scenes proves itself with when it asks who its visitor is.
    BackendSecret,
    /// RFC 6749 §4.1.1 `state`: ties a callback to the browser that began the sign-in.
    State,
    /// OIDC Core §3.1.2.1 `nonce`: ties an ID token to the sign-in that asked for it.
    Nonce,
    /// PKCS#8 PEM of a key that signs client assertions (`private_key_jwt`, OIDC Core §9).
    PrivateKeyPem,
}

/// Compares without telling by its running time where the first difference is; lengths are not hidden.
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a, b).is_ok()
}

impl AccessToken {
    /// Four characters that tell one token from another and give nothing away: for logs and for people.
    pub fn fingerprint(&self) -> String {
        fingerprint(self.expose_secret())
    }
}

impl RefreshToken {
    /// Four characters that tell one token from another and give nothing away: for logs and for people.
    pub fn fingerprint(&self) -> String {
        fingerprint(self.expose_secret())
    }
}

/// The first 16 bits of SHA-256, in hex: too few to search for the token, enough to tell two apart.
fn fingerprint(token: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
    digest.as_ref().iter().take(2).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print() {
        let token = RefreshToken::new("planted-secret");
        assert_eq!(format!("{token:?} {:?}", Some(&token)), "RefreshToken([redacted]) Some(RefreshToken([redacted]))");
    }

    #[test]
    fn equality_is_by_value() {
        assert_eq!(AccessToken::new("a"), AccessToken::new("a"));
        assert_ne!(AccessToken::new("a"), AccessToken::new("b"));
        assert_ne!(AccessToken::new("a"), AccessToken::new("ab"));
    }

    #[test]
    fn a_fingerprint_has_four_characters() {
        assert_eq!(AccessToken::new("one").fingerprint().len(), 4);
        assert_ne!(AccessToken::new("one").fingerprint(), AccessToken::new("two").fingerprint());
    }
}
