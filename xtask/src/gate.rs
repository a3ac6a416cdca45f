//! The gate: the steps that a change must pass, in order, and what they add up to.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use crate::tally::Tally;
use crate::{house, instructions, machine, run};

/// Which steps to run.
#[derive(Args)]
pub(crate) struct Options {
    /// Run only these steps, and what they need before them. May be given several times.
    #[arg(long, value_name = "STEP")]
    only: Vec<Step>,
    /// Hand this to the end-to-end suite: only tests whose name matches the pattern run.
    #[arg(long, value_name = "PATTERN")]
    e2e_name: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Step {
    /// The system packages are there (installed when root).
    Machine,
    /// The arrows between the crates, the purity of core, no traces of a machine.
    House,
    /// The code is formatted.
    Fmt,
    /// No lint fires.
    Clippy,
    /// Everything compiles: binaries, tests, examples.
    Build,
    /// Unit, integration and documentation tests.
    Test,
    /// No step of the request path takes more instructions than it did.
    Instructions,
    /// The documentation builds without a warning.
    Doc,
    /// What the npm packages and the end-to-end suite are written with is there.
    Npm,
    /// The npm packages are built and tested, and the applications that use them are built: the example, and the one of Kit 2.
    Packages,
    /// The end-to-end suite: real processes, a real browser, a foreign provider.
    E2e,
}

impl Step {
    /// Steps without which this one means nothing.
    fn needs(self) -> &'static [Step] {
        match self {
            Step::Machine | Step::House | Step::Fmt => &[],
            Step::Clippy | Step::Build | Step::Test | Step::Instructions | Step::Doc | Step::Npm => &[Step::Machine],
            Step::Packages => &[Step::Machine, Step::Npm],
            Step::E2e => &[Step::Machine, Step::Build, Step::Npm, Step::Packages],
        }
    }

    fn name(self) -> String {
        self.to_possible_value().expect("no step is hidden from the command line").get_name().to_owned()
    }
}

/// The chosen steps and what they need, in the order of the gate.
fn plan(only: &[Step]) -> Vec<Step> {
    let chosen = |step: &Step| only.is_empty() || only.iter().any(|one| one == step || one.needs().contains(step));
    Step::value_variants().iter().copied().filter(chosen).collect()
}

/// Runs the planned steps; a step is passed over when one that it needs failed.
pub(crate) fn run(root: &Path, options: &Options) -> ExitCode {
    let gate = Gate { root, options, artifacts: root.join("target/ci-artifacts") };
    if let Err(error) = gate.fresh_artifacts() {
        eprintln!("{}: {error}", gate.artifacts.display());
        return ExitCode::FAILURE;
    }
    let started = Instant::now();
    let mut tally = Tally::default();
    let mut broken: Vec<(Step, String)> = Vec::new();
    for step in plan(&options.only) {
        let heading = step.name();
        println!("\n== {heading}");
        let began = Instant::now();
        let outcome = match step.needs().iter().find(|need| broken.iter().any(|(failed, _)| failed == *need)) {
            Some(need) => Outcome::failed(format!("not run, because `{}` failed", need.name())),
            None => gate.run(step),
        };
        println!(
            "-- {heading}: {}, {}",
            if outcome.broken.is_none() { "good" } else { "FAILED" },
            spoken(began.elapsed())
        );
        tally += outcome.tally;
        if let Some(reason) = outcome.broken {
            broken.push((step, reason));
        }
    }

    println!("\n== summary, after {}", spoken(started.elapsed()));
    println!("Logs and screenshots: {}", gate.artifacts.strip_prefix(root).unwrap_or(&gate.artifacts).display());
    for (step, reason) in &broken {
        println!("FAILED {}: {reason}. Alone: cargo xtask test --only {}", step.name(), step.name());
    }
    // A step may break without a failing test (a lint, a compile error); it counts as one failure then.
    if tally.failed == 0 && !broken.is_empty() {
        tally.failed = broken.len() as u64;
    }
    println!("{tally}");
    if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What one step brought: its tests, and why it is broken if it is.
struct Outcome {
    tally: Tally,
    broken: Option<String>,
}

impl Outcome {
    fn failed(reason: impl Into<String>) -> Self {
        Self { tally: Tally::default(), broken: Some(reason.into()) }
    }

    /// A runner's verdict: its exit status, and that every test really ran.
    fn of_tests(tally: Tally, success: bool) -> Self {
        let broken = if tally.not_run > 0 {
            Some(format!("{} tests were skipped or ignored; a test that does not run is none", tally.not_run))
        } else if success && tally.failed == 0 && tally.passed == 0 {
            Some("no test ran".to_owned())
        } else if success && tally.failed == 0 {
            None
        } else {
            Some(format!("{} tests failed", tally.failed))
        };
        Self { tally, broken }
    }
}

struct Gate<'a> {
    root: &'a Path,
    options: &'a Options,
    artifacts: PathBuf,
}

