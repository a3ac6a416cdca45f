//! The tables in the file, and what each request does to them.

use perennial_core::Timestamp;
use redb::{Database, ReadableDatabase, ReadableTable, Table, TableDefinition, TableHandle, WriteTransaction};

use crate::{Announcement, KeyPrefix, RecordKey, Removal, Swap, Version, Versioned, limits, sequence};

/// The layout of the tables; a file of a higher one is refused.
pub(super) const SCHEMA: u64 = 1;

/// Key → version, expiry in Unix milliseconds, bytes.
const RECORDS: TableDefinition<'_, &[u8; 32], (u64, i64, &[u8])> = TableDefinition::new("perennial_records");

/// One entry per record in the order of expiry, so that a sweep reads only what it removes.
const EXPIRIES: TableDefinition<'_, (i64, &[u8; 32]), ()> = TableDefinition::new("perennial_expiries");

/// Key → end of an announcement in Unix milliseconds.
const ANNOUNCEMENTS: TableDefinition<'_, &[u8; 32], i64> = TableDefinition::new("perennial_announcements");

/// `schema`, and `sequence`: the highest version given so far.
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("perennial_meta");

/// What a file turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Ours, with the tables in place.
    Store,
    /// Ours, of a later version of Perennial.
    Newer(u64),
    /// Somebody else's database.
    Foreign,
}

/// Looks at the tables, and lays them out in a file that has none.
pub(super) fn prepare(db: &Database) -> Result<Content, redb::Error> {
    let reading = db.begin_read()?;
    let names: Vec<String> = reading.list_tables()?.map(|table| table.name().to_owned()).collect();
    if names.is_empty() {
        lay_out(db)?;
        return Ok(Content::Store);
    }
    if !names.iter().any(|name| name == META.name()) {
        return Ok(Content::Foreign);
    }
    let schema = reading.open_table(META)?.get("schema")?.map(|schema| schema.value());
    Ok(match schema {
        Some(SCHEMA) if names.iter().any(|name| name == ANNOUNCEMENTS.name()) => Content::Store,
        // Written before there were announcements.
        Some(SCHEMA) => {
            let writing = db.begin_write()?;
            writing.open_table(ANNOUNCEMENTS)?;
            writing.commit()?;
            Content::Store
        }
        Some(newer) if newer > SCHEMA => Content::Newer(newer),
        _ => Content::Foreign,
    })
}

fn lay_out(db: &Database) -> Result<(), redb::Error> {
    let writing = db.begin_write()?;
    {
        let mut meta = writing.open_table(META)?;
        meta.insert("schema", SCHEMA)?;
        meta.insert("sequence", sequence::beginning())?;
        writing.open_table(RECORDS)?;
        writing.open_table(EXPIRIES)?;
        writing.open_table(ANNOUNCEMENTS)?;
    }
    Ok(writing.commit()?)
}

/// The live record under `key` as of the last commit.
pub(super) fn load(db: &Database, key: &RecordKey, now: Timestamp) -> Result<Option<Versioned>, redb::Error> {
    let records = db.begin_read()?.open_table(RECORDS)?;
    live(&records, key, now)
}

/// The live records whose keys begin with `prefix`, a handful at most.
pub(super) fn find(
    db: &Database,
    prefix: KeyPrefix,
    now: Timestamp,
) -> Result<Vec<(RecordKey, Versioned)>, redb::Error> {
    let records = db.begin_read()?.open_table(RECORDS)?;
    let (lowest, highest) = prefix.range();
    let mut found = Vec::new();
    for entry in records.range::<&[u8; 32]>(lowest.as_bytes()..=highest.as_bytes())? {
        let (key, record) = entry?;
        let record = versioned(record.value());
        if found.len() == limits::FOUND_RECORDS {
            break;
        }
        if now < record.expires {
            found.push((RecordKey::from_digest(*key.value()), record));
        }
    }
    Ok(found)
}

/// Every announcement in the file.
pub(super) fn announcements(db: &Database) -> Result<Vec<Announcement>, redb::Error> {
    let table = db.begin_read()?.open_table(ANNOUNCEMENTS)?;
    let entries = table.iter()?.map(|entry| {
        let (key, until) = entry?;
        let until = Timestamp::from_unix_millis(until.value());
        Ok(Announcement { key: RecordKey::from_digest(*key.value()), until })
    });
    entries.collect()
}

/// Runs `batch` in one transaction and makes it durable; answers with the keys that changed.
///
/// A batch that changed nothing is not committed: it saves the fsync, and what it read was committed already.
pub(super) fn commit(
    db: &Database,
    batch: impl FnOnce(&mut Tables<'_>) -> Result<(), redb::Error>,
) -> Result<Vec<RecordKey>, redb::Error> {
    let writing = db.begin_write()?;
    let mut tables = Tables::open(&writing)?;
    batch(&mut tables)?;
    let changed = tables.close()?;
    match changed {
        None => writing.abort()?,
        Some(_) => writing.commit()?,
    }
    Ok(changed.unwrap_or_default())
}

/// The tables during one write transaction.
pub(super) struct Tables<'txn> {
    records: Table<'txn, &'static [u8; 32], (u64, i64, &'static [u8])>,
    expiries: Table<'txn, (i64, &'static [u8; 32]), ()>,
    announcements: Table<'txn, &'static [u8; 32], i64>,
    meta: Table<'txn, &'static str, u64>,
    sequence: u64,
    changed: Vec<RecordKey>,
    must_commit: bool,
}

