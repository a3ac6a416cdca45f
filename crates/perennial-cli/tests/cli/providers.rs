//! `perennial providers`.

use serde_json::Value;

use crate::harness::run;

#[test]
fn every_preset_has_a_line_and_an_object() {
    let table = run(&["providers"], &[]);
    let listed = run(&["providers", "--json"], &[]);
    assert_eq!((table.code, listed.code), (Some(0), Some(0)), "{} {}", table.err, listed.err);
    let rows: Vec<Value> = serde_json::from_str(&listed.out).expect("a JSON list");
    assert!(rows.len() >= 40, "{}", rows.len());
    for row in rows {
        let id = row["id"].as_str().expect("an id");
        assert!(table.out.lines().any(|line| line.starts_with(&format!("{id} "))), "{id} has no line");
        assert!(row["compared_with"].as_str().is_some_and(|source| !source.is_empty()), "{id}");
    }
}

#[test]
fn one_provider_is_told_whole() {
    let shown = run(&["providers", "show", "okta", "--public-url", "https://shop.example"], &[]);
    assert_eq!(shown.code, Some(0), "{}", shown.err);
    for told in [
        "https://shop.example/auth/callback/okta",
        "AUTH_OKTA_ID=",
        "AUTH_OKTA_SECRET=",
        "AUTH_OKTA_ISSUER=https://ORG.okta.com/oauth2/default",
        "comes by the scope offline_access",
        "refresh_class = \"family\"",
        "refresh_window = \"30s\"",
        "preset = \"okta\"",
        "asked about the token",
    ] {
        assert!(shown.out.contains(told), "{told} is not in:\n{}", shown.out);
    }
    let shown = run(&["providers", "show", "google", "--json"], &[("AUTH_URL", "https://shop.example")]);
    let google: Value = serde_json::from_str(&shown.out).expect("JSON");
    assert_eq!(google["redirect_uri"], "https://shop.example/auth/callback/google");
    assert_eq!(google["authorization_params"]["access_type"], "offline");
    assert_eq!(google["class"]["refresh_class"], "reusable");
}

#[test]
fn an_unknown_provider_is_refused_with_those_there_are() {
    let refused = run(&["providers", "show", "octa"], &[]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("`octa`") && refused.err.contains("okta"), "{}", refused.err);
}
