//! Passing a request to an upstream and its answer back, streamed both ways. RFC 9110 §7.

mod carrier;
mod deadline;
mod exchange;
mod expect;
mod frames;
mod health;
mod hearing;
mod hop_by_hop;
mod leash;
mod pool;
mod probe;
mod replay;
mod settings;
mod target;
mod tls;
pub(crate) mod tunnel;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use http::header::{CONNECTION, HeaderValue, TE, UPGRADE, VIA};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, StatusCode, Uri, Version};
use perennial::{Auth, ConfigFault, Session, Settings};
use url::Url;

use self::exchange::{Failure, Streamed, send};
use self::hop_by_hop::{remove_hop_by_hop, takes_trailers};
use self::leash::Leash;
pub(crate) use self::replay::Original;
pub use self::settings::{ClientCertificate, HealthCheck, Protocol, UpstreamSettings};
use self::target::{Target, Wants};
use self::tls::Connectors;
use crate::refusal::GatewayRefusal;
use crate::serving::forwarded::Caller;

/// An application behind the gateway, with the connections to it. Cheap to clone; all clones share them.
#[derive(Clone)]
pub struct Upstream(Arc<Inner>);

struct Inner {
    settings: UpstreamSettings,
    /// What goes before the path of each request, without a slash at its end.
    base: String,
    targets: Vec<Target>,
    /// Whose turn it is.
    next: AtomicUsize,
    probed: AtomicBool,
}

/// What there is to know about one request besides itself.
pub(crate) struct Passage<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) caller: &'a Caller,
    /// Whose request it is, for what outlives it.
    pub(crate) session: Option<(&'a Auth, &'a Session)>,
    /// The longest the answer may take to begin, if not as long as the upstream's answers to others.
    pub(crate) answer_timeout: Option<Duration>,
}

/// Why an upstream gave no answer.
pub(crate) enum Unanswered {
    /// A connection that was kept was closed in the moment it was to be used: the request may be repeated if it is idempotent.
    Stale,
    /// There is an answer of ours.
    Refused(GatewayRefusal),
}

impl Upstream {
    /// An upstream with these settings; its certificates are read now, connections are opened when they are needed.
    ///
    /// # Errors
    /// With key, place and remedy, when the settings contradict one another or a file cannot be used.
    pub fn new(settings: UpstreamSettings) -> Result<Self, ConfigFault> {
        let Some(first) = settings.urls.first() else {
            return Err(ConfigFault::new(
                "urls",
                &settings.name,
                "say where it listens, such as [\"http://127.0.0.1:5173\"]",
            ));
        };
        let like_first = |url: &Url| url.scheme() == first.scheme() && url.path() == first.path();
        if !settings.urls.iter().all(like_first) {
            let remedy = "give all targets of an upstream the same scheme and the same path";
            return Err(ConfigFault::new("urls", &settings.name, remedy));
        }
        let base = first.path().trim_end_matches('/').to_owned();
        let connectors = Connectors::new(&settings)?;
        let target = |url: &Url| {
            let remedy = "write it as http://host:port or https://host:port, with a path if it has one";
            let uri = url.as_str().parse().map_err(|_| ConfigFault::new("urls", url.as_str(), remedy))?;
            Ok(Target::new(url.clone(), uri, &settings, connectors.clone()))
        };
        let targets = settings.urls.iter().map(target).collect::<Result<_, _>>()?;
        Ok(Self(Arc::new(Inner { settings, base, targets, next: AtomicUsize::new(0), probed: AtomicBool::new(false) })))
    }

    /// An upstream with one target, and defaults for all else.
    ///
    /// # Errors
    /// When it wants TLS and the system has no certificates.
    pub fn at(url: Url) -> Result<Self, ConfigFault> {
        Self::new(UpstreamSettings::at(url))
    }

    /// Its URL, that of the first target if there are several: what statements for it are addressed to.
    pub fn url(&self) -> &Url {
        &self.0.settings.urls[0]
    }

    /// What it was built with.
    pub fn settings(&self) -> &UpstreamSettings {
        &self.0.settings
    }

