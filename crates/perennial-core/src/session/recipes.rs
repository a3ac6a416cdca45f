//! What applications of Auth.js call the provider's tokens in their cookies: there is a guide, and it changed its mind.

use serde_json::{Map, Value};

/// The claims with the tokens under the names of the newest guide (`access_token`, `expires_at` in seconds), whichever of its
/// names the `jwt` callback that wrote them used. What is there under the newest name already wins.
pub(super) fn with_our_names(mut claims: Map<String, Value>) -> Map<String, Value> {
    // Without a token the same names may mean anything.
    if !["access_token", "accessToken"].iter().any(|name| claims.contains_key(*name)) {
        return claims;
    }
    for (ours, theirs) in NAMES {
        for name in theirs {
            let Some(value) = claims.remove(*name) else { continue };
            claims.entry(ours).or_insert(value);
        }
    }
    if let Some(expires_at) = claims.get_mut("expires_at") {
        *expires_at = in_seconds(expires_at);
    }
    claims
}

/// A point in time in whole seconds, as a number. The older guide counts in milliseconds; no token lives until the year 5138,
/// which the smallest of those would be in seconds.
fn in_seconds(at: &Value) -> Value {
    const FIRST_IN_MILLISECONDS: f64 = 1e11;
    let told = match at {
        Value::String(text) => text.trim().parse().ok(),
        number => number.as_f64(),
    };
    match told {
        Some(at) if at >= FIRST_IN_MILLISECONDS => Value::from((at / 1000.0) as i64),
        Some(at) => Value::from(at as i64),
        None => Value::Null,
    }
}

/// Our name, and what the guide of next-auth 4 and widespread copies of it say.
const NAMES: [(&str, &[&str]); 4] = [
    ("access_token", &["accessToken"]),
    ("refresh_token", &["refreshToken"]),
    ("id_token", &["idToken"]),
    ("expires_at", &["accessTokenExpires", "accessTokenExpiresAt", "expiresAt"]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_guides_names_mean_the_same() {
        let ours = json!({"sub": "1", "access_token": "a", "refresh_token": "r", "expires_at": 1_800_000_000});
        for theirs in [
            json!({"sub": "1", "accessToken": "a", "refreshToken": "r", "accessTokenExpires": 1_800_000_000_000_i64}),
            json!({"sub": "1", "accessToken": "a", "refreshToken": "r", "expiresAt": 1_800_000_000}),
            json!({"sub": "1", "access_token": "a", "refresh_token": "r", "expires_at": "1800000000"}),
            json!({"sub": "1", "access_token": "a", "refresh_token": "r", "expires_at": 1_800_000_000.7}),
            json!({"sub": "1", "access_token": "a", "refresh_token": "r", "expires_at": 1_800_000_000, "refreshToken": "old"}),
        ] {
            let renamed = with_our_names(theirs.as_object().expect("an object").clone());
            assert_eq!(Value::Object(renamed), ours, "{theirs}");
        }
        let without =
            json!({"sub": "1", "name": "Ada", "expiresAt": "the trial's end"}).as_object().expect("an object").clone();
        assert_eq!(with_our_names(without.clone()), without);
    }
}
