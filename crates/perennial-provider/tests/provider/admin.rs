//! The admin API and the control do the same things.

use std::time::Duration;

use hyper::Method;
use perennial_provider::{DevProvider, EventKind, Outcome, RefreshClass, ServeError, Times};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::harness::{Idp, claims};

#[tokio::test]
async fn faults_are_patched_and_nonsense_is_refused() {
    let idp = Idp::start().await;
    let set = async |body: Value| idp.post_json("/admin/faults", &[], body).await;
    let shown = set(json!({"class": "overlap:10", "lose_reply": 2})).await;
    assert_eq!(shown.status, 200, "{shown:?}");
    assert_eq!((&shown.json()["class"], &shown.json()["lose_reply"]), (&json!("overlap:10"), &json!(2)));
    set(json!({"delay_ms": 5, "lose_reply": null})).await;
    assert_eq!(idp.control.behaviour().class, RefreshClass::Overlap { seconds: 10 });
    assert_eq!((idp.control.faults().delay_ms, idp.control.faults().lose_reply), (5, Times::Never));
    set(json!({"client": "app", "at_kill": true})).await;
    assert!(idp.control.client_behaviour("app").at_kill && !idp.control.behaviour().at_kill);
    set(json!({"replace": true, "html": true})).await;
    assert_eq!((idp.control.behaviour().class, idp.control.faults().delay_ms), (RefreshClass::Rotating, 0));

    for (body, names) in [
        (json!({"lose_replies": 1}), "lose_replies"),
        (json!({"class": "sometimes"}), "sometimes"),
        (json!({"respond_status": 302}), "302"),
        (json!({"client": "nobody"}), "client"),
        (json!({"lose_reply": -1}), "number of times"),
    ] {
        let refused = set(body.clone()).await;
        assert_eq!(refused.status, 400, "{body}");
        assert!(refused.text().contains(names), "{body}: {}", refused.text());
    }
    let form = idp.post("/admin/faults", &[], &[("lose_reply", "1")]).await.unwrap();
    assert_eq!(form.status, 415, "a form of another site cannot send JSON");
    let foreign = idp.post_json("/admin/faults", &[("origin", "http://localhost:4200")], json!({})).await;
    assert_eq!(foreign.verdict(), (403, "cross_site".to_owned()));

    for (body, class) in [(json!({"only": "faults"}), RefreshClass::SingleUse), (json!({}), RefreshClass::Rotating)] {
        idp.control.script("class=single_use,html").unwrap();
        assert_eq!(idp.post_json("/admin/reset", &[], body).await.status, 204);
        assert_eq!((idp.control.behaviour().class, idp.control.faults().html), (class, Times::Never));
    }
}

#[tokio::test]
async fn the_state_shows_what_happened_and_no_secret() {
    let idp = Idp::start().await;
    let tokens = idp.tokens().await;
    idp.refresh(&tokens.token("refresh_token")).await;
    let answer = idp.visit("/admin/state", &[]).await;
    let state = answer.json();
    assert_eq!(state["counters"]["outcomes"], json!({"issued": 1, "rotated": 1}));
    assert_eq!(state["families"][0]["refresh_tokens"][1]["state"], "live");
    assert_eq!(state["behaviour"]["class"], "rotating");
    for secret in [tokens.token("refresh_token"), tokens.token("access_token"), crate::harness::SECRET.to_owned()] {
        assert!(!answer.text().contains(&secret));
    }
    let replayed = async |body| idp.post_json("/admin/families/1/replay", &[], body).await;
    assert_eq!(replayed(json!({"serial": 9})).await.status, 404);
    idp.control.set_class(RefreshClass::SingleUse);
    assert_eq!(replayed(json!({})).await.json(), json!({"outcome": "rejected_spent"}));
    let revoked = idp.post_json("/admin/families/1/revoke", &[], json!({})).await.json();
    assert_eq!(revoked, json!({"was_alive": true}));
    assert!(!idp.lets_in(&tokens.token("access_token")).await);
    assert_eq!(
        idp.send(Method::POST, "/admin/reset", &[], String::new()).await.unwrap().status,
        204,
        "a body is not needed"
    );
    assert_eq!(idp.visit("/admin/state", &[]).await.json()["families"], json!([]));
    assert_eq!(idp.control.counters().token_requests, 0);
}

