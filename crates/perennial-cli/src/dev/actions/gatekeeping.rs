//! The gateway itself: killed and begun again, and with a new secret.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::stage::{Stage, Verdict};
use crate::dev::tab::{End, Reply, Tab};
use crate::dev::words::{counted, time};

/// How long a gateway may take to come back.
const PATIENCE: Duration = Duration::from_secs(15);

/// The gateway dies with all that it has in memory and comes back with its file.
pub(super) async fn restart(stage: &Stage) -> Verdict {
    let before = stage.view().generation;
    let counts = stage.counts();
    stage.tell("Killing the gateway.", None);
    let started = Instant::now();
    if let Err(error) = stage.house.restart().await {
        return Verdict::failed(error);
    }
    let mut tab = stage.tab();
    let reply = first_answer(&mut tab).await;
    let away = started.elapsed();
    let spent = stage.counts().since(&counts).redemptions();
    let newest = stage.view().generation;
    let good = reply.end == End::Answered;
    let lives = if good { "the session lives, at" } else { "the session was lost, at" };
    Verdict::of(
        good,
        format!(
            "Connections, tasks and memory gone; back after {}, 700 ms of them on purpose. The first request took {}: {lives} generation {newest} (it was {before}), {}.",
            time(away),
            time(reply.took),
            counted(spent, "redemption", "redemptions")
        ),
    )
}

/// A new secret goes first in the list; the cookie under the old one comes back and is sealed anew.
pub(super) async fn secret(stage: &Stage) -> Verdict {
    stage.tell("Starting the gateway with a new secret in front of the old.", None);
    let secrets = match stage.house.rotate_secret().await {
        Ok(secrets) => secrets,
        Err(error) => return Verdict::failed(error),
    };
    let mut tab = stage.tab();
    let under_old = tab.jar().clone();
    let opened = first_answer(&mut tab).await;
    let resealed = *tab.jar() != under_old;
    let again = tab.ask().await;
    let good = opened.end == End::Answered && again.end == End::Answered;
    Verdict::of(
        good && resealed,
        match (good, resealed) {
            (true, true) => format!(
                "{secrets} secrets in the list. The cookie under the old one was answered in {} and came back sealed under the new one. Nobody was signed out.",
                time(opened.took)
            ),
            (true, false) => {
                format!("{secrets} secrets in the list. The old cookie still opens, but was not sealed anew.")
            }
            (false, _) => "The cookie under the old secret no longer opened the session.".to_owned(),
        },
    )
}

/// Knocks until somebody is there.
async fn first_answer(tab: &mut Tab) -> Reply {
    let started = Instant::now();
    loop {
        let reply = tab.ask().await;
        if reply.end != End::Cut || started.elapsed() > PATIENCE {
            return reply;
        }
        sleep(Duration::from_millis(20)).await;
    }
}
