//! TEMPORARY.
#![allow(missing_docs)]
use std::{sync::Arc, time::Duration};
use axum::{Router, routing::{get, post}, extract::{Path, Query}, response::IntoResponse};
use super::{assets, page::{Pages, Person}, seen::SessionSeen, state::{Story, now}, stream, view::*};
use perennial::{Renewal, RenewalReason as Reason, RenewalOutcome, Timestamp, Generation};

struct Minted { token: String, issued_at: i64, due_at: i64, expires_at: i64 }
fn ren(at: i64, g: u64, reason: Reason, ending: Option<Minted>, ms: u64, waiters: usize, o: RenewalOutcome) -> Renewal { let m = ending.as_ref(); let t = Timestamp::from_unix_millis; Renewal { at: t(at), session: "demo".into(), generation: Generation(g), reason, provider_time: Duration::from_micros(ms), waiters, outcome: o, access_token_fingerprint: m.map(|m| m.token.clone()), issued_at: m.map(|m| t(m.issued_at)), due_at: m.map(|m| t(m.due_at)), expires_at: m.map(|m| t(m.expires_at)) } }
fn minted(at: i64, life: i64) -> Minted {
    let h = ((at % 1_000_003) * 2_654_435) & 0xffff;
    Minted { token: format!("{h:04x}"), issued_at: at, due_at: at + life * 2 / 3, expires_at: at + life }
}
fn provider(n: u64, dead: bool) -> ProviderView {
    let o = |k: &str, l: &str, c, t: &str| Outcome { key: k.into(), label: l.into(), count: c, tone: if c > 0 { t.into() } else { String::new() } };
    ProviderView {
        outcomes: vec![o("rotated", "Rotated", n - 1, "good"), o("overlap", "Asked again, answered again", 0, "fault"), o("fault", "Failed on purpose", 3, "fault"), o("lost", "Reply lost on purpose", 0, "fault"), o("reuse", "Re-use: family revoked", u64::from(dead), "damage")],
        family: FamilyView { state: if dead { "revoked" } else { "alive" }.into(), words: if dead { "Revoked: a spent token came back.".into() } else { format!("Alive. {} refresh tokens so far, {} spent, 1 that counts.", n, n - 1) },
            hidden: if n > 12 { format!("{} older", n - 12) } else { String::new() },
            links: (n.saturating_sub(11).max(1)..=n).map(|g| Link { key: format!("r{g}"), state: if dead { "revoked" } else if g == n { "current" } else { "spent" }.into(), label: format!("refresh token {g}") }).collect() },
    }
}
pub async fn run(life: i64) {
    let story = Arc::new(Story::new());
    let t0 = now() - 96_000;
    let m = minted(t0, life);
    story.session(&SessionSeen { session: "demo".into(), name: "Alice Archer".into(), email: "alice@example.test".into(), generation: 1, token: m.token, issued_at: t0, due_at: m.due_at, expires_at: m.expires_at, started_at: t0, idle_until: t0 + 86_400_000*7, absolute_until: t0 + 86_400_000 * 30, cookie_bytes: 2312, chunks: 1 });
    for (i, (reason, waiters)) in [(Reason::AheadOfTime, 0), (Reason::AheadOfTime, 0), (Reason::OnDemand, 0), (Reason::Expired, 49), (Reason::AheadOfTime, 0), (Reason::AheadOfTime,0)].into_iter().enumerate() {
        let at = t0 + (i as i64 + 1) * 13_500;
        story.renewal(&ren(at, i as u64 + 2, reason, Some(minted(at, life)), 3_000 + 2700 * i as u64, waiters, RenewalOutcome::Renewed));
    }
    story.rescue("demo", 3, 7);
    story.renewal(&ren(now(), 7, Reason::AheadOfTime, None, 2000, 0, RenewalOutcome::Kept { why: "not_processed" }));
    for i in 0..60 { story.tick(Tick { second: i, app: if i == 40 { 50 } else { 1 + (i % 3) as u32 }, redeemed: u32::from(i % 13 == 1) }); }
    story.provider("demo", provider(7, false));
    story.action("demo", ActionView { name: "storm".into(), state: Progress::Held, text: "50 requests, 1 redemption, 50 answered, slowest 14 ms after the provider.".into(), percent: Some(100) });
    story.action("demo", ActionView { name: "outage".into(), state: Progress::Running, text: "The provider has been down for 4 s: 21 requests, all answered with the token that still counts; 2 attempts refused with 503.".into(), percent: Some(40) });
    story.action("demo", ActionView { name: "theft".into(), state: Progress::Lost, text: "The provider revoked the family of 9 tokens. The thief got nothing; you are asked to sign in again.".into(), percent: Some(100) });
    let s2 = story.clone();
    tokio::spawn(async move { let mut g = 7; loop { tokio::time::sleep(Duration::from_millis(13_500)).await; g += 1; s2.renewal(&ren(now(), g, Reason::AheadOfTime, Some(minted(now(), life)), 4000, 0, RenewalOutcome::Renewed)); s2.provider("demo", provider(g, false)); } });
    let s3 = story.clone();
    tokio::spawn(async move { let mut i = 60; loop { tokio::time::sleep(Duration::from_secs(1)).await; i += 1; s3.tick(Tick { second: i, app: 1, redeemed: u32::from(i % 13 == 1) }); } });
    let pages = Pages::new(vec![Person { hint: "alice", name: "Alice" }, Person { hint: "bob", name: "Bob" }, Person { hint: "carol", name: "Carol" }], Duration::from_secs(life as u64/1000), "http://localhost:4201");
    let (s4, p2) = (story.clone(), pages.clone());
    let s5 = story.clone();
    let s6 = story.clone();
    let app = Router::new()
        .route("/", get(async move || { let shown = s4.snapshot("demo"); let session = shown.session.clone().expect("scripted"); p2.home(&shown, &session) }))
        .route("/out", get(async move || pages.welcome(None)))
        .route("/end", get(async move || { s6.renewal(&ren(now(), 7, Reason::AheadOfTime, None, 3000, 0, RenewalOutcome::Refused)); s6.provider("demo", provider(7, true)); "" }))
        .route("/demo/me", get(async || "{}"))
        .route("/auth/refresh", post(async || "{}"))
        .route("/demo/api/events", get(async move || stream::events(s5.clone(), "demo".into())))
        .route("/demo/api/actions/{name}", post(async |Path(_): Path<String>, Query(()): Query<()>| "{}".into_response()))
        .route("/demo/assets/{file}", get(assets::asset));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:4210").await.expect("port");
    axum::serve(listener, app).await.expect("serve");
}
