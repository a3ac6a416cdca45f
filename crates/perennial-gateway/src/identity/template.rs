//! Headers of the operator's choice that tell an upstream more of the user or the request.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::{folded, is_ours};
use crate::routing::{Expression, Facts};

/// One header for the upstream: its name, and the expression that says its value.
#[derive(Clone, Debug)]
pub struct HeaderTemplate {
    name: HeaderName,
    value: Expression,
}

impl HeaderTemplate {
    /// A header `name` with the value that `value` comes to.
    ///
    /// # Errors
    /// What is wrong with name or expression, and what to write instead.
    pub fn parse(name: &str, value: &str) -> Result<Self, String> {
        let parsed: HeaderName =
            name.parse().map_err(|_| format!("write `{name}` as a header's name, such as \"X-Groups\""))?;
        if is_kept(parsed.as_str()) {
            return Err(format!("choose another name than `{name}`, which the gateway or HTTP itself decides on"));
        }
        Ok(Self { name: parsed, value: Expression::parse(value)? })
    }

    /// The header's name.
    pub fn name(&self) -> &HeaderName {
        &self.name
    }

    /// Puts the header into a request from which [`strip`](super::strip) has taken whatever had its name in any spelling.
    pub(crate) fn write(&self, headers: &mut HeaderMap, facts: &Facts) {
        headers.remove(&self.name);
        match self.value.evaluate(facts).map(|value| header_value(&value)) {
            Ok(Some(value)) => drop(headers.insert(self.name.clone(), value)),
            Ok(None) => tracing::debug!(header = %self.name, "a header is left out: no header can carry its value"),
            Err(because) => tracing::debug!(header = %self.name, because, "a header is left out"),
        }
    }
}

/// A value as a header carries it. What no header can carry is left out and never cut: a line break, an empty text, and a list
/// one of whose items would be taken for two.
fn header_value(value: &Value) -> Option<HeaderValue> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(items) => {
            let items = items.iter().map(|item| match item {
                Value::String(text) if !text.contains(',') && text.trim() == text && !text.is_empty() => {
                    Some(text.clone())
                }
                Value::Bool(_) | Value::Number(_) => Some(item.to_string()),
                _ => None,
            });
            items.collect::<Option<Vec<_>>>()?.join(",")
        }
        Value::Null | Value::Object(_) => return None,
    };
    let text = Some(text).filter(|text| !text.is_empty() && text.trim() == text)?;
    HeaderValue::from_bytes(text.as_bytes()).ok()
}

/// Whether a header is decided on by HTTP, by the connection, or by the gateway alone.
fn is_kept(name: &str) -> bool {
    let folded = folded(name);
    let identity = [
        "x-forwarded-user",
        "x-forwarded-email",
        "x-forwarded-preferred-username",
        "x-forwarded-groups",
        "remote-user",
    ];
    let freely = identity.contains(&folded.as_str()) || folded.starts_with("x-auth-request-");
    KEPT.contains(&folded.as_str()) || folded.starts_with("sec-") || (is_ours(name) && !freely)
}

const KEPT: [&str; 19] = [
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "origin",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn facts() -> Facts {
        let claims = json!({
            "name": "Zo\u{eb}", "groups": ["a", "b"], "odd": ["a,admin"], "broken": "a\r\nX-Admin: 1", "level": 3, "object": {},
            "empty": "", "none": [],
        });
        Facts { claims: claims.as_object().cloned().unwrap_or_default(), ..Facts::default() }
    }

    #[test]
    fn a_value_is_carried_whole_or_left_out() {
        for (value, expected) in [
            ("claims.name", Some("Zo\u{eb}")),
            ("claims.groups", Some("a,b")),
            ("claims.level", Some("3")),
            ("claims.level > 2", Some("true")),
            ("'gateway'", Some("gateway")),
            ("claims.odd", None),
            ("claims.broken", None),
            ("claims.object", None),
            ("claims.empty", None),
            ("claims.none", None),
            ("claims.missing", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.append("x-told", HeaderValue::from_static("of before"));
            HeaderTemplate::parse("X-Told", value).expect("a template").write(&mut headers, &facts());
            let told: Vec<_> =
                headers.values().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
            assert_eq!(told, expected.map(str::to_owned).into_iter().collect::<Vec<_>>(), "{value}");
        }
    }

    #[test]
    fn names_that_are_not_free_are_refused() {
        for (name, expected) in [
            ("X-Groups", true),
            ("X-Forwarded-Groups", true),
            ("X-Forwarded-User", true),
            ("X-Auth-Request-Email", true),
            ("Remote-User", true),
            ("Host", false),
            ("Authorization", false),
            ("Cookie", false),
            ("Connection", false),
            ("Transfer_Encoding", false),
            ("Content-Length", false),
            ("X-Forwarded-For", false),
            ("X_Forwarded_Host", false),
            ("X-Forwarded-Proto", false),
            ("Forwarded", false),
            ("X-Perennial-Identity", false),
            ("X-Perennial-Mine", false),
            ("Sec-Fetch-Site", false),
            ("not a name", false),
        ] {
            assert_eq!(HeaderTemplate::parse(name, "claims.sub").is_ok(), expected, "{name}");
        }
    }
}
