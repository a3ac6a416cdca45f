//! The newest generation as it lies in the record: sealed under a key that needs a share which only the cookie carries.

use crate::cookie::{RecordKeys, open_at_rest, seal_at_rest};
use crate::random::SecureRandom;
use crate::session::{Generation, Handle, SessionId, SessionState};

use super::{CorruptRecord, Record};

/// Seals a generation for its record.
pub fn seal_state(keys: &RecordKeys, state: &SessionState, random: &dyn SecureRandom) -> Vec<u8> {
    let associated = associated(state.id, state.generation);
    seal_at_rest(keys, state.share.expose_secret(), &associated, &state.to_record_text(), random)
}

/// Opens the generation that `record` holds, with what a cookie of the same session carries.
///
/// # Errors
/// [`CorruptRecord`] when no secret opens it or it holds something else.
pub fn open_state(keys: &RecordKeys, record: &Record, handle: &Handle) -> Result<SessionState, CorruptRecord> {
    let plain =
        open_at_rest(keys, handle.share.expose_secret(), &associated(handle.id, record.generation), &record.sealed)
            .map_err(|_| CorruptRecord)?;
    let state = SessionState::of_record_text(&plain, handle).map_err(|_| CorruptRecord)?;
    if state.generation == record.generation { Ok(state) } else { Err(CorruptRecord) }
}

fn associated(id: SessionId, generation: Generation) -> [u8; 40] {
    let mut bytes = [0; 40];
    bytes[..32].copy_from_slice(&id.record_key());
    bytes[32..].copy_from_slice(&generation.0.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::*;
    use super::*;
    use crate::names::ProviderId;
    use crate::secret::{AccessToken, CookieSecret, RefreshToken};
    use crate::session::{KeyShare, TokenSet};

    fn session(random: u8) -> SessionState {
        let tokens = TokenSet {
            access_token: AccessToken::new("at"),
            token_type: "Bearer".into(),
            refresh_token: Some(RefreshToken::new("rt")),
            id_token: None,
            scope: None,
            issued_at: at(0),
            expires_at: Some(at(300)),
            refresh_token_expires_at: None,
        };
        SessionState::begin(ProviderId::new("p"), serde_json::Map::new(), tokens, at(0), &Fixed(random))
    }

    fn keys(secrets: &[&str]) -> RecordKeys {
        let secrets: Vec<_> = secrets.iter().map(|secret| CookieSecret::new(*secret)).collect();
        RecordKeys::new(&secrets).expect("there is a secret")
    }

    #[test]
    fn a_record_opens_with_the_right_secret_share_session_and_generation_only() {
        let (ours, theirs) = (session(1), session(2));
        let sealed = seal_state(&keys(&["a-secret-of-32-bytes-for-testing"]), &ours, &Fixed(5));
        let kept = |generation| Record::idle(Generation(generation), sealed.clone());
        let open = |secrets: &[&str], generation, id, share: &KeyShare| {
            open_state(&keys(secrets), &kept(generation), &Handle { id, share: share.clone() })
                .map(|state| state.generation)
        };
        let secret = "a-secret-of-32-bytes-for-testing";
        let newer = "another-secret-of-32-bytes-for-it";
        for (case, opened, expected) in [
            ("right", open(&[secret], 0, ours.id, &ours.share), Ok(Generation(0))),
            ("a newer secret in front", open(&[newer, secret], 0, ours.id, &ours.share), Ok(Generation(0))),
            ("another secret", open(&[newer], 0, ours.id, &ours.share), Err(CorruptRecord)),
            ("another share", open(&[secret], 0, ours.id, &theirs.share), Err(CorruptRecord)),
            ("another session", open(&[secret], 0, theirs.id, &ours.share), Err(CorruptRecord)),
            ("another generation", open(&[secret], 1, ours.id, &ours.share), Err(CorruptRecord)),
        ] {
            assert_eq!(opened, expected, "{case}");
        }
        assert!(!String::from_utf8_lossy(&kept(0).encode()).contains("rt"), "sealed is not clear");
        let mut torn = kept(0);
        torn.sealed.pop();
        let opened = open_state(&keys(&[secret]), &torn, &ours.handle());
        assert_eq!(opened.map(|state| state.generation), Err(CorruptRecord));
    }
}
