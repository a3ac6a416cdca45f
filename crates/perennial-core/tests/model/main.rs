//! The renewal protocol, model-checked: every interleaving of a few replicas, browsers, losses and crashes.
mod laws;
mod provider;
mod state;
mod system;
mod values;

use std::time::{Duration, Instant};

use perennial_core::provider::RefreshClass;
use perennial_core::renewal::RenewalPolicy;
use stateright::{Checker, Model};
use system::{Sabotage, System};

const WINDOW: Duration = Duration::from_secs(40);

fn system(class: RefreshClass, faults: u8, sabotage: Option<Sabotage>) -> System {
    System { class, replicas: 2, faults, sign_out: std::env::var("OUT").is_ok(), sabotage, policy: RenewalPolicy::default() }
}

#[test]
fn every_class_keeps_every_law() {
    let faults = std::env::var("FAULTS").ok().and_then(|f| f.parse().ok()).unwrap_or(2);
    for class in [
        RefreshClass::Reusable,
        RefreshClass::Acknowledged,
        RefreshClass::Idempotent(WINDOW),
        RefreshClass::Overlap(WINDOW),
        RefreshClass::SingleUse,
        RefreshClass::Family,
    ] {
        let t = Instant::now();
        let checked = system(class, faults, None).checker().spawn_bfs().join();
        println!("{class:?} {} states depth {} {:?}", checked.unique_state_count(), checked.max_depth(), t.elapsed());
        for (name, path) in checked.discoveries() {
            println!("  {name}");
            if !name.starts_with('a') && !name.starts_with('d') {
                let last = path.last_state().clone();
                for a in path.into_actions() {
                    println!("      {a:?}");
                }
                println!("   => {last:?}");
            }
        }
    }
}
