//! What is ours alone in the sealed claims, under the one name `perennial`.

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use super::audience::AudienceClaims;
use super::{Epoch, Generation, Handle, SessionState, Subject};
use crate::names::ProviderId;
use crate::time::Timestamp;

/// The name of our own part.
pub(super) const OWN: &str = "perennial";

/// What the member `v` says of a session.
pub(super) const FORMAT: u64 = 1;

/// What it says of a cookie that is a handle: a version that takes it for a session refuses it.
pub(super) const HANDLE_FORMAT: u64 = 2;

/// Our own part. A handle has `sid` and `key` alone, and a record, which is opened by a handle, all but these.
#[derive(Serialize, Deserialize)]
pub(super) struct OwnClaims<'a> {
    pub(super) v: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sid: Option<Bits<16>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<Bits<32>>,
    #[serde(rename = "gen", default, skip_serializing_if = "Option::is_none")]
    pub(super) generation: Option<Generation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) provider: Option<Cow<'a, ProviderId>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) started: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) active: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "is_first")]
    pub(super) epoch: Epoch,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) subject: Option<Subject>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) issued: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) expires: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) refresh_expires: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) audiences: Vec<AudienceClaims>,
}

impl<'a> OwnClaims<'a> {
    pub(super) fn of_handle(handle: &Handle) -> Self {
        Self {
            v: HANDLE_FORMAT,
            sid: Some(Bits::of(handle.id.as_bytes())),
            key: Some(Bits::of(&handle.share.0)),
            generation: None,
            provider: None,
            started: None,
            active: None,
            epoch: Epoch::default(),
            subject: None,
            issued: None,
            expires: None,
            refresh_expires: None,
            audiences: Vec::new(),
        }
    }

    /// Of a session, but for what a handle says and for its audiences.
    pub(super) fn of(state: &'a SessionState) -> Self {
        let tokens = state.tokens.as_ref();
        Self {
            v: FORMAT,
            sid: None,
            key: None,
            generation: Some(state.generation),
            provider: Some(Cow::Borrowed(&state.provider)),
            started: Some(state.started_at),
            active: (state.active_at != state.started_at).then_some(state.active_at),
            epoch: state.epoch,
            subject: state.subject,
            issued: tokens.map(|tokens| tokens.issued_at),
            expires: tokens.and_then(|tokens| tokens.expires_at),
            refresh_expires: tokens.and_then(|tokens| tokens.refresh_token_expires_at),
            audiences: Vec::new(),
        }
    }
}

fn is_first(epoch: &Epoch) -> bool {
    *epoch == Epoch::default()
}

/// `N` secret bytes, at most 32, which are base64url on their way; no text of them is left behind.
pub(super) struct Bits<const N: usize>(Zeroizing<[u8; N]>);

impl<const N: usize> Bits<N> {
    pub(super) fn of(bytes: &[u8; N]) -> Self {
        Self(Zeroizing::new(*bytes))
    }
}

impl<const N: usize> From<Bits<N>> for [u8; N] {
    fn from(bits: Bits<N>) -> Self {
        *bits.0
    }
}

impl<const N: usize> Serialize for Bits<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = Zeroizing::new([0; BITS_CHARS]);
        let chars = URL_SAFE_NO_PAD.encode_slice(&self.0[..], &mut text[..]).map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(std::str::from_utf8(&text[..chars]).map_err(serde::ser::Error::custom)?)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Bits<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text<const N: usize>;

        impl<const N: usize> Visitor<'_> for Text<N> {
            type Value = Bits<N>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{N} bytes in base64url")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Bits<N>, E> {
                let mut bytes = Zeroizing::new([0; BITS_CHARS]);
                let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes[..]).map_err(E::custom)?;
                match bytes[..length].try_into() {
                    Ok(bytes) => Ok(Bits(Zeroizing::new(bytes))),
                    Err(_) => Err(E::invalid_length(length, &self)),
                }
            }
        }

        deserializer.deserialize_str(Text)
    }
}

/// More than the 43 characters of 32 bytes, because the decoder wants room for whole groups of four.
const BITS_CHARS: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_one_text_and_one_length() {
        let bits = Bits::of(&[0xa5; 32]);
        let text = serde_json::to_string(&bits).expect("text");
        assert_eq!(text, format!("\"{}\"", URL_SAFE_NO_PAD.encode([0xa5; 32])));
        let read = |text: &str| serde_json::from_str::<Bits<32>>(text).map(<[u8; 32]>::from);
        assert_eq!(read(&text).expect("the same"), [0xa5; 32]);
        for wrong in [
            r#""""#.to_owned(),
            format!("\"{}\"", URL_SAFE_NO_PAD.encode([0xa5; 31])),
            format!("\"{}\"", URL_SAFE_NO_PAD.encode([0xa5; 33])),
            format!("\"{}\"", URL_SAFE_NO_PAD.encode([0xa5; 99])),
            // The last character has bits that belong to no byte.
            format!("\"{}V\"", "p".repeat(42)),
            text.replace('p', "+"),
            "7".to_owned(),
            "null".to_owned(),
        ] {
            assert!(read(&wrong).is_err(), "{wrong}");
        }
    }
}
