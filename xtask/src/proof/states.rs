//! The table of docs/proof.md that says how many states each run of the model explored: a row for each provider, a column for
//! each set of bounds.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::table::grouped;

/// What one run of the model says of itself: `overlap, 41 s: 2 replicas, 2 renewals, 1 fault: 79807 states, 30 deep`.
#[derive(Debug, PartialEq)]
pub(super) struct Explored {
    provider: String,
    bounds: String,
    states: u64,
}

impl Explored {
    /// All runs that `output` tells of.
    pub(super) fn all(output: &str) -> Vec<Self> {
        output.lines().filter_map(Self::read).collect()
    }

    fn read(line: &str) -> Option<Self> {
        let (before, _) = line.split_once(" states, ")?;
        let (title, states) = before.rsplit_once(": ")?;
        let (provider, bounds) = title.split_once(": ")?;
        // On one core the test's name comes first.
        let provider = provider.rsplit(" ... ").next()?;
        Some(Self { provider: provider.to_owned(), bounds: bounds.to_owned(), states: states.parse().ok()? })
    }
}

/// How many runs there were, and what they add up to.
pub(super) fn summed(runs: &[Explored]) -> String {
    let states = runs.iter().map(|run| run.states).sum();
    format!("{} states in {} runs", grouped(states), runs.len())
}

/// Puts the table of these runs into the page, instead of the one that is there.
///
/// # Errors
/// The page cannot be read or written, or has lost its markers.
pub(super) fn write(page: &Path, runs: &[Explored]) -> Result<(), String> {
    let say = |error| format!("{}: {error}", page.display());
    let text = std::fs::read_to_string(page).map_err(say)?;
    let replaced = with_table(&text, &table(runs)).ok_or_else(|| format!("{} has lost its markers", page.display()))?;
    std::fs::write(page, replaced).map_err(say)
}

fn with_table(page: &str, table: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{table}\n{END}{after}"))
}

/// Columns with the most runs come first.
fn table(runs: &[Explored]) -> String {
    let mut columns: BTreeMap<&str, usize> = BTreeMap::new();
    for run in runs {
        *columns.entry(&run.bounds).or_default() += 1;
    }
    let mut columns: Vec<_> = columns.into_iter().collect();
    columns.sort_by_key(|(_, runs)| Reverse(*runs));
    let providers: BTreeSet<&str> = runs.iter().map(|run| run.provider.as_str()).collect();
    let line = |head: &str, cells: Vec<String>| format!("| {head} | {} |\n", cells.join(" | "));
    let head = line("class", columns.iter().map(|(bounds, _)| (*bounds).to_owned()).collect());
    let rule = format!("|{}\n", "---|".repeat(columns.len() + 1));
    let rows = providers.iter().map(|provider| {
        let cell = |bounds: &str| {
            let run = runs.iter().find(|run| run.provider == *provider && run.bounds == bounds);
            run.map_or("–".to_owned(), |run| grouped(run.states))
        };
        line(provider, columns.iter().map(|(bounds, _)| cell(bounds)).collect())
    });
    [head, rule].into_iter().chain(rows).collect()
}

const BEGIN: &str = "<!-- The model's states, by `cargo xtask proof --only model --write`, begin here. -->\n";
const END: &str = "<!-- The model's states end here. -->";

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "family: 2 replicas, 2 renewals, 1 fault: 13470 states, 31 deep\nnoise\n\
                          test some ... reusable: 2 replicas, 2 renewals, 1 fault: 1018574 states, 30 deep\n\
                          family: 1 replica, 1 renewal, 2 faults: 5 states, 3 deep\ntest result: ok.\n";

    #[test]
    fn what_the_runs_say_becomes_a_table() {
        let runs = Explored::all(OUTPUT);
        assert_eq!(summed(&runs), "1,032,049 states in 3 runs");
        assert_eq!(
            table(&runs),
            "| class | 2 replicas, 2 renewals, 1 fault | 1 replica, 1 renewal, 2 faults |\n|---|---|---|\n\
             | family | 13,470 | 5 |\n| reusable | 1,018,574 | – |\n"
        );
        assert_eq!(summed(&Explored::all("nothing")), "0 states in 0 runs");
    }

    #[test]
    fn a_table_takes_the_place_of_the_one_before() {
        let page = format!("before\n{BEGIN}\nold\n\n{END}\nafter\n");
        assert_eq!(with_table(&page, "new\n"), Some(format!("before\n{BEGIN}\nnew\n\n{END}\nafter\n")));
        assert_eq!(with_table("no markers", "new\n"), None);
    }

    #[test]
    fn the_page_of_the_proof_has_its_markers() {
        assert!(with_table(include_str!("../../../docs/proof.md"), "").is_some());
    }
}
