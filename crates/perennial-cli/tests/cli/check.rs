//! `perennial check`: what it finds, says, and exits with.

use std::net::TcpListener;

use perennial::cookie::note_name;
use perennial::secret::CookieSecret;
use perennial_testservers::RedisServer;

use crate::harness::{Done, SECRET, Served, run};

const UPSTREAM: [&str; 3] = ["check", "--upstream", "http://127.0.0.1:5173"];

fn check(issuer: &str, scope: &str, args: &[&str]) -> Done {
    let variables = [
        ("AUTH_SECRET", SECRET),
        ("AUTH_OIDC_ISSUER", issuer),
        ("AUTH_OIDC_ID", "app"),
        ("AUTH_OIDC_SECRET", "planted client secret"),
        ("AUTH_OIDC_SCOPE", scope),
    ];
    let done = run(&[&UPSTREAM[..], args].concat(), &variables);
    assert!(!format!("{done:?}").contains("planted"), "{done:?}");
    done
}

#[test]
fn a_provider_that_is_there_is_described() {
    let (_provider, issuer) = Served::provider(&[]);
    let done = check(&issuer, "openid offline_access", &["--public-url", "http://localhost:4200"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    for sentence in [
        "configuration: good (1 route, store perennial.redb, not opened)",
        "public URL: http://localhost:4200 (cookies not Secure: plain http)",
        "reached: yes",
        "register there as redirect URI: http://localhost:4200/auth/callback/oidc",
        "refresh: a refresh token can be expected",
    ] {
        assert!(done.out.contains(sentence), "{sentence:?} is missing: {}", done.out);
    }
    assert!(!done.out.contains("WARNING"), "{}", done.out);
}

#[test]
fn a_scope_without_offline_access_is_warned_of() {
    let (_provider, issuer) = Served::provider(&[]);
    let done = check(&issuer, "openid profile", &[]);
    assert_eq!(done.code, Some(0), "a warning is no failure: {done:?}");
    assert!(done.out.contains("WARNING: no refresh token can be expected"), "{}", done.out);
    assert!(done.out.contains("offline_access"), "{}", done.out);
}

#[test]
fn a_provider_that_cannot_be_used_fails_the_check() {
    let (_provider, issuer) = Served::provider(&[]);
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let other_name = issuer.replace("127.0.0.1", "localhost");
    for (what, issuer, word) in [
        ("nobody there", format!("http://{closed}"), closed.to_string()),
        ("another issuer than it says", other_name.clone(), issuer.clone()),
        ("a slash too many", format!("{issuer}/"), issuer.clone()),
        ("no provider at all", format!("{issuer}/nothing"), "404".to_owned()),
    ] {
        let done = check(&issuer, "openid offline_access", &[]);
        assert_eq!(done.code, Some(1), "{what}: {done:?}");
        assert!(done.out.contains("reached: NO: ") && done.out.contains(&word), "{what}: {}", done.out);
        assert!(done.err.contains("a provider cannot be used as configured"), "{what}: {}", done.err);
        assert!(done.out.contains("register there as redirect URI"), "the rest is said all the same: {}", done.out);
    }
}

#[test]
fn a_provider_without_metadata_is_not_said_to_be_reached() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("perennial.toml");
    let file = "public_url = \"http://127.0.0.1:4200\"\nstore = \"memory:\"\n[[routes]]\nupstream = \"http://127.0.0.1:1\"\n\
                [[providers]]\npreset = \"github\"\nclient_id = \"app\"\nclient_secret_env = \"GITHUB\"\n";
    std::fs::write(&path, file).expect("written");
    let variables = [("AUTH_SECRET", "planted-secret-of-32-characters!"), ("GITHUB", "planted")];
    let done = run(&["check", "--config", path.to_str().expect("UTF-8")], &variables);
    assert_eq!(done.code, Some(0), "{}{}", done.out, done.err);
    assert!(done.out.contains("reached: not asked; ") && !done.out.contains("metadata and keys"), "{}", done.out);
}

#[test]
fn faults_of_a_file_are_listed_with_their_lines() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("perennial.toml");
    std::fs::write(&path, "lissten = 1\n[session]\nmax_age = \"30\"\n").expect("written");
    let path = path.to_str().expect("UTF-8");
    let done = run(&["check", "--config", path], &[]);
    assert_eq!((done.code, done.out.as_str()), (Some(1), ""));
    let lines: Vec<_> = done.err.lines().collect();
    assert_eq!(lines[0], "perennial: the configuration has 6 faults:", "{}", done.err);
    assert_eq!(lines.len(), 7, "{}", done.err);
    for (key, line) in [("lissten", 1), ("session.max_age", 3)] {
        let found = lines.iter().any(|told| told.starts_with(&format!("  {key} ({path}:{line}): ")));
        assert!(found, "{key}: {}", done.err);
    }
    let done = run(&["check", "--config", "/no/such/file"], &[]);
    assert_eq!(done.code, Some(1));
    assert!(done.err.contains("--config (/no/such/file): make the file readable: "), "{}", done.err);
}

