//! RFC 7009 §2: the refresh tokens of a session that is over which are still to be revoked, as they lie in the store until that
//! is done.
//!
//! They lie beside the session's record, under a name made of the record's key, and are written before the record says that the
//! session is over: a process that dies in between leaves a debt that nobody takes up, and one that dies later leaves one that
//! another can pay. The share that seals the record went with the cookie, so these are sealed under the process secrets alone.
//! That is weaker, and therefore short: the name expires by itself, and goes as soon as the provider has taken note.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::CorruptRecord;
use crate::cookie::{RecordKeys, open_at_rest, seal_at_rest};
use crate::limits::OWED_REVOCATIONS;
use crate::names::ProviderId;
use crate::random::SecureRandom;
use crate::secret::RefreshToken;
use crate::session::derive;
use crate::time::Timestamp;

/// What one session owes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwedRevocations {
    v: u8,
    /// The key of the session's record, which must say that the session is over.
    session: String,
    /// Until then somebody is at it.
    claimed_until: Timestamp,
    sealed: Vec<String>,
}

/// A refresh token that is to be revoked, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct OwedRevocation {
    /// The provider that issued it.
    pub provider: ProviderId,
    /// The token.
    pub refresh_token: RefreshToken,
}

impl OwedRevocations {
    /// Nothing yet, of the session whose record has this key; claimed until `claimed_until` by whoever writes it.
    pub fn of(session: &[u8; 32], claimed_until: Timestamp) -> Self {
        Self { v: FORMAT, session: URL_SAFE_NO_PAD.encode(session), claimed_until, sealed: Vec::new() }
    }

    /// The name under which lies what a session owes, whose record has the key `session`.
    pub fn name(session: &[u8; 32]) -> [u8; 32] {
        let mut name = derive("perennial owed revocations", &URL_SAFE_NO_PAD.encode(session));
        name[..MARK.len()].copy_from_slice(&MARK);
        name
    }

    /// Whether `key` is such a name: told among announcements, which name nothing but keys.
    pub fn is_name(key: &[u8; 32]) -> bool {
        key.starts_with(&MARK)
    }

    /// The key of the session's record.
    pub fn session(&self) -> Option<[u8; 32]> {
        URL_SAFE_NO_PAD.decode(&self.session).ok()?.try_into().ok()
    }

    /// Until when nobody else is to be at it.
    pub fn claimed_until(&self) -> Timestamp {
        self.claimed_until
    }

    /// The same, claimed until `until`.
    #[must_use]
    pub fn claimed(&self, until: Timestamp) -> Self {
        Self { claimed_until: until, ..self.clone() }
    }

    /// The same with one token more, sealed; as it is if that token is there already. Of more than [`OWED_REVOCATIONS`] the
    /// oldest goes.
    #[must_use]
    pub fn with(&self, owed: &OwedRevocation, keys: &RecordKeys, random: &dyn SecureRandom) -> Self {
        let mut next = self.clone();
        if self.open(keys).any(|known| known.as_ref() == Ok(owed)) {
            return next;
        }
        let Some(session) = self.session() else { return next };
        let plain = Plain { provider: owed.provider.as_str(), token: owed.refresh_token.expose_secret() };
        let plain = Zeroizing::new(serde_json::to_vec(&plain).unwrap_or_default());
        let sealed = seal_at_rest(keys, &session, &associated(&session), &plain, random);
        next.sealed.push(URL_SAFE_NO_PAD.encode(sealed));
        let surplus = next.sealed.len().saturating_sub(OWED_REVOCATIONS);
        next.sealed.drain(..surplus);
        next
    }

    /// The same without `refresh_token`, which has been revoked; `None` if nothing is owed any more that could be opened.
    #[must_use]
    pub fn without(&self, refresh_token: &RefreshToken, keys: &RecordKeys) -> Option<Self> {
        let kept = self.sealed.iter().zip(self.open(keys));
        let kept = kept.filter(|(_, owed)| owed.as_ref().is_ok_and(|owed| owed.refresh_token != *refresh_token));
        let sealed: Vec<_> = kept.map(|(sealed, _)| sealed.clone()).collect();
        (!sealed.is_empty()).then(|| Self { sealed, ..self.clone() })
    }

    /// What is owed, oldest first.
    ///
    /// Each is an error of its own when its secret is gone or its bytes are others than were written.
    pub fn open(&self, keys: &RecordKeys) -> impl Iterator<Item = Result<OwedRevocation, CorruptRecord>> {
        let session = self.session();
        self.sealed.iter().map(move |sealed| {
            let session = session.ok_or(CorruptRecord)?;
            let sealed = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| CorruptRecord)?;
            let plain = open_at_rest(keys, &session, &associated(&session), &sealed).map_err(|_| CorruptRecord)?;
            let Plain { provider, token } =
                serde_json::from_slice::<Plain<String>>(&plain).map_err(|_| CorruptRecord)?;
            Ok(OwedRevocation { provider: ProviderId::new(provider), refresh_token: RefreshToken::new(token) })
        })
    }

    /// The bytes a store keeps.
    pub fn encode(&self) -> Vec<u8> {
        // Strings and numbers: serialising them cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads what [`encode`](Self::encode) wrote; `None` if it is something else, or of a later version.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(|owed: &Self| owed.v == FORMAT)
    }
}

