//! What a seed draws: who takes part, how the provider treats refresh tokens, and what goes wrong how often.

use std::time::Duration;

use perennial::RenewalPolicy;
use perennial::provider::RefreshClass;

use crate::dice::Dice;
use crate::sabotage::Sabotage;

/// Milliseconds since a run began.
pub(crate) type Millis = u64;

/// One run, drawn whole before it begins.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    pub(crate) kind: Kind,
    /// What the provider does.
    pub(crate) class: Class,
    /// Whether a refresh kills the access token before.
    pub(crate) at_kill: bool,
    /// Whether a refresh brings an ID token.
    pub(crate) id_tokens: bool,
    /// Whether the engine is told the class, or has to take the provider for the worst.
    pub(crate) told: bool,
    /// The lifetime of access tokens.
    pub(crate) lifetime: Millis,
    pub(crate) min_interval: Millis,
    /// Skew in milliseconds and drift in parts per million of each replica's clock.
    pub(crate) clocks: Vec<(i64, i64)>,
    /// Whether the store belongs to one process, as one on disk does.
    pub(crate) alone: bool,
    /// Tabs of each browser.
    pub(crate) browsers: Vec<usize>,
    /// How long the faulty part lasts; the calm after it comes on top.
    pub(crate) length: Millis,
    pub(crate) rates: Rates,
    /// Refresh requests that one process sends in a second at most.
    pub(crate) per_second: u32,
    pub(crate) sabotage: Option<Sabotage>,
}

/// What goes wrong in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing but races, stale cookies, and clocks that differ.
    Calm,
    /// Requests and answers get lost, late, doubled or mangled.
    Network,
    /// The provider fails for seconds to minutes.
    Outage,
    /// The store fails, is slow, or is cut off from one replica.
    Store,
    /// Replicas crash, drain and come back, with other secrets too.
    Crash,
    /// A little of everything above.
    Everything,
    /// The store loses what it acknowledged last.
    TailLoss,
    /// Processes stand still for seconds.
    Pause,
}

/// What it costs to present a refresh token a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Reusable,
    Acknowledged,
    Idempotent(Millis),
    Overlap(Millis),
    SingleUse,
    Family,
}

/// How often things go wrong, per thousand messages; and how many events a run has.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rates {
    /// A request to the provider meets a fault.
    pub(crate) network: u64,
    /// An operation of the store fails before it is done, or after.
    pub(crate) store: u64,
    /// An operation of the store takes up to two seconds.
    pub(crate) slow_store: u64,
    /// A browser's answer is lost, or its cookies arrive late.
    pub(crate) browser: u64,
    /// Outages of the provider.
    pub(crate) outages: u64,
    pub(crate) crashes: u64,
    pub(crate) drains: u64,
    pub(crate) partitions: u64,
    pub(crate) pauses: u64,
    pub(crate) tail_losses: u64,
}

impl Scenario {
    pub(crate) fn draw(seed: u64) -> Self {
        let mut dice = Dice::new(seed, "scenario");
        let kind = dice.pick(&[
            Kind::Calm,
            Kind::Network,
            Kind::Network,
            Kind::Outage,
            Kind::Store,
            Kind::Crash,
            Kind::Crash,
            Kind::Everything,
            Kind::Everything,
            Kind::Everything,
            Kind::TailLoss,
            Kind::Pause,
        ]);
        let class = match dice.weighted(&[2, 2, 2, 2, 1, 1, 3, 4]) {
            0 => Class::Reusable,
            1 => Class::Acknowledged,
            2 => Class::Idempotent(WIDE),
            3 => Class::Overlap(WIDE),
            4 => Class::Idempotent(NARROW),
            5 => Class::Overlap(NARROW),
            6 => Class::SingleUse,
            _ => Class::Family,
        };
        let replicas = dice.weighted(&[0, 2, 3, 2]);
        let skewed = dice.chance(500);
        let mut clock = || match skewed {
            true => (dice.between(0, SKEW_MAX) as i64 - SKEW_MAX as i64 / 2, dice.between(0, 200) as i64 - 100),
            false => (0, 0),
        };
        let clocks = (0..replicas).map(|_| clock()).collect();
        let lifetime = dice.pick(&[60_000, 120_000, 300_000]);
        let browsers = (0..dice.between(1, 3)).map(|_| dice.between(1, 3) as usize).collect();
        Self {
            seed,
            kind,
            class,
            at_kill: dice.chance(250),
            id_tokens: dice.chance(500),
            told: dice.chance(850) || !matches!(class, Class::SingleUse | Class::Family),
            lifetime,
            min_interval: dice.pick(&[1_000, 10_000]),
            clocks,
            alone: replicas == 1 && dice.chance(600),
            browsers,
            length: lifetime * 4,
            rates: Rates::of(kind, &mut dice),
            per_second: RenewalPolicy::default().max_per_second,
            sabotage: None,
        }
    }