impl<'txn> Tables<'txn> {
    fn open(writing: &'txn WriteTransaction) -> Result<Self, redb::Error> {
        let meta = writing.open_table(META)?;
        let sequence = meta.get("sequence")?.map(|sequence| sequence.value());
        let missing = || redb::Error::Corrupted("the sequence of versions is missing".to_owned());
        Ok(Self {
            records: writing.open_table(RECORDS)?,
            expiries: writing.open_table(EXPIRIES)?,
            announcements: writing.open_table(ANNOUNCEMENTS)?,
            sequence: sequence.ok_or_else(missing)?,
            meta,
            changed: Vec::new(),
            must_commit: false,
        })
    }

    /// Persists the sequence with the records that used it; `None` when there is nothing to commit.
    fn close(mut self) -> Result<Option<Vec<RecordKey>>, redb::Error> {
        if self.changed.is_empty() && !self.must_commit {
            return Ok(None);
        }
        self.meta.insert("sequence", self.sequence)?;
        Ok(Some(self.changed))
    }

    /// See [`SessionStore::compare_and_swap`](crate::SessionStore::compare_and_swap).
    pub(super) fn swap(
        &mut self,
        key: RecordKey,
        expected: Option<Version>,
        bytes: &[u8],
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<Swap, redb::Error> {
        let current = live(&self.records, &key, now)?;
        if current.as_ref().map(|record| record.version) != expected {
            return Ok(Swap::Conflict(current));
        }
        self.sequence += 1;
        let value = (self.sequence, expires.unix_millis(), bytes);
        let replaced = self.records.insert(key.as_bytes(), value)?.map(|old| old.value().1);
        if let Some(old) = replaced {
            self.expiries.remove((old, key.as_bytes()))?;
        }
        self.expiries.insert((expires.unix_millis(), key.as_bytes()), ())?;
        self.changed.push(key);
        Ok(Swap::Stored(Version::from_raw(self.sequence)))
    }

    /// See [`SessionStore::remove`](crate::SessionStore::remove).
    pub(super) fn remove(&mut self, key: RecordKey, expected: Version) -> Result<Removal, redb::Error> {
        let current = self.records.get(key.as_bytes())?.map(|record| {
            let (version, expires, _) = record.value();
            (version, expires)
        });
        match current {
            Some((version, expires)) if version == expected.raw() => {
                self.records.remove(key.as_bytes())?;
                self.expiries.remove((expires, key.as_bytes()))?;
                self.changed.push(key);
                Ok(Removal::Removed)
            }
            _ => Ok(Removal::NoSuchVersion),
        }
    }

    /// Removes at most [`limits::SWEEP_STEP`] records that have expired, the oldest first, and counts them.
    pub(super) fn sweep_step(&mut self, now: Timestamp) -> Result<usize, redb::Error> {
        let mut expired = Vec::new();
        for entry in self.expiries.range(..=(now.unix_millis(), &[u8::MAX; 32]))? {
            if expired.len() == limits::SWEEP_STEP {
                break;
            }
            let entry = entry?.0;
            let (expires, key) = entry.value();
            expired.push((expires, *key));
        }
        for (expires, key) in &expired {
            self.expiries.remove((*expires, key))?;
            self.records.remove(key)?;
            self.changed.push(RecordKey::from_digest(*key));
        }
        Ok(expired.len())
    }

    /// See [`SessionStore::announce`](crate::SessionStore::announce).
    pub(super) fn announce(&mut self, announcement: Announcement) -> Result<(), redb::Error> {
        let Announcement { key, until } = announcement;
        let known = self.announcements.get(key.as_bytes())?.map(|until| until.value());
        if known.is_none_or(|known| known < until.unix_millis()) {
            self.announcements.insert(key.as_bytes(), until.unix_millis())?;
            self.must_commit = true;
        }
        Ok(())
    }

    /// Forgets at most [`limits::SWEEP_STEP`] announcements that matter no more, and counts them.
    pub(super) fn forget_step(&mut self, now: Timestamp) -> Result<usize, redb::Error> {
        let mut over = Vec::new();
        for entry in self.announcements.iter()? {
            let (key, until) = entry?;
            if until.value() <= now.unix_millis() {
                over.push(*key.value());
            }
            if over.len() == limits::SWEEP_STEP {
                break;
            }
        }
        for key in &over {
            self.announcements.remove(key)?;
            self.must_commit = true;
        }
        Ok(over.len())
    }

    /// Has this transaction committed even if nothing changes, to prove that it can be.
    pub(super) fn prove(&mut self) {
        self.must_commit = true;
    }
}

fn live(
    records: &impl ReadableTable<&'static [u8; 32], (u64, i64, &'static [u8])>,
    key: &RecordKey,
    now: Timestamp,
) -> Result<Option<Versioned>, redb::Error> {
    let record = records.get(key.as_bytes())?.map(|record| versioned(record.value()));
    Ok(record.filter(|record| now < record.expires))
}

fn versioned((version, expires, bytes): (u64, i64, &[u8])) -> Versioned {
    Versioned {
        version: Version::from_raw(version),
        bytes: bytes.into(),
        expires: Timestamp::from_unix_millis(expires),
    }
}
