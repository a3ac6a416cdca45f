//! Everything about this repository that a machine does: the gate, the house check, formatting, fuzzing, the simulation, the
//! proof, the benchmark.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program of the terminal")]

mod bench;
mod fuzz;
mod gate;
mod house;
mod instructions;
mod machine;
mod proof;
mod run;
mod sim;
mod tally;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The chores of the Perennial repository.
///
/// `cargo xtask test` is the one gate: a change is good when it passes, here and in CI alike.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Run the gate: system packages, house, formatting, clippy, build, tests, documentation, end-to-end suite.
    ///
    /// Every step prints its name and how long it took; what it printed is kept in target/ci-artifacts, beside the
    /// screenshots. A failing step does not stop the ones that do not need it, so that one run shows all there is to
    /// mend. The last line is `N passed, N failed`, over the tests of all runners.
    Test(gate::Options),
    /// Check the arrows between the crates, the purity of core, and that no file names a machine or a registry.
    House,
    /// Format the workspace.
    Fmt,
    /// Write what is made from the table of settings: the reference tables of docs/configuration.md, the example file and the
    /// JSON Schema beside it. The gate's tests say when one of them is behind.
    Docs,
    /// Fuzz one target or all of them, each for a bounded time.
    ///
    /// Works on the stable toolchain (no sanitizer: the workspace forbids unsafe code). Installs cargo-fuzz when it is
    /// missing. Targets live in fuzz/fuzz_targets.
    Fuzz(fuzz::Options),
    /// Prove what renewal promises: the model with its long bounds, the simulation, and real processes, stores and
    /// providers among faults.
    ///
    /// The gate plays the same scenarios in short forms. The long ones take some 30 minutes on two cores, each at most 20,
    /// and end in one table: what was done, how many sessions were lost that the protocol can save (it must be none) and that
    /// no protocol can, how often one refresh token was redeemed. Every figure is what the provider saw. docs/proof.md explains it.
    Proof(proof::Options),
    /// Run the engine in virtual time among seeded faults, and watch the laws it promises to keep.
    ///
    /// Builds in release. All that follows goes to the simulation: `--seeds N` (10,000), `--from SEED`, `--seed S` for one
    /// of them, `--trace` for its whole log. A seed that breaks a law is printed with the end of its log and the command
    /// that replays it. docs/proof.md says what is simulated.
    Sim(sim::Options),
    /// Measure us beside our peers: nginx, Apache with mod_auth_openidc, Auth.js in SvelteKit.
    ///
    /// Installs them from Debian and npm, builds us in release, and runs all in shuffled rounds before the same app and the
    /// same provider. Some 30 minutes on two cores; it waits for a quiet machine, or says that it was not. Raw figures are
    /// kept in target/bench; docs/speed.md explains them.
    Bench(bench::Options),
    /// Count the instructions of single steps with callgrind, and fail when one has grown by more than 5 %.
    ///
    /// Counts do not depend on how busy the machine is. What is right stands in benches/instructions.json.
    Instructions(instructions::Options),
}

fn main() -> ExitCode {
    let root = repository();
    match Cli::parse().chore {
        Chore::Test(options) => gate::run(&root, &options),
        Chore::House => house::run(&root),
        Chore::Fmt => run::status(run::cargo(&root).args(["fmt", "--all"])),
        Chore::Docs => {
            run::status(run::cargo(&root).args(["run", "-q", "-p", "perennial-gateway", "--example", "settings"]))
        }
        Chore::Fuzz(options) => fuzz::run(&root, &options),
        Chore::Proof(options) => proof::run(&root, &options),
        Chore::Sim(options) => sim::run(&root, &options),
        Chore::Bench(options) => bench::run(&root, &options),
        Chore::Instructions(options) => instructions::run(&root, &options),
    }
}

/// The root of the checkout that this program was built from.
fn repository() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root
}