    /// Sends `request` and gives back the answer as it streams in.
    pub(crate) async fn pass(
        &self,
        mut request: Request<Body>,
        passage: &Passage<'_>,
    ) -> Result<Response<Body>, Unanswered> {
        self.begin_probing();
        let Some(uri) = with_base(&self.0.base, request.uri()) else {
            return Err(Unanswered::Refused(GatewayRefusal::UpstreamUnreachable));
        };
        let upgrade = tunnel::wanted(&mut request);
        address(&mut request, uri, passage.settings, passage.caller);
        let wants = if upgrade.is_some() { Wants::Http1 } else { Wants::Any };
        if let Some(upgrade) = &upgrade {
            request.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
            request.headers_mut().insert(UPGRADE, upgrade.protocol.clone());
        }
        let (request, gate) = expect::gated(request);
        let (request, progress) = deadline::watched(request);
        let answer = self.answer(request, wants, gate.as_ref());
        let limit = passage.answer_timeout.unwrap_or(self.0.settings.answer_timeout);
        let Some(answer) = deadline::within(limit, progress, answer).await else {
            tracing::warn!(upstream = %self.url(), "the upstream did not begin its answer in time");
            return Err(Unanswered::Refused(GatewayRefusal::UpstreamTimeout));
        };
        let mut response = answer?;
        let leash = || passage.session.map(|(auth, session)| Leash::new(auth, session));
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let bounds = tunnel::Bounds { leash: leash(), close_grace: self.0.settings.close_grace };
            return Ok(tunnel::join(response, upgrade, bounds));
        }
        remove_hop_by_hop(response.headers_mut());
        Ok(leash::tied(response, leash))
    }

    /// Tries the targets, until one takes the request: only what has certainly not been sent goes to the next.
    async fn answer(
        &self,
        mut request: Request<Body>,
        wants: Wants,
        gate: Option<&expect::Gate>,
    ) -> Result<Response<Streamed>, Unanswered> {
        let mut refusal = GatewayRefusal::NoHealthyUpstream;
        for target in self.in_turn() {
            refusal = GatewayRefusal::UpstreamUnreachable;
            for _ in 0..LINKS_MAX {
                let link = match target.link(wants).await {
                    Ok(link) => link,
                    Err(error) => {
                        tracing::warn!(%error, upstream = %target.url, "the upstream cannot be reached");
                        if target.health.hold(self.0.settings.hold) && self.0.targets.len() > 1 {
                            tracing::warn!(upstream = %target.url, "the target is left alone for a while");
                        }
                        break;
                    }
                };
                if target.health.reached() {
                    tracing::info!(upstream = %target.url, "the target can be reached again");
                }
                let sent = send(target, link, request, gate);
                let sent = match gate {
                    Some(gate) => gate.until(sent).await,
                    None => sent.await,
                };
                match sent {
                    Ok(response) => return Ok(response),
                    Err(Failure::NotSent(unsent)) => request = *unsent,
                    Err(Failure::Stale) => return Err(Unanswered::Stale),
                    Err(Failure::Broken(error)) => {
                        tracing::warn!(error, upstream = %target.url, "the upstream gave no answer");
                        return Err(Unanswered::Refused(refusal));
                    }
                }
            }
        }
        Err(Unanswered::Refused(refusal))
    }

    /// Targets in the order in which they are tried: by turns, those that could not be reached a moment ago last, and none that its
    /// own answers took out.
    fn in_turn(&self) -> impl Iterator<Item = &Target> {
        let targets = &self.0.targets;
        let first = if targets.len() > 1 { self.0.next.fetch_add(1, Ordering::Relaxed) } else { 0 };
        let turn = move |held: bool| {
            (0..targets.len())
                .map(move |offset| &targets[first.wrapping_add(offset) % targets.len()])
                .filter(move |target| !target.health.is_out() && target.health.is_held() == held)
        };
        turn(false).chain(turn(true))
    }
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}

impl From<Unanswered> for GatewayRefusal {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Stale => Self::UpstreamUnreachable,
            Unanswered::Refused(refusal) => refusal,
        }
    }
}

/// Makes a request one to the upstream: its target, where it came from, and nothing of the connection it came on.
fn address(request: &mut Request<Body>, uri: Uri, settings: &Settings, caller: &Caller) {
    let via = match request.version() {
        Version::HTTP_2 => HeaderValue::from_static("2 perennial"),
        _ => HeaderValue::from_static("1.1 perennial"),
    };
    let trailers = takes_trailers(request.headers());
    let headers = request.headers_mut();
    caller.announce(headers, settings.public_url.scheme());
    remove_hop_by_hop(headers);
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    headers.append(VIA, via);
    *request.uri_mut() = uri;
}

/// The upstream's address with the request's path and query.
pub(crate) fn target(upstream: &Url, asked: &Uri) -> Option<Uri> {
    let path = with_base(upstream.path().trim_end_matches('/'), asked)?;
    Uri::builder()
        .scheme(if upstream.scheme() == "https" { Scheme::HTTPS } else { Scheme::HTTP })
        .authority(upstream.authority().parse::<Authority>().ok()?)
        .path_and_query(path.path_and_query()?.clone())
        .build()
        .ok()
}

/// The request's path and query, after the upstream's own path.
fn with_base(base: &str, asked: &Uri) -> Option<Uri> {
    let asked = asked.path_and_query();
    if base.is_empty() {
        return Some(asked.cloned().unwrap_or_else(|| PathAndQuery::from_static("/")).into());
    }
    let path = asked.map_or("/", PathAndQuery::as_str);
    format!("{base}{path}").parse::<PathAndQuery>().ok().map(Uri::from)
}

/// Connections that are closed before they take a request, before a target is given up: a server that restarts closes all at once.
const LINKS_MAX: usize = 8;
