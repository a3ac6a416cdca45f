//! How many tests ran, read from what the runners print.

use std::fmt;
use std::ops::AddAssign;

/// Tests by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    /// Ignored, skipped or marked as yet to be written: none may be.
    pub(crate) not_run: u64,
}

impl Tally {
    /// Sums the `test result:` lines of `cargo test`.
    pub(crate) fn of_cargo(output: &str) -> Self {
        let mut tally = Self::default();
        for line in output.lines().filter_map(|line| line.strip_prefix("test result: ")) {
            let (_, counts) = line.split_once(". ").unwrap_or_default();
            for (count, what) in counts.split(';').filter_map(|part| part.trim().split_once(' ')) {
                let Ok(count) = count.parse::<u64>() else {
                    continue;
                };
                match what {
                    "passed" => tally.passed += count,
                    "failed" => tally.failed += count,
                    "ignored" => tally.not_run += count,
                    _ => {}
                }
            }
        }
        tally
    }

    /// Reads the closing lines of `node --test` in its TAP form (`# pass 12`).
    pub(crate) fn of_node(tap: &str) -> Self {
        let mut tally = Self::default();
        for (what, count) in tap.lines().filter_map(|line| line.strip_prefix("# ")?.split_once(' ')) {
            let Ok(count) = count.parse::<u64>() else {
                continue;
            };
            match what {
                "pass" => tally.passed += count,
                "fail" | "cancelled" => tally.failed += count,
                "skipped" | "todo" => tally.not_run += count,
                _ => {}
            }
        }
        tally
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.not_run += other.not_run;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_counts_every_binary_and_the_doc_tests() {
        let output = "\
running 2 tests
test a ... ok
test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
test result: FAILED. 3 passed; 1 failed; 4 ignored; 0 measured; 0 filtered out; finished in 1.20s
   Doc-tests perennial_core
test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s
";
        assert_eq!(Tally::of_cargo(output), Tally { passed: 10, failed: 1, not_run: 4 });
    }

    #[test]
    fn node_counts_a_cancelled_test_as_failed() {
        let tap = "ok 1 - x\n# tests 9\n# suites 1\n# pass 4\n# fail 2\n# cancelled 1\n# skipped 1\n# todo 1\n# duration_ms 7.1\n";
        assert_eq!(Tally::of_node(tap), Tally { passed: 4, failed: 3, not_run: 2 });
    }

    #[test]
    fn what_is_not_a_result_counts_nothing() {
        assert_eq!(Tally::of_cargo("test result: nonsense\nok"), Tally::default());
        assert_eq!(Tally::of_node("# a sentence\nok 1"), Tally::default());
    }
}
