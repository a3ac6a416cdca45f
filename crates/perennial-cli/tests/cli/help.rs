//! `--help` teaches, and wrong arguments are answered with what would be right.

use crate::harness::run;

#[test]
fn the_help_of_every_command_says_what_one_needs() {
    let table: &[(&[&str], &[&str])] = &[
        (
            &[],
            &[
                "dev",
                "serve",
                "provider",
                "check",
                "explain",
                "end",
                "cookie",
                "secret",
                "perennial dev",
                "AUTH_OIDC_ISSUER",
                "offline_access",
            ],
        ),
        (&["dev"], &["--port", "4200", "--provider-port", "--admin-port", "--access-token-lifetime", "--data-dir"]),
        (
            &["serve"],
            &[
                "--config",
                "--listen",
                "--admin",
                "--public-url",
                "--upstream",
                "--store",
                "--compat-routes",
                "--dangerous-allow-http",
                "AUTH_SECRET",
                "AUTH_OIDC_ISSUER",
                "AUTH_OIDC_SCOPE",
                "/auth/callback/oidc",
                "SIGTERM",
                "--log-json",
            ],
        ),
        (
            &["provider"],
            &[
                "--listen",
                "--client-id",
                "--client-secret",
                "--redirect-uri",
                "--access-token-lifetime",
                "--behaviour",
                "--auto-sign-in",
                "--always-refresh-token",
                "Not for production",
                "AUTH_OIDC_SECRET=development-secret",
            ],
        ),
        (&["providers"], &["show", "--json", "perennial providers show okta"]),
        (&["check"], &["--config", "--upstream", "exit code", "starts nothing"]),
        (
            &["explain"],
            &[
                "--store",
                "--admin",
                "--json",
                "--name",
                "X-Perennial-Session",
                "AUTH_SECRET",
                "9420",
                "Exit codes",
                "3 there is no",
            ],
        ),
        (&["end"], &["--fingerprint", "--provider", "--issuer", "--sub", "--admin", "9420", "no index", "Exit codes"]),
        (&["config"], &["schema", "example"]),
        (&["cookie"], &["open", "seal", "AUTH_SECRET"]),
        (&["cookie", "open"], &["--name", "--dangerous-show-tokens", "standard input", "__Secure-"]),
        (&["cookie", "seal"], &["--name", "--max-age", "standard input"]),
        (&["secret"], &["AUTH_SECRET", "32 random bytes"]),
    ];
    for (command, words) in table {
        let done = run(&[command, &["--help"][..]].concat(), &[]);
        assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{command:?}");
        for word in *words {
            assert!(done.out.contains(word), "{command:?} does not say {word}: {}", done.out);
        }
    }
}

#[test]
fn wrong_arguments_exit_with_2_and_say_what_is_right() {
    for (args, words) in [
        (&[][..], "Usage: perennial"),
        (&["serv"], "serve"),
        (&["serve"], "--upstream <URL>"),
        (&["check"], "--upstream <URL>"),
        (&["serve", "--upstream"], "--upstream <URL>"),
        (&["serve", "--upstream", "http://h", "--listen", "4200"], "--listen <ADDRESS>"),
        (&["provider", "--listen", "localhost:4201"], "write an IP address and a port, such as 127.0.0.1:4200"),
        (&["serve", "--config", "x.toml", "--upstream", "http://h"], "cannot be used with"),
        (&["serve", "--config", "x.toml", "--dangerous-allow-http"], "cannot be used with"),
        (&["provider", "--access-token-lifetime", "60"], "--access-token-lifetime <TIME>"),
        (&["provider", "--alg", "none"], "choose es256 or rs256"),
        (&["provider", "--behaviour", "explode=1"], "explode"),
        (&["cookie"], "open"),
    ] {
        let done = run(args, &[]);
        assert_eq!(done.code, Some(2), "{args:?}: {}", done.err);
        assert!(done.err.contains(words), "{args:?} does not say {words}: {}", done.err);
    }
}

#[test]
fn the_flags_say_what_the_table_of_settings_says() {
    let done = run(&["serve", "--help"], &[]);
    let words = done.out.split_whitespace().collect::<Vec<_>>().join(" ");
    for (key, default) in [
        ("listen", "[default: 127.0.0.1:4200]"),
        ("store", "[default: perennial.redb]"),
        ("admin.listen", ""),
        ("public_url", "[default: AUTH_URL, else http:// and the listen address]"),
        ("compat_routes", ""),
        ("dangerous_allow_http", ""),
    ] {
        let help = format!("{} {default}", perennial_gateway::settings::meaning(key));
        assert!(words.contains(help.trim_end()), "{key}: {help:?} is missing: {}", done.out);
    }
}

#[test]
fn schema_and_example_are_printed_as_they_are_committed() {
    for (what, file) in [("schema", "perennial.schema.json"), ("example", "perennial.example.toml")] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(file);
        let committed = std::fs::read_to_string(path).expect("committed");
        let done = run(&["config", what], &[]);
        assert_eq!((done.code, done.out), (Some(0), committed), "{what}");
    }
}

#[test]
fn a_log_level_that_is_none_is_explained() {
    let done = run(&["secret", "--log", "perennial=loud"], &[]);
    assert_eq!(done.code, Some(1));
    assert!(done.err.contains("--log perennial=loud") && done.err.contains("info"), "{}", done.err);
}

#[test]
fn each_secret_is_32_new_random_bytes() {
    let secrets: Vec<String> = (0..3).map(|_| run(&["secret"], &[]).out).collect();
    for secret in &secrets {
        let line = secret.strip_suffix('\n').expect("a line");
        assert_eq!(line.len(), 43, "{line}");
        assert!(line.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{line}");
    }
    assert!(secrets[0] != secrets[1] && secrets[1] != secrets[2] && secrets[0] != secrets[2]);
}
