//! `perennial dev`: a provider, the gateway and a page that shows both at work, in one process.

mod actions;
mod app;
mod assets;
mod front;
mod gate;
mod harness;
mod house;
mod jar;
mod page;
mod provider;
mod seen;
mod state;
mod stream;
mod tab;
mod view;
mod words;
mod scripted;
pub use scripted::run;
