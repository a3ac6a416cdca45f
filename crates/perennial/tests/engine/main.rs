//! The whole engine against the development provider, over real loopback connections and a clock that tests turn by
//! hand: each test tells one story of `design.md` §5.

mod support;

mod audiences;
mod backends;
mod callbacks;
mod challenge;
mod configuring;
mod crash;
mod doubt;
mod dumps;
mod elsewhere;
mod ending;
mod endpoints;
mod happened;
mod leaks;
mod outages;
mod renewing;
mod replicas;
mod requiring;
mod signing_in;
mod stale;
mod stampede;
mod store_outage;
