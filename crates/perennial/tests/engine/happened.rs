//! "Why was this user signed out?": every outcome leaves its entry in the record, and its count in the metrics.

use std::sync::atomic::Ordering;
use std::time::Duration;

use perennial::explain::{ExplainError, Explanation};
use perennial::provider::RefreshClass;
use perennial::{AuthBuilder, Event, RenewalPolicy, SessionStrategy};
use serde_json::Value;

use crate::support::{DEAD, DUE, Engine, Flaky, World, eventually};

fn impatient(auth: AuthBuilder) -> AuthBuilder {
    let policy = RenewalPolicy {
        call_deadline: Duration::from_millis(300),
        wait_max: Duration::from_millis(600),
        ..Default::default()
    };
    auth.renewal(policy).replica_name("a")
}

/// Alice's session, by the name that logs and headers have for it.
fn alices(engine: &Engine) -> String {
    let signed_in = |event| if let Event::SignedIn { session, .. } = event { Some(session) } else { None };
    engine.events().into_iter().find_map(signed_in).expect("Alice signed in")
}

async fn explained(engine: &Engine, session: &str) -> Explanation {
    engine.auth.explain(session).await.expect("the store answers").expect("there is a record")
}

fn counted(engine: &Engine, series: &str) -> bool {
    engine.auth.metrics().lines().any(|line| line == series)
}

/// Entries as `renewal renewed` or `ended signed_out`, newest first.
fn outcomes(explained: &Explanation) -> Vec<String> {
    explained.entries.iter().map(|entry| format!("{} {}", entry.what, entry.outcome)).collect()
}