#[tokio::test]
async fn a_token_guards_the_admin_api() {
    let idp = Idp::with(|builder| builder.admin_token("let-me-in")).await;
    for (header, status) in [("", 401), ("Bearer wrong", 401), ("Basic let-me-in", 401), ("Bearer let-me-in", 200)] {
        assert_eq!(idp.visit("/admin/state", &[("authorization", header)]).await.status, status, "{header}");
    }
    assert_eq!(idp.post_json("/admin/reset", &[], json!({})).await.status, 401);
}

#[tokio::test]
async fn rotated_keys_stay_published_and_the_new_one_signs() {
    let idp = Idp::start().await;
    let before = idp.tokens().await.token("id_token");
    let kid = idp.post_json("/admin/rotate-keys", &[], json!({})).await.token("kid");
    let after = idp.tokens().await.token("id_token");
    let header = |jwt: &str| claims(&format!(".{jwt}"))["kid"].clone();
    assert_eq!(header(&after), json!(kid));
    assert_ne!(header(&before), header(&after));
    let kids: Vec<Value> =
        idp.visit("/jwks", &[]).await.json()["keys"].as_array().unwrap().iter().map(|key| key["kid"].clone()).collect();
    assert_eq!(kids, [header(&after), header(&before)]);
}

#[tokio::test]
async fn events_are_told_in_process_and_streamed() {
    let idp = Idp::start().await;
    let mut stream = BufReader::new(TcpStream::connect(idp.authority()).await.unwrap());
    let request = format!("GET /admin/events HTTP/1.1\r\nHost: {}\r\n\r\n", idp.authority());
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut lines = stream.lines();
    // The head comes once the stream is subscribed.
    while lines.next_line().await.unwrap().is_some_and(|line| !line.is_empty()) {}

    let mut events = idp.control.subscribe();
    let token = idp.tokens().await.token("refresh_token");
    idp.refresh(&token).await;
    let mut kinds = Vec::new();
    let last = loop {
        let event = events.recv().await.unwrap();
        kinds.push(event.kind);
        if event.outcome == Some(Outcome::Rotated) {
            break event;
        }
    };
    assert_eq!(kinds, [EventKind::Authorize, EventKind::Token, EventKind::Token]);
    assert_eq!((last.client.as_deref(), last.family, last.serial, last.sequence), (Some("app"), Some(1), Some(1), 3));
    let streamed = tokio::time::timeout(Duration::from_secs(5), async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.starts_with("data:") && line.contains("\"outcome\":\"rotated\"") {
                return line;
            }
        }
        panic!("the stream ended")
    });
    let line = streamed.await.expect("the event is streamed");
    assert!(line.contains("\"sequence\":3") && !line.contains(&token), "{line}");
}

#[tokio::test]
async fn only_loopback_is_served_and_open_event_streams_do_not_hold_a_shutdown() {
    let provider = DevProvider::builder().build().unwrap();
    let everywhere = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let refused = provider.serve(everywhere, std::future::pending()).await;
    assert!(matches!(refused, Err(ServeError::NotLoopback(_))), "{refused:?}");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(async move { provider.serve(listener, async move { drop(stopped.await) }).await });
    let mut stream = BufReader::new(TcpStream::connect(address).await.unwrap());
    stream.write_all(format!("GET /admin/events HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).await.unwrap();
    let mut head = String::new();
    stream.read_line(&mut head).await.unwrap();
    assert_eq!(head, "HTTP/1.1 200 OK\r\n");
    drop(stop);
    tokio::time::timeout(Duration::from_secs(5), serving).await.expect("it ends").unwrap().unwrap();
}
