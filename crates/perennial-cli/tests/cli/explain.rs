//! `perennial explain` on a file, on Redis and PostgreSQL, through a gateway that has the file open, and by a cookie.

use std::time::Duration;

use perennial::explain::CookieFacts;
use perennial::record::{
    Attempt, EndReason, Entry, Intent, Phase, Record, RenewalEntry, RenewalReason, RenewalVerdict, What,
};
use perennial::store::{RecordKey, Swap};
use perennial::{Clock, Generation, SystemClock, SystemRandom, Timestamp};
use perennial_testservers::{PostgresServer, RedisServer};
use serde_json::{Value, json};

use crate::harness::{Done, SECRET, Served, get, run, run_with_input};

const KEY: &[(&str, &str)] = &[("AUTH_SECRET", SECRET)];

/// The first nine bytes of a record's key, as logs show them.
const SESSION: &str = "c2Vzc2lvbi0x";

const HOUR: Duration = Duration::from_secs(3600);

fn entry(at: Timestamp, what: What) -> Entry {
    Entry { at, generation: Generation(3), expires_at: Some(at + HOUR), stale_cookies: 0, fork: None, what }
}

/// A session that was lost three hours ago, after an answer about its refresh token had got lost.
fn lost(now: Timestamp) -> Record {
    let renewal = |verdict, error: Option<&str>, replica| {
        let intent = Intent {
            attempt: Attempt::new(&SystemRandom),
            fence: 1,
            started: now,
            lease_until: now,
            first_sent: now,
            drained_at: None,
            failures: 0,
            resend: None,
        };
        let begun = RenewalEntry::begun(&intent, RenewalReason::Expired, Some(replica));
        What::Renewal(RenewalEntry { verdict, error: error.map(str::to_owned), waiters: 2, ..begun })
    };
    let ended = Phase::Ended { at: now - HOUR * 3, reason: EndReason::Refused };
    [
        entry(now - HOUR * 9, What::SignedIn),
        entry(now - HOUR * 5, renewal(RenewalVerdict::InDoubt, None, "b")),
        entry(now - HOUR * 3, renewal(RenewalVerdict::Refused, Some("invalid_grant"), "a")),
        entry(now - HOUR * 3, What::Ended(EndReason::Refused)),
    ]
    .into_iter()
    .fold(Record::following(None, Generation(3), Vec::new(), ended), Record::noting)
}

/// Puts `record` into the store, a new file or that of a server, under the key that `session` is the beginning of.
fn put(store: &str, session: &str, record: &Record) {
    use base64::Engine as _;
    let prefix = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(session).expect("base64url");
    let mut key = [7; 32];
    key[..prefix.len()].copy_from_slice(&prefix);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let store = perennial::store::open(store).expect("a store");
        let now = SystemClock.now();
        let swap = store.compare_and_swap(RecordKey::from_digest(key), None, record.encode(), now + HOUR, now);
        assert!(matches!(swap.await, Ok(Swap::Stored(_))));
    });
}

fn told(done: &Done) -> &str {
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{done:?}");
    &done.out
}

#[test]
fn a_file_tells_why_the_user_was_signed_out_and_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sessions.redb");
    let store = path.to_str().expect("UTF-8");
    put(store, SESSION, &lost(SystemClock.now()));

    let done = run(&["explain", SESSION, "--store", store], &[]);
    let out = told(&done);
    for words in [
        "session c2Vzc2lvbi0x\n",
        "Signed out 3 h ago (",
        "because the provider refused the newest refresh token (invalid_grant) after an answer was lost at",
        "during a renewal by replica b",
        "the access token was used up until",
        "Signed in 9 h ago (",
        "What to do: Have the provider forgive a lost answer",
        "See docs/renewal.md#settings-at-the-provider.",
        "ended: refused",
        "renewal: refused, invalid_grant, expired, 2 waited, replica a, attempt ",
        "renewal: in_doubt, expired, 2 waited, replica b, attempt ",
    ] {
        assert!(out.contains(words), "{words} in {out}");
    }
    let order = ["ended: refused", "renewal: refused", "renewal: in_doubt", "  signed in"];
    let places: Vec<_> = order.iter().map(|words| out.find(words).expect("there")).collect();
    assert!(places.is_sorted(), "newest first: {out}");

    let done = run(&["explain", SESSION, "--store", store, "--json"], &[]);
    let json: Value = serde_json::from_str(told(&done)).expect("JSON");
    assert_eq!((&json["session"], &json["state"], &json["generation"]), (&SESSION.into(), &"ended".into(), &3.into()));
    assert_eq!(json["entries"].as_array().map(Vec::len), Some(4));
    assert_eq!(json["entries"][1]["error"], "invalid_grant");
    assert!(json["story"][0].as_str().expect("a sentence").starts_with("Signed out"), "{json}");
}

