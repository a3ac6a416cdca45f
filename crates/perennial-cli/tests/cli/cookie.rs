//! `perennial cookie seal` and `open` undo each other, and show no token unless told to.

use serde_json::{Value, json};

use crate::harness::{SECRET, run_with_input};

const KEY: &[(&str, &str)] = &[("AUTH_SECRET", SECRET)];

fn seal(args: &[&str], claims: &Value) -> Vec<String> {
    let done = run_with_input(&[&["cookie", "seal"], args].concat(), KEY, &claims.to_string());
    assert_eq!(done.code, Some(0), "{}", done.err);
    done.out.lines().map(str::to_owned).collect()
}

fn open(args: &[&str], header: &str) -> Value {
    let done = run_with_input(&[&["cookie", "open"], args].concat(), KEY, header);
    assert_eq!(done.code, Some(0), "{}", done.err);
    serde_json::from_str(&done.out).expect("JSON")
}

#[test]
fn what_is_sealed_opens() {
    let long = "x".repeat(6000);
    // claims, arguments, the names of the cookies
    for (claims, args, names) in [
        (json!({"sub": "alice", "n": [1, null, "ü"]}), &[][..], vec!["authjs.session-token"]),
        (json!({"sub": "alice"}), &["--name", "__Secure-authjs.session-token"], vec!["__Secure-authjs.session-token"]),
        (
            json!({"long": long}),
            &[],
            vec!["authjs.session-token.0", "authjs.session-token.1", "authjs.session-token.2"],
        ),
    ] {
        let lines = seal(args, &claims);
        let found: Vec<_> = lines.iter().map(|line| line.split('=').next().expect("a name")).collect();
        assert_eq!(found, names);
        for header in [
            lines.join("; "),
            lines.join("\n"),
            format!("Cookie: theme=dark; {}; x=y\n", lines.join("; ")),
            lines.iter().rev().cloned().collect::<Vec<_>>().join("; "),
        ] {
            let opened = open(args, &header);
            for (name, value) in claims.as_object().expect("claims") {
                assert_eq!(&opened[name], value, "{header:.80}");
            }
            assert_eq!(opened["exp"].as_i64().expect("exp") - opened["iat"].as_i64().expect("iat"), 30 * 24 * 3600);
        }
    }
}

#[test]
fn tokens_and_keys_are_redacted_unless_asked_for() {
    let planted = "pl4nted";
    let claims = json!({
        "sub": "alice",
        "access_token": planted,
        "refreshToken": planted,
        "nested": {"id_token": planted, "deeper": [{"refresh_token": planted}]},
        "key": planted,
        "client_secret": planted,
        "tokens": [planted, {"accessToken": planted}],
        "token_type": "Bearer",
        "expires_at": 7,
    });
    let header = seal(&[], &claims).join("; ");
    let shown = open(&[], &header);
    assert!(!shown.to_string().contains(planted), "{shown}");
    assert_eq!((shown["sub"].as_str(), shown["access_token"].as_str()), (Some("alice"), Some("[redacted]")));
    assert_eq!(shown["nested"]["id_token"], "[redacted]");
    assert_eq!((shown["token_type"].as_str(), shown["expires_at"].as_i64()), (Some("Bearer"), Some(7)));
    assert_eq!(open(&["--dangerous-show-tokens"], &header)["nested"]["deeper"][0]["refresh_token"], planted);
}

#[test]
fn what_cannot_be_done_is_said_in_a_sentence() {
    let sealed = seal(&[], &json!({"sub": "alice"})).join("; ");
    let torn = &sealed[..sealed.len() - 20];
    let other: &[(&str, &str)] = &[("AUTH_SECRET", "another secret, long enough too")];
    for (what, args, variables, input, word) in [
        ("no secret", "open", &[][..], sealed.as_str(), "AUTH_SECRET"),
        ("an empty secret", "open", &[("AUTH_SECRET", "")], &sealed, "AUTH_SECRET"),
        ("another secret", "open", other, &sealed, "secret"),
        ("no cookie", "open", KEY, "theme=dark", "there is no cookie called authjs.session-token"),
        ("nothing", "open", KEY, "", "there is no cookie called authjs.session-token"),
        ("half a cookie", "open", KEY, torn, "discard it"),
        ("no JSON", "seal", KEY, "sub=alice", "JSON object"),
        ("a list", "seal", KEY, "[1]", "JSON object"),
    ] {
        let done = run_with_input(&["cookie", args], variables, input);
        assert_eq!((done.code, done.out.as_str()), (Some(1), ""), "{what}: {}", done.err);
        assert!(done.err.starts_with("perennial: ") && done.err.contains(word), "{what}: {}", done.err);
        assert!(!done.err.contains(SECRET) && !done.err.contains("panicked"), "{what}: {}", done.err);
    }
}

#[test]
fn a_newer_secret_seals_and_the_older_still_opens() {
    let sealed = seal(&[], &json!({"sub": "alice"})).join("; ");
    let both: &[(&str, &str)] = &[("AUTH_SECRET", SECRET), ("AUTH_SECRET_1", "the newer secret, also long enough")];
    assert_eq!(run_with_input(&["cookie", "open"], both, &sealed).code, Some(0));
    let newer = run_with_input(&["cookie", "seal"], both, "{}").out;
    assert_eq!(run_with_input(&["cookie", "open"], KEY, &newer).code, Some(1));
    assert_eq!(run_with_input(&["cookie", "open"], both, &newer).code, Some(0));
}
