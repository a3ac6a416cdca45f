//! A session as the JSON text that is sealed, written in one go: no tree of it is made, and no copy of a token left behind.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use super::SessionState;
use super::audience::AudienceClaims;
use super::claims::RESERVED_CLAIMS;
use super::own::{Bits, OWN, OwnClaims};
use crate::cookie::Dates;
use crate::names::Scope;
use crate::secret::{IdToken, RefreshToken};

/// A session to be written.
pub(crate) struct Written<'a> {
    pub(crate) state: &'a SessionState,
    pub(crate) form: Form,
    /// Of the sealing; none for a record.
    pub(crate) dates: Option<&'a Dates>,
}

/// Where it is to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// In its cookie: all that is known of it but access tokens for other audiences, for which a cookie has no room.
    Cookie,
    /// In its record, whose reader knows the handle. `expires_at` is for Auth.js alone, which never sees a record: our own part has it,
    /// and more exactly.
    Record,
}

impl Written<'_> {
    pub(crate) fn to_text(&self) -> Zeroizing<Vec<u8>> {
        let mut text = Zeroizing::new(Vec::with_capacity(self.length()));
        // Plain strings, numbers and what was JSON before: serialising them cannot fail.
        let _ = serde_json::to_writer(&mut *text, self);
        text
    }

    /// About as long as the text will be, and rather more, so that it is not copied while it grows.
    fn length(&self) -> usize {
        let tokens = self.state.tokens.as_ref().map_or(0, |tokens| {
            let refresh_token = tokens.refresh_token.as_ref().map_or(0, |token| token.expose_secret().len());
            let id_token = tokens.id_token.as_ref().map_or(0, |token| token.expose_secret().len());
            tokens.access_token.expose_secret().len() + refresh_token + id_token
        });
        let others: usize = match self.form {
            Form::Cookie => 0,
            Form::Record => self.state.audiences.iter().map(|token| token.access_token.expose_secret().len()).sum(),
        };
        LENGTH + tokens + others + CLAIM_LENGTH * self.state.claims.len()
    }
}

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let state = self.state;
        let mut claims = serializer.serialize_map(None)?;
        for (name, value) in &state.claims {
            if !RESERVED_CLAIMS.contains(&name.as_str()) {
                claims.serialize_entry(name, value)?;
            }
        }
        if let Some(tokens) = &state.tokens {
            let texts = [
                ("access_token", Some(tokens.access_token.expose_secret())),
                ("token_type", Some(tokens.token_type.as_str())),
                ("refresh_token", tokens.refresh_token.as_ref().map(RefreshToken::expose_secret)),
                ("id_token", tokens.id_token.as_ref().map(IdToken::expose_secret)),
                ("scope", tokens.scope.as_ref().map(Scope::as_str)),
            ];
            for (name, text) in texts.into_iter().filter_map(|(name, text)| Some((name, text?))) {
                claims.serialize_entry(name, text)?;
            }
            if let (Form::Cookie, Some(at)) = (self.form, tokens.expires_at) {
                claims.serialize_entry("expires_at", &at.unix_seconds())?;
            }
        }
        let mut own = OwnClaims::of(state);
        match self.form {
            Form::Cookie => {
                (own.sid, own.key) = (Some(Bits::of(state.id.as_bytes())), Some(Bits::of(&state.share.0)));
            }
            Form::Record => own.audiences = state.audiences.iter().map(AudienceClaims::from).collect(),
        }
        claims.serialize_entry(OWN, &own)?;
        if let Some(dates) = self.dates {
            claims.serialize_entry("iat", &dates.iat)?;
            claims.serialize_entry("exp", &dates.exp)?;
            claims.serialize_entry("jti", &dates.jti)?;
        }
        claims.end()
    }
}

/// The names, numbers and short texts of a session.
const LENGTH: usize = 1 << 10;

/// A claim as users have them.
const CLAIM_LENGTH: usize = 64;

#[cfg(test)]
mod tests {
    use super::super::fixtures::*;
    use super::*;

    /// Cookies and records that lie in browsers and stores have these bytes, and other versions read them.
    #[test]
    fn the_text_is_this() {
        let session = session().active(at(9));
        let dates = Dates { iat: 1, exp: 2, jti: "3".into() };
        let text = |form, dates| {
            let text = Written { state: &session, form, dates }.to_text();
            String::from_utf8(text.to_vec()).expect("JSON")
        };
        let claims = r#"{"sub":"u1","name":"Ada","roles":["a","b"],"access_token":"planted-at","token_type":"Bearer","refresh_token":"planted-rt","id_token":"planted-idt","scope":"openid email","#;
        let ours = r#""gen":0,"provider":"idp","started":1000,"active":9000,"issued":1500,"expires":301000,"refresh_expires":9000000}"#;
        let handle = r#""sid":"WlpaWlpaWlpaWlpaWlpaWg","key":"WlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlo","#;
        assert_eq!(
            text(Form::Cookie, Some(&dates)),
            format!(r#"{claims}"expires_at":301,"perennial":{{"v":1,{handle}{ours},"iat":1,"exp":2,"jti":"3"}}"#)
        );
        assert_eq!(text(Form::Record, None), format!(r#"{claims}"perennial":{{"v":1,{ours}}}"#));
    }
}
