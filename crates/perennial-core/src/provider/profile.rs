//! OIDC Core §5.1: who the user is, read from the claims of an ID token or of UserInfo.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Which members describe the user. Of each list the first one present counts.
///
/// An entry is a member's name (`sub`), a JSON Pointer (`/images/0/url`, RFC 6901), or a text with members in
/// braces (`https://cdn.example/{id}.png`), which counts when all of them are present.
///
/// ```
/// use perennial_core::provider::ProfileMapping;
/// use serde_json::json;
///
/// let claims = json!({"id": 7, "login": "ada", "pictures": [{"url": "https://a.example/7"}]});
/// let mapping = ProfileMapping {
///     id: vec!["sub".into(), "id".into()],
///     name: vec!["login".into()],
///     image: vec!["/pictures/0/url".into()],
///     ..ProfileMapping::default()
/// };
/// let profile = mapping.read(claims.as_object().unwrap())?;
/// assert_eq!((profile.id.as_str(), profile.name.as_deref()), ("7", Some("ada")));
/// # Ok::<(), perennial_core::provider::NoProfileId>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfileMapping {
    /// Where the user's identifier is.
    pub id: Vec<String>,
    /// Where the name for people is.
    pub name: Vec<String>,
    /// Where the e-mail address is.
    pub email: Vec<String>,
    /// Where the URL of a picture is.
    pub image: Vec<String>,
}

/// A [`ProfileMapping`] as a row of [`PRESETS`](super::PRESETS) holds it.
#[derive(Clone, Copy, Debug)]
pub struct ProfileMembers {
    /// Where the user's identifier is.
    pub id: &'static [&'static str],
    /// Where the name for people is.
    pub name: &'static [&'static str],
    /// Where the e-mail address is.
    pub email: &'static [&'static str],
    /// Where the URL of a picture is.
    pub image: &'static [&'static str],
}

/// The user as the provider describes them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// The identifier at this provider; stable, unlike the e-mail address.
    pub id: String,
    /// The name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The e-mail address, not necessarily verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The URL of a picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}

/// The claims do not say who the user is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the provider's claims hold no user id (looked for {looked_for})")]
pub struct NoProfileId {
    looked_for: String,
}

impl ProfileMapping {
    /// Reads the user from `claims`.
    ///
    /// # Errors
    /// [`NoProfileId`] when no member for the id is present: nobody is signed in as a made-up user.
    pub fn read(&self, claims: &Map<String, Value>) -> Result<Profile, NoProfileId> {
        let id = first(&self.id, claims).ok_or_else(|| NoProfileId { looked_for: self.id.join(", ") })?;
        Ok(Profile {
            id,
            name: first(&self.name, claims),
            email: first(&self.email, claims),
            image: first(&self.image, claims),
        })
    }
}

impl From<ProfileMembers> for ProfileMapping {
    fn from(members: ProfileMembers) -> Self {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Self {
            id: owned(members.id),
            name: owned(members.name),
            email: owned(members.email),
            image: owned(members.image),
        }
    }
}

fn first(entries: &[String], claims: &Map<String, Value>) -> Option<String> {
    entries.iter().find_map(|entry| match entry.as_str() {
        pointer if pointer.starts_with('/') => pointed(pointer, claims),
        template if template.contains('{') => filled(template, claims),
        name => text(claims.get(name)?),
    })
}

/// RFC 6901, whose first token is a member of `claims`.
fn pointed(pointer: &str, claims: &Map<String, Value>) -> Option<String> {
    let (member, rest) = match pointer[1..].find('/') {
        Some(end) => pointer[1..].split_at(end),
        None => (&pointer[1..], ""),
    };
    text(claims.get(member)?.pointer(rest)?)
}

fn filled(template: &str, claims: &Map<String, Value>) -> Option<String> {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}')?;
        out.push_str(before);
        out.push_str(&text(claims.get(name)?)?);
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_name_a_pointer_or_a_template() {
        let claims = serde_json::json!({
            "id": 42, "empty": "", "none": null, "flag": true,
            "images": [{"url": "https://i.example/1"}], "avatar": "a1"
        });
        let claims = claims.as_object().unwrap();
        for (entry, expected) in [
            ("id", Some("42")),
            ("empty", None),
            ("none", None),
            ("flag", None),
            ("absent", None),
            ("/images/0/url", Some("https://i.example/1")),
            ("/images/1/url", None),
            ("/id", Some("42")),
            ("https://c.example/{id}/{avatar}.png", Some("https://c.example/42/a1.png")),
            ("https://c.example/{id}/{absent}.png", None),
            ("broken {id", None),
        ] {
            let found = first(&[entry.to_owned()], claims);
            assert_eq!(found.as_deref(), expected, "{entry}");
        }
    }

    #[test]
    fn without_an_id_there_is_no_user() {
        let mapping = ProfileMapping { id: vec!["sub".into(), "id".into()], ..ProfileMapping::default() };
        let error = mapping.read(&Map::new()).unwrap_err();
        assert!(error.to_string().contains("sub, id"));
    }
}
