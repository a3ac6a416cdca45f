//! L4: no process sends more refresh requests in a second than it was told to, after an outage least of all.

use std::collections::BTreeMap;

use crate::book::Call;
use crate::scenario::{Millis, Scenario};
use crate::world::World;

impl World {
    /// Judges all calls of a run, and counts the most that any second after an outage saw.
    pub(crate) fn judge_pace(&self) {
        let outages = self.weather().outages.clone();
        let mut book = self.book();
        let sent: Vec<Millis> = book.calls.iter().map(|call| call.sent).collect();
        let ten_seconds = outages.iter().flat_map(|(_, end)| (0..10).map(move |second| end + second * 1_000));
        let in_second = |from: Millis| sent.iter().filter(|sent| (from..from + 1_000).contains(*sent)).count() as u64;
        book.tally.peak_after_outage = ten_seconds.map(in_second).max().unwrap_or_default();
        let most = at_most(&self.scenario);
        if let Some((process, calls)) = busiest(&book.calls).filter(|(_, calls)| *calls > most) {
            let sentence =
                format!("process {process} sent {calls} refresh requests within a second, and {most} is the most");
            book.accuse("L4", sentence);
        }
    }
}

/// The process with the most calls in any one second, and how many these were.
fn busiest(calls: &[Call]) -> Option<(usize, usize)> {
    let mut by_process: BTreeMap<usize, Vec<Millis>> = BTreeMap::new();
    for call in calls {
        by_process.entry(call.life.number).or_default().push(call.sent);
    }
    let peak = |sent: Vec<Millis>| {
        // They are in the order in which they were sent.
        let until = |from: Millis| sent.partition_point(|sent| *sent < from + 1_000);
        sent.iter().enumerate().map(|(first, from)| until(*from) - first).max().unwrap_or_default()
    };
    by_process.into_iter().map(|(process, sent)| (process, peak(sent))).max_by_key(|(_, calls)| *calls)
}

/// The pace is kept where passes are given out; from there to the call some may be held up and catch up with others.
fn at_most(scenario: &Scenario) -> usize {
    let rates = scenario.rates;
    let quick = rates.slow_store + rates.store + rates.partitions + rates.pauses == 0;
    let held_up = if quick { QUICK } else { LEASE_SLACK };
    1 + (u64::from(scenario.per_second) * (1_000 + held_up)).div_ceil(1_000) as usize
}

/// Longer than reading and writing a record takes where nothing is the matter with the store.
const QUICK: Millis = 100;

/// From the plan to the call at most what a lease leaves.
const LEASE_SLACK: Millis = 5_000;
