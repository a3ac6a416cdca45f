//! The simulation as a test: some seeds, replay, that its laws see, and the stories of what it found.

use crate::driver::{sweep, told};
use crate::run::run;
use crate::sabotage::Sabotage;
use crate::scenario::{Class, Kind, Rates, Scenario};

#[test]
fn two_hundred_seeds_break_no_law_and_are_not_idle() {
    let (tally, failure) = sweep(0..200, 2, |_| {});
    assert!(failure.is_none(), "{}", failure.as_ref().map(told).unwrap_or_default());
    assert_eq!(tally.seeds, 200);
    // Laws that hold because nothing happens prove nothing.
    assert!(tally.renewals > 1_000 && tally.stale_saved > 100 && tally.suspended > 100, "{tally}");
    assert!(tally.crashes > 20 && tally.sign_outs > 50 && tally.faults.len() > 12, "{tally}");
    assert_eq!(tally.resends.len(), 3, "{tally}");
    assert!(tally.losses.contains_key("an answer was lost where no repetition is forgiven"), "{tally}");
}

#[test]
fn a_seed_replays_to_the_letter() {
    for seed in [3, 7, 11, 12, 20, 25] {
        let (once, again) = (run(Scenario::draw(seed)), run(Scenario::draw(seed)));
        assert!(once.log.len() > 100, "seed {seed}");
        let differs = once.log.iter().zip(&again.log).find(|(first, second)| first != second);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!((once.log.len(), once.tally), (again.log.len(), again.tally), "seed {seed}");
    }
}

#[test]
fn every_sabotage_is_seen_within_its_seeds_and_the_same_seeds_pass_without_it() {
    for (sabotage, tune, law) in SABOTAGES {
        let tuned = |seed| {
            let mut scenario = Scenario::draw(seed);
            tune(&mut scenario);
            scenario
        };
        let seen = (0..SEEDS_TO_SEE).find_map(|seed| {
            let report = run(Scenario { sabotage: Some(*sabotage), ..tuned(seed) });
            let sound = run(tuned(seed));
            assert_eq!(sound.breach, None, "{sabotage:?} tuned, without it: seed {seed}");
            report.breach.map(|breach| (seed, breach))
        });
        let (seed, breach) = seen.unwrap_or_else(|| panic!("{sabotage:?} was not seen in {SEEDS_TO_SEE} seeds"));
        assert!(law.contains(&breach.law), "{sabotage:?}, seed {seed}: {breach:?}");
    }
}

/// What was done wrong, in which world it shows soonest, and the laws that may see it first.
type Row = (Sabotage, fn(&mut Scenario), &'static [&'static str]);

const SABOTAGES: &[Row] = &[
    (Sabotage::DropCompareAndSwap, crowded, &["S1", "S1 intent", "S2", "S4", "S5"]),
    (Sabotage::SkipDrain, crashing_and_strict, &["S2"]),
    (Sabotage::DropCiphertextAtAcknowledgement, crowded, &["S4", "S6", "S7", "S8"]),
    (Sabotage::ShortLease, slow_and_forgiving, &["S1", "S1 lease"]),
    (Sabotage::ValidateBeforeCommit, faulty_and_strict, &["S8", "L3"]),
    (Sabotage::LoserSignsOut, crashing_and_strict, &["S7"]),
    (Sabotage::ExpiredLeaseIsFree, crashing_and_strict, &["S2"]),
    (Sabotage::ProbeAuthMethods, faulty_and_strict, &["S1", "S2"]),
];

/// Three replicas and nothing but races.
fn crowded(scenario: &mut Scenario) {
    scenario.kind = Kind::Calm;
    scenario.rates = Rates { browser: 100, slow_store: 100, ..Rates::default() };
    scenario.clocks = vec![(0, 0); 3];
    scenario.alone = false;
}

/// Strict providers, requests that get lost or late, and replicas that die in mid-call.
fn crashing_and_strict(scenario: &mut Scenario) {
    scenario.kind = Kind::Crash;
    scenario.class = Class::Family;
    scenario.told = true;
    scenario.lifetime = 60_000;
    scenario.length = 600_000;
    scenario.rates = Rates { network: 600, crashes: 8, browser: 60, ..Rates::default() };
    scenario.clocks = vec![(0, 0); 3];
    scenario.alone = false;
}

/// A slow provider where a second call is harmless, and goes out as soon as it may.
fn slow_and_forgiving(scenario: &mut Scenario) {
    crashing_and_strict(scenario);
    scenario.class = Class::Reusable;
    scenario.rates.crashes = 0;
}

/// Strict providers whose answers have ID tokens and whose keys cannot always be had.
fn faulty_and_strict(scenario: &mut Scenario) {
    crashing_and_strict(scenario);
    scenario.id_tokens = true;
    scenario.rates.crashes = 0;
}

/// No sabotage needs more.
const SEEDS_TO_SEE: u64 = 20;