/// What is sealed.
#[derive(Serialize, Deserialize)]
struct Plain<T> {
    provider: T,
    token: T,
}

/// Tokens of two sessions cannot be exchanged for one another, nor a record for what is owed.
fn associated(session: &[u8; 32]) -> Vec<u8> {
    [b"owed revocation".as_slice(), session].concat()
}

const FORMAT: u8 = 1;

/// With what names begin: no digest does but by a chance of one in 2^64.
const MARK: [u8; 8] = *b"owed\0rev";

#[cfg(test)]
mod tests {
    use super::super::fixtures::*;
    use super::*;
    use crate::secret::CookieSecret;

    const SESSION: [u8; 32] = [7; 32];

    fn keys(list: &str) -> RecordKeys {
        let secrets: Vec<_> = list.split_whitespace().map(CookieSecret::new).collect();
        RecordKeys::new(&secrets).expect("secrets")
    }

    fn owed(token: &str) -> OwedRevocation {
        OwedRevocation { provider: ProviderId::new("p"), refresh_token: RefreshToken::new(token) }
    }

    fn owing(tokens: &[&str], keys: &RecordKeys) -> OwedRevocations {
        let none = OwedRevocations::of(&SESSION, at(60));
        tokens.iter().fold(none, |owing, token| owing.with(&owed(token), keys, &Fixed(3)))
    }

    fn opened(owing: &OwedRevocations, keys: &RecordKeys) -> Vec<Option<String>> {
        let token = |owed: OwedRevocation| owed.refresh_token.expose_secret().to_owned();
        owing.open(keys).map(|owed| owed.ok().map(token)).collect()
    }

    #[test]
    fn what_is_owed_survives_its_bytes_and_shows_no_token() {
        let keys = keys("one");
        let written = owing(&["planted-token-1", "planted-token-2"], &keys);
        let bytes = written.encode();
        assert!(!String::from_utf8_lossy(&bytes).contains("planted"));
        let read = OwedRevocations::decode(&bytes).expect("it was written so");
        assert_eq!((read.session(), read.claimed_until()), (Some(SESSION), at(60)));
        assert_eq!(opened(&read, &keys), ["planted-token-1", "planted-token-2"].map(|token| Some(token.to_owned())));
        assert_eq!(read.open(&keys).next(), Some(Ok(owed("planted-token-1"))));
        assert_eq!(read.claimed(at(90)).claimed_until(), at(90));
        let later = String::from_utf8(bytes).expect("JSON").replacen("\"v\":1", "\"v\":2", 1);
        for junk in [later.as_bytes(), &record(1, ended()).encode(), b"{}", b"", b"\xff"] {
            assert_eq!(OwedRevocations::decode(junk), None, "{junk:?}");
        }
    }

    #[test]
    fn a_rotated_list_still_opens_and_a_secret_that_is_gone_does_not() {
        let written = owing(&["token"], &keys("old"));
        for (list, expected) in [("old", true), ("new old", true), ("newer new old", true), ("new", false)] {
            assert_eq!(opened(&written, &keys(list))[0].is_some(), expected, "{list}");
        }
    }

    #[test]
    fn a_token_opens_in_the_debts_of_its_own_session_alone() {
        let keys = keys("one");
        let written = owing(&["token"], &keys);
        let moved = OwedRevocations { sealed: written.sealed.clone(), ..OwedRevocations::of(&[8; 32], at(60)) };
        assert_eq!(opened(&moved, &keys), [None]);
        let torn = OwedRevocations { session: "!".into(), ..written.clone() };
        assert_eq!((opened(&torn, &keys), torn.session()), (vec![None], None));
        assert_eq!(torn.with(&owed("other"), &keys, &Fixed(1)), torn);
    }

    #[test]
    fn each_token_is_owed_once_until_it_is_revoked_and_never_too_many() {
        let keys = keys("one");
        let both = owing(&["a", "b", "a"], &keys);
        assert_eq!(opened(&both, &keys).len(), 2);
        let one = both.without(&RefreshToken::new("a"), &keys).expect("one is left");
        assert_eq!(opened(&one, &keys), [Some("b".to_owned())]);
        assert_eq!(one.without(&RefreshToken::new("c"), &keys), Some(one.clone()), "it is not there");
        assert_eq!(one.without(&RefreshToken::new("b"), &keys), None);
        let (names, foreign) = (["1", "2", "3", "4", "5"], super::tests::keys("gone"));
        assert_eq!(OWED_REVOCATIONS, 4);
        assert_eq!(opened(&owing(&names[..4], &keys), &keys).len(), 4);
        assert_eq!(opened(&owing(&names, &keys), &keys)[0], Some("2".to_owned()), "the oldest gives way");
        // What nobody can open any more is not kept for its own sake.
        assert_eq!(both.with(&owed("c"), &foreign, &Fixed(9)).without(&RefreshToken::new("c"), &foreign), None);
    }

    #[test]
    fn names_are_told_from_all_other_keys() {
        let name = OwedRevocations::name(&SESSION);
        assert_ne!(name, OwedRevocations::name(&[8; 32]));
        for (key, expected) in [
            (name, true),
            (SESSION, false),
            (SESSION.map(|byte| !byte), false),
            (derive("perennial record", "x"), false),
        ] {
            assert_eq!(OwedRevocations::is_name(&key), expected, "{key:?}");
        }
    }
}
