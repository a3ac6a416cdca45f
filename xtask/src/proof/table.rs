//! The table of the proof: one row for each scenario, in the terminal and in docs/proof.md, where rows are kept until they are
//! measured anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// One line of the table.
#[derive(Debug, PartialEq)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) what: String,
    pub(super) count: String,
    /// Sessions lost that the protocol could have saved; none where nothing is counted by session.
    pub(super) savable: Option<u64>,
    /// Sessions lost whose successor nobody but the provider had.
    pub(super) unsavable: Option<u64>,
    /// The most redemptions that one refresh token saw.
    pub(super) redemptions: Option<u64>,
    pub(super) sign_outs: Option<u64>,
    pub(super) seconds: f64,
    /// What should have held and did not.
    pub(super) broken: Vec<String>,
}

/// What a row was measured on, and when.
pub(super) struct Measured(String);

impl Row {
    /// A scenario's last words.
    pub(super) fn of(name: String, what: String, told: &Value) -> Self {
        let number = |name: &str| told[name].as_u64();
        Self {
            name,
            what,
            count: told["count"].as_str().unwrap_or("–").to_owned(),
            savable: number("savable"),
            unsavable: number("unsavable"),
            redemptions: number("redemptions"),
            sign_outs: number("signOuts"),
            seconds: told["seconds"].as_f64().unwrap_or_default(),
            broken: told["broken"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|one| one.as_str().map(str::to_owned))
                .collect(),
        }
    }

    fn line(&self, measured: &Measured) -> String {
        let cell = |number: Option<u64>| number.map_or("–".to_owned(), grouped);
        let time = if self.broken.is_empty() { format!("{:.0} s", self.seconds) } else { "BROKEN".to_owned() };
        format!(
            "| `{}` | {} | {} | {} | {} | {} | {} | {time} | {} |",
            self.name,
            self.what,
            self.count,
            cell(self.savable),
            cell(self.unsavable),
            cell(self.redemptions),
            cell(self.sign_outs),
            measured.0,
        )
    }
}

impl Measured {
    /// The commit that is checked out, said to be changed if any file but the table's own page differs from it, today.
    ///
    /// # Errors
    /// `git` or `date` cannot be run.
    pub(super) fn now(root: &Path, release: bool) -> Result<Self, String> {
        let said = |program: &str, arguments: &[&str]| {
            let output = Command::new(program).args(arguments).current_dir(root).output();
            let output = output.map_err(|error| format!("{program}: {error}"))?;
            match output.status.success() {
                true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
                false => Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim())),
            }
        };
        let commit = said("git", &["rev-parse", "--short=10", "HEAD"])?;
        let changed = said("git", &["status", "--porcelain", "--", ".", ":!docs/proof.md"])?;
        let date = said("date", &["-u", "+%Y-%m-%d"])?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let changed = if changed.is_empty() { "" } else { " with changes" };
        let build = if release { ", release build" } else { "" };
        Ok(Self(format!("`{commit}`{changed}, {date}, {cores} cores{build}")))
    }
}

/// The table of one run.
pub(super) fn of(rows: &[Row], measured: &Measured) -> String {
    rows.iter().fold(HEAD.to_owned(), |mut table, row| {
        // Writing into a string cannot fail.
        let _ = writeln!(table, "{}", row.line(measured));
        table
    })
}

/// Puts `row` into the page's table and keeps the others, in the order of `known`. What is no longer known goes.
///
/// # Errors
/// The page cannot be read or written, or has lost its markers.
pub(super) fn write(page: &Path, row: &Row, measured: &Measured, known: &[String]) -> Result<(), String> {
    let say = |error| format!("{}: {error}", page.display());
    let text = std::fs::read_to_string(page).map_err(say)?;
    let replaced = with_row(&text, &row.name, row.line(measured), known);
    std::fs::write(page, replaced.ok_or_else(|| format!("{} has lost its markers", page.display()))?).map_err(say)
}

/// `page` with the row of `name` replaced or put in; `None` without markers.
fn with_row(page: &str, name: &str, line: String, known: &[String]) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (between, after) = rest.split_once(END)?;
    let mut rows: BTreeMap<usize, String> = BTreeMap::new();
    let place = |name: &str| known.iter().position(|one| one == name);
    let kept = between.lines().filter_map(|line| Some((place(named(line)?)?, line.to_owned())));
    rows.extend(kept);
    rows.insert(place(name)?, line);
    let rows: String = rows.values().map(|line| format!("{line}\n")).collect();
    Some(format!("{before}{BEGIN}\n{COMMAND}\n\n{HEAD}{rows}\n{END}{after}"))
}

/// The name of the row, if `line` is one: ``| `storm-redis` | …``.
fn named(line: &str) -> Option<&str> {
    line.strip_prefix("| `")?.split('`').next()
}

/// 1234567 as 1,234,567.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

const HEAD: &str = "| name | what | how many | lost, savable | lost, not savable | redemptions of one token at strict providers, at most | \
                    sign-outs | time | measured on |\n|---|---|---|---|---|---|---|---|---|\n";

const COMMAND: &str =
    "`cargo xtask proof --write` measures all rows anew, `cargo xtask proof --write --only NAME` one of them:";

const BEGIN: &str = "<!-- The table of `cargo xtask proof --write` begins here. -->\n";
const END: &str = "<!-- And ends here. -->";

#[cfg(test)]
mod tests {
    use super::*;

    fn measured() -> Measured {
        Measured("`abc`, 2026-01-02".into())
    }

    #[test]
    fn a_scenarios_last_words_become_a_line() {
        let told = serde_json::json!({
            "count": "200 kills", "savable": 0, "unsavable": 31, "redemptions": 1, "signOuts": 31, "seconds": 12.4, "broken": [],
        });
        let row = Row::of("kills".into(), "killed".into(), &told);
        let line = "| `kills` | killed | 200 kills | 0 | 31 | 1 | 31 | 12 s | `abc`, 2026-01-02 |\n";
        assert_eq!(of(&[row], &measured()), format!("{HEAD}{line}"));
        let broken = serde_json::json!({ "count": "1", "broken": ["something"] });
        let row = Row::of("kills".into(), "killed".into(), &broken);
        assert!(
            of(&[row], &measured())
                .ends_with("| `kills` | killed | 1 | – | – | – | – | BROKEN | `abc`, 2026-01-02 |\n")
        );
    }

    #[test]
    fn a_run_replaces_its_own_rows_and_keeps_the_others() {
        let known: Vec<_> = ["model", "storm", "kills"].map(str::to_owned).into();
        let page = format!("before\n{BEGIN}old words\n\n{HEAD}| `kills` | k |\n| `gone` | g |\n\n{END}\nafter\n");
        let with = |page: &str, name, line: &str| with_row(page, name, line.to_owned(), &known).expect("markers");
        let table = |rows: &str| format!("before\n{BEGIN}\n{COMMAND}\n\n{HEAD}{rows}\n{END}\nafter\n");
        let once = with(&page, "model", "| `model` | m |");
        assert_eq!(
            once,
            table("| `model` | m |\n| `kills` | k |\n"),
            "in the order of the scenarios; what is unknown goes"
        );
        let twice = with(&once, "kills", "| `kills` | anew |");
        assert_eq!(twice, table("| `model` | m |\n| `kills` | anew |\n"));
        assert_eq!(with_row("no markers", "model", String::new(), &known), None);
    }

    #[test]
    fn the_page_of_the_proof_has_its_markers() {
        let page = include_str!("../../../docs/proof.md");
        assert!(with_row(page, "model", String::new(), &["model".to_owned()]).is_some());
    }
}
