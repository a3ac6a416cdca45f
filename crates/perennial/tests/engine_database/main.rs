//! The stories of `tests/engine` once more, with sessions that lie in the store: what holds for one strategy holds for the
//! other, unless a story is about what a cookie carries.

use perennial::SessionStrategy;

const STRATEGY: SessionStrategy = SessionStrategy::Database;

mod stored;

#[path = "../engine/support/mod.rs"]
mod support;

#[path = "../engine/audiences.rs"]
mod audiences;
#[path = "../engine/callbacks.rs"]
mod callbacks;
#[path = "../engine/challenge.rs"]
mod challenge;
#[path = "../engine/clocks.rs"]
mod clocks;
#[path = "../engine/configuring.rs"]
mod configuring;
#[path = "../engine/crash.rs"]
mod crash;
#[path = "../engine/doubt.rs"]
mod doubt;
#[path = "../engine/ending.rs"]
mod ending;
#[path = "../engine/endpoints.rs"]
mod endpoints;
#[path = "../engine/epoch.rs"]
mod epoch;
#[path = "../engine/happened.rs"]
mod happened;
#[path = "../engine/leaks.rs"]
mod leaks;
#[path = "../engine/named_ends.rs"]
mod named_ends;
#[path = "../engine/outages.rs"]
mod outages;
#[path = "../engine/renewing.rs"]
mod renewing;
#[path = "../engine/replicas.rs"]
mod replicas;
#[path = "../engine/requiring.rs"]
mod requiring;
#[path = "../engine/secrets.rs"]
mod secrets;
#[path = "../engine/signing_in.rs"]
mod signing_in;
#[path = "../engine/signing_out_there.rs"]
mod signing_out_there;
#[path = "../engine/skew.rs"]
mod skew;
#[path = "../engine/stale.rs"]
mod stale;
#[path = "../engine/stampede.rs"]
mod stampede;
#[path = "../engine/store_outage.rs"]
mod store_outage;
#[path = "../engine/storm.rs"]
mod storm;
