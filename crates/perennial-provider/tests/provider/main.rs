//! The provider over real loopback TCP, seen with the eyes of a client that shares no code with it.

mod admin;
mod faults;
mod harness;
mod refresh;
mod sign_in;
mod sign_out;
