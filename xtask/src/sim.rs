//! The simulation, built to be fast.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use crate::run;

/// What the simulation is told.
#[derive(Args)]
pub(crate) struct Options {
    /// Arguments of the simulation.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds the simulation in release and runs it.
pub(crate) fn run(root: &Path, options: &Options) -> ExitCode {
    let command = ["run", "--quiet", "--release", "--package", "perennial-sim", "--"];
    run::status(run::cargo(root).args(command).args(&options.arguments))
}
