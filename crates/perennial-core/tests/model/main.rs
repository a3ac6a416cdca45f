//! The renewal protocol, model-checked: every interleaving of replicas, requests, losses and crashes within bounds,
//! around the engine's own `join`, `plan`, `settle` and `decide`. What is modelled and what is not: docs/proof.md.

mod driver;
mod laws;
mod memory;
mod provider;
mod state;
mod system;
mod values;

use std::collections::BTreeSet;
use std::time::Duration;

use perennial_core::limits::REPLICA_CLOCK_SKEW;
use perennial_core::provider::{LastResort, RefreshClass};
use perennial_core::renewal::RenewalPolicy;
use state::Clock;
use stateright::{Checker, Expectation, HasDiscoveries, Model};
use system::{Sabotage, System};

/// Longer than a request can linger: the call's deadline and the drain.
const WINDOW: Duration = Duration::from_secs(41);

/// Shorter than that.
const BRIEF_WINDOW: Duration = Duration::from_secs(10);

const EVERY_CLASS: [RefreshClass; 8] = [
    RefreshClass::Reusable,
    RefreshClass::Acknowledged,
    RefreshClass::Idempotent(WINDOW),
    RefreshClass::Overlap(WINDOW),
    RefreshClass::Overlap(BRIEF_WINDOW),
    RefreshClass::SingleUse,
    RefreshClass::Family,
    RefreshClass::Unknown,
];

/// All clocks show the same.
const IN_STEP: [Clock; 1] = [Clock(0)];

/// Clocks as far apart as the engine reckons with.
const APART: [Clock; 2] =
    [Clock(-(REPLICA_CLOCK_SKEW.as_millis() as i64) / 2), Clock(REPLICA_CLOCK_SKEW.as_millis() as i64 / 2)];

fn two_replicas(class: RefreshClass) -> System {
    let policy = RenewalPolicy::default();
    let (introspects, last_resort) = (false, LastResort::Retry);
    let (forgets, sign_out, sabotage) = (false, false, None);
    let (replicas, clocks, renewals, faults) = (2, &IN_STEP, 2, 1);
    System { class, introspects, last_resort, replicas, clocks, renewals, faults, forgets, sign_out, sabotage, policy }
}

#[test]
fn two_renewals_on_two_replicas_with_a_fault() {
    let faults = longer_bounds().unwrap_or(1);
    EVERY_CLASS.into_iter().for_each(|class| holds(System { faults, ..two_replicas(class) }));
}

/// How many faults a run allows, where somebody has minutes to spare: `cargo xtask proof` does.
fn longer_bounds() -> Option<u8> {
    let faults = std::env::var("PERENNIAL_MODEL_FAULTS").ok()?;
    Some(faults.parse().expect("PERENNIAL_MODEL_FAULTS is a number of faults, such as 2"))
}

#[test]
fn one_renewal_with_more_of_everything() {
    // Idempotent and unknown differ from their neighbours in nothing that these runs are about.
    let differs = |class: &RefreshClass| !matches!(class, RefreshClass::Idempotent(_) | RefreshClass::Unknown);
    for class in EVERY_CLASS.into_iter().filter(differs) {
        let once = System { renewals: 1, ..two_replicas(class) };
        holds(System { replicas: 3, ..once.clone() });
        holds(System { sign_out: true, ..once.clone() });
        // Doubt upon doubt: what is forgotten about the first attempt when there was a second.
        if matches!(class, RefreshClass::Overlap(BRIEF_WINDOW) | RefreshClass::SingleUse | RefreshClass::Family) {
            holds(System { replicas: 1, faults: 2, ..once.clone() });
            holds(System { faults: 2, ..once });
        }
    }
}

#[test]
fn two_renewals_on_a_store_that_forgets() {
    for class in EVERY_CLASS {
        holds(System { forgets: true, faults: 0, ..two_replicas(class) });
    }
    // Beside the loss a fault, where most successors can be about: millions of states.
    if longer_bounds().is_some() {
        holds(System { forgets: true, ..two_replicas(RefreshClass::Overlap(WINDOW)) });
    }
}

