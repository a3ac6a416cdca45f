//! The double-submit token that Auth.js's forms and clients carry: a random value, and in the cookie its hash too.
//!
//! The hash is plain SHA-256 over token and secret, as Auth.js has it, so that either side accepts the other's cookie.
//! Extending a hash gains nothing here: the secret comes last, and the token's length is checked.

use zeroize::Zeroizing;

use crate::SecureRandom;
use crate::random::random_bytes;
use crate::secret::{CookieSecret, constant_time_eq};

/// A token that we made: 64 hexadecimal digits, with the cookie that proves it.
///
/// ```
/// use perennial_core::csrf::CsrfToken;
/// use perennial_core::secret::CookieSecret;
/// # struct Random;
/// # impl perennial_core::SecureRandom for Random {
/// #     fn fill(&self, out: &mut [u8]) { out.fill(7) }
/// # }
///
/// let secrets = [CookieSecret::new("at least 32 random characters")];
/// let token = CsrfToken::create(&secrets, &Random);
/// let back = CsrfToken::from_cookie(&token.cookie_value(), &secrets).expect("we made it");
/// assert!(back.matches(token.token()));
/// assert!(!back.matches("another"));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct CsrfToken {
    token: String,
    hash: String,
}

impl CsrfToken {
    /// A new token, hashed with all secrets joined by a comma: what Auth.js makes of a list.
    pub fn create(secrets: &[CookieSecret], random: &dyn SecureRandom) -> Self {
        let token = hex(&random_bytes::<32>(random));
        let hash = hash(&token, secrets);
        Self { token, hash }
    }

    /// The token in a cookie's decoded value, if its hash is right under one secret or a run of neighbours in the list.
    ///
    /// Auth.js accepts the whole list alone, so that adding a secret makes every form that is open fail. A run covers
    /// what was made before a secret was added in front or removed at the end.
    pub fn from_cookie(value: &str, secrets: &[CookieSecret]) -> Option<Self> {
        let (token, claimed) = value.split_once('|')?;
        if !is_hex_of_32(token) || !is_hex_of_32(claimed) {
            return None;
        }
        let runs = (0..secrets.len()).flat_map(|start| (start..secrets.len()).map(move |end| &secrets[start..=end]));
        let made_here = runs
            .map(|run| constant_time_eq(hash(token, run).as_bytes(), claimed.as_bytes()))
            .fold(false, |found, equal| found | equal);
        made_here.then(|| Self { token: token.to_owned(), hash: claimed.to_owned() })
    }

    /// What forms and `GET /csrf` show.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// What the cookie holds, before percent-encoding.
    pub fn cookie_value(&self) -> String {
        format!("{}|{}", self.token, self.hash)
    }

    /// Whether a request's body carries this token.
    pub fn matches(&self, body_token: &str) -> bool {
        constant_time_eq(self.token.as_bytes(), body_token.as_bytes())
    }
}

impl std::fmt::Debug for CsrfToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CsrfToken([redacted])")
    }
}

fn hash(token: &str, secrets: &[CookieSecret]) -> String {
    let mut input = Zeroizing::new(String::from(token));
    for (index, secret) in secrets.iter().enumerate() {
        if index > 0 {
            input.push(',');
        }
        input.push_str(secret.expose_secret());
    }
    hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, input.as_bytes()).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_hex_of_32(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Zeros;

    impl SecureRandom for Zeros {
        fn fill(&self, out: &mut [u8]) {
            out.fill(0);
        }
    }

    fn secrets(list: &str) -> Vec<CookieSecret> {
        list.split_whitespace().map(CookieSecret::new).collect()
    }

    #[test]
    fn a_rotation_of_secrets_leaves_open_forms_valid() {
        for (before, after, accepted) in [
            ("one", "one", true),
            ("one", "two one", true),
            ("two one", "three two one", true),
            ("two one", "three two", false),
            ("two one", "two", false),
            ("two", "three two one", true),
            ("one two", "two one", false),
            ("one", "two", false),
            ("one", "", false),
        ] {
            let cookie = CsrfToken::create(&secrets(before), &Zeros).cookie_value();
            let found = CsrfToken::from_cookie(&cookie, &secrets(after));
            assert_eq!(found.is_some(), accepted, "{before} → {after}");
        }
    }

    #[test]
    fn what_is_not_exactly_a_token_is_refused() {
        let secrets = secrets("one");
        let good = CsrfToken::create(&secrets, &Zeros).cookie_value();
        for bad in [
            "",
            "|",
            &good[..128],
            &good[1..],
            &good.replace('|', ""),
            &good.replace('|', "||"),
            &good.to_uppercase(),
            &format!("{good}|"),
            &format!("{good}0"),
            &format!("0{good}"),
        ] {
            assert!(CsrfToken::from_cookie(bad, &secrets).is_none(), "{bad}");
        }
        for at in 0..good.len() {
            let mut bytes = good.clone().into_bytes();
            bytes[at] ^= 1;
            let changed = String::from_utf8(bytes).expect("ASCII");
            assert!(CsrfToken::from_cookie(&changed, &secrets).is_none(), "{changed}");
        }
    }

    #[test]
    fn only_the_whole_token_matches() {
        let token = CsrfToken::create(&secrets("one"), &Zeros);
        assert!(token.matches(&"00".repeat(32)));
        for other in ["", "00", &"00".repeat(33), &"01".repeat(32)] {
            assert!(!token.matches(other), "{other}");
        }
    }
}
