//! The programs that `cargo xtask bench` drives: an application to be measured, a burst of requests, and the engine on a store.
//!
//! Each prints one line of JSON. What they are for is told by `benches/*.mjs`.
#![allow(clippy::print_stdout, reason = "a program of the terminal")]

mod app;
mod burst;
mod renewals;
mod scale;
mod shelf;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde_json::Value;

#[derive(Parser)]
#[command(name = "perennial-bench")]
struct Cli {
    #[command(subcommand)]
    program: Program,
}

#[derive(Subcommand)]
enum Program {
    /// An axum application with the session layer, or without.
    App(app::Options),
    /// Many requests with one cookie at the same moment.
    Burst(burst::Options),
    /// Renewals of many sessions, as many as the store bears.
    Renewals(renewals::Options),
    /// Requests to sessions in a store that holds many.
    Scale(scale::Options),
}

#[tokio::main]
async fn main() -> ExitCode {
    let told = match Cli::parse().program {
        Program::App(options) => app::run(options).await,
        Program::Burst(options) => burst::run(options).await,
        Program::Renewals(options) => renewals::run(options).await,
        Program::Scale(options) => scale::run(options).await,
    };
    match told {
        Ok(told) => {
            println!("{told}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// What a program tells, or why it cannot.
type Told = Result<Value, Box<dyn std::error::Error>>;