    /// The class as the engine is told it.
    pub(crate) fn believed(&self) -> RefreshClass {
        match self.class {
            _ if !self.told => RefreshClass::Unknown,
            Class::Reusable => RefreshClass::Reusable,
            Class::Acknowledged => RefreshClass::Acknowledged,
            Class::Idempotent(window) => RefreshClass::Idempotent(Duration::from_millis(window)),
            Class::Overlap(window) => RefreshClass::Overlap(Duration::from_millis(window)),
            Class::SingleUse => RefreshClass::SingleUse,
            Class::Family => RefreshClass::Family,
        }
    }

    /// The largest difference between any two of the clocks at the end of the run.
    pub(crate) fn skew(&self) -> Millis {
        let end = (self.length + CALM_MAX) as i64;
        let error = |(skew, drift): &(i64, i64)| skew + end * drift / 1_000_000;
        let errors: Vec<i64> = self.clocks.iter().map(error).chain(self.clocks.iter().map(|clock| clock.0)).collect();
        let high = errors.iter().copied().max().unwrap_or(0).max(0);
        let low = errors.iter().copied().min().unwrap_or(0).min(0);
        (high - low).unsigned_abs()
    }
}

impl Rates {
    fn of(kind: Kind, dice: &mut Dice) -> Self {
        let none = Self { browser: 60, ..Self::default() };
        match kind {
            Kind::Calm => none,
            Kind::Network => Self { network: dice.between(200, 700), ..none },
            Kind::Outage => Self { network: 50, outages: dice.between(1, 3), ..none },
            Kind::Store => Self { store: 60, slow_store: 60, partitions: dice.between(0, 3), ..none },
            Kind::Crash => Self { network: 100, crashes: dice.between(1, 6), drains: dice.between(0, 2), ..none },
            Kind::Everything => Self {
                network: dice.between(50, 300),
                store: 15,
                slow_store: 15,
                outages: dice.between(0, 1),
                crashes: dice.between(0, 3),
                drains: dice.between(0, 2),
                partitions: dice.between(0, 1),
                ..none
            },
            Kind::TailLoss => Self { network: 50, tail_losses: dice.between(1, 3), ..none },
            Kind::Pause => Self { network: 100, pauses: dice.between(2, 8), ..none },
        }
    }
}

/// A window longer than any request can linger and any doubt can last.
pub(crate) const WIDE: Millis = 120_000;

/// A window that a lost answer may outlive.
pub(crate) const NARROW: Millis = 10_000;

/// Clocks differ by at most this much when a run begins; with their drift it comes to nearly the five seconds that the engine
/// is made for.
const SKEW_MAX: Millis = 4_400;

/// No run's calm lasts longer than this.
pub(crate) const CALM_MAX: Millis = 900_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_class_and_size_is_drawn() {
        let drawn: Vec<Scenario> = (0..300).map(Scenario::draw).collect();
        for kind in [
            Kind::Calm,
            Kind::Network,
            Kind::Outage,
            Kind::Store,
            Kind::Crash,
            Kind::Everything,
            Kind::TailLoss,
            Kind::Pause,
        ] {
            assert!(drawn.iter().any(|scenario| scenario.kind == kind), "{kind:?}");
        }
        for class in [
            Class::Reusable,
            Class::Acknowledged,
            Class::Idempotent(WIDE),
            Class::Idempotent(NARROW),
            Class::Overlap(WIDE),
            Class::Overlap(NARROW),
            Class::SingleUse,
            Class::Family,
        ] {
            assert!(drawn.iter().any(|scenario| scenario.class == class), "{class:?}");
        }
        for replicas in 1..=3 {
            assert!(drawn.iter().any(|scenario| scenario.clocks.len() == replicas), "{replicas}");
        }
        assert!(drawn.iter().any(|s| s.alone) && drawn.iter().any(|s| s.at_kill) && drawn.iter().any(|s| !s.told));
        assert!(drawn.iter().all(|scenario| scenario.skew() < 5_000), "what the engine is made for");
    }
}
