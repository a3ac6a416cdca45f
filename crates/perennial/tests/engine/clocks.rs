//! The two clocks of a session, and the provider's: what feeds them, what does not, and what a cookie promises.

use std::sync::atomic::Ordering;
use std::time::Duration;

use perennial::provider::RefreshClass;
use perennial::{AuthBuilder, Door, IdleFedBy};

use crate::support::{Answer, Browser, DEAD, Flaky, LIFETIME, World, eventually};

const MINUTE: Duration = Duration::from_secs(60);
const IDLE: Duration = Duration::from_secs(30 * 60);

fn half_an_hour(auth: AuthBuilder) -> AuthBuilder {
    auth.max_age(IDLE).update_age(MINUTE)
}

/// When the session cookie of an answer expires, in seconds after `world`'s beginning.
fn expires(answer: &Answer) -> Option<String> {
    let line = answer.headers.get_all("set-cookie").iter().find_map(|line| {
        let line = line.to_str().expect("ASCII");
        line.starts_with("authjs.session-token=").then(|| line.to_owned())
    })?;
    Some(line.split("Expires=").nth(1).expect("it says when").to_owned())
}

/// A page that is left open and polls, which renews its tokens all the while.
async fn poll(world: &World, browser: &Browser, times: u32, pause: Duration) -> u16 {
    let mut status = 200;
    for _ in 0..times {
        world.clock.advance(pause);
        status = browser.get("/me").await.status.as_u16();
    }
    status
}

#[tokio::test]
async fn a_page_that_polls_keeps_its_tokens_fresh_and_its_session_not_alive() {
    let world = World::of(RefreshClass::Family, half_an_hour).await;
    let browser = world.alice().await;
    let stolen = browser.copy();
    assert_eq!(poll(&world, &browser, 7, MINUTE * 4).await, 200);
    assert_eq!(world.redemptions(), 3, "every second time its token has died");
    // A renewal on demand by a script is polling, too.
    assert_eq!(browser.post("/auth/refresh", &[]).await.status, 200);
    world.clock.advance(MINUTE * 3);
    assert_eq!(browser.get("/me").await.status, 401, "31 minutes without a person");
    assert_eq!(stolen.get("/me").await.status, 401, "whoever holds a copy");
}

#[tokio::test]
async fn a_person_keeps_a_session_alive_in_any_of_these_ways() {
    for way in ["page", "form", "script that changes something", "button"] {
        let world = World::of(RefreshClass::Family, half_an_hour).await;
        let browser = world.alice().await;
        for _ in 0..3 {
            assert_eq!(poll(&world, &browser, 5, MINUTE * 5).await, 200, "{way}");
            let navigation = [
                ("sec-fetch-site", "same-origin"),
                ("sec-fetch-mode", "navigate"),
                ("content-type", "application/x-www-form-urlencoded"),
            ];
            let answer = match way {
                "page" => browser.visit("/me").await,
                "form" => browser.send(http::Method::POST, "/members/page", &navigation, bytes::Bytes::new()).await,
                "button" => browser.send(http::Method::POST, "/auth/refresh", &navigation, bytes::Bytes::new()).await,
                _ => browser.post("/members/page", &[]).await,
            };
            assert!(matches!(answer.status.as_u16(), 200 | 303), "{way}: {}", answer.status);
        }
    }
}

#[tokio::test]
async fn an_application_that_only_fetches_lives_where_any_request_counts() {
    let any = |auth: AuthBuilder| half_an_hour(auth).idle_fed_by(IdleFedBy::Any);
    let world = World::of(RefreshClass::Family, any).await;
    let browser = world.alice().await;
    assert_eq!(poll(&world, &browser, 30, MINUTE * 4).await, 200, "two hours");
    world.clock.advance(IDLE + MINUTE);
    assert_eq!(browser.get("/me").await.status, 401, "and yet there is an end");
}

#[tokio::test]
async fn what_the_cookie_promises_moves_with_visits_and_not_with_renewals() {
    let world = World::of(RefreshClass::Family, half_an_hour).await;
    let browser = world.browser();
    let first = expires(&browser.sign_in("alice").await).expect("a cookie");
    // A renewal in the background: where it sets the cookie anew, it is for no longer.
    world.clock.advance(LIFETIME);
    let renewed = browser.get("/me").await;
    assert_eq!((renewed.status.as_u16(), world.redemptions()), (200, 1));
    assert!(expires(&renewed).is_none_or(|until| until == first), "{renewed:?}");
    // A visit: for half an hour from now. The next one, within update_age, leaves the cookie alone.
    let visited = expires(&browser.visit("/me").await).expect("set anew");
    assert_ne!(visited, first);
    assert_eq!(expires(&browser.visit("/me").await), None);
    world.clock.advance(MINUTE - Duration::from_secs(1));
    assert_eq!(expires(&browser.visit("/me").await), None);
    world.clock.advance(Duration::from_secs(1));
    assert!(expires(&browser.visit("/me").await).is_some_and(|until| until != visited));
}

#[tokio::test]
async fn a_visit_in_one_tab_counts_for_a_cookie_that_renews_in_another() {
    let store = Flaky::new();
    let world = World::on(store.clone(), RefreshClass::Family, half_an_hour).await;
    let browser = world.alice().await;
    let other = browser.copy();
    world.clock.advance(MINUTE * 20);
    assert_eq!(browser.visit("/me").await.status, 200);
    // The other's cookie is from before; what it is given with the next generation knows of the visit.
    let written = || store.swaps.load(Ordering::SeqCst);
    eventually("sign-in, intent, commit and visit are in the record", || async { written() == 4 }).await;
    world.clock.advance(DEAD);
    assert_eq!(other.get("/me").await.status, 200);
    world.clock.advance(MINUTE * 20);
    assert_eq!(browser.get("/me").await.status, 200, "25 minutes after the visit");
    if crate::STRATEGY == perennial::SessionStrategy::Jwt {
        assert_eq!(other.get("/me").await.status, 200, "the tab beside it, too");
    }
}

#[tokio::test]
async fn both_ends_are_told_to_the_application() {
    let world =
        World::of(RefreshClass::Family, |auth| half_an_hour(auth).absolute_max_age(Duration::from_secs(3 * 3600)))
            .await;
    let browser = world.alice().await;
    let began = perennial::Clock::now(&world.clock);
    world.clock.advance(MINUTE * 10);
    browser.visit("/me").await;
    let mut headers = http::HeaderMap::new();
    let cookie = format!("authjs.session-token={}", browser.session_cookie());
    headers.insert(http::header::COOKIE, cookie.parse().expect("ASCII"));
    let entry = world.engine.auth.enter(&http::Method::GET, &headers, Door::Ordinary).await;
    let session = entry.session.expect("signed in");
    assert_eq!(session.idle_until(), began + MINUTE * 10 + IDLE);
    assert_eq!(session.absolute_until(), Some(began + Duration::from_secs(3 * 3600)));
    let stated = session.tokens().and_then(|tokens| tokens.refresh_token_expires_at);
    assert_eq!(session.renewable_until(), stated);
}
