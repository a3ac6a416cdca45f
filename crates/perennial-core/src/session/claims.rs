//! A session as the claims that are sealed, and back.
//!
//! The claims are flat and carry Auth.js's names (`name`, `email`, `picture`, `sub`, and `access_token`,
//! `refresh_token`, `expires_at` as in its refresh guide), so that an Auth.js app on the same secret reads them. What is
//! ours alone lies under one name, `perennial`. A cookie without it was begun by Auth.js and is adopted. A cookie whose
//! session lies in the store holds that name alone, with what opens the record: a [`Handle`].

use std::sync::Arc;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::identity::derive;
use super::own::{Bits, FORMAT, HANDLE_FORMAT, OWN, OwnClaims};
use super::reading::SessionClaims;
use super::recipes::with_our_names;
use super::writing::{Form, Written};
use super::{AudienceToken, Epoch, Generation, Handle, KeyShare, SessionId, SessionState, Subject, TokenSet};
use crate::names::ProviderId;
use crate::time::Timestamp;

impl SessionState {
    /// The claims to be sealed into a cookie: Auth.js's names beside our own.
    pub fn to_claims(&self) -> Map<String, Value> {
        // Plain strings, numbers and what was JSON before: serialising them cannot fail.
        match serde_json::to_value(Written { state: self, form: Form::Cookie, dates: None }) {
            Ok(Value::Object(claims)) => claims,
            _ => Map::new(),
        }
    }

    /// The claims to be sealed into the record, as JSON text: those of the cookie without what whoever opens the record must know
    /// already, and the access tokens for other audiences.
    pub(crate) fn to_record_text(&self) -> Zeroizing<Vec<u8>> {
        Written { state: self, form: Form::Record, dates: None }.to_text()
    }

    /// Reads the text of a record that `handle` has opened.
    ///
    /// # Errors
    /// [`NotASession`] when it is something else.
    pub(crate) fn of_record_text(text: &[u8], handle: &Handle) -> Result<Self, NotASession> {
        let claims: SessionClaims = serde_json::from_slice(text).map_err(|_| NotASession)?;
        match claims.split()? {
            (claims, Some(own)) => Self::known(claims, own, Some(handle.clone())),
            // Our own part says which session and which provider.
            (_, None) => Err(NotASession),
        }
    }

    /// Reads sealed claims back.
    ///
    /// `fallback` is the provider of a session that Auth.js began and that does not say where it signed in.
    ///
    /// # Errors
    /// [`NotASession`] when our own part is there but of a format this version does not know.
    pub fn from_claims(claims: Map<String, Value>, fallback: &ProviderId) -> Result<Self, NotASession> {
        match SessionClaims::from(claims).split()? {
            (claims, Some(own)) => Self::known(claims, own, None),
            (claims, None) => Self::adopt(claims.into_map(), fallback),
        }
    }

    /// A session of ours; `handle` says what its own part does not.
    fn known(mut claims: SessionClaims, own: OwnClaims<'_>, handle: Option<Handle>) -> Result<Self, NotASession> {
        let (Some(generation), Some(provider), Some(started_at)) = (own.generation, own.provider, own.started) else {
            return Err(NotASession);
        };
        if own.v != FORMAT {
            return Err(NotASession);
        }
        let Handle { id, share } = match handle {
            Some(handle) => handle,
            None => Handle::of(own.sid, own.key)?,
        };
        let tokens = own.issued.and_then(|issued_at| {
            TokenSet::read(|name| claims.take(name), issued_at, own.expires, own.refresh_expires)
        });
        Ok(Self {
            id,
            share,
            generation,
            provider: provider.into_owned(),
            started_at,
            active_at: own.active.unwrap_or(started_at),
            epoch: own.epoch,
            subject: own.subject,
            claims: claims.into_others(),
            tokens,
            audiences: own.audiences.into_iter().map(AudienceToken::from).collect(),
        })
    }

