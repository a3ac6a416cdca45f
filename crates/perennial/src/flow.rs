//! Sign-ins under way: one sealed cookie each, so that two tabs may sign in at once.

use http::{HeaderMap, HeaderValue};
use perennial_core::authorize::PendingSignIn;
use perennial_core::cookie;
use perennial_core::limits::{SIGN_IN_MAX_AGE, SIGN_INS_IN_FLIGHT};
use perennial_core::secret::State;
use serde_json::{Map, Value};

use crate::cookies::{Life, RequestCookies};
use crate::engine::Inner;

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
