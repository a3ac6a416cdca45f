//! The provider misbehaves: down, reply lost, slow.

use std::time::Duration;

use tokio::time::Instant;

use super::stage::{Stage, Verdict};
use crate::dev::provider::LENIENCY;
use crate::dev::tab::{End, Tally};
use crate::dev::words::{counted, time};

const OUTAGE: Duration = Duration::from_secs(10);
const SLOWNESS: Duration = Duration::from_secs(2);
/// Requests of the experiment beside those of the page: five a second.
const PACE: Duration = Duration::from_millis(200);
/// So that the fault is in place when the window opens.
const EARLY: Duration = Duration::from_millis(250);
/// How long a recovery may take before it counts as none.
const RECOVERY: Duration = Duration::from_secs(30);

/// Ten seconds of 503 from the token endpoint, beginning with the renewal window.
pub(super) async fn outage(stage: &Stage) -> Verdict {
    stage.until_nearly_due(EARLY).await;
    let before = stage.view().generation;
    let counts = stage.counts();
    let mut tab = stage.tab();
    let down = stage.house.provider().down();
    let tally = stage.traffic(&mut tab, PACE, OUTAGE, "The token endpoint is down.").await;
    drop(down);
    let attempts = stage.counts().since(&counts).failed;
    let healed = Instant::now();
    let back = loop {
        let reply = tab.ask().await;
        let renewed = stage.view().generation > before;
        match reply.end {
            End::Answered if renewed => break Some(healed.elapsed()),
            End::SignIn | End::DeadToken => break None,
            _ if healed.elapsed() > RECOVERY => break None,
            _ => {}
        }
        stage.tell("The provider is back. Waiting for the next attempt.", None);
        tokio::time::sleep(PACE).await;
    };
    let asked = counted(attempts, "attempt", "attempts");
    match back {
        Some(after) => Verdict::of(
            tally.nobody_lost(),
            format!(
                "{} requests during the outage: {}. {asked} at the provider. Renewed {} after it came back; nobody was signed out.",
                tally.sent,
                tally.words(),
                time(after)
            ),
        ),
        None => Verdict::of(
            false,
            format!(
                "{} requests during the outage: {}. The session did not come back within {} s.",
                tally.sent,
                tally.words(),
                RECOVERY.as_secs()
            ),
        ),
    }
}

/// The provider rotates and its answer is lost.
pub(super) async fn lost(stage: &Stage) -> Verdict {
    let before = stage.view().generation;
    let counts = stage.counts();
    let fault = stage.house.provider().lose_next_reply();
    stage.tell("Renewing; the provider will rotate and hang up.", None);
    let mut tab = stage.tab();
    let started = Instant::now();
    let mut tally = Tally::default();
    tally.add(tab.refresh().await);
    // Within the provider's leniency, or not at all.
    while stage.view().generation <= before && started.elapsed() < LENIENCY {
        stage.tell(format!("The reply is lost. Going on: {}.", tally.words()), None);
        tokio::time::sleep(PACE).await;
        tally.add(tab.refresh().await);
    }
    drop(fault);
    let (spent, newest) = (stage.counts().since(&counts), stage.view().generation);
    let told = format!(
        "{} lost after the provider had rotated; {} meanwhile, {}",
        counted(spent.lost, "reply", "replies"),
        counted(tally.sent, "request", "requests"),
        tally.words()
    );
    if newest > before && tally.nobody_lost() {
        let after = time(started.elapsed());
        return Verdict::of(true, format!("{told}. Asked again, the provider gave generation {newest} after {after}."));
    }
    Verdict::of(
        false,
        format!(
            "{told}. The only good token went down with the reply: when the access token has run out you sign in again."
        ),
    )
}

/// Two seconds at the token endpoint, while requests keep coming.
pub(super) async fn slow(stage: &Stage) -> Verdict {
    stage.until_nearly_due(EARLY).await;
    let before = stage.view().generation;
    let mut tab = stage.tab();
    let slow = stage.house.provider().slow(SLOWNESS);
    let lasting = EARLY + SLOWNESS + Duration::from_secs(2);
    let tally = stage.traffic(&mut tab, Duration::from_millis(100), lasting, "The token endpoint takes 2 s.").await;
    drop(slow);
    let view = stage.view();
    let provider = stage.house.story().last_provider_time(stage.session());
    let renewed = view.generation > before;
    let outcome = if renewed {
        format!("The renewal took {} at the provider", time(provider))
    } else {
        "No renewal fell into this time".to_owned()
    };
    Verdict::of(
        tally.nobody_lost() && renewed,
        format!(
            "{outcome}; {} requests meanwhile, {}. The one that asked for it waited {}, the slowest of the others {}.",
            tally.sent,
            tally.words(),
            time(tally.slowest),
            time(tally.others)
        ),
    )
}
