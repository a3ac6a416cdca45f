//! `perennial config`: what is made from the table of settings, for editors and for a beginning.

use clap::{Args, Subcommand};
use perennial_gateway::settings;

use super::{Fault, answer};

/// What to print.
#[derive(Debug, Args)]
pub(crate) struct ConfigureArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print the JSON Schema of a configuration file, for an editor that completes and checks it.
    Schema,
    /// Print an example file with every setting, to begin with.
    Example,
}

/// Prints it.
pub(crate) fn run(args: ConfigureArgs) -> Result<(), Fault> {
    let text = match args.what {
        What::Schema => settings::schema(),
        What::Example => settings::example(),
    };
    answer(text.trim_end())
}
