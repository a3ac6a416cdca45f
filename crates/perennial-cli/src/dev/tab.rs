//! Another tab of the visitor's browser: a copy of its cookies and connections of its own, over real loopback HTTP.

use std::time::{Duration, Instant};

use axum::body::Body;
use http::header::{ACCEPT, HOST, ORIGIN};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;

use super::jar::Jar;

/// Past this a request counts as failed: longer than any wait that the gateway allows itself.
const PATIENCE: Duration = Duration::from_secs(40);
/// Bytes read of an answer; the app's are tiny.
const ANSWER: usize = 16 << 10;
/// The app's ordinary request; the query keeps it apart from the page's own, which an experiment may hold back.
const ORDINARY: &str = "/demo/me?tab=experiment";
/// The button's request, kept apart likewise.
const REFRESH: &str = "/auth/refresh?tab=experiment";

/// One tab.
#[derive(Clone, Debug)]
pub(super) struct Tab {
    jar: Jar,
    origin: String,
    host: String,
    client: Client<HttpConnector, Body>,
}

/// What a request came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reply {
    pub(super) end: End,
    pub(super) took: Duration,
}

/// How the app or the gateway answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The app answered, and the token it was given is good at the provider.
    Answered,
    /// The app answered, but its token no longer counts.
    DeadToken,
    /// 503 with a time to come back.
    ComeBack,
    /// 401, or a redirect to the sign-in page.
    SignIn,
    /// Any other status.
    Other(u16),
    /// No answer: refused, cut or too late.
    Cut,
}

#[derive(Deserialize)]
struct Me {
    ok: bool,
}

impl Tab {
    /// A tab of the browser that sent `jar`, at the public origin of the gateway, which listens on `port`.
    pub(super) fn new(jar: Jar, public_host: &str, port: u16) -> Self {
        Self {
            jar,
            origin: format!("http://127.0.0.1:{port}"),
            host: public_host.to_owned(),
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    /// Its cookies at this moment.
    pub(super) fn jar(&self) -> &Jar {
        &self.jar
    }

    /// One ordinary request of the app; the answer's cookies are taken as a browser takes them.
    pub(super) async fn ask(&mut self) -> Reply {
        self.send(Method::GET, ORDINARY).await
    }

    /// The Refresh Token button.
    pub(super) async fn refresh(&mut self) -> Reply {
        self.send(Method::POST, REFRESH).await
    }

    async fn send(&mut self, method: Method, path: &str) -> Reply {
        let started = Instant::now();
        let end = match tokio::time::timeout(PATIENCE, self.exchange(method, path)).await {
            Ok(Some(end)) => end,
            Ok(None) | Err(_) => End::Cut,
        };
        Reply { end, took: started.elapsed() }
    }

    async fn exchange(&mut self, method: Method, path: &str) -> Option<End> {
        let uri: Uri = format!("{}{path}", self.origin).parse().ok()?;
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = self.jar.headers();
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::try_from(&self.host).ok()?);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(ORIGIN, HeaderValue::try_from(format!("http://{}", self.host)).ok()?);
        headers.insert("sec-fetch-site", HeaderValue::from_static("same-origin"));
        headers.insert("sec-fetch-mode", HeaderValue::from_static("cors"));
        headers.insert("sec-fetch-dest", HeaderValue::from_static("empty"));
        let (parts, body) = self.client.request(request).await.ok()?.into_parts();
        let body = Limited::new(body, ANSWER).collect().await.ok()?.to_bytes();
        self.jar.take(&parts.headers);
        Some(judge(parts.status, &body))
    }
}

fn judge(status: StatusCode, body: &[u8]) -> End {
    match status.as_u16() {
        200 | 204 => End::Answered,
        // The app's own word for a token that no longer counts; the gateway says 401 without it.
        401 if matches!(serde_json::from_slice(body), Ok(Me { ok: false })) => End::DeadToken,
        401 | 302 | 303 | 307 => End::SignIn,
        503 => End::ComeBack,
        other => End::Other(other),
    }
}

/// Many replies, counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) sent: u64,
    pub(super) answered: u64,
    pub(super) come_back: u64,
    pub(super) sign_in: u64,
    pub(super) dead_token: u64,
    pub(super) failed: u64,
    pub(super) slowest: Duration,
    /// The slowest but one.
    pub(super) others: Duration,
}

impl Tally {
    /// Counts one more.
    pub(super) fn add(&mut self, reply: Reply) {
        self.sent += 1;
        self.others = self.others.max(reply.took.min(self.slowest));
        self.slowest = self.slowest.max(reply.took);
        match reply.end {
            End::Answered => self.answered += 1,
            End::DeadToken => self.dead_token += 1,
            End::ComeBack => self.come_back += 1,
            End::SignIn => self.sign_in += 1,
            End::Other(_) | End::Cut => self.failed += 1,
        }
    }

    /// Whether nobody was sent away for good.
    pub(super) fn nobody_lost(&self) -> bool {
        self.sign_in + self.dead_token + self.failed == 0
    }

    /// `50 answered`, and whatever else there was.
    pub(super) fn words(&self) -> String {
        let mut words = format!("{} answered", self.answered);
        for (number, meaning) in [
            (self.come_back, "told to come back (503 with Retry-After)"),
            (self.sign_in, "sent to sign in"),
            (self.dead_token, "given a token that no longer counts"),
            (self.failed, "failed"),
        ] {
            if number > 0 {
                words.push_str(&format!(", {number} {meaning}"));
            }
        }
        words
    }
}

impl Extend<Reply> for Tally {
    fn extend<I: IntoIterator<Item = Reply>>(&mut self, replies: I) {
        replies.into_iter().for_each(|reply| self.add(reply));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_has_its_meaning() {
        for (status, body, end) in [
            (200, r#"{"ok":true}"#, End::Answered),
            (401, r#"{"ok":false}"#, End::DeadToken),
            (200, r#"{"renewed":true}"#, End::Answered),
            (401, "", End::SignIn),
            (302, "", End::SignIn),
            (503, "", End::ComeBack),
            (502, "", End::Other(502)),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(judge(status, body.as_bytes()), end, "{status} {body}");
        }
    }

    #[test]
    fn a_tally_says_only_what_there_was() {
        let took = Duration::from_millis(3);
        let mut tally = Tally::default();
        tally.extend([Reply { end: End::Answered, took }; 50]);
        assert_eq!(tally.words(), "50 answered");
        assert!(tally.nobody_lost());
        tally.add(Reply { end: End::ComeBack, took });
        assert!(tally.nobody_lost());
        tally.add(Reply { end: End::SignIn, took });
        assert_eq!(tally.words(), "50 answered, 1 told to come back (503 with Retry-After), 1 sent to sign in");
        assert!(!tally.nobody_lost());
        tally.add(Reply { end: End::Answered, took: took * 5 });
        assert_eq!((tally.slowest, tally.others), (took * 5, took));
    }
}
