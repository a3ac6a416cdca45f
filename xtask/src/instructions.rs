//! Instructions of single steps, counted by callgrind and guarded against growth: unlike times they are the same on a busy machine.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Args;
use serde_json::{Value, json};

use crate::run;

/// What to do with the counts.
#[derive(Args)]
pub(crate) struct Options {
    /// Take what is counted as what is right from now on: benches/instructions.json.
    #[arg(long)]
    write: bool,
}

/// `cargo xtask instructions`.
pub(crate) fn run(root: &Path, options: &Options) -> ExitCode {
    let log = root.join("target/ci-artifacts/instructions.log");
    let counted = std::fs::create_dir_all(root.join("target/ci-artifacts"))
        .and_then(|()| File::create(&log))
        .map_err(|error| format!("{}: {error}", log.display()))
        .and_then(|mut log| if options.write { write(root, &mut log) } else { guard(root, &mut log) });
    match counted {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

/// Counts, prints, and compares with what is right.
///
/// # Errors
/// A step takes more than it may, one has no count to be compared with, or counting failed.
pub(crate) fn guard(root: &Path, log: &mut File) -> Result<(), String> {
    let (counts, right) = (count(root, log)?, recorded(root)?);
    let compiler = compiler(root)?;
    let same = right["compiler"] == compiler.as_str();
    let allowed = if same { ALLOWED } else { ALLOWED_ELSEWHERE };
    if !same {
        println!(
            "counted with {compiler}, and the counts to compare with by {}: only gross growth counts",
            right["compiler"]
        );
    }
    let grown = grown(&counts, &right[std::env::consts::ARCH], allowed);
    if grown.is_empty() { Ok(()) } else { Err(format!("{}. {REMEDY}", grown.join("; "))) }
}

fn write(root: &Path, log: &mut File) -> Result<(), String> {
    let counts = count(root, log)?;
    let mut right = recorded(root).unwrap_or_else(|_| json!({}));
    right["compiler"] = compiler(root)?.into();
    right[std::env::consts::ARCH] = json!(counts);
    let text = serde_json::to_string_pretty(&right).map_err(|error| error.to_string())? + "\n";
    std::fs::write(root.join(RECORDED), text).map_err(|error| format!("{RECORDED}: {error}"))
}

/// Instructions of each step.
type Counts = BTreeMap<String, u64>;

fn count(root: &Path, log: &mut File) -> Result<Counts, String> {
    let mut build = run::cargo(root);
    // Without the stores on servers little has to be compiled.
    build.args(["build", "--release", "-p", "perennial-bench", "--no-default-features", "--bin", "perennial-counted"]);
    let output = run::streamed(&mut build, log).map_err(|error| error.to_string())?;
    if !output.success {
        return Err(format!("`{}` failed", run::display(&build)));
    }
    let program = run::target(root).join("release/perennial-counted");
    let steps = Command::new(&program).output().map_err(|error| format!("{}: {error}", program.display()))?;
    let mut counts = Counts::new();
    for step in String::from_utf8_lossy(&steps.stdout).lines() {
        let (few, many) = (executed(&program, step, FEW)?, executed(&program, step, MANY)?);
        let each = many.saturating_sub(few) / (MANY - FEW);
        println!("{step:12}{each:>9}");
        counts.insert(step.to_owned(), each);
    }
    Ok(counts)
}

/// Instructions of a process that takes `step` so many times.
fn executed(program: &PathBuf, step: &str, times: u64) -> Result<u64, String> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([step, &times.to_string()])
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let told = String::from_utf8_lossy(&output.stderr);
    match (output.status.success(), collected(&told)) {
        (true, Some(count)) => Ok(count),
        _ => Err(format!("valgrind counted nothing of {step}: {told}")),
    }
}

/// `==4711== Collected : 12345678`.
fn collected(told: &str) -> Option<u64> {
    told.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok())
}

/// What takes more than `allowed` times what is right, each in a sentence; and what nobody has counted before.
fn grown(counts: &Counts, right: &Value, allowed: f64) -> Vec<String> {
    let judged = counts.iter().filter_map(|(step, count)| {
        let Some(before) = right[step].as_u64() else { return Some(format!("`{step}` has no count to compare with")) };
        let ratio = *count as f64 / before as f64;
        (ratio > allowed)
            .then(|| format!("`{step}` takes {count} instructions and not {before}, {ratio:.2} times as many"))
    });
    judged.collect()
}

fn recorded(root: &Path) -> Result<Value, String> {
    let text = std::fs::read_to_string(root.join(RECORDED)).map_err(|error| format!("{RECORDED}: {error}"))?;
    serde_json::from_str(&text).map_err(|error| format!("{RECORDED}: {error}"))
}

fn compiler(root: &Path) -> Result<String, String> {
    let output = Command::new("rustc").arg("--version").current_dir(root).output();
    let output = output.map_err(|error| format!("rustc: {error}"))?;
    // `rustc 1.95.0 (59807616e 2026-04-14)`
    let version = String::from_utf8_lossy(&output.stdout);
    Ok(version.split(' ').take(2).collect::<Vec<_>>().join(" "))
}

const RECORDED: &str = "benches/instructions.json";

/// Growth that the guard lets pass: what one change may add unnoticed.
const ALLOWED: f64 = 1.05;

/// The same where another compiler counted, whose code differs by that much.
const ALLOWED_ELSEWHERE: f64 = 1.25;

/// How often a step is taken in the two runs whose difference counts. Two processes differ by up to 100,000 instructions before the
/// first step, from the random keys of their maps: over 300 steps that is under 1 % of each.
const FEW: u64 = 100;
const MANY: u64 = 400;

const REMEDY: &str =
    "Make it take fewer, or say in the commit why it takes more and run `cargo xtask instructions --write`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_counts_from_just_above_what_is_allowed() {
        let right = json!({ "open": 1_000, "seal": 2_000 });
        let counts = |open, seal| Counts::from([("open".to_owned(), open), ("seal".to_owned(), seal)]);
        assert!(grown(&counts(1_050, 100), &right, ALLOWED).is_empty(), "less is no growth");
        assert_eq!(
            grown(&counts(1_051, 2_000), &right, ALLOWED),
            ["`open` takes 1051 instructions and not 1000, 1.05 times as many"]
        );
        assert_eq!(grown(&counts(1_000, 1), &json!({ "open": 1_000 }), ALLOWED).len(), 1, "one is new");
    }

    #[test]
    fn valgrinds_count_is_read() {
        assert_eq!(collected("==7== Events    : Ir\n==7== Collected : 812345\n==7==\n"), Some(812_345));
        assert_eq!(collected("==7== error\n"), None);
    }

    #[test]
    fn every_step_that_is_recorded_has_a_count() {
        let recorded: Value = serde_json::from_str(include_str!("../../benches/instructions.json")).expect("JSON");
        let steps = recorded["x86_64"].as_object().expect("counts");
        assert!(
            steps.len() > 5 && steps.values().all(|count| count.as_u64().is_some_and(|count| count > 0)),
            "{steps:?}"
        );
    }
}
