//! What single steps cost, measured by Criterion: the pure ones of core, the whole fast path, and each operation of each store.
//!
//! `cargo bench -p perennial-bench` runs all of it, `-- open` what has that in its name. Redis and PostgreSQL are started for it.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::{HeaderMap, Method};
use perennial::cookie::{self, KeyRing, join, open_as, seal};
use perennial::names::ProviderId;
use perennial::record::{Record, join as join_record, open_state, seal_state};
use perennial::secret::CookieSecret;
use perennial::store::{self, MemoryStore, RecordKey, SessionStore, Swap};
use perennial::{Clock as _, Door, RenewalPolicy, SessionStrategy, SystemClock, SystemRandom};
use perennial_bench::{COOKIE_NAME, InstantProvider, ManualClock, Sealer, engine, headers, person};
use perennial_core::renewal::decide;
use perennial_core::session::{Carried, SessionClaims};
use perennial_testservers::{PostgresServer, RedisServer};
use tokio::runtime::Runtime;

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    targets = pure, fast_path, stores
}
criterion_main!(benches);

fn pure(criterion: &mut Criterion) {
    let (sealer, now) = (Sealer::new(), SystemClock.now());
    let state = person(now);
    let (policy, fallback) = (RenewalPolicy::default(), ProviderId::new("oidc"));
    let value = sealer.session(&state, now);
    let open_session = |ring: &KeyRing, value: &str| open_as::<SessionClaims>(ring, value, now);
    let (_, bytes) = sealer.record(&state, now);
    let record = Record::decode(&bytes).expect("just encoded");

    criterion.bench_function("seal", |bencher| bencher.iter(|| sealer.session(black_box(&state), now)));
    criterion.bench_function("open", |bencher| bencher.iter(|| open_session(&sealer.cookie, black_box(&value))));
    let fourth =
        KeyRing::next_auth_v4(&[CookieSecret::new("a secret of 32 bytes for measurements")]).expect("a secret");
    let gcm = seal(&fourth, &state, now, EXPIRES, &SystemRandom);
    criterion.bench_function("open: A256GCM", |bencher| bencher.iter(|| open_session(&fourth, black_box(&gcm))));
    criterion.bench_function("decide", |bencher| bencher.iter(|| decide(black_box(&state), &policy, now)));
    criterion.bench_function("open, read, decide", |bencher| {
        bencher.iter(|| {
            let joined =
                join(COOKIE_NAME, [(COOKIE_NAME, black_box(value.as_str()))].into_iter()).expect("it is there");
            let opened = joined.open_as::<SessionClaims>(&sealer.cookie, now).expect("authentic");
            match Carried::from_claims(opened.claims, &fallback).expect("a session") {
                Carried::Whole(state) => decide(&state, &policy, now),
                Carried::Handle(_) => unreachable!("it carries all"),
            }
        });
    });
    criterion.bench_function("join", |bencher| {
        bencher.iter(|| join_record(black_box(state.generation), Some(black_box(&record))));
    });
    criterion.bench_function("record: decode, join, open", |bencher| {
        bencher.iter(|| {
            let record = Record::decode(black_box(&bytes)).expect("just encoded");
            let _ = black_box(join_record(state.generation, Some(&record)));
            open_state(&sealer.record, &record, &state.handle())
        });
    });
    criterion.bench_function("record: seal, encode", |bencher| {
        bencher.iter(|| {
            Record::idle(state.generation, seal_state(&sealer.record, black_box(&state), &SystemRandom)).encode()
        });
    });
    let long = "x".repeat(9_000);
    criterion
        .bench_function("chunks: split", |bencher| bencher.iter(|| cookie::split(COOKIE_NAME, black_box(&long), &[])));
}