impl Gate<'_> {
    /// Yesterday's logs and pictures must not be taken for today's.
    fn fresh_artifacts(&self) -> std::io::Result<()> {
        if self.artifacts.exists() {
            std::fs::remove_dir_all(&self.artifacts)?;
        }
        std::fs::create_dir_all(&self.artifacts)
    }

    fn run(&self, step: Step) -> Outcome {
        let mut log = match File::create(self.artifacts.join(format!("{}.log", step.name()))) {
            Ok(log) => log,
            Err(error) => return Outcome::failed(format!("its log cannot be written: {error}")),
        };
        match step {
            Step::Machine => {
                self.command(Command::new("bash").arg("xtask/machine.sh").current_dir(self.root), &mut log)
            }
            Step::House => self.house(),
            Step::Fmt => self.cargo(&["fmt", "--all", "--check"], &mut log),
            Step::Clippy => self.cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"], &mut log),
            // All targets, so that the features of the dependencies are those of `cargo test` and nothing compiles twice.
            Step::Build => self.cargo(&["build", "--workspace", "--all-targets"], &mut log),
            Step::Test => self.tests(&mut log),
            Step::Instructions => match instructions::guard(self.root, &mut log) {
                Ok(()) => Outcome { tally: Tally::default(), broken: None },
                Err(reason) => Outcome::failed(reason),
            },
            Step::Doc => self.command(
                run::cargo(self.root).args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"),
                &mut log,
            ),
            Step::Npm => match [&["ci"][..], &["ci", "--prefix", "e2e"], &["ci", "--prefix", "e2e/kit2"]]
                .iter()
                .try_for_each(|arguments| machine::npm(self.root, arguments, &mut log))
            {
                Ok(()) => Outcome { tally: Tally::default(), broken: None },
                Err(reason) => Outcome::failed(reason),
            },
            Step::Packages => self.packages(&mut log),
            Step::E2e => self.e2e(&mut log),
        }
    }

    fn house(&self) -> Outcome {
        let breaches = house::breaches(self.root);
        match house::report(&breaches) {
            true => Outcome { tally: Tally::default(), broken: None },
            false => Outcome::failed(format!("{} rules of the house are broken", breaches.len())),
        }
    }

    fn cargo(&self, arguments: &[&str], log: &mut File) -> Outcome {
        self.command(run::cargo(self.root).args(arguments), log)
    }

    fn command(&self, command: &mut Command, log: &mut File) -> Outcome {
        match run::streamed(command, log) {
            Ok(output) if output.success => Outcome { tally: Tally::default(), broken: None },
            Ok(_) => Outcome::failed(format!("`{}` failed", run::display(command))),
            Err(error) => Outcome::failed(error.to_string()),
        }
    }

    fn tests(&self, log: &mut File) -> Outcome {
        match run::streamed(run::cargo(self.root).args(["test", "--workspace", "--no-fail-fast"]), log) {
            Ok(output) => Outcome::of_tests(Tally::of_cargo(&output.text), output.success),
            Err(error) => Outcome::failed(error.to_string()),
        }
    }

    /// Builds the package, tests what was built, and builds the example and the application of Kit 2 against it.
    fn packages(&self, log: &mut File) -> Outcome {
        let node = match machine::node(self.root, log) {
            Ok(node) => node,
            Err(reason) => return Outcome::failed(reason),
        };
        let modules = self.root.join("node_modules");
        let run = |folder: &str, script: &str, arguments: &[&str], log: &mut File| {
            let mut command = Command::new(&node);
            self.command(command.current_dir(self.root.join(folder)).arg(modules.join(script)).args(arguments), log)
        };
        let build = ["--input", "src", "--output", "dist"];
        let built = run("packages/sveltekit", "@sveltejs/package/svelte-package.js", &build, log);
        if built.broken.is_some() {
            return built;
        }
        let tests = match test_files(&self.root.join("packages/sveltekit/tests"), "tests") {
            Ok(tests) if !tests.is_empty() => tests,
            Ok(_) => return Outcome::failed("packages/sveltekit/tests holds no *.test.mjs"),
            Err(error) => return Outcome::failed(format!("packages/sveltekit/tests: {error}")),
        };
        let tested = self.node_tests(&node, "packages/sveltekit", "packages.tap", &[], &tests, log);
        if tested.broken.is_some() {
            return tested;
        }
        for (script, arguments) in
            [("vite/bin/vite.js", &["build"][..]), ("svelte-check/bin/svelte-check", &["--tsconfig", "tsconfig.json"])]
        {
            let outcome = run("examples/sveltekit", script, arguments, log);
            if let Some(reason) = outcome.broken {
                return Outcome { tally: tested.tally, broken: Some(reason) };
            }
        }
        let kit2 = self.command(Command::new(&node).current_dir(self.root).arg("e2e/kit2/build.mjs"), log);
        Outcome { tally: tested.tally, broken: kit2.broken }
    }

    /// Runs test files with Node's own runner, one at a time: each measures times on its own processes, and cores are shared.
    fn node_tests(
        &self,
        node: &Path,
        folder: &str,
        tap: &str,
        arguments: &[String],
        tests: &[String],
        log: &mut File,
    ) -> Outcome {
        let binaries = run::target(self.root).join("debug");
        let tap = self.artifacts.join(tap);
        let mut command = Command::new(node);
        command
            .current_dir(self.root.join(folder))
            .env("PERENNIAL_BIN", binaries.join("perennial"))
            .env("EXAMPLE_AXUM_BIN", binaries.join("example-axum"))
            .env("E2E_ARTIFACTS", &self.artifacts)
            .args(["--test", "--test-concurrency=1", "--test-timeout=900000"])
            .args(["--test-reporter=spec", "--test-reporter-destination=stdout", "--test-reporter=tap"])
            .arg(format!("--test-reporter-destination={}", tap.display()))
            .args(arguments);
        match run::streamed(command.args(tests), log) {
            Ok(output) => {
                let mut tally = Tally::of_node(&std::fs::read_to_string(&tap).unwrap_or_default());
                if !arguments.is_empty() {
                    // Node counts what a pattern leaves out as skipped.
                    tally.not_run = 0;
                }
                Outcome::of_tests(tally, output.success)
            }
            Err(error) => Outcome::failed(error.to_string()),
        }
    }

    fn e2e(&self, log: &mut File) -> Outcome {
        let tests = match test_files(&self.root.join("e2e/tests"), "tests") {
            Ok(tests) if !tests.is_empty() => tests,
            Ok(_) => return Outcome::failed("e2e/tests holds no *.test.mjs"),
            Err(error) => return Outcome::failed(format!("e2e/tests: {error}")),
        };
        let node = match machine::node(self.root, log) {
            Ok(node) => node,
            Err(reason) => return Outcome::failed(reason),
        };
        let pattern = self.options.e2e_name.iter().map(|pattern| format!("--test-name-pattern={pattern}"));
        self.node_tests(&node, "e2e", "e2e.tap", &pattern.collect::<Vec<_>>(), &tests, log)
    }
}

