//! Fuzzing with libFuzzer on the stable toolchain.

use std::path::Path;
use std::process::{Command, ExitCode};

use clap::Args;

use crate::run;

/// What to fuzz and for how long.
#[derive(Args)]
pub(crate) struct Options {
    /// Seconds for each target.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// One target, by the name of its file in fuzz/fuzz_targets. All of them when left out.
    target: Option<String>,
}

/// Runs the chosen targets one after the other and stops at the first that finds something.
pub(crate) fn run(root: &Path, options: &Options) -> ExitCode {
    let known = targets(root);
    let chosen = match &options.target {
        Some(name) if known.contains(name) => vec![name.clone()],
        Some(name) => {
            eprintln!("There is no fuzz target `{name}`. Known: {}.", known.join(", "));
            return ExitCode::FAILURE;
        }
        None if known.is_empty() => {
            eprintln!("There is no fuzz target in fuzz/fuzz_targets.");
            return ExitCode::FAILURE;
        }
        None => known,
    };
    if !installed(root)
        && run::status(run::cargo(root).args(["install", "--locked", "cargo-fuzz"])) != ExitCode::SUCCESS
    {
        eprintln!("cargo-fuzz is missing and could not be installed. Run `cargo install --locked cargo-fuzz`.");
        return ExitCode::FAILURE;
    }
    for target in chosen {
        println!("== fuzz {target} for {} s", options.seconds);
        if run::status(&mut fuzz(root, &target, options.seconds)) != ExitCode::SUCCESS {
            eprintln!("`{target}` found something; the input lies in fuzz/artifacts/{target}.");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn fuzz(root: &Path, target: &str, seconds: u32) -> Command {
    let mut command = run::cargo(root);
    command.args(["fuzz", "run", "--sanitizer", "none", target, "--", &format!("-max_total_time={seconds}")]);
    command
}

/// The names of the files in fuzz/fuzz_targets, in order.
fn targets(root: &Path) -> Vec<String> {
    let Ok(folder) = std::fs::read_dir(root.join("fuzz/fuzz_targets")) else {
        return Vec::new();
    };
    let mut names: Vec<String> =
        folder.filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".rs").map(str::to_owned)).collect();
    names.sort();
    names
}

fn installed(root: &Path) -> bool {
    run::cargo(root).args(["fuzz", "--version"]).output().is_ok_and(|output| output.status.success())
}
