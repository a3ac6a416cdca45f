//! Several targets of one upstream: by turns, around those that cannot be reached, and without those that say they are unwell.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::any;
use http::{Method, StatusCode};
use perennial_gateway::{HealthCheck, Upstream, UpstreamSettings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use url::Url;

use crate::harness::{PATIENCE, Stage, bind};

/// One of several instances of an application.
struct Instance {
    address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    requests: AtomicUsize,
    unwell: AtomicBool,
    asked: Notify,
}

impl Instance {
    async fn start() -> Self {
        Self::on(bind().await)
    }

    fn on(listener: TcpListener) -> Self {
        let seen = Arc::new(Seen::default());
        let address = listener.local_addr().expect("an address");
        let health = |State(seen): State<Arc<Seen>>| async move {
            seen.asked.notify_one();
            if seen.unwell.load(Ordering::SeqCst) { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK }
        };
        let app = Router::new()
            .route("/health", any(health))
            .fallback(move |State(seen): State<Arc<Seen>>, body: String| async move {
                seen.requests.fetch_add(1, Ordering::SeqCst);
                format!("{} {}", address.port(), body.len())
            })
            .with_state(seen.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, seen }
    }

    fn requests(&self) -> usize {
        self.seen.requests.load(Ordering::SeqCst)
    }
}

/// A gateway before these targets.
async fn before(addresses: &[SocketAddr], settings: UpstreamSettings) -> Stage {
    let urls = addresses.iter().map(|at| Url::parse(&format!("http://{at}")).expect("a URL")).collect();
    let upstream = Upstream::new(UpstreamSettings { urls, ..settings }).expect("good settings");
    Stage::changed(|mut config, _| {
        config.routes[0].upstream = upstream;
        config
    })
    .await
}

/// An address where nobody listens.
async fn nowhere() -> SocketAddr {
    bind().await.local_addr().expect("an address")
}

#[tokio::test]
async fn targets_take_turns() {
    let (one, two) = (Instance::start().await, Instance::start().await);
    let stage = before(&[one.address, two.address], UpstreamSettings::default()).await;
    let mut alice = stage.signed_in().await;
    let before = (one.requests(), two.requests());
    for _ in 0..10 {
        assert_eq!(alice.fetch("/").await.status, StatusCode::OK);
    }
    assert_eq!((one.requests() - before.0, two.requests() - before.1), (5, 5));
}

#[tokio::test]
async fn a_request_goes_to_the_next_target_when_one_cannot_be_reached_its_body_too() {
    let (dead, alive) = (nowhere().await, Instance::start().await);
    let settings = UpstreamSettings { hold: Duration::from_secs(3600), ..UpstreamSettings::default() };
    let stage = before(&[dead, alive.address], settings).await;
    let mut alice = stage.signed_in().await;
    for _ in 0..6 {
        let answer = alice.send(Method::POST, "/", &[], "body").await;
        assert_eq!((answer.status, answer.text()), (StatusCode::OK, format!("{} 4", alive.address.port())));
    }
}

#[tokio::test]
async fn with_no_target_to_be_reached_the_gateway_says_so() {
    let stage = before(&[nowhere().await, nowhere().await], UpstreamSettings::default()).await;
    let mut alice = stage.signed_in().await;
    for _ in 0..3 {
        assert_eq!(alice.fetch("/").await.verdict(), (502, "upstream_unreachable".into()));
    }
}

#[tokio::test]
async fn a_target_that_says_it_is_unwell_gets_nothing_until_it_is_well() {
    let (one, two) = (Instance::start().await, Instance::start().await);
    let health = HealthCheck {
        interval: Duration::from_millis(20),
        unhealthy_after: 2,
        healthy_after: 2,
        ..HealthCheck::of("/health")
    };
    let settings = UpstreamSettings { health: Some(health), ..UpstreamSettings::default() };
    let stage = before(&[one.address, two.address], settings).await;
    let mut alice = stage.signed_in().await;
    for (what, unwell, expected) in [
        ("one is unwell", [true, false], Some(&two)),
        ("the other is", [false, true], Some(&one)),
        ("both are", [true, true], None),
        ("one is well again", [false, true], Some(&one)),
    ] {
        for (instance, unwell) in [&one, &two].into_iter().zip(unwell) {
            instance.seen.unwell.store(unwell, Ordering::SeqCst);
        }
        // Two answers make a change; a third question shows that the second was heard.
        for instance in [&one, &two] {
            for _ in 0..4 {
                tokio::time::timeout(PATIENCE, instance.seen.asked.notified()).await.expect("it is asked");
            }
        }
        for _ in 0..4 {
            let answer = alice.fetch("/").await;
            match expected {
                Some(instance) => assert_eq!(answer.text(), format!("{} 0", instance.address.port()), "{what}"),
                None => assert_eq!(answer.verdict(), (503, "no_healthy_upstream".into()), "{what}"),
            }
        }
    }
}

/// A server that keeps connections open and closes each when the second request comes on it, as one does that closes idle
/// connections in just that moment.
async fn closes_at_the_second(listener: TcpListener, seen: Arc<AtomicUsize>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let seen = seen.clone();
        tokio::spawn(async move {
            let mut buffer = [0; 16 << 10];
            let _ = stream.read(&mut buffer).await;
            seen.fetch_add(1, Ordering::SeqCst);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            // The second is read and not answered.
            let _ = stream.read(&mut buffer).await;
        });
    }
}

#[tokio::test]
async fn a_connection_that_closes_in_the_moment_it_is_used_costs_nobody_an_answer_unless_it_cannot_be_repeated() {
    let (listener, seen) = (bind().await, Arc::new(AtomicUsize::new(0)));
    let address = listener.local_addr().expect("an address");
    tokio::spawn(closes_at_the_second(listener, seen.clone()));
    let stage = before(&[address], UpstreamSettings::default()).await;
    let mut alice = stage.signed_in().await;
    seen.store(0, Ordering::SeqCst);
    for at in 1..=4 {
        let answer = alice.fetch("/").await;
        assert_eq!((answer.status, answer.text()), (StatusCode::OK, "ok".into()), "request {at}");
        assert_eq!(seen.load(Ordering::SeqCst), at);
    }
    // Nobody knows whether it was carried out.
    let answer = alice.send(Method::POST, "/", &[], "").await;
    assert_eq!(answer.verdict(), (502, "upstream_unreachable".into()));
    assert_eq!(alice.send(Method::POST, "/", &[], "").await.text(), "ok", "on a new connection");
}
