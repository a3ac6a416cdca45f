//! What a request costs whose session is carried by its cookie while nothing is due: no store access, and few allocations.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use perennial::{Clock as _, Door, Entry, SessionStrategy};
use perennial_bench::{InstantProvider, LIFETIME, ManualClock, Sealer, engine, headers, next_cookie, person};

mod silent;

use silent::Silent;

/// A cookie that this process has never seen is decrypted, and its claims are read: most are the texts of which a session is made.
const COLD: u64 = 40;

/// A cookie that it has seen is compared with what it remembers: what is remembered is handed out.
const SEEN: u64 = 2;

#[test]
fn nothing_due_touches_no_store_and_allocates_little() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (clock, store) = (ManualClock::default(), Arc::new(Silent::default()));
    let auth = engine(store.clone(), SessionStrategy::Jwt, &clock, &InstantProvider::default()).expect("it is right");
    let sealer = Sealer::new();
    let cookies: Vec<_> = (0..2).map(|_| headers(&sealer.whole(&person(clock.now()), clock.now()))).collect();
    let enter =
        |cookie: usize| -> Entry { runtime.block_on(auth.enter(&Method::GET, &cookies[cookie], Door::Ordinary)) };
    // The first request of a process listens for what ended elsewhere, and sets up what is set up once.
    assert!(enter(0).session.is_some());
    let settled = store.asked();

    let (cold, seen) = (counted(|| enter(1)), counted(|| enter(1)));
    assert!(cold <= COLD, "{cold} allocations for a cookie never seen before");
    assert!(seen <= SEEN, "{seen} allocations for a cookie seen before");
    assert_eq!(store.asked(), settled, "the store was asked");
}

/// The record is read once; then it is written with the intent, and again with the tokens.
#[test]
fn a_renewal_asks_the_store_three_times() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (clock, store, provider) = (ManualClock::default(), Arc::new(Silent::default()), InstantProvider::default());
    let auth = engine(store.clone(), SessionStrategy::Jwt, &clock, &provider).expect("it is right");
    let mut cookie = Sealer::new().whole(&person(clock.now()), clock.now());
    let mut renew = || {
        clock.advance(LIFETIME + Duration::from_secs(1));
        let before = store.asked();
        let entry = runtime.block_on(auth.enter(&Method::GET, &headers(&cookie), Door::Ordinary));
        assert!(entry.renewed, "{entry:?}");
        cookie = next_cookie(&entry).expect("a new generation");
        store.asked() - before
    };
    // The first has no record yet, and begins to listen for what ended elsewhere.
    renew();
    assert_eq!([renew(), renew()], [RENEWAL; 2]);
    assert_eq!(provider.redemptions(), 3);
}

const RENEWAL: u64 = 3;

fn counted(enter: impl FnOnce() -> Entry) -> u64 {
    let mut entry = None;
    let counted = allocation_counter::measure(|| entry = Some(enter()));
    let entry = entry.expect("it ran");
    assert!(entry.session.is_some() && entry.set_cookies.is_empty(), "{entry:?}");
    counted.count_total
}
