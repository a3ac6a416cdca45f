//! The keeper in PostgreSQL: one row per record, one conditional statement per swap.

mod address;
mod failure;
mod migrate;
mod news;
mod sql;

use std::fmt;
use std::sync::Arc;

use deadpool_postgres::Object;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::BoxStream;
use perennial_core::Timestamp;
use tokio::sync::OnceCell;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::ear::{Ear, Heard};
use crate::{
    Announcement, Durability, KeyPrefix, News, OpenError, RecordKey, Removal, SessionStore, StoreError, Swap, Version,
    Versioned, limits,
};
use address::Address;
use failure::{Failure, not_understood};
use sql::Sql;

/// Keeps each record in one row of a schema of its own, which it makes when it is first used.
///
/// Versions come from a sequence, time from the server's clock. Changes are told by NOTIFY as they are committed, on one
/// connection per process; a pooler that cannot carry it costs up to a second of waiting. After a restart of the server
/// the pool connects again by itself.
///
/// ```
/// use perennial_store::{PostgresStore, SessionStore};
///
/// let store = PostgresStore::open("postgres://perennial:secret@localhost/app?schema=sessions")?;
/// assert!(store.shared());
/// # Ok::<(), perennial_store::OpenError>(())
/// ```
pub struct PostgresStore {
    postgres: Arc<Postgres>,
    ear: Arc<Ear>,
}

struct Postgres {
    address: Address,
    sql: Sql,
    /// Filled once the tables are known to be there.
    migrated: OnceCell<()>,
}

type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

impl PostgresStore {
    /// The store at a `postgres:` or `postgresql:` URL; docs/stores.md lists its parts. Nothing is contacted before the first
    /// call, which also makes the tables.
    ///
    /// # Errors
    /// [`OpenError`] when the URL is none, or its certificate authority cannot be read.
    pub fn open(url: &str) -> Result<Self, OpenError> {
        let address = Address::parse(url)?;
        let sql = Sql::new(&address.schema);
        let postgres = Arc::new(Postgres { address, sql, migrated: OnceCell::new() });
        Ok(Self { ear: Ear::new(postgres.clone()), postgres })
    }
}

impl Postgres {
    /// Makes the tables at the first need.
    async fn ready(&self) -> Result<(), StoreError> {
        let migrated = self.migrated.get_or_try_init(|| async {
            let migrating = async {
                let mut client = self.address.pool.get().await.map_err(Failure::Unreached)?;
                migrate::migrate(&mut client, &self.address.schema).await
            };
            // Others may be at it just now.
            let done = tokio::time::timeout(self.address.timeout * 4, migrating).await;
            done.unwrap_or(Err(Failure::TimedOut)).map_err(|failure| failure.told().before_writing())
        });
        migrated.await?;
        Ok(())
    }

    /// Runs a statement once.
    async fn run(&self, statement: &str, parameters: Parameters<'_>) -> Result<Vec<Row>, Failure> {
        let client = self.address.pool.get().await.map_err(Failure::Unreached)?;
        let running = async {
            let prepared = client.prepare_cached(statement).await?;
            client.query(&prepared, parameters).await
        };
        match tokio::time::timeout(self.address.timeout, running).await {
            Ok(rows) => Ok(rows?),
            Err(_) => {
                // Somebody else would wait behind the statement that has no answer.
                drop(Object::take(client));
                Err(Failure::TimedOut)
            }
        }
    }

    /// Runs a statement that writes; what becomes of one whose connection died is unknown.
    async fn write(&self, statement: &str, parameters: Parameters<'_>) -> Result<Vec<Row>, StoreError> {
        self.ready().await?;
        self.run(statement, parameters).await.map_err(Failure::told)
    }

    /// Runs a statement that only reads, on another connection if the first one is found dead.
    async fn read(&self, statement: &str, parameters: Parameters<'_>) -> Result<Vec<Row>, StoreError> {
        self.ready().await?;
        match self.run(statement, parameters).await {
            Err(failure) if failure.is_of_the_connection() => self.run(statement, parameters).await,
            other => other,
        }
        .map_err(Failure::told)
    }

    async fn load(&self, key: RecordKey) -> Result<Option<Versioned>, StoreError> {
        let rows = self.read(&self.sql.load, &[&&key.as_bytes()[..]]).await?;
        rows.first().map(|row| record(row, 0)).transpose()
    }
}

