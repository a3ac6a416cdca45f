//! The built binary as a person at a terminal or a supervisor meets it.

mod check;
mod cookie;
mod explain;
mod harness;
mod help;
mod providers;
mod reload;
mod restart;
mod serve;