    /// A session that Auth.js began. Id and share are derived from what the cookie alone knows, so that two requests
    /// with the same cookie meet in the same record.
    fn adopt(claims: Map<String, Value>, fallback: &ProviderId) -> Result<Self, NotASession> {
        let mut claims = with_our_names(claims);
        let text = |name: &str| claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        // Auth.js gives every cookie a `jti`; without one, and without a token, strangers' cookies could not be told apart.
        let seed = match (text("refresh_token"), text("jti")) {
            (Some(token), _) => format!("refresh_token\n{token}"),
            (None, Some(jti)) => format!("jti\n{jti}"),
            (None, None) => return Err(NotASession),
        };
        let issued_at = Timestamp::from_unix_seconds(claims.get("iat").and_then(Value::as_i64).unwrap_or(0));
        let expires_at = claims.get("expires_at").and_then(Value::as_i64).map(Timestamp::from_unix_seconds);
        let provider = match claims.get("provider").and_then(Value::as_str) {
            Some(id) => ProviderId::new(id),
            None => fallback.clone(),
        };
        let tokens = TokenSet::read(|name| claims.remove(name), issued_at, expires_at, None);
        let id_token = tokens.as_ref().and_then(|tokens| tokens.id_token.as_ref());
        let subject = id_token.and_then(|id_token| Subject::of_id_token(&provider, id_token));
        let mut id = [0; 16];
        id.copy_from_slice(&derive("perennial adopted session", &seed)[..16]);
        Ok(Self {
            id: SessionId::new(id),
            share: KeyShare(derive("perennial adopted share", &seed)),
            generation: Generation(0),
            provider,
            started_at: issued_at,
            active_at: issued_at,
            epoch: Epoch::default(),
            subject,
            claims: without_reserved(claims),
            tokens,
            audiences: Vec::new(),
        })
    }
}

/// What a session cookie holds.
#[derive(Clone, Debug)]
pub enum Carried {
    /// The session itself.
    Whole(Arc<SessionState>),
    /// The way to its record.
    Handle(Handle),
}

impl Carried {
    /// Reads the claims of a session cookie; `fallback` as in [`SessionState::from_claims`].
    ///
    /// # Errors
    /// [`NotASession`] when our own part is there but of a format this version does not know.
    pub fn from_claims(claims: impl Into<SessionClaims>, fallback: &ProviderId) -> Result<Self, NotASession> {
        let state = match claims.into().split()? {
            (_, Some(own)) if own.v == HANDLE_FORMAT => return Handle::of(own.sid, own.key).map(Self::Handle),
            (claims, Some(own)) => SessionState::known(claims, own, None)?,
            (claims, None) => SessionState::adopt(claims.into_map(), fallback)?,
        };
        Ok(Self::Whole(Arc::new(state)))
    }
}

impl Handle {
    /// The claims to be sealed.
    pub fn to_claims(&self) -> Map<String, Value> {
        // Plain strings and a number: serialising them cannot fail.
        Map::from_iter([(OWN.to_owned(), serde_json::to_value(OwnClaims::of_handle(self)).unwrap_or(Value::Null))])
    }

    fn of(sid: Option<Bits<16>>, key: Option<Bits<32>>) -> Result<Self, NotASession> {
        let (sid, key) = sid.zip(key).ok_or(NotASession)?;
        Ok(Self { id: SessionId::new(sid.into()), share: KeyShare(key.into()) })
    }
}

/// The sealed claims carry our name but not a session of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session cookie has a format this version does not know")]
pub struct NotASession;

/// Names in the sealed claims that only the engine writes: registered claims of RFC 7519 §4.1 that are about the cookie
/// itself, the provider's tokens, and our own part. Neither a callback nor an update may set them.
pub const RESERVED_CLAIMS: [&str; 11] =
    ["iat", "exp", "nbf", "jti", "access_token", "refresh_token", "id_token", "token_type", "scope", "expires_at", OWN];

