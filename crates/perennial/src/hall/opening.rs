//! Step 2: from cookie lines to what the session cookie carries, or nothing.

use std::sync::Arc;

use http::HeaderMap;
use http::header::COOKIE;
use perennial_core::Timestamp;
use perennial_core::cookie::{self, Joined};
use perennial_core::session::{Carried, Generation, SessionClaims, SessionId};
use serde_json::Value;

use super::seen::KeysInForce;
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
    pub(crate) fn open(&self, headers: &HeaderMap) -> Option<Arc<Opened>> {
        if !headers.contains_key(COOKIE) {
            return None;
        }
        let now = self.now();
        let keys = if self.reseals() { KeysInForce::Configured } else { KeysInForce::Former };
        self.seen_cookies.recall(headers, keys, now).or_else(|| {
            let (opened, choice) = self.open_afresh(headers, now)?;
            let opened = Arc::new(opened);
            // Which of several is the one may change with time.
            if choice == Choice::Single {
                self.seen_cookies.remember(headers, keys, &opened, now);
            }
            Some(opened)
        })
    }

    fn open_afresh(&self, headers: &HeaderMap, now: Timestamp) -> Option<(Opened, Choice)> {
        let cookies = RequestCookies::read(headers);
        let joined = [&self.names.session, &self.names.other_session].map(|name| cookie::join(name, cookies.iter()));
        let opened = self.sealed_session(&joined, now)?;
        let candidates = joined.iter().flatten().map(|joined| joined.candidates().count()).sum::<usize>();
        let second = |name| opened.claims.reserved(name).and_then(Value::as_i64).map(Timestamp::from_unix_seconds);
        let (issued, expires) = (second("iat"), second("exp"));
        let choice = if candidates == 1 && issued.is_some() { Choice::Single } else { Choice::Several };
        let names: Vec<String> = joined.into_iter().flatten().flat_map(|joined| joined.names).collect();
        let bytes =
            cookies.iter().filter(|(name, _)| names.iter().any(|own| own == name)).map(|(_, value)| value.len()).sum();
        let carried = Carried::from_claims(opened.claims, &self.default_provider).ok()?;
        let well_sealed = opened.newest_secret || !self.reseals();
        let (issued, expires) = (issued.unwrap_or(now), expires.unwrap_or(now));
        Some((Opened { carried, names, issued, expires, well_sealed, bytes }, choice))
    }

    /// The claims of the session cookie that opens: in the format that we write, else in the other.
    fn sealed_session(&self, joined: &[Option<Joined>; 2], now: Timestamp) -> Option<cookie::Opened<SessionClaims>> {
        let [written, other] = joined;
        let keys = self.keys();
        written.as_ref().and_then(|joined| joined.open_as(&keys.session, now).ok()).or_else(|| {
            let other = other.as_ref()?.open_as(&keys.other_session, now).ok()?;
            // It wants to be sealed anew, under the other name.
            Some(cookie::Opened { newest_secret: false, ..other })
        })
    }
}

/// How many values of a request may be the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Single,
    Several,
}
