//! Step 2: from cookie lines to what the session cookie carries, or nothing.

use http::HeaderMap;
use perennial_core::Timestamp;
use perennial_core::cookie;
use perennial_core::session::{Carried, Generation, SessionId};
use serde_json::Value;

use crate::cookies::RequestCookies;
use crate::engine::Inner;

/// A session cookie that opened.
pub(crate) struct Opened {
    pub(crate) carried: Carried,
    /// The names of the cookies it came in, for replacing them.
    pub(crate) names: Vec<String>,
    pub(super) issued: Timestamp,
    pub(super) expires: Timestamp,
    /// Whether it may stay sealed as it is.
    pub(super) well_sealed: bool,
    pub(super) bytes: usize,
}

impl Opened {
    /// Which session it is about.
    pub(crate) fn id(&self) -> SessionId {
        match &self.carried {
            Carried::Whole(state) => state.id,
            Carried::Handle(handle) => handle.id,
        }
    }

    /// The generation it holds; a handle holds none.
    pub(super) fn presented(&self) -> Option<Generation> {
        match &self.carried {
            Carried::Whole(state) => Some(state.generation),
            Carried::Handle(_) => None,
        }
    }
}

impl Inner {
    /// Step 2: from cookie lines to a session, or nothing. A cookie that does not open is left where it is: it may be
    /// another replica's, on a newer secret.
    pub(crate) fn open(&self, headers: &HeaderMap) -> Option<Opened> {
        let cookies = RequestCookies::read(headers);
        let joined = cookie::join(&self.names.session, cookies.iter())?;
        let now = self.now();
        let opened = joined.open(&self.keys().session, now).ok()?;
        let second = |name| opened.claims.get(name).and_then(Value::as_i64).map(Timestamp::from_unix_seconds);
        let (issued, expires) = (second("iat").unwrap_or(now), second("exp").unwrap_or(now));
        let names = joined.names;
        let bytes =
            cookies.iter().filter(|(name, _)| names.iter().any(|own| own == name)).map(|(_, value)| value.len()).sum();
        let carried = Carried::from_claims(opened.claims, &self.default_provider).ok()?;
        Some(Opened { carried, names, issued, expires, well_sealed: opened.newest_secret || !self.reseals(), bytes })
    }
}
