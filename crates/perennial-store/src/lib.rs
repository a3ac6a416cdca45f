//! Where sessions are kept: one contract with compare-and-swap, and its keepers.
//!
//! A store is a versioned, expiring map from [`RecordKey`] to bytes. It never interprets a record: what the bytes mean,
//! who may renew and which generation wins are decided in `perennial-core`, on the bytes that come out of here. The
//! one decision a store takes is [`compare_and_swap`](SessionStore::compare_and_swap), without which parallel requests
//! lose each other's updates.
//!
//! | keeper | survives | several processes | opened by |
//! |---|---|---|---|
//! | [`MemoryStore`] | nothing | no | `memory:` |
//! | [`EmbeddedStore`] | SIGKILL, power loss as far as the disk keeps its promises | no | a path, or `file:` and a path |
//! | `RedisStore` (feature `redis`) | what the server is set up to survive | yes | `redis:` and its kin |
//! | `PostgresStore` (feature `postgres`) | what the server is set up to survive | yes | `postgres:` |
//!
//! ```
//! use perennial_core::Timestamp;
//! use perennial_store::{RecordKey, SessionStore, Swap, open};
//! use std::time::Duration;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = open("memory:")?;
//! let key = RecordKey::from_digest([7; 32]);
//! let now = Timestamp::from_unix_seconds(1_800_000_000);
//! let expires = now + Duration::from_secs(3600);
//!
//! let Swap::Stored(first) = store.compare_and_swap(key, None, b"generation 1".to_vec(), expires, now).await? else {
//!     unreachable!("nobody else writes here");
//! };
//! // Whoever still believes that the record is absent learns what it holds instead of overwriting it.
//! match store.compare_and_swap(key, None, b"lost update".to_vec(), expires, now).await? {
//!     Swap::Conflict(Some(current)) => assert_eq!(current.version, first),
//!     other => panic!("{other:?}"),
//! }
//! # Ok(())
//! # }
//! ```

pub mod embedded;
pub mod limits;
pub mod memory;

#[cfg(any(test, feature = "contract"))]
pub mod contract;

mod announcement;
mod bells;
mod board;
#[cfg(any(feature = "redis", feature = "postgres"))]
mod ear;
mod error;
mod open;
#[cfg(feature = "postgres")]
pub mod postgres;
mod record;
#[cfg(feature = "redis")]
pub mod redis;
mod sequence;
#[cfg(any(feature = "redis", feature = "postgres"))]
mod server_url;
mod store;
#[cfg(any(feature = "redis", feature = "postgres"))]
mod tls;

pub use announcement::{Announcement, News};
pub use embedded::EmbeddedStore;
pub use error::{StoreError, StoreErrorKind};
pub use memory::MemoryStore;
pub use open::{OpenError, open};
#[cfg(feature = "postgres")]
pub use postgres::PostgresStore;
pub use record::{KeyPrefix, RecordKey, Version, Versioned};
#[cfg(feature = "redis")]
pub use redis::RedisStore;
pub use store::{Durability, Removal, SessionStore, Swap};