/// What a gateway has open can be read beside it, where the store is a server.
#[test]
fn a_server_tells_the_same_and_one_that_is_gone_is_said_to_be() {
    let (mut redis, mut postgres) = (RedisServer::start(), PostgresServer::start());
    let urls = [redis.url(), postgres.url()];
    for url in &urls {
        put(url, SESSION, &lost(SystemClock.now()));
        let done = run(&["explain", SESSION, "--store", url], &[]);
        assert!(told(&done).contains("because the provider refused the newest refresh token"), "{url}: {}", done.out);
        let done = run(&["explain", SESSION, "--store", url, "--json"], &[]);
        let json: Value = serde_json::from_str(told(&done)).expect("JSON");
        assert_eq!((&json["state"], json["entries"].as_array().map(Vec::len)), (&"ended".into(), Some(4)), "{url}");
        let done = run(&["explain", "AAAAAAAAAAAA", "--store", url], &[]);
        assert_eq!((done.code, done.err.as_str()), (Some(3), ""), "{url}: {done:?}");
    }
    redis.kill();
    postgres.kill();
    for (url, kind) in urls.iter().zip(["Redis", "PostgreSQL"]) {
        let done = run(&["explain", SESSION, "--store", url], &[]);
        assert_eq!((done.code, done.out.as_str()), (Some(1), ""), "{kind}: {done:?}");
        assert!(done.err.contains(kind), "{}", done.err);
        assert!(!done.err.contains("planted"), "no password is printed: {}", done.err);
    }
}

#[test]
fn a_running_gateway_is_asked_where_its_file_cannot_be_read_beside_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sessions.redb");
    let store = path.to_str().expect("UTF-8");
    put(store, SESSION, &lost(SystemClock.now()));
    let variables = [
        ("AUTH_SECRET", SECRET),
        ("AUTH_OIDC_ISSUER", "http://127.0.0.1:1"),
        ("AUTH_OIDC_ID", "app"),
        ("AUTH_OIDC_SECRET", "planted client secret"),
    ];
    let serve = ["serve", "--upstream", "http://127.0.0.1:1", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let mut gateway = Served::start(&[&serve[..], &["--store", store]].concat(), &variables);
    let line = gateway.until("admin=");
    let admin = line.split_once("admin=").expect("there").1.split_whitespace().next().expect("an address").to_owned();
    let url = format!("http://{admin}");

    let beside = run(&["explain", SESSION, "--store", store], &[]);
    assert_eq!(beside.code, Some(1), "{beside:?}");
    assert!(beside.err.contains("in use by process "), "{}", beside.err);
    let done = run(&["explain", SESSION, "--admin", &url], &[]);
    assert!(told(&done).contains("Signed out 3 h ago ("), "{}", done.out);
    let done = run(&["explain", SESSION, "--admin", &format!("{url}/"), "--json"], &[]);
    assert_eq!(serde_json::from_str::<Value>(told(&done)).expect("JSON")["state"], "ended");
    assert_eq!(run(&["explain", "AAAAAAAAAAAA", "--admin", &url], &[]).code, Some(3));
    let junk = run(&["explain", "nonsense", "--admin", &url], &[]);
    assert_eq!((junk.code, junk.err.contains("twelve")), (Some(1), true), "{}", junk.err);

    // Over is over: to end it once more changes nothing, and what is not there cannot be ended.
    let done = run(&["end", "--fingerprint", SESSION, "--admin", &url], &[]);
    assert_eq!(told(&done), "The session is over.\n");
    let done = run(&["end", "--provider", "oidc", "--sub", "alice", "--admin", &url], &[]);
    assert_eq!(told(&done), "All sessions of the user are over.\n");
    for user in [["--provider", "nobody", "--sub", "alice"], ["--issuer", "https://id.example", "--sub", "alice"]] {
        let done = run(&[&["end", "--admin", &url][..], &user].concat(), &[]);
        assert_eq!((done.code, done.out.contains("no provider of this id or issuer")), (Some(3), true), "{done:?}");
    }

    let metrics = get(admin.parse().expect("an address"), "/metrics");
    assert!(metrics.contains("application/openmetrics-text") && metrics.contains("perennial_build_info"), "{metrics}");
    let address = gateway_address(&gateway.seen);
    assert!(!get(address, "/metrics").contains("perennial_build_info"), "the public port has no metrics");
    gateway.terminate();
    assert_eq!(gateway.code(), Some(0));
}

