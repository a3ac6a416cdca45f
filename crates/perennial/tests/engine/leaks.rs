//! Nothing that opens a session or spends a token is ever written anywhere but where it belongs.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use perennial::cookie::{KeyRing, open};
use perennial::provider::RefreshClass;
use perennial::secret::CookieSecret;
use perennial::store::KeyPrefix;
use perennial::{Clock, RenewalPolicy};
use tracing_subscriber::filter::LevelFilter;

use crate::support::{Browser, CLIENT_SECRET, DEAD, DUE, SECRET, World};

#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Opens the session cookie as the engine would and takes out the session's id and key share.
fn id_and_share(world: &World, browser: &Browser) -> [String; 2] {
    let ring = KeyRing::new(&[CookieSecret::new(SECRET)], "authjs.session-token").expect("a secret");
    let opened = open(&ring, &browser.session_cookie(), world.clock.now()).expect("our cookie");
    ["sid", "key"].map(|name| opened.claims["perennial"][name].as_str().expect("text").to_owned())
}

/// A life with everything in it: sign-in, renewals, outages, a lost reply, refusals, a forged cookie, sign-out.
async fn live(world: &World) -> (Vec<String>, Vec<Browser>) {
    let browser = world.alice().await;
    let mut secrets: Vec<String> = id_and_share(world, &browser).into();
    secrets.push(browser.session_cookie());
    for script in [
        "",
        "lose_reply=1",
        "respond_status=500,respond_times=1",
        "invalid_client=1",
        "html=1",
        "oversized=1",
        "defect=sig,defect_times=1",
        "cut_reply=1",
    ] {
        world.provider.script(&format!("{script},grant=refresh_token")).expect("a script");
        world.clock.advance(DUE);
        browser.get_with("/me", &[("x-request-id", "request-4711"), ("traceparent", "00-4bf9-00f0-01")]).await;
        browser.post("/auth/refresh", &[]).await;
        browser.get("/auth/session").await;
        world.clock.advance(Duration::from_secs(60));
        browser.get("/").await;
        secrets.push(browser.session_cookie());
    }
    world.wire.unplug(true);
    world.clock.advance(DEAD);
    browser.get("/me").await;
    world.wire.unplug(false);
    let forger = world.browser();
    forger.set_cookie("authjs.session-token", &format!("{}x", browser.session_cookie()));
    forger.get("/me").await;
    let late = browser.begin_sign_in("alice", "/").await;
    let callback = browser.ask_provider(&late).await;
    forger.get(&callback).await;
    let refused = world.alice().await;
    world.provider.clear_faults();
    for family in world.provider.families() {
        world.provider.revoke_family(family.id);
    }
    world.clock.advance(DEAD);
    refused.get("/me").await;
    browser.post("/auth/signout", &[]).await;
    world.engine.auth.drain().await;
    secrets.extend([SECRET.to_owned(), CLIENT_SECRET.to_owned()]);
    secrets.push(STANDARD.encode(format!("app:{CLIENT_SECRET}")));
    (secrets, vec![browser, forger, refused])
}

#[tokio::test]
async fn no_token_key_or_secret_appears_in_logs_events_answers_or_redirects() {
    let output = Output::default();
    let writer = output.clone();
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .init();
    let world = World::of(RefreshClass::Reusable, |auth| {
        auth.renewal(RenewalPolicy { call_deadline: Duration::from_millis(300), ..Default::default() })
    })
    .await;

    let (secrets, browsers) = live(&world).await;

    let heard = world.wire.secrets();
    assert!(heard.iter().filter(|secret| secret.starts_with("rt_")).count() >= 2, "the line was listened to");
    let log = String::from_utf8_lossy(&output.0.lock().expect("no panic")).into_owned();
    assert!(log.contains("renewal failed") && log.contains("TRACE"), "the whole log was captured");
    // Other tests of this process write into the same log.
    let ours = |line: &&str| line.contains("renewal over") && line.contains("request-4711");
    let line = log.lines().find(ours).expect("a renewal that our request began came to its end");
    for field in [
        "request-4711",
        "00-4bf9-00f0-01",
        "renewal{session=",
        "provider=\"oidc\"",
        "reason=\"ahead_of_time\"",
        "attempt=",
        "generation=1",
    ] {
        assert!(line.contains(field), "{field} in {line}");
    }
    let events = format!("{:?}", world.engine.events());
    assert!(events.contains("Renewal"), "{events}");
    let told = what_operators_see(&world, &events).await;
    assert!(told.contains("invalid_client") && told.contains("perennial_renewals_total{"), "{told}");
    let raw_share = URL_SAFE_NO_PAD.decode(&secrets[1]).expect("base64url");
    let shown_share = format!("{raw_share:?}");
    for secret in secrets.iter().chain(&heard).chain([&shown_share]) {
        assert!(secret.len() >= 16, "long enough to mean something");
        assert!(!log.contains(secret.as_str()), "in the log: {}", around(&log, secret));
        assert!(!events.contains(secret.as_str()), "in the events");
        assert!(!told.contains(secret.as_str()), "in metrics, explanations or the clear part of a record: {told}");
    }
    for (path, answer) in browsers.iter().flat_map(Browser::seen) {
        // The way to the provider and back carries state and code, which are made to be seen there; tokens are not.
        let shown = format!("{} {}", answer.header("location"), String::from_utf8_lossy(&answer.body));
        let codes = |secret: &&String| answer.header("location").contains("code=") && !secret.starts_with("rt_");
        for secret in secrets.iter().chain(heard.iter().filter(|secret| !codes(secret))) {
            assert!(!shown.contains(secret.as_str()), "in the answer to {path}: {shown}");
        }
    }
}

/// The metrics, and of each session that signed in the record as the store has it, the explanation and its JSON.
async fn what_operators_see(world: &World, events: &str) -> String {
    let mut told = world.engine.auth.metrics();
    let names: Vec<&str> = events
        .split("SignedIn {")
        .skip(1)
        .filter_map(|event| event.split("session: \"").nth(1)?.split('"').next())
        .collect();
    assert_eq!(names.len(), 2, "{names:?}");
    for session in names {
        let explained =
            world.engine.auth.explain(session).await.expect("the store answers").expect("there is a record");
        told += &format!("\n{explained:?}\n{}", serde_json::to_string(&explained).expect("JSON"));
        let prefix = KeyPrefix::new(&URL_SAFE_NO_PAD.decode(session).expect("base64url")).expect("nine bytes");
        let found = world.store.find(prefix, world.clock.now()).await.expect("the store answers");
        told += &String::from_utf8_lossy(&found[0].1.bytes);
    }
    told
}

fn around<'a>(log: &'a str, secret: &str) -> &'a str {
    log.lines().find(|line| line.contains(secret)).unwrap_or_default()
}
