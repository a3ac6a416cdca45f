//! `perennial dev`: a provider, the gateway and a page that shows both at work, in one process.

mod actions;
mod assets;
mod jar;
mod page;
mod seen;
mod state;
mod stream;
mod view;
mod words;

mod scripted;
pub use scripted::run;