impl SessionStore for PostgresStore {
    fn load(&self, key: RecordKey, _now: Timestamp) -> BoxFuture<'_, Result<Option<Versioned>, StoreError>> {
        self.postgres.load(key).boxed()
    }

    fn compare_and_swap(
        &self,
        key: RecordKey,
        expected: Option<Version>,
        bytes: Vec<u8>,
        expires: Timestamp,
        _now: Timestamp,
    ) -> BoxFuture<'_, Result<Swap, StoreError>> {
        async move {
            if bytes.len() > limits::RECORD_BYTES {
                return Err(StoreError::too_large(bytes.len()));
            }
            let Postgres { sql, .. } = &*self.postgres;
            let (name, expires, notice) =
                (&key.as_bytes()[..], expires.unix_millis(), news::payload(Heard::Changed(key)));
            let rows = match expected {
                None => self.postgres.write(&sql.insert, &[&name, &expires, &bytes, &sql.channel, &notice]).await,
                Some(version) => {
                    let version = version.raw().cast_signed();
                    self.postgres.write(&sql.update, &[&name, &expires, &bytes, &sql.channel, &notice, &version]).await
                }
            }?;
            match rows.first() {
                Some(row) => Ok(Swap::Stored(version(row, 0)?)),
                // Nothing was written, whatever comes of the question why.
                None => match self.postgres.load(key).await {
                    Ok(current) => Ok(Swap::Conflict(current)),
                    Err(error) => Err(error.before_writing()),
                },
            }
        }
        .boxed()
    }

    fn remove(&self, key: RecordKey, expected: Version) -> BoxFuture<'_, Result<Removal, StoreError>> {
        async move {
            let Postgres { sql, .. } = &*self.postgres;
            let (name, version, notice) =
                (&key.as_bytes()[..], expected.raw().cast_signed(), news::payload(Heard::Changed(key)));
            let rows = self.postgres.write(&sql.remove, &[&name, &version, &sql.channel, &notice]).await?;
            Ok(if rows.is_empty() { Removal::NoSuchVersion } else { Removal::Removed })
        }
        .boxed()
    }

    fn changed(
        &self,
        key: RecordKey,
        since: Option<Version>,
        _now: Timestamp,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        self.ear.changed(key, since, move || self.postgres.load(key)).boxed()
    }

    fn find(
        &self,
        prefix: KeyPrefix,
        _now: Timestamp,
    ) -> BoxFuture<'_, Result<Vec<(RecordKey, Versioned)>, StoreError>> {
        async move {
            let (lowest, highest) = prefix.range();
            let most = i64::try_from(limits::FOUND_RECORDS).expect("a handful");
            let range: Parameters<'_> = &[&&lowest.as_bytes()[..], &&highest.as_bytes()[..], &most];
            let rows = self.postgres.read(&self.postgres.sql.find, range).await?;
            rows.iter().map(|row| Ok((key(row, 0)?, record(row, 1)?))).collect()
        }
        .boxed()
    }

    fn announce(&self, announcement: Announcement, _now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            let Postgres { sql, .. } = &*self.postgres;
            let (name, until, notice) = (
                &announcement.key.as_bytes()[..],
                announcement.until.unix_millis(),
                news::payload(Heard::Announced(announcement)),
            );
            let rows = self.postgres.write(&sql.announce, &[&name, &until, &sql.channel, &notice]).await?;
            if !rows.is_empty() {
                self.ear.announced(announcement);
            }
            Ok(())
        }
        .boxed()
    }

    fn announcements(&self, now: Timestamp) -> BoxStream<'static, News> {
        self.ear.announcements(now)
    }

    fn sweep(&self, now: Timestamp) -> BoxFuture<'_, Result<usize, StoreError>> {
        async move {
            self.ear.tidy(now);
            let Postgres { sql, .. } = &*self.postgres;
            let most = i64::try_from(limits::SWEEP_STEP).expect("a few hundred");
            let mut swept = 0;
            loop {
                let step = self.postgres.write(&sql.sweep, &[&most, &sql.channel]).await?.len();
                swept += step;
                if step < limits::SWEEP_STEP {
                    break;
                }
            }
            while self.postgres.write(&sql.forget, &[&most]).await?.len() == limits::SWEEP_STEP {}
            Ok(swept)
        }
        .boxed()
    }

    fn check(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        async move { self.postgres.read(&self.postgres.sql.check, &[]).await.map(|_written| ()) }.boxed()
    }

    fn durability(&self) -> Durability {
        Durability::Replicated
    }

    fn shared(&self) -> bool {
        true
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("schema", &self.postgres.address.schema).finish_non_exhaustive()
    }
}

/// Version, expiry and bytes from column `first` on.
fn record(row: &Row, first: usize) -> Result<Versioned, StoreError> {
    let expires = row.try_get(first + 1).map_err(|_| not_understood())?;
    let bytes: &[u8] = row.try_get(first + 2).map_err(|_| not_understood())?;
    Ok(Versioned { version: version(row, first)?, bytes: bytes.into(), expires: Timestamp::from_unix_millis(expires) })
}

fn version(row: &Row, column: usize) -> Result<Version, StoreError> {
    let raw: i64 = row.try_get(column).map_err(|_| not_understood())?;
    Ok(Version::from_raw(raw.cast_unsigned()))
}

fn key(row: &Row, column: usize) -> Result<RecordKey, StoreError> {
    let bytes: &[u8] = row.try_get(column).map_err(|_| not_understood())?;
    bytes.try_into().map(RecordKey::from_digest).map_err(|_| not_understood())
}
