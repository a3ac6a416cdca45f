//! The body of an answer as members with names, whichever of its forms the provider chose.

use serde_json::{Map, Value};

use crate::limits::PROVIDER_ANSWER_BYTES;

/// JSON (RFC 6749 §5.1), else the form encoding of GitHub; `None` for anything else, and for too much of it.
pub(super) fn members(body: &[u8]) -> Option<Map<String, Value>> {
    if body.len() > PROVIDER_ANSWER_BYTES {
        return None;
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => Some(members),
        Ok(_) => None,
        Err(_) => form(body),
    }
}

/// A form is believed only if it is written as one and says something a token endpoint says: any page parses as one.
fn form(body: &[u8]) -> Option<Map<String, Value>> {
    let body = body.trim_ascii();
    let encoded = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'"');
    if !body.iter().all(encoded) {
        return None;
    }
    let members: Map<String, Value> = form_urlencoded::parse(body)
        .map(|(name, value)| (name.into_owned(), Value::String(value.into_owned())))
        .collect();
    (members.contains_key("access_token") || members.contains_key("error")).then_some(members)
}

/// A member that is text and not empty.
pub(super) fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    members.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// The code of a refusal: `error`, or one of the ways providers say it instead.
pub(super) fn error_code(members: &Map<String, Value>) -> Option<&str> {
    const UNNAMED: &str = "unnamed_error";
    match members.get("error") {
        Some(Value::String(code)) if !code.is_empty() => return Some(code),
        // An error object, as the Google APIs have it.
        Some(Value::Object(error)) => {
            return Some(
                ["code", "error", "type", "status"].into_iter().find_map(|name| text(error, name)).unwrap_or(UNNAMED),
            );
        }
        Some(Value::Bool(true)) => return Some(UNNAMED),
        _ => {}
    }
    // Slack.
    if members.get("ok") == Some(&Value::Bool(false)) {
        return Some(UNNAMED);
    }
    // HubSpot.
    text(members, "status").filter(|status| *status == "BAD_REFRESH_TOKEN")
}

/// What the refusal says for people, wherever it says it.
pub(super) fn error_description(members: &Map<String, Value>) -> &str {
    let nested = members.get("error").and_then(Value::as_object).and_then(|error| text(error, "message"));
    ["error_description", "message", "reason"]
        .into_iter()
        .find_map(|name| text(members, name))
        .or(nested)
        .unwrap_or_default()
}