#[test]
fn a_provider_that_can_be_asked_and_one_that_must_not_be_tried_twice() {
    for class in [RefreshClass::Overlap(BRIEF_WINDOW), RefreshClass::SingleUse, RefreshClass::Family] {
        let asked = System { introspects: true, ..two_replicas(class) };
        holds(System { renewals: 1, faults: 2, ..asked.clone() });
        holds(System { last_resort: LastResort::Reauthenticate, ..asked.clone() });
        holds(asked);
    }
}

#[test]
fn one_renewal_by_clocks_that_differ() {
    for class in EVERY_CLASS {
        holds(System { clocks: &APART, renewals: 1, ..two_replicas(class) });
    }
}

#[test]
fn every_sabotage_is_noticed() {
    for (sabotage, law) in [
        (Sabotage::DropsCompareAndSwap, "S1 one call at a time"),
        (Sabotage::TakesAnExpiredLeaseForFree, "S2 sent again only where permitted"),
        (Sabotage::LeaseShorterThanTheCall, "S1 one call at a time"),
        (Sabotage::SkipsTheDrain, "S2 sent again only where permitted"),
        (Sabotage::SignsTheLoserOut, "S7 no fault signs out"),
        (Sabotage::ValidatesBeforeItCommits, "S8 received is durable first"),
        (Sabotage::SendsWithoutALookAtTheLease, "S1 one call at a time"),
        (Sabotage::EndsWithoutALookAtTheRecord, "S6 refused is the newest"),
        (Sabotage::OverlooksForks, "S13 one successor goes on"),
    ] {
        let system = match sabotage {
            // A strict provider makes no second successor.
            Sabotage::OverlooksForks => {
                System { forgets: true, faults: 0, ..two_replicas(RefreshClass::Overlap(WINDOW)) }
            }
            _ => System { faults: 2, ..two_replicas(RefreshClass::Family) },
        };
        let system = System { sabotage: Some(sabotage), ..system };
        let noticed = HasDiscoveries::AnyOf(BTreeSet::from([law]));
        let checker = system.checker().finish_when(noticed).spawn_bfs().join();
        let Some(path) = checker.discovery(law) else { panic!("{sabotage:?} keeps \"{law}\"") };
        say(&format!("{sabotage:?} breaks \"{law}\" in {} steps", path.into_actions().len()));
    }
}

/// Explores all states of `system`: no law is broken, and what should be possible is.
fn holds(system: System) {
    let title = format!(
        "{:?}{}{}: {} replicas, {} renewals, {} faults{}",
        system.class,
        if system.introspects { ", introspected" } else { "" },
        if system.last_resort == LastResort::Reauthenticate { ", never tried twice" } else { "" },
        system.replicas,
        system.renewals,
        system.faults,
        if system.sign_out { ", a sign-out" } else { "" },
    ) + if system.forgets { ", the store forgets" } else { "" }
        + if system.clocks.len() > 1 { ", clocks apart" } else { "" };
    let checker = system.checker().spawn_bfs().join();
    say(&format!("{title}: {} states, {} deep", checker.unique_state_count(), checker.max_depth()));
    let mut found = checker.discoveries();
    for property in checker.model().properties() {
        match (property.expectation, found.remove(property.name)) {
            (Expectation::Sometimes, None) => panic!("{title}: never \"{}\"", property.name),
            (Expectation::Always | Expectation::Eventually, Some(path)) => {
                let last = path.last_state().clone();
                let steps: Vec<_> = path.into_actions().iter().map(|action| format!("  {action:?}")).collect();
                panic!("{title}: \"{}\" is broken by\n{}\nleading to {last:#?}", property.name, steps.join("\n"))
            }
            _ => {}
        }
    }
}

#[expect(clippy::print_stdout, reason = "the numbers are what --nocapture is for")]
fn say(line: &str) {
    println!("{line}");
}
