//! One run, from a seed to a verdict.

use std::sync::Arc;

use futures_util::future::join_all;

use crate::book::Breach;
use crate::browser::Browser;
use crate::dice::Dice;
use crate::fleet::Fleet;
use crate::scenario::{Millis, Scenario};
use crate::tally::Tally;
use crate::world::{World, sleep};
use crate::{tab, weather};

/// What a run came to.
pub(crate) struct Report {
    pub(crate) breach: Option<Breach>,
    pub(crate) tally: Tally,
    pub(crate) log: Vec<String>,
}

/// Runs a scenario on a runtime of its own, whose clock stands still unless everybody waits.
pub(crate) fn run(scenario: Scenario) -> Report {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    let world = runtime.block_on(play(scenario));
    // Tasks of dead processes stand where they were stopped; they go with the runtime.
    drop(runtime);
    let mut book = world.book();
    let report =
        Report { breach: book.breach.take(), tally: book.tally.clone(), log: std::mem::take(&mut *world.log()) };
    drop(book);
    report
}

async fn play(scenario: Scenario) -> Arc<World> {
    let world = World::new(scenario);
    let seed = world.scenario.seed;
    world.note(format_args!("{:?}", world.scenario));
    let fleet = Fleet::start(&world);
    let mut everybody = Vec::new();
    let mut tabs = Vec::new();
    for (number, count) in world.scenario.browsers.iter().enumerate() {
        let browser = Arc::new(Browser::new(format!("b{number}"), &world, &fleet));
        for tab in 0..*count {
            let dice = Dice::new(seed, &format!("tab {number} {tab}"));
            tabs.push(tokio::spawn(tab::live(world.clone(), browser.clone(), dice)));
        }
        let ghost = Arc::new(Browser::new(format!("g{number}"), &world, &fleet));
        let dice = Dice::new(seed, &format!("ghost {number}"));
        tabs.push(tokio::spawn(tab::haunt(world.clone(), browser.clone(), ghost.clone(), dice)));
        everybody.extend([browser, ghost]);
    }
    tabs.push(tokio::spawn(weather::blow(world.clone(), fleet.clone(), Dice::new(seed, "weather"))));
    sleep(world.scenario.length).await;
    weather::clear_up(&world, &fleet);
    finish(&world, tabs).await;
    let settling = everybody.into_iter().enumerate().map(|(number, browser)| {
        tokio::spawn(tab::settle(world.clone(), browser, Dice::new(seed, &format!("settle {number}"))))
    });
    finish(&world, settling.collect()).await;
    sleep(AFTERMATH).await;
    world.judge_books();
    world.judge_pace();
    world
}

/// Waits for people; one who panicked has met a bug, in the engine or here.
async fn finish(world: &World, tasks: Vec<tokio::task::JoinHandle<()>>) {
    for ended in join_all(tasks).await {
        if let Err(error) = ended {
            world.book().accuse("panic", error.to_string());
        }
    }
}

/// What is under way when the last browser is content comes to its end.
const AFTERMATH: Millis = 40_000;
