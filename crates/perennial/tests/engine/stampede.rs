//! An outage of minutes ends with everybody due at once. The provider is not stormed, and everybody is renewed in the time that
//! the stated peak rate takes.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Request, Response};
use perennial::cookie::KeyRing;
use perennial::names::ProviderId;
use perennial::provider::RefreshClass;
use perennial::secret::{AccessToken, ClientSecret, CookieSecret, RefreshToken};
use perennial::{
    Auth, Clock, Condition, Door, HttpClient, Provider, Refusal, RenewalPolicy, SecureRandom, SendError, Timestamp,
};
use perennial_core::session::{SessionState, TokenSet};
use tokio::time::Instant;

use crate::support::SECRET;

const SESSIONS: u64 = 5_000;

/// Refresh requests a second: the stated peak.
const PEAK: u32 = 100;

const OUTAGE: Duration = Duration::from_secs(300);

/// A provider without a network, in tokio's time: out of reach until the outage is over.
struct Idp {
    began: Instant,
    sent: Mutex<Vec<Duration>>,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

/// The way to it.
struct Line(Arc<Idp>);

impl HttpClient for Line {
    fn send(&self, _: Request<Vec<u8>>, _: Duration) -> BoxFuture<'_, Result<Response<Bytes>, SendError>> {
        Box::pin(async move {
            let sent_at = self.0.began.elapsed();
            self.0.sent.lock().expect("no panic while locked").push(sent_at);
            let at_once = self.0.at_once.fetch_add(1, Ordering::SeqCst) + 1;
            self.0.most_at_once.fetch_max(at_once, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(200)).await;
            self.0.at_once.fetch_sub(1, Ordering::SeqCst);
            if sent_at < OUTAGE {
                return Err(SendError::NotSent("out of reach".into()));
            }
            let tokens = r#"{"access_token":"new","token_type":"Bearer","expires_in":3600}"#;
            Ok(Response::new(Bytes::from_static(tokens.as_bytes())))
        })
    }
}

#[derive(Clone)]
struct TokioClock(Instant);

impl TokioClock {
    const BEGINNING: Timestamp = Timestamp::from_unix_seconds(1_900_000_000);
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        Self::BEGINNING + self.0.elapsed()
    }
}

/// Different each time, the same in every run.
#[derive(Clone, Default)]
struct Counting(Arc<AtomicU64>);

impl SecureRandom for Counting {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            let mut x = self.0.fetch_add(1, Ordering::SeqCst).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            x ^= x >> 27;
            chunk.copy_from_slice(&x.to_be_bytes()[..chunk.len()]);
        }
    }
}

fn engine(idp: &Arc<Idp>, clock: &TokioClock, random: &Counting) -> Auth {
    let provider = Provider::custom("idp")
        .client_id("app")
        .client_secret(ClientSecret::new("planted-client-secret"))
        .authorization_endpoint("https://idp.example/authorize")
        .token_endpoint("https://idp.example/token")
        .userinfo_endpoint("https://idp.example/userinfo")
        .class(RefreshClass::Reusable);
    Auth::builder()
        .secret(CookieSecret::new(SECRET))
        .public_url("http://127.0.0.1:1")
        .provider(provider)
        .renewal(RenewalPolicy { max_per_second: PEAK, ..RenewalPolicy::default() })
        .clock(clock.clone())
        .random(random.clone())
        .http_client(Line(idp.clone()))
        .build()
        .expect("the configuration is right")
}

/// The headers of a browser whose access token dies when the test begins.
fn browser(random: &Counting) -> HeaderMap {
    let tokens = TokenSet {
        access_token: AccessToken::new("old"),
        token_type: "Bearer".into(),
        refresh_token: Some(RefreshToken::new("rt")),
        id_token: None,
        scope: None,
        issued_at: TokioClock::BEGINNING - Duration::from_secs(3600),
        expires_at: Some(TokioClock::BEGINNING),
        refresh_token_expires_at: None,
    };
    let claims = serde_json::Map::new();
    let state = SessionState::begin(ProviderId::new("idp"), claims, tokens, TokioClock::BEGINNING, random);
    let keys = KeyRing::new(&[CookieSecret::new(SECRET)], "authjs.session-token").expect("a secret");
    let day = Duration::from_secs(24 * 3600);
    let sealed = perennial::cookie::seal(&keys, &state.to_claims(), TokioClock::BEGINNING, day, random);
    let cookie = HeaderValue::try_from(format!("authjs.session-token={sealed}")).expect("ASCII");
    HeaderMap::from_iter([(http::header::COOKIE, cookie)])
}

/// Comes back as told until it is served; answers with when that was.
async fn visit(auth: Auth, headers: HeaderMap, began: Instant, first: Duration) -> Duration {
    tokio::time::sleep_until(began + first).await;
    loop {
        let session =
            auth.enter(&http::Method::GET, &headers, Door::Ordinary).await.session.expect("nobody is signed out");
        match session.bearer() {
            Ok(token) => {
                assert_eq!((token.expose_secret(), session.condition()), ("new", Condition::Fresh));
                return began.elapsed();
            }
            Err(Refusal::RenewalSuspended { retry_after }) => {
                assert_eq!(session.condition(), Condition::Suspended);
                // As the header says it, in whole seconds.
                tokio::time::sleep(Duration::from_secs(retry_after.as_millis().div_ceil(1000).max(1) as u64)).await;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn five_thousand_sessions_come_back_from_an_outage_at_the_stated_rate() {
    let began = Instant::now();
    let idp = Arc::new(Idp {
        began,
        sent: Mutex::default(),
        at_once: AtomicUsize::new(0),
        most_at_once: AtomicUsize::new(0),
    });
    let (clock, random) = (TokioClock(began), Counting::default());
    let auth = engine(&idp, &clock, &random);
    let visits: Vec<_> = (0..SESSIONS)
        .map(|number| {
            // A few are there from the beginning; the crowd comes in the last two seconds of the outage.
            let first = match number {
                0..20 => Duration::from_millis(number),
                _ => OUTAGE - Duration::from_millis(number % 2_000),
            };
            tokio::spawn(visit(auth.clone(), browser(&random), began, first))
        })
        .collect();
    let mut served = Vec::new();
    for visit in visits {
        served.push(visit.await.expect("served"));
    }

    let sent = idp.sent.lock().expect("no panic while locked").clone();
    let during = sent.iter().filter(|at| **at < OUTAGE).count();
    // A trial every five seconds at most, with full jitter twice as many on average; some more until it is known.
    assert!((20..200).contains(&during), "{during} requests during the outage");
    let busiest = sent.iter().map(|from| sent.iter().filter(|at| *at >= from && **at < *from + SECOND).count()).max();
    assert!(busiest.is_some_and(|busiest| busiest <= PEAK as usize), "{busiest:?} requests in a second");
    let most_at_once = idp.most_at_once.load(Ordering::SeqCst);
    assert!(most_at_once <= 64, "{most_at_once} requests at once");
    assert_eq!(sent.len() - during, SESSIONS as usize, "each is renewed once");

    // The stated spread: the sessions at the peak rate, and at most 20 s for the last trial and the waits of those who were told to
    // come back.
    let last = served.iter().max().expect("some").saturating_sub(OUTAGE);
    let spread = SECOND * u32::try_from(SESSIONS).expect("few") / PEAK;
    assert!(last >= spread - SECOND && last <= spread + Duration::from_secs(20), "the last after {last:?}");
}

const SECOND: Duration = Duration::from_secs(1);
