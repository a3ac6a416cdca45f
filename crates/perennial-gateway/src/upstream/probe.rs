//! Asking the targets of an upstream for their health, each in its turn, for as long as the upstream is there.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use axum::body::Body;
use http::{Method, Request, Uri};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::exchange::send;
use super::health::Change;
use super::settings::HealthCheck;
use super::target::{Target, Wants};
use super::{Inner, Upstream};

impl Upstream {
    /// Begins to ask, if there is a question, nobody asks yet, and a runtime to do it on.
    pub(crate) fn begin_probing(&self) {
        if self.0.settings.health.is_none() || self.0.probed.load(Ordering::Relaxed) {
            return;
        }
        if tokio::runtime::Handle::try_current().is_ok() && !self.0.probed.swap(true, Ordering::Relaxed) {
            for at in 0..self.0.targets.len() {
                tokio::spawn(probe(Arc::downgrade(&self.0), at));
            }
        }
    }
}

async fn probe(upstream: Weak<Inner>, at: usize) {
    let Some(check) = upstream.upgrade().and_then(|upstream| upstream.settings.health.clone()) else { return };
    let mut ticks = interval(check.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // Held for no longer than one question takes, so that the upstream can go.
        let Some(upstream) = upstream.upgrade() else { return };
        let target = &upstream.targets[at];
        let answer = timeout(check.timeout, ask(target, &check)).await;
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {} s", check.timeout.as_secs_f32())));
        let change = target.health.answered(answer.is_ok(), check.unhealthy_after, check.healthy_after);
        match (change, answer) {
            (Change::TakenOut, Err(why)) => {
                tracing::warn!(upstream = %target.url, why, "the target is unwell and gets no requests until it is well again");
            }
            (Change::BroughtBack, _) => tracing::info!(upstream = %target.url, "the target is well again"),
            _ => {}
        }
    }
}

/// On a connection of its own, so that it is asked whether new ones can be had.
async fn ask(target: &Target, check: &HealthCheck) -> Result<(), String> {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = check.path.parse::<Uri>().map_err(|error| error.to_string())?;
    let host = target.url.authority().parse().map_err(|_| "its host is no header value".to_owned())?;
    request.headers_mut().insert(http::header::HOST, host);
    let link = target.dial(Wants::Any).await.map_err(|error| error.to_string())?;
    match send(target, link, request, None).await {
        Ok(response) if response.status().is_success() || response.status().is_redirection() => Ok(()),
        Ok(response) => Err(format!("it answered {}", response.status())),
        Err(_) => Err("it gave no answer".to_owned()),
    }
}
