//! The provider over real loopback TCP, seen with the eyes of a client that shares no code with it.

mod admin;
mod browser;
mod faults;
mod harness;
mod refresh;
mod sign_in;
mod sign_in_page;
mod sign_out;