/// The test files of a folder in order, as paths that begin with `named`.
fn test_files(folder: &Path, named: &str) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".test.mjs") {
            names.push(format!("{named}/{name}"));
        }
    }
    names.sort();
    Ok(names)
}

fn spoken(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 60 {
        format!("{:.1} s", duration.as_secs_f64())
    } else {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_alone_brings_what_it_needs_in_order() {
        assert_eq!(plan(&[]), Step::value_variants());
        assert_eq!(plan(&[Step::House]), [Step::House]);
        assert_eq!(plan(&[Step::E2e]), [Step::Machine, Step::Build, Step::Npm, Step::Packages, Step::E2e]);
        assert_eq!(plan(&[Step::Test, Step::House]), [Step::Machine, Step::House, Step::Test]);
    }

    #[test]
    fn a_run_is_good_only_when_all_its_tests_ran_and_passed() {
        let good = Tally { passed: 3, failed: 0, not_run: 0 };
        assert!(Outcome::of_tests(good, true).broken.is_none());
        for (tally, success) in [
            (good, false),
            (Tally { failed: 1, ..good }, true),
            (Tally { not_run: 1, ..good }, true),
            (Tally::default(), true),
        ] {
            assert!(Outcome::of_tests(tally, success).broken.is_some(), "{tally:?} {success}");
        }
    }

    #[test]
    fn durations_are_spoken_in_the_unit_that_fits() {
        assert_eq!(spoken(Duration::from_millis(1540)), "1.5 s");
        assert_eq!(spoken(Duration::from_secs(125)), "2 min 05 s");
    }
}
