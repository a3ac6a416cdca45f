//! The experiments: one at a time, each a task that the page starts, watches and may stop.

pub(super) mod catalogue;
mod crowds;
mod faults;
mod gatekeeping;
mod stage;
mod theft;

use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use self::catalogue::EXPERIMENTS;
use self::stage::{Stage, Verdict};
use super::house::House;
use super::jar::Jar;
use super::view::{ActionView, Progress};

/// Starts and stops experiments. They run outside the gateway's runtime, so that they outlive its restart.
#[derive(Debug)]
pub(super) struct Laboratory {
    runtime: Handle,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    id: u64,
    name: &'static str,
    session: String,
    task: AbortHandle,
}

/// Why an experiment was not started or stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Busy,
    NotRunning,
    Unknown,
}

impl Laboratory {
    /// A laboratory whose experiments run on `runtime`.
    pub(super) fn new(runtime: Handle) -> Self {
        Self { runtime, running: Mutex::new(None) }
    }

    /// Starts an experiment with a copy of the cookies of `session`; the number tells one run from the next.
    pub(super) fn start(&self, house: Arc<House>, name: &str, session: String, jar: Jar) -> Result<u64, Refusal> {
        let known = EXPERIMENTS.iter().find(|one| one.name == name && one.name != "refresh");
        let name = known.ok_or(Refusal::Unknown)?.name;
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.as_ref().is_some_and(|now| !now.task.is_finished()) {
            return Err(Refusal::Busy);
        }
        let id = running.as_ref().map_or(1, |before| before.id + 1);
        let stage = Stage::new(house, name, session.clone(), jar);
        stage.tell("Starting.", Some(0));
        let task = self.runtime.spawn(carry_out(name, stage)).abort_handle();
        *running = Some(Running { id, name, session, task });
        Ok(id)
    }

    /// Stops the experiment; whatever it had switched at the provider is switched back as its task is dropped.
    pub(super) fn stop(&self, house: &House, name: &str) -> Result<(), Refusal> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let now = running.as_ref().filter(|now| now.name == name && !now.task.is_finished());
        let now = now.ok_or(Refusal::NotRunning)?;
        now.task.abort();
        house.story().action(
            &now.session,
            ActionView {
                name: name.into(),
                state: Progress::Stopped,
                text: "Stopped; everything is as it was.".into(),
                percent: Some(0),
            },
        );
        Ok(())
    }
}

async fn carry_out(name: &'static str, stage: Stage) {
    let verdict = match name {
        "storm" => crowds::storm(&stage).await,
        "tabs" => crowds::tabs(&stage).await,
        "stale" => crowds::stale(&stage).await,
        "outage" => faults::outage(&stage).await,
        "lost" => faults::lost(&stage).await,
        "slow" => faults::slow(&stage).await,
        "restart" => gatekeeping::restart(&stage).await,
        "secret" => gatekeeping::secret(&stage).await,
        "theft" => theft::theft(&stage).await,
        _ => Verdict::failed("There is no such experiment."),
    };
    stage.conclude(verdict);
}
