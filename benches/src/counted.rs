//! One step, so many times, for callgrind to count its instructions: `perennial-counted STEP TIMES`.
//!
//! What a process does before and after is the same however often the step is taken, so that the difference of two runs is the
//! step's own. `cargo xtask instructions` takes it.
#![allow(clippy::print_stdout, reason = "a program of the terminal")]

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;

use http::{HeaderMap, Method};
use perennial::cookie::open_as;
use perennial::record::{Record, join, open_state, seal_state};
use perennial::store::MemoryStore;
use perennial::{Auth, Clock as _, Door, RenewalPolicy, SessionStrategy, SystemClock, SystemRandom};
use perennial_bench::{InstantProvider, ManualClock, Sealer, engine, headers, person};
use perennial_core::renewal::decide;
use perennial_core::session::SessionClaims;
use tokio::runtime::{Builder, Runtime};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(name), times) = (arguments.next(), arguments.next().and_then(|times| times.parse().ok())) else {
        STEPS.iter().for_each(|(name, _)| println!("{name}"));
        return ExitCode::SUCCESS;
    };
    match (STEPS.iter().find(|(step, _)| *step == name), times) {
        (Some((_, take)), Some(times)) => {
            take(times);
            ExitCode::SUCCESS
        }
        _ => ExitCode::from(2),
    }
}

/// Takes its step so many times.
type Take = fn(usize);

const STEPS: [(&str, Take); 8] = [
    ("seal", seal_cookie),
    ("open", open_cookie),
    ("decide", decide_state),
    ("join", join_record),
    ("record-open", open_record),
    ("record-seal", seal_record),
    ("enter-cold", enter_cold),
    ("enter-seen", enter_seen),
];

fn seal_cookie(times: usize) {
    let (sealer, now) = (Sealer::new(), SystemClock.now());
    let state = person(now);
    (0..times).for_each(|_| drop(black_box(sealer.session(black_box(&state), now))));
}

fn open_cookie(times: usize) {
    let (sealer, now) = (Sealer::new(), SystemClock.now());
    let value = sealer.session(&person(now), now);
    let open = || open_as::<SessionClaims>(&sealer.cookie, black_box(&value), now);
    (0..times).for_each(|_| drop(black_box(open())));
}

/// A hundred decisions at a time: one alone is less than two processes differ by.
fn decide_state(times: usize) {
    let now = SystemClock.now();
    let (state, policy) = (person(now), RenewalPolicy::default());
    (0..times * 100).for_each(|_| {
        black_box(decide(black_box(&state), &policy, now));
    });
}

fn join_record(times: usize) {
    let (sealer, now) = (Sealer::new(), SystemClock.now());
    let state = person(now);
    let (_, bytes) = sealer.record(&state, now);
    (0..times).for_each(|_| {
        let record = Record::decode(black_box(&bytes)).ok();
        let _ = black_box(join(state.generation, record.as_ref()));
    });
}

fn open_record(times: usize) {
    let (sealer, now) = (Sealer::new(), SystemClock.now());
    let state = person(now);
    let (_, bytes) = sealer.record(&state, now);
    let record = Record::decode(&bytes).expect("just encoded");
    (0..times).for_each(|_| drop(black_box(open_state(&sealer.record, black_box(&record), &state.handle()))));
}

fn seal_record(times: usize) {
    let (sealer, now) = (Sealer::new(), SystemClock.now());
    let state = person(now);
    (0..times).for_each(|_| drop(black_box(seal_state(&sealer.record, black_box(&state), &SystemRandom))));
}

/// A cookie that this process has never seen. As many cookies are made in any case, so that making them is in no difference.
fn enter_cold(times: usize) {
    let hall = Hall::open();
    let cookies: Vec<_> = (0..COOKIES).map(|_| hall.cookie()).collect();
    assert!(times < COOKIES, "at most {COOKIES} times");
    cookies.iter().take(times + 1).for_each(|headers| hall.enter(headers));
}

/// Ten visits at a time, for the same reason.
fn enter_seen(times: usize) {
    let hall = Hall::open();
    let headers = hall.cookie();
    (0..=times * 10).for_each(|_| hall.enter(&headers));
}

/// The most that is asked for, and one to begin with.
const COOKIES: usize = 401;

struct Hall {
    auth: Auth,
    sealer: Sealer,
    runtime: Runtime,
}

impl Hall {
    fn open() -> Self {
        let (store, clock) = (Arc::new(MemoryStore::new()), ManualClock::default());
        let auth = engine(store, SessionStrategy::Jwt, &clock, &InstantProvider::default());
        let runtime = Builder::new_current_thread().enable_all().build();
        Self {
            auth: auth.expect("the configuration is right"),
            sealer: Sealer::new(),
            runtime: runtime.expect("a runtime"),
        }
    }

    fn cookie(&self) -> HeaderMap {
        headers(&self.sealer.whole(&person(self.auth.now()), self.auth.now()))
    }

    fn enter(&self, headers: &HeaderMap) {
        let entry = self.runtime.block_on(self.auth.enter(&Method::GET, black_box(headers), Door::Ordinary));
        assert!(entry.session.is_some(), "somebody is signed in");
    }
}
