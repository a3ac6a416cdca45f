//! The whole engine against the development provider, over real loopback connections and a clock that tests turn by
//! hand: each test tells one story of `design.md` §5.

use perennial::SessionStrategy;

/// Where sessions lie in these stories; `tests/engine_database` tells most of them again with the other one.
const STRATEGY: SessionStrategy = SessionStrategy::Jwt;

mod support;

mod audiences;
mod authjs;
mod backends;
mod callbacks;
mod carried;
mod challenge;
mod clocks;
mod configuring;
mod crash;
mod doubt;
mod dumps;
mod elsewhere;
mod ending;
mod endpoints;
mod epoch;
mod forks;
mod happened;
mod leaks;
mod named_ends;
mod outages;
mod owed;
mod renewing;
mod replicas;
mod requiring;
mod secrets;
mod signing_in;
mod signing_out_there;
mod skew;
mod stale;
mod stampede;
mod store_outage;
mod storm;
