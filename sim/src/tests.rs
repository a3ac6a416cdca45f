//! The simulation as a test: some seeds, replay, that its laws see, and the stories of what it found.

use crate::driver::{sweep, told};
use crate::run::run;
use crate::sabotage::Sabotage;
use crate::scenario::{Class, Kind, Rates, Scenario, WIDE};

#[test]
fn two_hundred_seeds_break_no_law_and_are_not_idle() {
    let (tally, failure) = sweep(0..200, 2, |_| {});
    assert!(failure.is_none(), "{}", failure.as_ref().map(told).unwrap_or_default());
    assert_eq!(tally.seeds, 200);
    // Laws that hold because nothing happens prove nothing.
    assert!(tally.renewals > 1_000 && tally.stale_saved > 100 && tally.suspended > 100, "{tally}");
    assert!(tally.crashes > 20 && tally.sign_outs > 50 && tally.faults.len() > 12, "{tally}");
    assert_eq!(tally.resends.len(), 4, "{tally}");
    assert!(tally.losses.contains_key("an answer was lost where no repetition is forgiven"), "{tally}");
}

#[test]
fn a_seed_replays_to_the_letter() {
    for seed in 0..8 {
        let (once, again) = (run(Scenario::draw(seed)), run(Scenario::draw(seed)));
        assert!(once.log.len() > 100, "seed {seed}");
        let differs = once.log.iter().zip(&again.log).find(|(first, second)| first != second);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!((once.log.len(), once.tally), (again.log.len(), again.tally), "seed {seed}");
    }
}

/// Found by the simulation. At a provider that kills the old access token at renewal, a stale cookie inside the renewal
/// window came while another request of its session had a look at the record, and was served its dead token at once.
#[test]
fn a_dead_access_token_is_not_handed_out_beside_a_flight() {
    for seed in 100..104 {
        let calm = Rates { browser: 60, ..Rates::default() };
        let drawn = Scenario::draw(seed);
        let scenario = Scenario {
            kind: Kind::Calm,
            class: Class::SingleUse,
            told: true,
            at_kill: true,
            lifetime: 60_000,
            length: 600_000,
            clocks: vec![(0, 0); 3],
            alone: false,
            browsers: vec![3, 3, 3],
            rates: calm,
            ..drawn
        };
        let report = run(scenario);
        assert_eq!(report.breach, None, "seed {seed}");
    }
}

/// Found by the simulation. A replica whose clock is behind took tokens that another had just bought for tokens of the
/// future, thought that its clock had been set back, and renewed again at the press of a button.
#[test]
fn a_replica_whose_clock_is_behind_keeps_the_shortest_interval() {
    for seed in 100..103 {
        let scenario = Scenario {
            kind: Kind::Calm,
            min_interval: 10_000,
            lifetime: 60_000,
            length: 600_000,
            clocks: vec![(2_200, 0), (-2_200, 0)],
            alone: false,
            browsers: vec![3, 3, 3],
            rates: Rates::default(),
            ..Scenario::draw(seed)
        };
        assert_eq!(run(scenario).breach, None, "seed {seed}");
    }
}

/// Found by the simulation. A request waited for the trial of a provider in trouble, which failed, and went on with the
/// generation that was the newest before the wait; another replica had renewed, which killed that access token.
#[test]
fn who_waited_for_a_pass_in_vain_looks_at_the_record_again() {
    assert_eq!(run(Scenario::draw(2466)).breach, None);
}

#[test]
fn a_write_over_a_changed_record_is_seen() {
    is_seen(Sabotage::DropCompareAndSwap);
}

#[test]
fn a_request_given_up_and_taken_to_be_gone_is_seen() {
    is_seen(Sabotage::SkipDrain);
}

#[test]
fn a_record_that_forgets_its_tokens_when_a_cookie_has_them_is_seen() {
    is_seen(Sabotage::DropCiphertextAtAcknowledgement);
}

#[test]
fn a_lease_shorter_than_the_call_is_seen() {
    is_seen(Sabotage::ShortLease);
}

