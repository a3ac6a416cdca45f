//! The benchmark: us and our peers, from Debian and npm, side by side on this machine.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::{Args, ValueEnum};

use crate::{machine, run};

/// What to measure, and where to put the outcome.
#[derive(Args)]
pub(crate) struct Options {
    /// Measure only this. May be given several times.
    #[arg(long, value_name = "PART")]
    only: Vec<Part>,
    /// Say what there is, and measure nothing.
    #[arg(long)]
    list: bool,
    /// A smoke form of seconds, with the debug build, us and nginx alone: its figures mean nothing.
    #[arg(long, conflicts_with = "write")]
    quick: bool,
    /// Put the tables and pictures of what was measured last into docs/speed.md and docs/images.
    #[arg(long)]
    write: bool,
    /// Wait up to this many minutes for a quiet machine before each part.
    #[arg(long, value_name = "MINUTES", default_value_t = 2)]
    wait: u32,
    /// Measure nothing; print the tables, or with --write put them down, of what was measured last.
    #[arg(long, conflicts_with_all = ["only", "quick"])]
    report: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// A live session with nothing due, beside nginx, Apache and Auth.js.
    Live,
    /// Requests at the moment of expiry.
    Storm,
    /// Durable renewals a second.
    Renewals,
    /// Memory and latency with many sessions.
    Scale,
    /// Single steps, by Criterion.
    Micro,
}

impl Part {
    fn name(self) -> String {
        self.to_possible_value().expect("no part is hidden from the command line").get_name().to_owned()
    }
}

/// Measures what was chosen, one after the other, and prints the tables.
pub(crate) fn run(root: &Path, options: &Options) -> ExitCode {
    match measure(root, options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn measure(root: &Path, options: &Options) -> Result<(), String> {
    if options.list {
        for part in Part::value_variants() {
            let what = part.to_possible_value().and_then(|value| value.get_help().map(ToString::to_string));
            println!("{:10}{}", part.name(), what.unwrap_or_default());
        }
        return Ok(());
    }
    let artifacts = root.join("target/ci-artifacts");
    std::fs::create_dir_all(&artifacts).map_err(|error| format!("{}: {error}", artifacts.display()))?;
    let log = artifacts.join("bench.log");
    let log = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
    let mut bench = Bench { root, options, artifacts, node: PathBuf::new(), log };
    bench.node = machine::node(root, &mut bench.log)?;
    if !options.report {
        bench.prepare()?;
        bench.play()?;
    }
    // The figures of the smoke form are in no table.
    if options.quick { Ok(()) } else { bench.report() }
}

struct Bench<'a> {
    root: &'a Path,
    options: &'a Options,
    artifacts: PathBuf,
    node: PathBuf,
    log: File,
}

impl Bench<'_> {
    /// Has what is measured, and what it is measured with.
    fn prepare(&mut self) -> Result<(), String> {
        let lists: &[&str] = if self.options.quick { &[] } else { &["bench"] };
        self.must(Command::new("bash").arg("xtask/machine.sh").args(lists).current_dir(self.root))?;
        let mut build = run::cargo(self.root);
        build.args(["build", "-p", "perennial-cli", "-p", "perennial-bench", "--bins"]);
        if !self.options.quick {
            build.arg("--release");
        }
        self.must(&mut build)?;
        if !self.root.join("e2e/node_modules").exists() {
            machine::npm(self.root, &["ci", "--prefix", "e2e"], &mut self.log)?;
        }
        if self.parts().contains(&Part::Live) && !self.options.quick {
            machine::npm(self.root, &["ci", "--prefix", "benches/authjs"], &mut self.log)?;
            let mut build = Command::new(&self.node);
            build.args(["node_modules/vite/bin/vite.js", "build"]).current_dir(self.root.join("benches/authjs"));
            self.must(&mut build)?;
        }
        Ok(())
    }

    /// What was chosen; in the smoke form without single steps, which `cargo test` takes once each.
    fn parts(&self) -> Vec<Part> {
        let Options { only, quick, .. } = self.options;
        let chosen = |part: &Part| (only.is_empty() || only.contains(part)) && !(*quick && *part == Part::Micro);
        Part::value_variants().iter().copied().filter(chosen).collect()
    }

    fn play(&mut self) -> Result<(), String> {
        if self.parts().contains(&Part::Micro) {
            self.must(run::cargo(self.root).args(["bench", "-p", "perennial-bench", "--bench", "micro"]))?;
        }
        let profile = if self.options.quick { "debug" } else { "release" };
        let binaries = run::target(self.root).join(profile);
        let mut command = Command::new(&self.node);
        command
            .current_dir(self.root)
            .args(["benches/run.mjs", "--wait", &self.options.wait.to_string()])
            .env("PERENNIAL_BIN", binaries.join("perennial"))
            .env("E2E_ARTIFACTS", &self.artifacts);
        if self.options.quick {
            command.arg("--quick");
        }
        let parts: Vec<_> = self.parts().into_iter().map(Part::name).collect();
        // Without a name all of them would be played.
        if parts.is_empty() { Ok(()) } else { self.must(command.args(parts)) }
    }

    /// Prints the tables, or puts them where they are read.
    fn report(&mut self) -> Result<(), String> {
        let mut command = Command::new(&self.node);
        command.current_dir(self.root).arg("benches/report.mjs").args(self.options.write.then_some("--write"));
        self.must(&mut command)
    }

    fn must(&mut self, command: &mut Command) -> Result<(), String> {
        let output = run::streamed(command, &mut self.log).map_err(|error| error.to_string())?;
        if output.success { Ok(()) } else { Err(format!("`{}` failed", run::display(command))) }
    }
}
