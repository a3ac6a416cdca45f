//! The renewal protocol, model-checked: every interleaving of replicas, requests, losses and crashes within bounds,
//! around the engine's own `join`, `plan`, `settle` and `decide`. What is modelled and what is not: docs/proof.md.

mod driver;
mod ending;
mod laws;
mod memory;
mod provider;
mod state;
mod system;
mod time;
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
    let (forgets, sign_out, mistakes, sabotage) = (false, false, false, None);
    let (replicas, clocks, renewals, faults) = (2, &IN_STEP, 2, 1);
    System {
        class,
        introspects,
        last_resort,
        replicas,
        clocks,
        renewals,
        faults,
        forgets,
        sign_out,
        mistakes,
        sabotage,
        policy,
    }
}

#[test]
fn two_renewals_on_two_replicas_with_a_fault() {
    for faults in 1..=longer_bounds().unwrap_or(1) {
        // Of a wide window two faults come to more states than ten minutes and five gigabytes are enough for.
        let fits = |class: &RefreshClass| faults == 1 || *class != RefreshClass::Overlap(WINDOW);
        EVERY_CLASS.into_iter().filter(fits).for_each(|class| holds(System { faults, ..two_replicas(class) }));
    }
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
    // Beside the loss a fault: millions of states, and of a window that gives two successors too many, as above.
    for faults in 0..longer_bounds().unwrap_or(1) {
        let fits = |class: &RefreshClass| faults == 0 || !matches!(class, RefreshClass::Overlap(_));
        EVERY_CLASS
            .into_iter()
            .filter(fits)
            .for_each(|class| holds(System { forgets: true, faults, ..two_replicas(class) }));
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
fn two_renewals_at_a_provider_that_mistakes_the_user() {
    // The others answer a repeated request with the same tokens or do not remember them, so that nobody could say whose they are.
    for class in
        [RefreshClass::Acknowledged, RefreshClass::Overlap(WINDOW), RefreshClass::SingleUse, RefreshClass::Family]
    {
        holds(System { mistakes: true, ..two_replicas(class) });
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
        (Sabotage::PutsLateTokensOnTop, "S4 tokens are of their generation"),
        (Sabotage::TakesAnyIdentity, "S9 one person to the end"),
        (Sabotage::ServesWhatItReadBefore, "S10 what is handed out lives and is the newest"),
        (Sabotage::HandsOutTheDead, "S10 what is handed out lives and is the newest"),
    ] {
        let system = match sabotage {
            // A strict provider makes no second successor, and who is overtaken has met a store that forgets.
            Sabotage::OverlooksForks | Sabotage::PutsLateTokensOnTop | Sabotage::ServesWhatItReadBefore => {
                System { forgets: true, faults: 0, ..two_replicas(RefreshClass::Overlap(WINDOW)) }
            }
            Sabotage::TakesAnyIdentity => System { mistakes: true, ..two_replicas(RefreshClass::Family) },
            _ => System { faults: 2, ..two_replicas(RefreshClass::Family) },
        };
        let system = System { sabotage: Some(sabotage), ..system };
        let noticed = HasDiscoveries::AnyOf(BTreeSet::from([law]));
        // On one thread, so that what is met first is a shortest way.
        let checker = system.checker().finish_when(noticed).spawn_bfs().join();
        let Some(path) = checker.discovery(law) else { panic!("{sabotage:?} keeps \"{law}\"") };
        let others: Vec<_> = checker.discoveries().into_keys().filter(|name| *name != law).collect();
        match sabotage {
            // Two calls with one refresh token are more than one offence.
            Sabotage::DropsCompareAndSwap
            | Sabotage::LeaseShorterThanTheCall
            | Sabotage::SendsWithoutALookAtTheLease => {}
            _ => assert_eq!(others, [""; 0], "{sabotage:?} breaks but \"{law}\""),
        }
        say(&format!("{sabotage:?} breaks \"{law}\" in {} steps", path.into_actions().len()));
    }
}

/// Explores all states of `system`: no law is broken, and what should be possible is.
fn holds(system: System) {
    let title = format!("{}: {}", provider(&system), bounds(&system));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let checker = system.checker().threads(threads).spawn_bfs().join();
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

/// A row of the table in docs/proof.md.
fn provider(system: &System) -> String {
    let class = match system.class {
        RefreshClass::Reusable => "reusable".into(),
        RefreshClass::Acknowledged => "acknowledged".into(),
        RefreshClass::Idempotent(window) => format!("idempotent, {} s", window.as_secs()),
        RefreshClass::Overlap(window) => format!("overlap, {} s", window.as_secs()),
        RefreshClass::SingleUse => "single use".into(),
        RefreshClass::Family => "family".into(),
        RefreshClass::Unknown => "unknown".into(),
    };
    let asked = if system.introspects { ", introspected" } else { "" };
    let resort = if system.last_resort == LastResort::Reauthenticate { ", no last resort" } else { "" };
    format!("{class}{asked}{resort}")
}

/// A column of that table.
fn bounds(system: &System) -> String {
    let many = |count: u64, what| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let System { replicas, renewals, faults, forgets, sign_out, mistakes, clocks, .. } = *system;
    let counted = [(replicas as u64, "replica"), (renewals, "renewal"), (faults.into(), "fault")];
    let counted = counted.map(|(count, what)| many(count, what));
    let also = [
        (sign_out, "a sign-out"),
        (mistakes, "another's tokens"),
        (forgets, "the store forgets"),
        (clocks.len() > 1, "clocks apart"),
    ];
    let also = also.into_iter().filter(|(holds, _)| *holds).map(|(_, what)| what.to_owned());
    counted.into_iter().chain(also).collect::<Vec<_>>().join(", ")
}

#[expect(clippy::print_stdout, reason = "the numbers are what --nocapture is for")]
fn say(line: &str) {
    println!("{line}");
}