#[test]
fn tokens_validated_before_they_are_written_down_are_seen() {
    is_seen(Sabotage::ValidateBeforeCommit);
}

#[test]
fn somebody_told_to_sign_in_who_had_to_wait_is_seen() {
    is_seen(Sabotage::LoserSignsOut);
}

#[test]
fn an_expired_lease_taken_for_a_free_session_is_seen() {
    is_seen(Sabotage::ExpiredLeaseIsFree);
}

#[test]
fn a_call_repeated_with_another_way_to_authenticate_is_seen() {
    is_seen(Sabotage::ProbeAuthMethods);
}

#[test]
fn a_fork_that_is_overlooked_is_seen() {
    is_seen(Sabotage::OverlookForks);
}

#[test]
fn a_stampede_is_seen() {
    is_seen(Sabotage::Stampede);
}

/// The world in which a sabotage shows soonest, and the laws of which it breaks one.
fn world_of(sabotage: Sabotage) -> (fn(&mut Scenario), &'static [&'static str]) {
    match sabotage {
        Sabotage::DropCompareAndSwap => (crowded, &["S1", "S1 intent", "S2", "S3", "S4", "S5"]),
        Sabotage::SkipDrain => (crashing_and_strict, &["S2"]),
        Sabotage::DropCiphertextAtAcknowledgement => (crowded, &["S4", "S6", "S7", "S8"]),
        Sabotage::ShortLease => (slow_and_forgiving, &["S1", "S1 intent", "S1 lease"]),
        Sabotage::ValidateBeforeCommit => (faulty_and_strict, &["S8", "L3"]),
        Sabotage::LoserSignsOut => (crashing_and_strict, &["S7"]),
        Sabotage::ExpiredLeaseIsFree => (crashing_and_strict, &["S2"]),
        Sabotage::ProbeAuthMethods => (faulty_and_strict, &["S1", "S2"]),
        Sabotage::OverlookForks => (forgetful_and_forgiving, &["S13"]),
        Sabotage::Stampede => (full_and_recovering, &["L4"]),
    }
}

/// In the world in which it shows soonest, one of `laws` sees a sabotage within a few seeds, which all pass without it.
fn is_seen(sabotage: Sabotage) {
    let (tune, laws) = world_of(sabotage);
    let tuned = |seed, sabotage| {
        let mut scenario = Scenario { sabotage, ..Scenario::draw(seed) };
        tune(&mut scenario);
        scenario
    };
    for seed in 0..SEEDS_TO_SEE {
        let sound = run(tuned(seed, None));
        assert_eq!(sound.breach, None, "without sabotage, seed {seed}:\n{}", sound.log.join("\n"));
        if let Some(breach) = run(tuned(seed, Some(sabotage))).breach {
            assert!(laws.contains(&breach.law), "{sabotage:?}, seed {seed}: {breach:?}");
            return;
        }
    }
    panic!("{sabotage:?} was not seen in {SEEDS_TO_SEE} seeds");
}

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

/// A store that often forgets what it wrote last, and a provider that then makes a second successor.
fn forgetful_and_forgiving(scenario: &mut Scenario) {
    crashing_and_strict(scenario);
    scenario.kind = Kind::TailLoss;
    scenario.class = Class::Overlap(WIDE);
    scenario.browsers = vec![2; 4];
    scenario.rates = Rates { browser: 200, tail_losses: 60, ..Rates::default() };
}

/// More sessions than may be renewed in some seconds, all of which an outage held up.
fn full_and_recovering(scenario: &mut Scenario) {
    slow_and_forgiving(scenario);
    scenario.kind = Kind::Outage;
    scenario.clocks = vec![(0, 0)];
    scenario.browsers = vec![1; 30];
    scenario.rates = Rates { outages: 2, ..Rates::default() };
    scenario.per_second = 1;
}

/// No sabotage needs more.
const SEEDS_TO_SEE: u64 = 20;