fn gateway_address(lines: &[String]) -> std::net::SocketAddr {
    let line = lines.iter().find(|line| line.contains("listen=")).expect("it says where it listens");
    line.split_once("listen=").and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok()).expect("an address")
}

#[test]
fn a_cookie_on_standard_input_names_its_session() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sessions.redb");
    let store = path.to_str().expect("UTF-8");
    let claims = json!({"sub": "alice", "refresh_token": "pl4nted", "access_token": "pl4nted", "jti": "j"});
    let sealed = run_with_input(&["cookie", "seal"], KEY, &claims.to_string());
    let header = format!("Cookie: {}", told(&sealed).trim());
    let session = CookieFacts::of(claims.as_object().expect("an object").clone()).expect("a session").session;

    drop(perennial::store::open(store).expect("a new file"));
    let unknown = run_with_input(&["explain", "-", "--store", store], KEY, &header);
    assert_eq!((unknown.code, unknown.err.as_str()), (Some(3), ""), "{unknown:?}");
    for words in [&*session, "no record of this session", "Its cookie opens and holds generation 0"] {
        assert!(unknown.out.contains(words), "{words} in {}", unknown.out);
    }

    put(store, &session, &lost(SystemClock.now()));
    let done = run_with_input(&["explain", "-", "--store", store], KEY, &header);
    let out = told(&done);
    assert!(out.contains("Signed out 3 h ago (") && out.contains("The cookie holds generation 0"), "{out}");
    assert!(out.contains("the record has the newer generation 3"), "{out}");
    assert!(!out.contains("pl4nted") && !unknown.out.contains("pl4nted"), "{out}");
}

#[test]
fn what_cannot_be_told_is_said_in_a_sentence() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sessions.redb");
    let store = path.to_str().expect("UTF-8");
    drop(perennial::store::open(store).expect("a new file"));
    // arguments, variables, standard input, exit code, words
    for (args, variables, input, code, words) in [
        (&["explain", "AAAAAAAAAAAA", "--store", store][..], &[][..], "", 3, "it is kept for max_age and an hour"),
        (&["explain", "AAAAAAAAAAAA", "--store", store, "--json"], &[], "", 3, "\"state\":\"unknown\""),
        (&["explain", "AAAAAAAAAAAA", "--store", "memory:"], &[], "", 3, "with memory: it ends with the process"),
        (&["explain", "too-short", "--store", store], &[], "", 1, "twelve"),
        (&["explain", "AAAAAAAAAAAA", "--admin", "http://127.0.0.1:1"], &[], "", 1, "start the gateway with --admin"),
        (&["explain", "AAAAAAAAAAAA", "--admin", "not a url"], &[], "", 1, "no URL of an admin listener"),
        (&["explain", "AAAAAAAAAAAA", "--store", "nowhere.redb"], &[], "", 1, "nowhere.redb does not exist"),
        (&["explain", "AAAAAAAA/../", "--admin", "http://127.0.0.1:1"], &[], "", 1, "twelve"),
        (&["explain", "AAAAAAAAAAAA", "--store", "nosuch://x"], &[], "", 1, "unknown scheme"),
        (&["explain", "-", "--store", store], &[], "authjs.session-token=x", 1, "AUTH_SECRET"),
        (&["explain", "-", "--store", store], KEY, "theme=dark", 1, "no cookie called authjs.session-token"),
        (&["explain", "-", "--store", store], KEY, "authjs.session-token=eyJ.x.y.z.w", 1, "perennial: "),
        (
            &["end", "--fingerprint", "AAAAAAAAAAAA", "--admin", "http://127.0.0.1:1"],
            &[],
            "",
            1,
            "no admin listener answers",
        ),
        (&["end", "--sub", "alice"], &[], "", 2, "--provider"),
        (&["end"], &[], "", 2, "--fingerprint"),
        (&["explain"], &[], "", 2, "<SESSION>"),
        (&["explain", "AAAAAAAAAAAA", "--store", "x", "--admin", "http://h"], &[], "", 2, "cannot be used with"),
    ] {
        let done = run_with_input(args, variables, input);
        assert_eq!(done.code, Some(code), "{args:?}: {done:?}");
        assert!(done.out.contains(words) || done.err.contains(words), "{args:?} does not say {words}: {done:?}");
    }
}