pub(super) fn without_reserved(mut claims: Map<String, Value>) -> Map<String, Value> {
    claims.retain(|name, _| !RESERVED_CLAIMS.contains(&name.as_str()));
    claims
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::*;
    use super::*;
    use crate::secret::{AccessToken, RefreshToken};
    use serde_json::json;

    #[test]
    fn a_session_survives_its_claims() {
        let session = SessionState { generation: Generation(41), ..session() };
        let back = read(session.to_claims()).expect("our own claims");
        assert_eq!((back.id, &back.share, back.generation), (session.id, &session.share, session.generation));
        assert_eq!(
            (back.provider, back.started_at, back.claims),
            (session.provider, session.started_at, session.claims)
        );
        let (tokens, kept) = (session.tokens.expect("the fixture has them"), back.tokens.expect("they were written"));
        assert_eq!(kept.access_token, tokens.access_token);
        assert_eq!(kept.refresh_token, tokens.refresh_token);
        assert_eq!(kept.id_token, tokens.id_token);
        assert_eq!((kept.issued_at, kept.expires_at), (tokens.issued_at, tokens.expires_at));
        assert_eq!(kept.refresh_token_expires_at, tokens.refresh_token_expires_at);
        assert_eq!(kept.scope.map(|scope| scope.as_str().to_owned()).as_deref(), Some("openid email"));
    }

    #[test]
    fn the_clocks_and_the_epoch_survive_and_cost_nothing_while_they_say_nothing() {
        let used = session().active(at(77)).proven_in(Epoch(4));
        let back = read(used.to_claims()).expect("our own claims");
        assert_eq!((back.active_at, back.epoch), (at(77), Epoch(4)));
        let fresh = session().to_claims();
        assert!(fresh[OWN].get("active").is_none() && fresh[OWN].get("epoch").is_none(), "{fresh:?}");
        let back = read(fresh).expect("our own claims");
        assert_eq!((back.active_at, back.epoch), (back.started_at, Epoch(0)));
    }

    #[test]
    fn a_handle_survives_its_claims_and_holds_nothing_but_the_way_to_the_record() {
        let session = session();
        let claims = session.handle().to_claims();
        assert_eq!(claims.keys().collect::<Vec<_>>(), [OWN]);
        let shown = format!("{claims:?}");
        assert!(!shown.contains("Ada") && !shown.contains("planted"), "{shown}");
        let fallback = ProviderId::new("fallback");
        match Carried::from_claims(claims.clone(), &fallback).expect("our own claims") {
            Carried::Handle(handle) => assert_eq!(handle, session.handle()),
            Carried::Whole(state) => panic!("{state:?}"),
        }
        assert!(read(claims).is_err(), "not taken for a session");
        let whole = Carried::from_claims(session.to_claims(), &fallback).expect("our own claims");
        assert!(matches!(whole, Carried::Whole(state) if state.id == session.id));
        for own in [json!({ "v": 2 }), json!({ "v": 2, "sid": "x", "key": "y" }), json!({ "v": 3 })] {
            let broken = Map::from_iter([(OWN.to_owned(), own.clone())]);
            assert!(Carried::from_claims(broken, &fallback).is_err(), "{own}");
        }
    }

    #[test]
    fn a_record_says_nothing_that_its_handle_says() {
        let session = session().active(at(9));
        let text = session.to_record_text();
        let kept: Value = serde_json::from_slice(&text).expect("JSON");
        assert!(kept[OWN].get("sid").is_none() && kept[OWN].get("key").is_none(), "{kept:?}");
        assert!(kept.get("expires_at").is_none(), "{kept:?}");
        let back = SessionState::of_record_text(&text, &session.handle()).expect("our own claims");
        assert_eq!((back.id, &back.share, back.active_at), (session.id, &session.share, at(9)));
        assert_eq!(back.provider, session.provider);
        assert_eq!(back.tokens.and_then(|tokens| tokens.expires_at), Some(at(301)));
        assert!(SessionState::of_record_text(b"{}", &session.handle()).is_err());
    }

    #[test]
    fn an_authjs_app_finds_its_own_names() {
        let claims = session().to_claims();
        for (name, value) in [
            ("sub", json!("u1")),
            ("access_token", json!("planted-at")),
            ("refresh_token", json!("planted-rt")),
            ("expires_at", json!(301)),
        ] {
            assert_eq!(claims.get(name), Some(&value), "{name}");
        }
    }

    #[test]
    fn no_callback_sets_a_reserved_claim() {
        let mut wanted = object(json!({ "sub": "u1", "theme": "dark" }));
        for name in RESERVED_CLAIMS {
            wanted.insert(name.into(), "forged".into());
        }
        let began = SessionState { claims: session().with_claims(wanted.clone()).claims, ..session() };
        assert_eq!(Value::from(began.claims.clone()), json!({ "sub": "u1", "theme": "dark" }));
        let tokens = session().tokens.expect("the fixture has them");
        let fresh = SessionState::begin(ProviderId::new("idp"), wanted, tokens, at(1), &Fixed(1));
        assert_eq!(Value::from(fresh.claims), json!({ "sub": "u1", "theme": "dark" }));
        let sealed = began.to_claims();
        assert!(sealed.values().all(|value| value != "forged"), "{sealed:?}");
    }

    #[test]
    fn a_cookie_of_authjs_is_adopted() {
        let authjs = object(json!({
            "name": "Ada", "sub": "u1", "iat": 100, "exp": 900, "jti": "6c8d", "provider": "github",
            "access_token": "at-1", "refresh_token": "rt-1", "id_token": "idt-1", "expires_at": 250, "scope": "openid",
        }));
        let session = read(authjs.clone()).expect("adopted");
        let tokens = session.tokens.clone().expect("they lie under flat names");
        assert_eq!(tokens.access_token, AccessToken::new("at-1"));
        assert_eq!(tokens.refresh_token, Some(RefreshToken::new("rt-1")));
        assert_eq!((tokens.issued_at, tokens.expires_at), (at(100), Some(at(250))));
        assert_eq!(
            (session.provider.as_str(), session.generation, session.started_at),
            ("github", Generation(0), at(100))
        );
        assert_eq!(Value::from(session.claims.clone()), json!({ "name": "Ada", "sub": "u1", "provider": "github" }));

        // Two requests with this cookie meet in one record; another cookie does not.
        let again = read(authjs.clone()).expect("adopted");
        assert_eq!((session.id, &session.share), (again.id, &again.share));
        let mut other = authjs.clone();
        other.insert("refresh_token".into(), "rt-2".into());
        assert_ne!(read(other).expect("adopted").id, session.id);
        // Auth.js reseals with a new jti on each read: the refresh token says that it is still the same session.
        let mut resealed = authjs;
        resealed.insert("jti".into(), "77aa".into());
        assert_eq!(read(resealed).expect("adopted").id, session.id);
    }

    #[test]
    fn an_adopted_cookie_without_tokens_is_a_session_without_them() {
        let bare = |jti: &str| read(object(json!({ "sub": "u1", "jti": jti, "iat": 5 }))).expect("adopted");
        assert!(bare("a").tokens.is_none());
        assert_eq!(bare("a").provider.as_str(), "fallback");
        assert_eq!(bare("a").id, bare("a").id);
        assert_ne!(bare("a").id, bare("b").id);
    }

    #[test]
    fn a_part_of_ours_that_is_not_understood_is_refused() {
        let good = session().to_claims();
        for (member, value) in [("v", json!(2)), ("sid", json!("short")), ("key", json!("!")), ("gen", json!(-1))] {
            let mut claims = good.clone();
            claims[OWN][member] = value;
            assert!(read(claims).is_err(), "{member}");
        }
        for own in [json!(null), json!("x"), json!({}), json!([])] {
            let mut claims = good.clone();
            claims.insert(OWN.into(), own);
            assert!(read(claims).is_err());
        }
    }
}
