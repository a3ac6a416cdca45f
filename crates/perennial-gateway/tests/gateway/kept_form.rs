//! A form that meets a sign-in on its way is offered again after it, once, to whoever signed in.

use http::header::SET_COOKIE;
use http::{Method, StatusCode};
use perennial_gateway::Route;

use crate::harness::{Answer, Browser, Stage, route_to};

/// What fits into the cookies: the limit of the library.
const MAX: usize = 12 << 10;

async fn stage() -> Stage {
    Stage::routed(|upstream| vec![Route { keep_post: true, ..route_to(&upstream) }]).await
}

async fn post(browser: &mut Browser, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut all = vec![
        ("accept", "text/html"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-site", "same-origin"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    all.retain(|(name, _)| !headers.iter().any(|(other, _)| other == name));
    all.extend(headers.iter().filter(|(_, value)| !value.is_empty()));
    browser.send(Method::POST, path, &all, body.to_owned()).await
}

/// From the provider back to the page that offers the form.
async fn resumed(browser: &mut Browser, sent: &Answer) -> (String, Answer) {
    let back = browser.follow_sign_in(sent.location()).await;
    let resume = back.location();
    let path = resume[url::Position::BeforePath..].to_owned();
    assert!(path.starts_with("/auth/resume?id="), "{path}");
    let page = browser.page(&path).await;
    (path, page)
}

#[tokio::test]
async fn a_form_goes_on_after_the_sign_in_once() {
    let stage = stage().await;
    let mut browser = stage.browser();
    let sent = post(&mut browser, "/orders?draft=1", &[], "item=a%26b&item=%22%3Cx%3E&note=line%0D%0Atwo").await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{sent:?}");
    let lines: Vec<_> = sent.headers.get_all(SET_COOKIE).iter().map(|line| line.to_str().expect("ASCII")).collect();
    let form = lines.iter().find(|line| line.starts_with("perennial.form=")).unwrap_or_else(|| panic!("{lines:?}"));
    assert!(form.contains("Path=/auth/resume") && form.contains("HttpOnly") && form.contains("Max-Age=900"), "{form}");
    assert!(!form.contains("item"), "sealed: {form}");
    assert_eq!(stage.upstream.hits(), 0);

    let (path, page) = resumed(&mut browser, &sent).await;
    assert_eq!(page.status, StatusCode::OK, "{page:?}");
    let text = page.text();
    for expected in [
        &*format!("action=\"{}/orders?draft=1\"", stage.origin()),
        "name=\"item\" value=\"a&#38;b\"",
        "name=\"item\" value=\"&#34;&#60;x&#62;\"",
        "name=\"note\" value=\"line",
        "<button type=\"submit\">",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let policy = page.header("content-security-policy");
    let nonce = text.split("nonce=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a nonce");
    assert!(
        policy.contains("default-src 'none'") && policy.contains(&format!("script-src 'nonce-{nonce}'")),
        "{policy}"
    );
    assert!(page.header("cache-control").contains("no-store"));

    // The browser posts it again; the upstream sees Alice's own request.
    let posted = post(&mut browser, "/orders?draft=1", &[], "item=a%26b").await;
    assert_eq!((posted.status, posted.json()["method"].as_str()), (StatusCode::OK, Some("POST")));
    assert_eq!(posted.seen("x-forwarded-user"), ["alice"]);

    let again = browser.page(&path).await;
    assert_eq!((again.status, again.header("location")), (StatusCode::FOUND, &*format!("{}/", stage.origin())));
    assert!(!browser.cookies.keys().any(|name| name.starts_with("perennial.form")), "{:?}", browser.cookies.keys());
}

#[tokio::test]
async fn only_the_form_that_the_sign_in_was_begun_for_is_offered() {
    let stage = stage().await;
    let mut browser = stage.browser();
    let first = post(&mut browser, "/first", &[], "a=1").await;
    let second = post(&mut browser, "/second", &[], "a=2").await;
    let (_, page) = resumed(&mut browser, &first).await;
    assert_eq!(page.status, StatusCode::FOUND, "the second took its place: {page:?}");
    let mut browser = stage.browser();
    let sent = post(&mut browser, "/second", &[], "a=2").await;
    drop(second);
    let kept = browser.cookies["perennial.form"].clone();
    let stolen = resumed(&mut browser, &sent).await.0;
    let mut stranger = stage.browser();
    stranger.cookies.insert("perennial.form".into(), kept);
    let asked = stranger.page(&stolen).await;
    assert_eq!(asked.status, StatusCode::FOUND, "nobody sees a form before signing in: {asked:?}");
    assert!(asked.header("location").starts_with(stage.provider.issuer()), "{asked:?}");
    let back = stranger.follow_sign_in(asked.location()).await;
    assert_eq!(back.header("location"), format!("{}{stolen}", stage.origin()), "and comes back for it");
}

#[tokio::test]
async fn what_cannot_be_kept_is_told_as_to_any_stranger() {
    let stage = stage().await;
    let form = |bytes: usize| format!("a={}", "x".repeat(bytes - 2));
    let target = format!("/{}", "t".repeat(1000));
    for (what, path, headers, body, kept) in [
        ("at the edge", &*target, &[][..], form(MAX), true),
        ("beyond", "/x", &[], form(MAX + 1), false),
        ("from another site", "/x", &[("sec-fetch-site", "cross-site")], form(9), false),
        ("from another origin", "/x", &[("sec-fetch-site", ""), ("origin", "https://evil.example")], form(9), false),
        ("by a program", "/x", &[("sec-fetch-site", "")], form(9), false),
        ("by a script", "/x", &[("sec-fetch-mode", "cors")], form(9), false),
        ("JSON", "/x", &[("content-type", "application/json")], "{}".into(), false),
        ("with files", "/x", &[("content-type", "multipart/form-data; boundary=b")], form(9), false),
        (
            "in another encoding",
            "/x",
            &[("content-type", "application/x-www-form-urlencoded; charset=latin1")],
            form(9),
            false,
        ),
        ("not encoded", "/x", &[], "a=\u{e9}".into(), false),
        ("on another host", "/x", &[("host", "other.example")], form(9), false),
    ] {
        let mut browser = stage.browser();
        let answer = post(&mut browser, path, headers, &body).await;
        if kept {
            assert_eq!(answer.status, StatusCode::SEE_OTHER, "{what}: {answer:?}");
            let (_, page) = resumed(&mut browser, &answer).await;
            assert!(page.text().contains(&"x".repeat(body.len() - 2)), "{what}");
        } else {
            assert_eq!(answer.verdict(), (401, "not_signed_in".into()), "{what}");
            assert!(answer.cookies_set().is_empty(), "{what}: {answer:?}");
        }
    }
    let plain = Stage::routed(|upstream| vec![route_to(&upstream)]).await;
    let answer = post(&mut plain.browser(), "/x", &[], "a=1").await;
    assert_eq!(answer.verdict(), (401, "not_signed_in".into()), "only where the route says so");
}
