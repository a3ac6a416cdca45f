//! Real servers for tests: Redis, its cluster and its Sentinels, Valkey, and PostgreSQL.
//!
//! Each is started by the test that needs it, on loopback and a free port, in a folder of its own, and killed by its
//! process id when it is dropped. They can be killed, paused and started again at any moment. A missing program is a
//! failing test that names the Debian package, never a skipped one. Everything here blocks; it panics where a test
//! would.

#![allow(clippy::missing_panics_doc)]

mod cluster;
mod postgres;
mod process;
mod redis;
mod sentinel;
mod tls;
mod wire;

pub use cluster::RedisCluster;
pub use postgres::PostgresServer;
pub use redis::{Make, RedisServer};
pub use sentinel::RedisSentinels;
pub use tls::Authority;
