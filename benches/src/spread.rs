//! Times as they spread: median, 99th percentile, slowest.

use std::time::Duration;

use serde_json::{Value, json};

/// A collection of times.
#[derive(Default)]
pub struct Spread(Vec<Duration>);

impl Spread {
    /// Median, 99th percentile and slowest in microseconds, and how many there are.
    pub fn told(mut self) -> Value {
        self.0.sort_unstable();
        let at = |share: f64| {
            let place = (self.0.len().saturating_sub(1) as f64 * share).round() as usize;
            self.0.get(place).map_or(0.0, |time| time.as_nanos() as f64 / 1_000.0)
        };
        json!({ "count": self.0.len(), "p50_us": at(0.5), "p99_us": at(0.99), "slowest_us": at(1.0) })
    }
}

impl Extend<Duration> for Spread {
    fn extend<T: IntoIterator<Item = Duration>>(&mut self, times: T) {
        self.0.extend(times);
    }
}

impl FromIterator<Duration> for Spread {
    fn from_iter<T: IntoIterator<Item = Duration>>(times: T) -> Self {
        Self(times.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_names_the_time_in_the_middle_and_those_at_the_end() {
        let spread: Spread = (1..=101).rev().map(Duration::from_micros).collect();
        assert_eq!(spread.told(), json!({ "count": 101, "p50_us": 51.0, "p99_us": 100.0, "slowest_us": 101.0 }));
        assert_eq!(Spread::default().told()["p50_us"], 0.0, "of nothing");
    }
}
