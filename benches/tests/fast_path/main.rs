//! What a request costs whose session is carried by its cookie while nothing is due: no store access, and few allocations.

use std::sync::Arc;

use http::Method;
use perennial::{Clock as _, Door, Entry, SessionStrategy};
use perennial_bench::{InstantProvider, ManualClock, Sealer, engine, headers, person};

mod silent;

use silent::Silent;

/// A cookie that this process has never seen is decrypted, and its claims are read: most are names and values of JSON.
const COLD: u64 = 70;

/// A cookie that it has seen is compared with what it remembers: a few for the cookies of the request and the answer.
const SEEN: u64 = 8;

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

fn counted(enter: impl FnOnce() -> Entry) -> u64 {
    let mut entry = None;
    let counted = allocation_counter::measure(|| entry = Some(enter()));
    let entry = entry.expect("it ran");
    assert!(entry.session.is_some() && entry.set_cookies.is_empty(), "{entry:?}");
    counted.count_total
}
