//! Auth.js's CSRF token: a double-submit cookie whose value proves that we made it.
//!
//! The cookie holds `token|hash`, the hash being SHA-256 of token and secret. A form or a script sends the token back.

use aws_lc_rs::digest::{SHA256, digest};

use crate::random::{SecureRandom, random_bytes};
use crate::secret::{CookieSecret, constant_time_eq};

/// A token that came out of an authentic cookie, or was just made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsrfToken {
    token: String,
    hash: String,
}

impl CsrfToken {
    /// A new token under all secrets, as Auth.js makes it.
    pub fn create(secrets: &[CookieSecret], random: &dyn SecureRandom) -> Self {
        let token = hex(&random_bytes::<32>(random));
        Self { hash: hash_of(&token, &joined(secrets)), token }
    }

    /// Reads a cookie's value, percent-encoded or not, if one of the secrets made it.
    ///
    /// Auth.js hashes with all secrets joined by commas; a cookie made before a rotation has only the older ones in its
    /// hash, so each tail of the list and each secret alone are tried.
    pub fn from_cookie(value: &str, secrets: &[CookieSecret]) -> Option<Self> {
        let (token, hash) = value.split_once('|').or_else(|| value.split_once("%7C"))?;
        if token.len() != 64 || !token.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let tails = (0..secrets.len()).map(|start| joined(&secrets[start..]));
        let singles = secrets.iter().map(|secret| secret.expose_secret().to_owned());
        tails
            .chain(singles)
            .any(|secret| constant_time_eq(hash_of(token, &secret).as_bytes(), hash.as_bytes()))
            .then(|| Self { token: token.to_owned(), hash: hash.to_owned() })
    }

    /// The token, for forms and scripts.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The cookie's value, percent-encoded as Auth.js writes it.
    pub fn cookie_value(&self) -> String {
        format!("{}%7C{}", self.token, self.hash)
    }

    /// Whether `submitted` is this token.
    pub fn matches(&self, submitted: &str) -> bool {
        constant_time_eq(self.token.as_bytes(), submitted.as_bytes())
    }
}

fn joined(secrets: &[CookieSecret]) -> String {
    secrets.iter().map(CookieSecret::expose_secret).collect::<Vec<_>>().join(",")
}

fn hash_of(token: &str, secret: &str) -> String {
    hex(digest(&SHA256, format!("{token}{secret}").as_bytes()).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
