//! A simulation: the real engine on several replicas, browsers and a provider in virtual time, with faults drawn from a
//! seed, and the laws of `docs/proof.md` watched at each step. `cargo xtask sim` runs it.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program of the terminal")]

mod book;
mod browser;
mod dice;
mod driver;
mod fleet;
mod laws;
mod provider;
mod run;
mod sabotage;
mod scenario;
mod shelf;
mod tab;
mod tally;
#[cfg(test)]
mod tests;
mod weather;
mod wire;
mod world;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    driver::drive(&driver::Options::parse())
}
