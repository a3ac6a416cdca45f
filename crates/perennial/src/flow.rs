//! Sign-ins under way: one sealed cookie each, so that two tabs may sign in at once.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use perennial_core::authorize::PendingSignIn;
use perennial_core::cookie;
use perennial_core::limits::{SIGN_IN_MAX_AGE, SIGN_INS_IN_FLIGHT};
use perennial_core::secret::State;
use serde_json::{Map, Value};

use crate::cookies::{Life, RequestCookies};
use crate::engine::Inner;
use crate::hall::Challenge;

impl Inner {
    /// `Set-Cookie` lines that remember `pending`, dropping the oldest sign-ins of a browser that has too many.
    pub(crate) fn remember_flow(&self, headers: &HeaderMap, pending: &PendingSignIn) -> Vec<HeaderValue> {
        let mut claims = Map::new();
        // Strings and a number: serialising them cannot fail.
        claims.insert(FLOW.into(), serde_json::to_value(pending).unwrap_or(Value::Null));
        let sealed = cookie::seal(&self.keys().flow, &claims, self.now(), SIGN_IN_MAX_AGE, self.random());
        let cookies = RequestCookies::read(headers);
        let mut others: Vec<_> = cookies
            .iter()
            .filter(|(name, _)| name.starts_with(&self.names.flow_prefix))
            .map(|(name, value)| (self.opened_flow(value).map(|flow| flow.started), name))
            .collect();
        others.sort();
        let excess = (others.len() + 1).saturating_sub(SIGN_INS_IN_FLIGHT);
        let mut lines: Vec<_> = others.iter().take(excess).map(|(_, name)| self.names.delete(name)).collect();
        lines.push(self.names.set(&self.flow_name(pending.state.expose_secret()), &sealed, Life::For(SIGN_IN_MAX_AGE)));
        lines
    }

    /// The sign-in that `state` belongs to, if this browser began it.
    pub(crate) fn flow_of(&self, headers: &HeaderMap, state: &State) -> Option<PendingSignIn> {
        let cookies = RequestCookies::read(headers);
        self.opened_flow(cookies.first(&self.flow_name(state.expose_secret()))?)
    }

    /// A `Set-Cookie` line that forgets the sign-in of `state`.
    pub(crate) fn forget_flow(&self, state: &State) -> HeaderValue {
        self.names.delete(&self.flow_name(state.expose_secret()))
    }

    /// A `Set-Cookie` line that remembers what the provider wants of the next sign-in (OIDC Core §5.5).
    pub(crate) fn remember_challenge(&self, challenge: &Challenge) -> Option<HeaderValue> {
        let claims: Map<String, Value> = serde_json::from_str(&challenge.0).ok()?;
        let claims = Map::from_iter([(CHALLENGE.to_owned(), Value::Object(claims))]);
        let sealed = cookie::seal(&self.keys().flow, &claims, self.now(), CHALLENGE_MAX_AGE, self.random());
        Some(self.names.set(&self.names.challenge, &sealed, Life::For(CHALLENGE_MAX_AGE)))
    }

    /// What the provider wanted when it last refused to renew this browser's session.
    pub(crate) fn challenge_of(&self, headers: &HeaderMap) -> Option<Challenge> {
        let cookies = RequestCookies::read(headers);
        let sealed = cookies.first(&self.names.challenge)?;
        let mut opened = cookie::open(&self.keys().flow, sealed, self.now()).ok()?;
        opened.claims.remove(CHALLENGE).map(|claims| Challenge(claims.to_string()))
    }

    /// A `Set-Cookie` line that forgets the challenge, if the request brought one.
    pub(crate) fn forget_challenge(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let present = RequestCookies::read(headers).first(&self.names.challenge).is_some();
        present.then(|| self.names.delete(&self.names.challenge))
    }

    fn opened_flow(&self, value: &str) -> Option<PendingSignIn> {
        let mut opened = cookie::open(&self.keys().flow, value, self.now()).ok()?;
        serde_json::from_value(opened.claims.remove(FLOW)?).ok()
    }

    /// The cookie's name tells flows apart by the first characters of their state, which is no secret by itself: the
    /// whole state is compared when the answer comes.
    fn flow_name(&self, state: &str) -> String {
        let short: String =
            state.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).take(12).collect();
        format!("{}{short}", self.names.flow_prefix)
    }
}

const FLOW: &str = "flow";

const CHALLENGE: &str = "challenge";

/// Whoever signs in later begins anew: the provider will say again what it wants.
const CHALLENGE_MAX_AGE: Duration = Duration::from_secs(24 * 3600);
