//! The proof: the model, the simulation, and real processes among faults, in their long forms and in one table.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use clap::Args;
use serde_json::Value;

use crate::{machine, run};

mod states;
mod table;

use states::Explored;
use table::{Measured, Row, grouped};

/// What to play, and where to put the outcome.
#[derive(Args)]
pub(crate) struct Options {
    /// Play only this. May be given several times; --list says what there is.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Say what there is, and play nothing.
    #[arg(long)]
    list: bool,
    /// Play the sizes of the gate: minutes instead of the better part of an hour.
    #[arg(long, conflicts_with = "write")]
    short: bool,
    /// Put the release build to the proof.
    #[arg(long)]
    release: bool,
    /// Put the rows of what was played into the table of docs/proof.md; its other rows stay as they are.
    #[arg(long)]
    write: bool,
}

impl Options {
    /// Whether anything is to be played that takes programs to start.
    fn plays_processes(&self) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| ![MODEL, SIMULATION].contains(&name.as_str()))
    }
}

/// Plays what was chosen, one after the other, and prints the table.
pub(crate) fn run(root: &Path, options: &Options) -> ExitCode {
    match play(root, options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn play(root: &Path, options: &Options) -> Result<bool, String> {
    let artifacts = root.join("target/ci-artifacts");
    std::fs::create_dir_all(&artifacts).map_err(|error| format!("{}: {error}", artifacts.display()))?;
    let log = artifacts.join("proof.log");
    let log = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
    let mut stage = Stage { root, options, artifacts, node: PathBuf::new(), log };
    stage.prepare()?;
    let parts = stage.parts()?;
    if options.list {
        for (name, what) in &parts {
            println!("{name:24}{what}");
        }
        return Ok(true);
    }
    if let Some(unknown) = options.only.iter().find(|name| !parts.iter().any(|(known, _)| known == *name)) {
        return Err(format!("There is no `{unknown}`. `cargo xtask proof --list` says what there is."));
    }
    let began = Instant::now();
    let measured = Measured::now(root, options.release)?;
    let known: Vec<_> = parts.iter().map(|(name, _)| name.clone()).collect();
    let mut rows = Vec::new();
    for (name, what) in parts {
        if !options.only.is_empty() && !options.only.contains(&name) {
            continue;
        }
        println!("\n== {name}: {what}");
        let row = match name.as_str() {
            MODEL => stage.model(what)?,
            SIMULATION => stage.simulation(what)?,
            _ => stage.scenario(name, what)?,
        };
        println!("-- {}: {}", row.name, if row.broken.is_empty() { "holds" } else { "BROKEN" });
        if options.write {
            // At once, so that a run that is stopped has not been for nothing.
            table::write(&stage.page(), &row, &measured, &known)?;
        }
        rows.push(row);
    }
    let table = table::of(&rows, &measured);
    println!("\n{table}\nafter {:.0} min", began.elapsed().as_secs_f64() / 60.0);
    let broken: Vec<_> = rows.iter().flat_map(|row| row.broken.iter().map(|what| (&row.name, what))).collect();
    for (name, what) in &broken {
        println!("BROKEN {name}: {what}. Alone: cargo xtask proof --only {name}");
    }
    Ok(broken.is_empty())
}

/// The model checker, with its long bounds.
const MODEL: &str = "model";

/// The real engine in virtual time, with many seeds.
const SIMULATION: &str = "simulation";

struct Stage<'a> {
    root: &'a Path,
    options: &'a Options,
    artifacts: PathBuf,
    node: PathBuf,
    log: File,
}

impl Stage<'_> {
    /// Has what the scenarios are played with: system packages, our programs, Node and its packages.
    fn prepare(&mut self) -> Result<(), String> {
        if !self.options.list && self.options.plays_processes() {
            let mut system = Command::new("bash");
            self.must(system.arg("xtask/machine.sh").current_dir(self.root))?;
            let mut build = run::cargo(self.root);
            build.args(["build", "-p", "perennial-cli"]);
            if self.options.release {
                build.arg("--release");
            }
            self.must(&mut build)?;
        }
        if !self.root.join("e2e/node_modules").exists() {
            machine::npm(self.root, &["ci", "--prefix", "e2e"], &mut self.log)?;
        }
        self.node = machine::node(self.root, &mut self.log)?;
        Ok(())
    }

    fn must(&mut self, command: &mut Command) -> Result<String, String> {
        let output = run::streamed(command, &mut self.log).map_err(|error| error.to_string())?;
        if output.success { Ok(output.text) } else { Err(format!("`{}` failed", run::display(command))) }
    }

    /// Where both tables stand.
    fn page(&self) -> PathBuf {
        self.root.join("docs/proof.md")
    }

    /// Names and what they are about, in the order of the table.
    fn parts(&self) -> Result<Vec<(String, String)>, String> {
        let output = Command::new(&self.node)
            .args(["proof/run.mjs", "--list"])
            .current_dir(self.root.join("e2e"))
            .output()
            .map_err(|error| format!("node: {error}"))?;
        let listed: Value = serde_json::from_slice(&output.stdout)
            .map_err(|error| format!("{error}: {}", String::from_utf8_lossy(&output.stderr)))?;
        let text = |one: &Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
        let scenarios = listed.as_array().into_iter().flatten().map(|one| (text(one, "name"), text(one, "what")));
        let ours = [
            (MODEL, "every interleaving of a model around the engine's own decisions"),
            (SIMULATION, "the whole engine on several replicas in virtual time, with faults drawn from a seed"),
        ];
        Ok(ours.map(|(name, what)| (name.to_owned(), what.to_owned())).into_iter().chain(scenarios).collect())
    }

    fn model(&mut self, what: String) -> Result<Row, String> {
        let mut command = run::cargo(self.root);
        command.args(["test", "-p", "perennial-core", "--test", "model", "--", "--nocapture"]);
        if !self.options.short {
            command.env("PERENNIAL_MODEL_FAULTS", "2");
        }
        let (row, output) =
            self.without_processes(MODEL, what, &mut command, |output| (states::summed(&Explored::all(output)), None))?;
        if self.options.write && row.broken.is_empty() {
            states::write(&self.page(), &Explored::all(&output))?;
        }
        Ok(row)
    }

    fn simulation(&mut self, what: String) -> Result<Row, String> {
        let mut command = run::cargo(self.root);
        command.args(["run", "--quiet", "--release", "--package", "perennial-sim", "--"]);
        if self.options.short {
            command.args(["--seeds", "200"]);
        }
        let seen = |output: &str| (simulated(output), counted(output, LOSSES));
        Ok(self.without_processes(SIMULATION, what, &mut command, seen)?.0)
    }

    /// A program that fails when something does not hold, and says how much it has seen and how many sessions nobody can save;
    /// and all that it says.
    fn without_processes(
        &mut self,
        name: &str,
        what: String,
        command: &mut Command,
        seen: impl Fn(&str) -> (String, Option<u64>),
    ) -> Result<(Row, String), String> {
        let began = Instant::now();
        let output = run::streamed(command, &mut self.log).map_err(|error| error.to_string())?;
        let (count, unsavable) = seen(&output.text);
        let row = Row {
            name: name.into(),
            what,
            count,
            savable: None,
            unsavable,
            redemptions: None,
            sign_outs: None,
            seconds: began.elapsed().as_secs_f64(),
            broken: if output.success { Vec::new() } else { vec!["a law does not hold".into()] },
        };
        Ok((row, output.text))
    }

    fn scenario(&mut self, name: String, what: String) -> Result<Row, String> {
        let profile = if self.options.release { "release" } else { "debug" };
        let mut command = Command::new(&self.node);
        command
            .current_dir(self.root.join("e2e"))
            .args(["proof/run.mjs", &name, if self.options.short { "short" } else { "long" }])
            .env("PERENNIAL_BIN", run::target(self.root).join(profile).join("perennial"))
            .env("E2E_ARTIFACTS", &self.artifacts);
        let output = run::streamed(&mut command, &mut self.log).map_err(|error| error.to_string())?;
        let row = output.text.lines().rev().find_map(|line| line.strip_prefix("PROOF "));
        let Some(row) = row.and_then(|row| serde_json::from_str(row).ok()) else {
            let broken = vec!["it did not come to its end".to_owned()];
            return Ok(Row { broken, ..Row::of(name, what, &Value::Null) });
        };
        Ok(Row::of(name, what, &row))
    }
}

/// What the simulation says of itself.
fn simulated(output: &str) -> String {
    let count = |what| grouped(counted(output, what).unwrap_or_default());
    format!("{} seeds, {} sessions, {} renewals", count("seeds"), count("sessions"), count("renewals in the record"))
}

/// The line of the simulation for sessions lost through no fault of the protocol.
const LOSSES: &str = "sessions lost, each with its reason";

/// The number before `what`, which has a line of its own: `      412 sessions`.
fn counted(output: &str, what: &str) -> Option<u64> {
    output.lines().find_map(|line| line.trim().strip_suffix(what)?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_simulations_counts_are_read() {
        let output = "    10000 seeds\n     9000   calm\n    20000 sessions\n    90000 requests of browsers\n    \
                      50000 renewals in the record\n       31 sessions lost, each with its reason\n";
        assert_eq!(simulated(output), "10,000 seeds, 20,000 sessions, 50,000 renewals");
        assert_eq!(counted(output, LOSSES), Some(31));
        assert_eq!(counted("", LOSSES), None);
    }
}
