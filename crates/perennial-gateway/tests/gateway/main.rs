//! The gateway over real connections: a development provider, an upstream that tells what it got, and a clock for tests.

mod admin;
mod audiences;
mod connections;
mod end;
mod endings;
mod forward_auth;
mod frames;
mod harness;
mod http2;
mod hygiene;
mod identity;
mod invalid_token;
mod kept_form;
mod outage;
mod reload;
mod routing;
mod rules;
mod secure_upstream;
mod sign_in;
mod smuggling;
mod statement;
mod streams;
mod targets;
mod upgrade;
mod upstream;