#[test]
fn what_becomes_of_a_request_is_told_and_is_the_exit_code() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let config = "public_url = \"http://127.0.0.1:4200\"\nstore = \"memory:\"\n[[routes]]\npath = \"/admin\"\n\
                  upstream = \"http://127.0.0.1:1\"\nrule = '\"admins\" in claims.groups'\n\
                  [routes.request_headers]\nX-Groups = 'claims.groups'\n";
    for (name, text) in [
        ("perennial.toml", config),
        ("admin.json", r#"{"sub": "alice", "groups": ["admins", "staff"]}"#),
        ("guest.json", r#"{"sub": "bob", "groups": []}"#),
        ("broken.json", "[]"),
    ] {
        std::fs::write(folder.path().join(name), text).expect("written");
    }
    // Nobody listens there: a trial asks no provider.
    let variables = [
        ("AUTH_SECRET", SECRET),
        ("AUTH_OIDC_ISSUER", "http://127.0.0.1:1"),
        ("AUTH_OIDC_ID", "app"),
        ("AUTH_OIDC_SECRET", "planted client secret"),
    ];
    let (file, admin, guest, broken) =
        (path("perennial.toml"), path("admin.json"), path("guest.json"), path("broken.json"));
    let quick = ["--upstream", "http://127.0.0.1:5173", "--store", "memory:"];
    let filed = ["--config", file.as_str()];
    for (args, code, told) in [
        (&[&filed[..], &["--as", &admin, "--request", "GET /admin/x"]].concat()[..], 0, "verdict: ALLOWED"),
        (&[&filed[..], &["--as", &admin, "--request", "GET /admin/x"]].concat(), 0, "x-groups: admins,staff"),
        (
            &[&filed[..], &["--as", &guest, "--request", "GET /admin/x"]].concat(),
            3,
            "403 rule_denied: the rule is not met",
        ),
        (&[&filed[..], &["--request", "GET /admin"]].concat(), 3, "401 not_signed_in"),
        (&[&filed[..], &["--as", &admin, "--request", "GET /x"]].concat(), 3, "404 no_route"),
        (&[&filed[..], &["--as", &broken, "--request", "GET /x"]].concat(), 1, "write claims as a JSON object"),
        (&[&filed[..], &["--request", "admin"]].concat(), 1, "write method and target"),
        (&[&filed[..], &["--as", &admin]].concat(), 2, "--request"),
        (&[&quick[..], &["--as", &guest, "--request", "GET /"]].concat(), 0, "authorization: Bearer <access token>"),
        (&[&quick[..], &["--request", "GET /"]].concat(), 3, "401 not_signed_in"),
    ] {
        let done = run(&[&["check"], args].concat(), &variables);
        assert_eq!(done.code, Some(code), "{args:?}: {done:?}");
        assert!(format!("{}{}", done.out, done.err).contains(told), "{args:?}: {told} in {done:?}");
        assert!(!format!("{done:?}").contains("planted"), "{done:?}");
    }
}

/// `perennial check` reads what a gateway noted in the store when it first saw the secret in front, and notes nothing itself.
#[test]
fn a_new_secret_behind_the_one_in_force_is_warned_of_where_the_store_is_on_a_server() {
    let redis = RedisServer::start();
    let (_provider, issuer) = Served::provider(&[]);
    let (old, new) = ("planted-secret-of-32-characters!", "planted-secret-that-came-later!!");
    let key: String = note_name(&CookieSecret::new(old)).iter().map(|byte| format!("{byte:02x}")).collect();
    let check = |first: &str, second: &str| {
        let variables = [
            ("AUTH_SECRET_1", first),
            ("AUTH_SECRET", second),
            ("AUTH_OIDC_ISSUER", issuer.as_str()),
            ("AUTH_OIDC_ID", "app"),
            ("AUTH_OIDC_SECRET", "planted client secret"),
            ("AUTH_OIDC_SCOPE", "openid offline_access"),
        ];
        let done = run(&[&UPSTREAM[..], &["--store", &redis.url()]].concat(), &variables);
        assert_eq!(done.code, Some(0), "a warning is no failure: {done:?}");
        assert!(!format!("{done:?}").contains("planted"), "{done:?}");
        done.out
    };
    let warning = "WARNING: secret 2 is newer than the first";
    assert!(!check(old, new).contains("WARNING"), "both are new to the store");
    // Version, expiry (in the year 2039) and the moment in which a gateway first saw it, as it would have written them.
    let note = format!("versions{}{}", "\0\0\u{2}\0\0\0\0\0", 1_000);
    redis.ask(&["SET", &format!("perennial:r:{key}"), &note]).expect("written");
    let told = check(old, new);
    assert!(told.contains(warning), "{told}");
    assert!(!check(new, old).contains("WARNING"), "in front");
    assert_eq!(redis.ask(&["DBSIZE"]).as_deref(), Ok("1"), "asking notes nothing");
}
