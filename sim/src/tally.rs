//! What a run, or ten thousand, came to in numbers.

use std::collections::BTreeMap;
use std::fmt;

use crate::scenario::Scenario;

/// Counts of what happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) seeds: u64,
    pub(crate) sessions: u64,
    pub(crate) requests: u64,
    pub(crate) renewals: u64,
    pub(crate) calls: u64,
    pub(crate) suspended: u64,
    pub(crate) stale_saved: u64,
    pub(crate) sign_outs: u64,
    pub(crate) crashes: u64,
    /// Refresh tokens that were sent again, by what permitted it.
    pub(crate) resends: BTreeMap<&'static str, u64>,
    /// Sessions that were lost, by why nothing could save them.
    pub(crate) losses: BTreeMap<&'static str, u64>,
    /// Faults of the network, by kind.
    pub(crate) faults: BTreeMap<&'static str, u64>,
    /// The most calls that any one second after an outage saw.
    pub(crate) peak_after_outage: u64,
    pub(crate) kinds: BTreeMap<String, u64>,
}

impl Tally {
    pub(crate) fn of(scenario: &Scenario) -> Self {
        Self { seeds: 1, kinds: BTreeMap::from([(format!("{:?}", scenario.kind), 1)]), ..Self::default() }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.sessions += other.sessions;
        self.requests += other.requests;
        self.renewals += other.renewals;
        self.calls += other.calls;
        self.suspended += other.suspended;
        self.stale_saved += other.stale_saved;
        self.sign_outs += other.sign_outs;
        self.crashes += other.crashes;
        self.peak_after_outage = self.peak_after_outage.max(other.peak_after_outage);
        for (mine, theirs) in
            [(&mut self.resends, &other.resends), (&mut self.losses, &other.losses), (&mut self.faults, &other.faults)]
        {
            for (name, count) in theirs {
                *mine.entry(name).or_default() += count;
            }
        }
        for (kind, count) in &other.kinds {
            *self.kinds.entry(kind.clone()).or_default() += count;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>9} seeds", self.seeds)?;
        for (kind, count) in &self.kinds {
            writeln!(f, "{count:>9}   {kind}")?;
        }
        writeln!(f, "{:>9} sessions", self.sessions)?;
        writeln!(f, "{:>9} requests of browsers", self.requests)?;
        writeln!(f, "{:>9} of them answered 503 with Retry-After", self.suspended)?;
        writeln!(f, "{:>9} stale cookies saved", self.stale_saved)?;
        writeln!(f, "{:>9} refresh tokens sent", self.calls)?;
        writeln!(f, "{:>9} renewals in the record", self.renewals)?;
        writeln!(f, "{:>9} sign-outs", self.sign_outs)?;
        writeln!(f, "{:>9} crashes", self.crashes)?;
        writeln!(f, "{:>9} calls at most in one second of the ten after an outage", self.peak_after_outage)?;
        for (title, counts) in [
            ("faults on the line to the provider", &self.faults),
            ("refresh tokens sent again", &self.resends),
            ("sessions lost, each with its reason", &self.losses),
        ] {
            writeln!(f, "{:>9} {title}", counts.values().sum::<u64>())?;
            for (name, count) in counts {
                writeln!(f, "{count:>9}   {name}")?;
            }
        }
        Ok(())
    }
}