#[tokio::test]
async fn each_outcome_leaves_its_entry_and_its_count() {
    type Answer = (Option<u16>, Option<&'static str>);
    let table: [(&str, &str, Answer, &str); 8] = [
        ("", "renewed", (None, None), "signed_in"),
        ("respond_status=429", "not_processed", (Some(429), Some("temporarily_unavailable")), "signed_in"),
        ("cut_reply=1", "in_doubt", (None, None), "in_doubt"),
        ("lose_reply=1", "in_doubt", (None, None), "in_doubt"),
        ("delay_ms=2000", "in_doubt", (None, None), "in_doubt"),
        ("invalid_client=1", "misconfigured", (Some(401), Some("invalid_client")), "signed_in"),
        ("unplugged", "not_sent", (None, None), "signed_in"),
        ("revoked", "refused", (Some(400), Some("invalid_grant")), "refused"),
    ];
    for (script, outcome, answer, state) in table {
        let world = World::of(RefreshClass::SingleUse, impatient).await;
        let browser = world.alice().await;
        let session = alices(&world.engine);
        match script {
            "unplugged" => world.wire.unplug(true),
            "revoked" => assert!(world.provider.revoke_family(world.provider.families()[0].id)),
            script => world.provider.script(&format!("{script},grant=refresh_token")).expect("a script"),
        }
        world.clock.advance(DUE);
        browser.get("/me").await;
        world.engine.auth.drain().await;

        let told = explained(&world.engine, &session).await;
        assert_eq!(outcomes(&told), [format!("renewal {outcome}"), "signed_in signed_in".to_owned()], "{script}");
        let entry = &told.entries[0];
        assert_eq!((entry.status, entry.error.as_deref()), answer, "{script}");
        assert_eq!((entry.reason.as_deref(), entry.replica.as_deref()), (Some("ahead_of_time"), Some("a")), "{script}");
        assert_eq!(entry.generation, u64::from(outcome == "renewed"), "{script}");
        assert_eq!(entry.attempt.as_ref().map(String::len), Some(6), "{script}");
        assert!(entry.expires_at.is_some() && entry.resend.is_none(), "{script}: {entry:?}");
        assert_eq!(told.state, state, "{script}");
        let series =
            format!(r#"perennial_renewals_total{{provider="oidc",reason="ahead_of_time",outcome="{outcome}"}} 1"#);
        assert!(counted(&world.engine, &series), "{series} in {}", world.engine.auth.metrics());
        assert!(counted(&world.engine, r#"perennial_sign_ins_total{provider="oidc"} 1"#), "{script}");
    }
}

#[tokio::test]
async fn a_lost_answer_and_then_a_refusal_is_told_as_that_and_counted_as_a_loss() {
    let world = World::of(RefreshClass::SingleUse, impatient).await;
    let browser = world.alice().await;
    let session = alices(&world.engine);
    world.provider.script("lose_reply=1,grant=refresh_token").expect("a script");
    world.clock.advance(DUE);
    browser.get("/me").await;
    // The access token dies, the request that got no answer is drained: one last try.
    world.clock.advance(DEAD);
    assert_eq!(browser.get("/me").await.status, 401);
    eventually("the end is written", || async { explained(&world.engine, &session).await.state == "ended" }).await;

    let told = explained(&world.engine, &session).await;
    let expected = ["ended refused", "renewal refused", "renewal in_doubt", "signed_in signed_in"];
    assert_eq!(outcomes(&told), expected);
    assert_eq!(told.entries[1].resend.as_deref(), Some("last_resort"));
    assert_eq!(told.entries[1].reason.as_deref(), Some("expired"));
    let headline = &told.story[0];
    for part in ["Signed out", "(invalid_grant) after an answer was lost at", "by replica a", "was used up until"] {
        assert!(headline.contains(part), "{part} in {headline}");
    }
    assert_eq!(told.advice.expect("advice").docs, "docs/renewal.md#settings-at-the-provider");
    let metrics = world.engine.auth.metrics();
    for series in [
        r#"perennial_renewals_lost_total{provider="oidc",cause="refused_after_doubt"} 1"#,
        r#"perennial_renewals_lost_total{provider="oidc",cause="refused"} 0"#,
        r#"perennial_sessions_ended_total{reason="refused"} 1"#,
        r#"perennial_resends_total{provider="oidc",reason="last_resort"} 1"#,
        "perennial_tombstones 1",
    ] {
        assert!(counted(&world.engine, series), "{series} in {metrics}");
    }
}

#[tokio::test]
async fn a_refusal_out_of_the_blue_is_told_as_the_providers_doing() {
    let world = World::of(RefreshClass::Reusable, impatient).await;
    let browser = world.alice().await;
    let session = alices(&world.engine);
    world.provider.revoke_family(world.provider.families()[0].id);
    world.clock.advance(DEAD);
    assert_eq!(browser.get("/me").await.status, 401);
    eventually("the end is written", || async { explained(&world.engine, &session).await.state == "ended" }).await;
    let told = explained(&world.engine, &session).await;
    assert!(told.story[0].contains("the provider itself has ended the grant"), "{:?}", told.story);
    assert!(counted(&world.engine, r#"perennial_renewals_lost_total{provider="oidc",cause="refused"} 1"#));
}

#[tokio::test]
async fn ends_that_somebody_wanted_are_no_losses() {
    let world = World::of(RefreshClass::Reusable, impatient).await;
    let browser = world.alice().await;
    let session = alices(&world.engine);
    browser.post("/auth/signout", &[]).await;
    let told = explained(&world.engine, &session).await;
    assert_eq!(outcomes(&told), ["ended signed_out", "signed_in signed_in"]);
    assert!(told.story[0].ends_with("by the user.") && told.advice.is_none(), "{told:?}");
    assert!(counted(&world.engine, r#"perennial_sessions_ended_total{reason="signed_out"} 1"#));
    let lost = world.engine.auth.metrics();
    let lost = lost.lines().filter(|line| line.starts_with("perennial_renewals_lost_total"));
    assert!(
        lost.clone().count() == 4 && lost.clone().all(|line| line.ends_with(" 0")),
        "{:?}",
        lost.collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_renewed_id_token_about_somebody_else_is_a_loss() {
    let world = World::of(RefreshClass::Reusable, impatient).await;
    let browser = world.alice().await;
    let session = alices(&world.engine);
    world.provider.script("defect=sub,grant=refresh_token").expect("a script");
    world.clock.advance(DUE);
    assert_eq!(browser.get("/me").await.status, 401);
    let told = explained(&world.engine, &session).await;
    assert_eq!(outcomes(&told), ["ended identity_changed", "renewal renewed", "signed_in signed_in"]);
    assert!(counted(&world.engine, r#"perennial_renewals_lost_total{provider="oidc",cause="identity_changed"} 1"#));
}

/// An engine dies while the provider's answer is on its way. Its successor refuses to guess, and the record says which attempt
/// of which replica was never heard of again.
#[tokio::test]
async fn an_attempt_that_died_with_its_process_stays_in_the_history() {
    let shared = Flaky::new();
    let mut world = World::on(shared.clone(), RefreshClass::SingleUse, |auth| auth.replica_name("first")).await;
    let browser = world.alice().await;
    let session = alices(&world.engine);
    world.clock.advance(DUE);
    world.wire.hold();
    let caller = tokio::spawn({
        let browser = browser.copy();
        async move { tokio::time::timeout(Duration::from_secs(20), browser.get("/data")).await }
    });
    world.wire.answered(1).await;
    world.crash().await;
    assert!(caller.await.is_err_and(|error| error.is_panic()), "there was no answer");
    world.wire.release();
    let next = world.another_engine(shared, |auth| impatient(auth).replica_name("second"));
    let told = explained(&next, &session).await;
    assert_eq!((outcomes(&told)[0].as_str(), told.state.as_str()), ("renewal begun", "renewing"));
    assert!(told.story[0].contains("being renewed by replica first"), "{:?}", told.story);

    // Past the lease and the drain, with the access token dead.
    world.clock.advance(DEAD);
    let browser = browser.reaching(&next);
    assert_eq!(browser.get("/me").await.status, 401);
    eventually("the end is written", || async { explained(&next, &session).await.state == "ended" }).await;
    let told = explained(&next, &session).await;
    assert_eq!(outcomes(&told), ["ended refused", "renewal refused", "renewal begun", "signed_in signed_in"]);
    assert_eq!(told.entries[1].replica.as_deref(), Some("second"));
    assert!(told.story[0].contains("nothing was heard again of a renewal by replica first"), "{:?}", told.story);
    assert!(counted(&next, r#"perennial_renewals_lost_total{provider="oidc",cause="refused_after_doubt"} 1"#));
}

#[tokio::test]
async fn a_history_costs_no_write_of_its_own() {
    let store = Flaky::new();
    let world = World::on(store.clone(), RefreshClass::SingleUse, impatient).await;
    let browser = world.alice().await;
    let stale = browser.copy();
    assert_eq!(store.swaps.load(Ordering::SeqCst), 1, "the first record");
    world.clock.advance(DUE);
    browser.get("/me").await;
    assert_eq!(store.swaps.load(Ordering::SeqCst), 3, "an intent and its outcome");
    stale.get("/me").await;
    assert_eq!(store.swaps.load(Ordering::SeqCst), 3, "a stale cookie is saved by reading");
    browser.post("/auth/signout", &[]).await;
    assert_eq!(store.swaps.load(Ordering::SeqCst), 4, "the tombstone");
    let told = explained(&world.engine, &alices(&world.engine)).await;
    // A handle is never stale.
    let saved = u32::from(crate::STRATEGY == SessionStrategy::Jwt);
    assert_eq!(told.entries[0].stale_cookies, saved, "told with the next write: {told:?}");
}

#[tokio::test]
async fn whoever_waits_for_a_renewal_is_counted() {
    let world = World::of(RefreshClass::SingleUse, |auth| auth).await;
    let browser = world.alice().await;
    let session = alices(&world.engine);
    world.clock.advance(DEAD);
    world.wire.hold();
    let first = browser.copy();
    let first = tokio::spawn(async move { first.get("/me").await.status });
    world.wire.answered(1).await;
    assert!(counted(&world.engine, "perennial_flights 1"), "{}", world.engine.auth.metrics());
    let tabs: Vec<_> = (0..4).map(|_| browser.copy()).collect();
    let waiting = futures_util::future::join_all(tabs.iter().map(|tab| tab.get("/me")));
    let released = async {
        let aboard = || async { counted(&world.engine, "perennial_requests_waiting 5") };
        eventually("all are aboard", aboard).await;
        world.wire.release();
    };
    let ((), answers) = tokio::join!(released, waiting);
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(first.await.expect("answered"), 200);
    world.engine.auth.drain().await;
    let told = explained(&world.engine, &session).await;
    assert_eq!((told.entries[0].reason.as_deref(), told.entries[0].waiters), (Some("expired"), 4));
    assert!(counted(&world.engine, "perennial_requests_waiting 0"));
    assert!(counted(&world.engine, r#"perennial_renewal_waiters_bucket{le="1.0"} 0"#));
    assert!(counted(&world.engine, r#"perennial_renewal_waiters_bucket{le="5.0"} 1"#));
}

#[tokio::test]
async fn a_long_life_stays_within_sixteen_entries_and_remembers_its_sign_in() {
    let world = World::of(RefreshClass::SingleUse, impatient).await;
    let browser = world.alice().await;
    let session = alices(&world.engine);
    for _ in 0..20 {
        world.clock.advance(DUE);
        browser.get("/me").await;
    }
    let told = explained(&world.engine, &session).await;
    assert!((10..=16).contains(&told.entries.len()), "{}", told.entries.len());
    assert_eq!(u32::try_from(told.entries.len()).expect("few") + told.dropped, 21);
    assert_eq!((told.generation.0, told.entries[0].generation), (20, 20));
    assert_eq!(told.entries.last().map(|entry| entry.what.as_str()), Some("signed_in"));
}

#[tokio::test]
async fn an_outage_of_the_store_is_counted_and_its_alarm_told_once_a_minute() {
    let store = Flaky::new();
    let world = World::on(store.clone(), RefreshClass::Reusable, impatient).await;
    let browser = world.alice().await;
    world.engine.events();
    store.fail(true);
    world.clock.advance(DUE);
    let mut told = 0;
    for _ in 0..4 {
        browser.get("/me").await;
        let alarm = |event: &Event| matches!(event, Event::Alarm { code: "store_unavailable", .. });
        told += world.engine.events().iter().filter(|event| alarm(event)).count();
        world.clock.advance(Duration::from_secs(5));
    }
    assert_eq!(told, 1);
    store.fail(false);
    let metrics = world.engine.auth.metrics();
    for series in [
        r#"perennial_alarms_total{code="store_unavailable"} 4"#,
        r#"perennial_store_errors_total{operation="load",code="store_corrupt"} 4"#,
    ] {
        assert!(counted(&world.engine, series), "{series} in {metrics}");
    }
}

#[tokio::test]
async fn a_suspended_request_is_counted_and_the_provider_is_shown_as_held() {
    let world = World::of(RefreshClass::Reusable, impatient).await;
    // So many failures in a row concern everybody.
    let browsers = [world.alice().await, world.alice().await, world.alice().await];
    world.provider.script("respond_status=429,retry_after_seconds=3,grant=refresh_token").expect("a script");
    world.clock.advance(DEAD);
    for browser in &browsers {
        assert_eq!(browser.get("/data").await.status, 503);
    }
    let metrics = world.engine.auth.metrics();
    for series in
        [r#"perennial_requests_suspended_total{provider="oidc"} 3"#, r#"perennial_provider_held{provider="oidc"} 1"#]
    {
        assert!(counted(&world.engine, series), "{series} in {metrics}");
    }
    assert!(metrics.contains(r#"perennial_clock_skew_seconds{host="127.0.0.1"}"#), "{metrics}");
    world.clock.advance(Duration::from_secs(10));
    assert!(counted(&world.engine, r#"perennial_provider_held{provider="oidc"} 0"#));
}

/// A provider that puts the refresh token where its error code belongs must not have us write it into logs and records.
#[tokio::test]
async fn an_error_code_that_repeats_the_refresh_token_is_not_written_down() {
    fn echoing(mut answer: Value) -> Value {
        if let Some(token) = answer["refresh_token"].as_str().map(str::to_owned) {
            // From now on this is no token answer any more.
            answer = serde_json::json!({ "error": token });
        }
        answer
    }
    let world = World::of(RefreshClass::Reusable, impatient).await;
    let browser = world.alice().await;
    let session = alices(&world.engine);
    // Reusable: what comes back is the token that was sent.
    world.wire.tamper(Some(echoing));
    world.clock.advance(DUE);
    browser.get("/me").await;
    let told = explained(&world.engine, &session).await;
    assert_eq!((told.entries[0].what.as_str(), &told.entries[0].error), ("renewal", &None), "{told:?}");
    assert_ne!(told.entries[0].outcome, "renewed");
    let told = format!("{told:?}");
    let heard: Vec<String> = world.wire.secrets().into_iter().filter(|secret| secret.starts_with("rt_")).collect();
    assert!(!heard.is_empty());
    for token in heard {
        assert!(!told.contains(&token[..12]), "{told}");
    }
}

#[tokio::test]
async fn what_is_no_session_is_told_apart_from_one_that_is_unknown() {
    let world = World::start().await;
    let auth = &world.engine.auth;
    assert!(auth.explain("AAAAAAAAAAAA").await.expect("the store answers").is_none());
    for junk in ["", "short", "AAAAAAAAAAAAA", "AAAAAAAAAAAAAAAA", "AAAA AAAAAAA", "../../secret"] {
        let error = auth.explain(junk).await.expect_err("no fingerprint");
        assert!(matches!(error, ExplainError::NoFingerprint), "{junk}: {error}");
    }
}

/// Everything in a record that is not sealed.
#[tokio::test]
async fn nothing_of_the_user_is_in_the_clear_part_of_a_record() {
    let store = Flaky::new();
    let world = World::on(store.clone(), RefreshClass::SingleUse, impatient).await;
    let browser = world.alice().await;
    for script in ["", "lose_reply=1", "invalid_client=1"] {
        world.provider.script(&format!("{script},grant=refresh_token")).expect("a script");
        world.clock.advance(DUE);
        browser.get("/me").await;
    }
    let mut record: Value = serde_json::from_str(&store.newest().await).expect("JSON");
    assert!(!record["sealed"].take().as_str().expect("text").is_empty());
    let clear = record.to_string();
    assert!(clear.contains("\"history\"") && clear.contains("signed_in"), "{clear}");
    let person = browser.get("/me").await.json()["claims"].to_string();
    for word in ["alice", "Alice", "Archer", "@"] {
        assert!(person.contains(word), "{word} is known: {person}");
        assert!(!clear.contains(word), "{word} in {clear}");
    }
    for secret in world.wire.secrets() {
        assert!(!clear.contains(&secret), "{secret} in {clear}");
    }
}