/// Through the hall and out again, in this thread, without a socket.
fn fast_path(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let (sealer, clock) = (Sealer::new(), ManualClock::default());
    let memory = Arc::new(MemoryStore::new());
    let auth = engine(memory.clone(), SessionStrategy::Jwt, &clock, &InstantProvider::default()).expect("it is right");
    let enter = |headers: &HeaderMap| {
        let entry = runtime.block_on(auth.enter(&Method::GET, headers, Door::Ordinary));
        assert!(entry.session.is_some() && entry.set_cookies.is_empty(), "{entry:?}");
        entry
    };
    let now = clock.now();
    let fresh = || headers(&sealer.whole(&person(now), now));

    let known = fresh();
    criterion.bench_function("enter: seen before", |bencher| bencher.iter(|| enter(black_box(&known))));
    criterion
        .bench_function("enter: cold", |bencher| bencher.iter_batched(fresh, |new| enter(&new), BatchSize::SmallInput));
    let stranger = headers("theme=dark");
    criterion.bench_function("enter: stranger", |bencher| {
        bencher.iter(|| runtime.block_on(auth.enter(&Method::GET, black_box(&stranger), Door::Ordinary)));
    });

    let stored = engine(memory.clone(), SessionStrategy::Database, &clock, &InstantProvider::default()).expect("right");
    let state = person(now);
    let (key, bytes) = sealer.record(&state, now);
    runtime.block_on(insert(&*memory, key, bytes));
    let handle = headers(&sealer.handle(&state, now));
    criterion.bench_function("enter: strategy database, in memory", |bencher| {
        bencher.iter(|| runtime.block_on(stored.enter(&Method::GET, black_box(&handle), Door::Ordinary)));
    });
}

/// Each operation of each store, one at a time; what many at once achieve is for `cargo xtask bench --only renewals`.
fn stores(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let folder = std::env::temp_dir().join(format!("perennial-micro-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for the file");
    let (redis, postgres) = (RedisServer::start(), PostgresServer::start());
    let addresses = [
        ("memory", "memory:".to_owned()),
        ("embedded", folder.join("sessions.redb").to_string_lossy().into_owned()),
        ("Redis", redis.url()),
        ("PostgreSQL", postgres.url()),
    ];
    for (name, address) in addresses {
        let _inside = runtime.enter();
        let store = store::open(&address).expect("it opens");
        operations(criterion, &runtime, name, &*store);
    }
    std::fs::remove_dir_all(&folder).expect("it was there");
}

fn operations(criterion: &mut Criterion, runtime: &Runtime, name: &str, store: &dyn SessionStore) {
    let (sealer, now) = (Sealer::new(), SystemClock.now());
    let fresh = || sealer.record(&person(now), now);
    let (key, bytes) = fresh();
    let mut version = runtime.block_on(insert(store, key, bytes.clone()));
    let expires = now + EXPIRES;

    criterion
        .bench_function(&format!("{name}: load"), |bencher| bencher.iter(|| runtime.block_on(store.load(key, now))));
    criterion.bench_function(&format!("{name}: swap"), |bencher| {
        bencher.iter(|| {
            let swapped = store.compare_and_swap(key, Some(version), bytes.clone(), expires, now);
            match runtime.block_on(swapped).expect("it answers") {
                Swap::Stored(stored) => version = stored,
                Swap::Conflict(_) => unreachable!("nobody else writes"),
            }
        });
    });
    let inserted = AtomicUsize::new(0);
    criterion.bench_function(&format!("{name}: insert and remove"), |bencher| {
        bencher.iter_batched(
            fresh,
            |(key, bytes)| {
                inserted.fetch_add(1, Ordering::Relaxed);
                runtime.block_on(async {
                    let version = insert(store, key, bytes).await;
                    store.remove(key, version).await
                })
            },
            BatchSize::SmallInput,
        );
    });
    criterion.bench_function(&format!("{name}: check"), |bencher| bencher.iter(|| runtime.block_on(store.check())));
    criterion.bench_function(&format!("{name}: sweep of nothing"), |bencher| {
        bencher.iter(|| runtime.block_on(store.sweep(now)))
    });
}

async fn insert(store: &dyn SessionStore, key: RecordKey, bytes: Vec<u8>) -> store::Version {
    let now = SystemClock.now();
    match store.compare_and_swap(key, None, bytes, now + EXPIRES, now).await.expect("it answers") {
        Swap::Stored(version) => version,
        Swap::Conflict(_) => unreachable!("a new session's key"),
    }
}

const EXPIRES: Duration = Duration::from_secs(86_400);
