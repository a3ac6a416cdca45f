//! Many requests with one cookie at the moment when its access token has died: what is done once, and what for each.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use perennial::provider::RefreshClass;
use perennial::{SecureRandom, SessionStrategy, SystemRandom};
use tokio::task::JoinHandle;

use crate::STRATEGY;
use crate::support::{Answer, Browser, DEAD, Engine, Flaky, World, eventually};

/// Counts how often randomness is drawn: once for each seal, and otherwise seldom.
#[derive(Clone, Default)]
struct Counted(Arc<AtomicUsize>);

impl SecureRandom for Counted {
    fn fill(&self, out: &mut [u8]) {
        self.0.fetch_add(1, Ordering::SeqCst);
        SystemRandom.fill(out);
    }
}

/// Sends `crowd` requests with this browser's cookies to an engine, and resolves when all of them wait there.
async fn gathered(browser: &Browser, engine: &Engine, crowd: usize) -> Vec<JoinHandle<(Answer, Browser)>> {
    let requests = (0..crowd).map(|_| {
        let browser = browser.copy().reaching(engine);
        tokio::spawn(async move { (browser.get("/data").await, browser) })
    });
    let requests = requests.collect();
    let waiting = format!("perennial_requests_waiting {crowd}\n");
    eventually("all wait", || async { engine.auth.metrics().contains(&waiting) }).await;
    requests
}

/// With what they come back.
async fn answered(requests: Vec<JoinHandle<(Answer, Browser)>>) -> Vec<(Answer, Browser)> {
    futures_util::future::try_join_all(requests).await.expect("answered")
}

/// What a storm of `crowd` requests draws of randomness; all get one token and one cookie.
async fn drawn_in_a_storm(crowd: usize) -> usize {
    let drawn = Counted::default();
    let world = World::of(RefreshClass::Family, |auth| auth.random(drawn.clone())).await;
    let browser = world.alice().await;
    world.clock.advance(DEAD);
    world.wire.hold();
    let before = drawn.0.load(Ordering::SeqCst);
    let requests = gathered(&browser, &world.engine, crowd).await;
    world.wire.answered(1).await;
    world.wire.release();
    let answers = answered(requests).await;
    let bearers: BTreeSet<_> = answers.iter().map(|(answer, _)| answer.bearer()).collect();
    let cookies: BTreeSet<_> = answers.iter().map(|(_, browser)| browser.session_cookie()).collect();
    assert_eq!((bearers.len(), cookies.len(), world.redemptions()), (1, 1, 1), "{crowd} requests");
    let renewed = cookies.first() != Some(&browser.session_cookie());
    assert_eq!(renewed, STRATEGY == SessionStrategy::Jwt, "a handle stays what it is");
    drawn.0.load(Ordering::SeqCst) - before
}

#[tokio::test]
async fn a_renewal_is_sealed_once_however_many_wait_for_it() {
    assert_eq!(drawn_in_a_storm(3).await, drawn_in_a_storm(90).await);
}

#[tokio::test]
async fn three_replicas_with_a_crowd_each_ask_their_store_a_handful_of_times() {
    let store = Flaky::new();
    let world = World::on(store.clone(), RefreshClass::Family, |auth| auth).await;
    let others = [(); 2].map(|()| world.another_engine(store.clone(), |auth| auth));
    let browser = world.alice().await;
    world.clock.advance(DEAD);
    world.wire.hold();
    let asked = || store.loads.load(Ordering::SeqCst) + store.swaps.load(Ordering::SeqCst);
    let before = asked();
    let mut requests = gathered(&browser, &world.engine, CROWD).await;
    world.wire.answered(1).await;
    for other in &others {
        requests.extend(gathered(&browser, other, CROWD).await);
    }
    world.wire.release();
    let bearers: BTreeSet<_> = answered(requests).await.iter().map(|(answer, _)| answer.bearer()).collect();
    assert_eq!((bearers.len(), world.redemptions()), (1, 1));
    // Whose session lies in the store asks for it with each request, before anything else.
    let each = if STRATEGY == SessionStrategy::Database { 3 * CROWD } else { 0 };
    let shared = asked() - before - each;
    assert!(shared <= 3 * 6, "{shared} for three renewals or waits for one");
}

#[tokio::test]
async fn the_tokens_are_written_without_a_look_at_the_record_in_between() {
    let store = Flaky::new();
    let world = World::on(store.clone(), RefreshClass::Family, |auth| auth).await;
    let browser = world.alice().await;
    world.clock.advance(DEAD);
    world.wire.hold();
    let requests = gathered(&browser, &world.engine, 1).await;
    world.wire.answered(1).await;
    let before = [&store.loads, &store.swaps].map(|asked| asked.load(Ordering::SeqCst));
    world.wire.release();
    answered(requests).await;
    let after = [&store.loads, &store.swaps].map(|asked| asked.load(Ordering::SeqCst));
    assert_eq!((after[0] - before[0], after[1] - before[1]), (0, 1), "loads and swaps");
}

#[tokio::test]
async fn of_a_crowd_of_visits_at_once_one_is_noted_in_the_record() {
    let store = Flaky::new();
    // The tokens outlive the time after which a visit is noted.
    let world = World::on(store.clone(), RefreshClass::Family, |auth| auth.update_age(NOTED)).await;
    let browser = world.alice().await;
    world.clock.advance(NOTED);
    store.hold_swaps(true);
    let before = store.swaps.load(Ordering::SeqCst);
    let visits: Vec<_> = (0..CROWD)
        .map(|_| {
            let browser = browser.copy();
            tokio::spawn(async move { (browser.visit("/").await, browser) })
        })
        .collect();
    // Whose session lies in the store waits until its visit is noted there; nobody else does.
    let served = || visits.iter().filter(|visit| visit.is_finished()).count();
    eventually("all others are served", || async { served() + 1 >= CROWD }).await;
    eventually("one is being noted", || async { store.swaps.load(Ordering::SeqCst) > before }).await;
    store.hold_swaps(false);
    let visitors = answered(visits).await;
    assert!(visitors.iter().all(|(answer, _)| answer.text() == "Alice Archer"));
    assert!(visitors.iter().any(|(_, visitor)| visitor.session_cookie() != browser.session_cookie()));
    assert_eq!(store.swaps.load(Ordering::SeqCst) - before, 1);
}

/// Requests at one engine.
const CROWD: usize = 40;

/// After this long a visit is noted.
const NOTED: Duration = Duration::from_secs(100);
