//! The keeper in Redis 7 or Valkey: one server, a master that Sentinels name, or a cluster.

mod address;
mod failure;
mod link;
mod news;
mod reply;
mod scripts;

use std::fmt;
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::BoxStream;
use perennial_core::Timestamp;
use redis::{Cmd, Value};

use crate::ear::{Ear, Heard};
use crate::{
    Announcement, Durability, KeyPrefix, News, OpenError, RecordKey, Removal, SessionStore, StoreError, StoreErrorKind,
    Swap, Version, Versioned, limits, tls,
};
use address::Address;
use link::{Link, Repeat};

/// Keeps each record in one string, which the server forgets when it expires.
///
/// A swap is one script on one key, so that records may lie on different nodes of a cluster. Versions are 64 random bits:
/// nothing that a failover loses or a restart resets is counted. Whoever waits for a change is told by the server; all
/// processes together keep one connection each for that, which follows when commands go to another master.
///
/// ```
/// use perennial_store::{RedisStore, SessionStore};
///
/// let store = RedisStore::open("redis+sentinel://10.0.0.1,10.0.0.2,10.0.0.3/mymaster?wait_replicas=1")?;
/// assert!(store.shared());
/// # Ok::<(), perennial_store::OpenError>(())
/// ```
pub struct RedisStore {
    redis: Arc<Redis>,
    ear: Arc<Ear>,
}

struct Redis {
    link: Link,
}

impl RedisStore {
    /// The store at a `redis:`, `rediss:`, `redis+sentinel:`, `rediss+sentinel:`, `redis+cluster:` or `rediss+cluster:` URL;
    /// docs/stores.md lists its parts. Nothing is contacted before the first call.
    ///
    /// # Errors
    /// [`OpenError`] when the URL is none, or its certificate authority cannot be read.
    pub fn open(url: &str) -> Result<Self, OpenError> {
        tls::choose_provider();
        let redis = Arc::new(Redis { link: Link::new(Address::parse(url)?) });
        Ok(Self { ear: Ear::new(redis.clone()), redis })
    }
}

impl Redis {
    fn key(&self, key: &RecordKey) -> String {
        format!("{}r:{}", self.link.address.prefix, hex(key.as_bytes()))
    }

    fn announcements_key(&self) -> String {
        format!("{}announcements", self.link.address.prefix)
    }

    fn channel(&self) -> &str {
        &self.link.address.channel
    }

    async fn load(&self, key: RecordKey) -> Result<Option<Versioned>, StoreError> {
        let value = self.link.read(redis::cmd("GET").arg(self.key(&key))).await?;
        reply::record(&value)
    }

    /// The records of one master whose names match, up to `room` of them.
    async fn matching(
        &self,
        master: &link::Master<'_>,
        prefix: KeyPrefix,
        room: usize,
    ) -> Result<Vec<(RecordKey, Versioned)>, StoreError> {
        let pattern = format!("{}r:{}*", escaped(&self.link.address.prefix), hex(prefix.as_bytes()));
        let mut found: Vec<(RecordKey, Versioned)> = Vec::new();
        let mut cursor = b"0".to_vec();
        loop {
            let scan = redis::cmd("SCAN").arg(&cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(1000).to_owned();
            let (next, names) = reply::page(master.read(&scan).await?).ok_or_else(reply::not_understood)?;
            for name in names {
                let Value::BulkString(name) = name else { return Err(reply::not_understood()) };
                let Some(key) = name.get(name.len().saturating_sub(64)..).and_then(digest) else { continue };
                // A scan may show a name twice.
                if found.len() < room
                    && found.iter().all(|(known, _)| *known != key)
                    && let Some(record) = self.load(key).await?
                {
                    found.push((key, record));
                }
            }
            if next == b"0" || found.len() == room {
                return Ok(found);
            }
            cursor = next;
        }
    }
}

impl SessionStore for RedisStore {
    fn load(&self, key: RecordKey, _now: Timestamp) -> BoxFuture<'_, Result<Option<Versioned>, StoreError>> {
        self.redis.load(key).boxed()
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
            let version = drawn()?;
            let expected = expected.map(|version| version.raw().to_be_bytes());
            let mut arguments = Cmd::new();
            arguments
                .arg(self.redis.key(&key))
                .arg(expected.as_ref().map_or(&b""[..], |version| &version[..]))
                .arg(reply::stored(version, expires, &bytes))
                .arg(expires.unix_millis())
                .arg(self.redis.channel())
                .arg(news::message(Heard::Changed(key)));
            let answer = self.redis.link.run(&scripts::SWAP, &arguments, Repeat::Telling).await?;
            match answer.value {
                Value::Int(1) => Ok(Swap::Stored(version)),
                // The first try may have been stored and replaced since.
                _ if answer.again => Err(unknown()),
                value => Ok(Swap::Conflict(reply::record(&value)?)),
            }
        }
        .boxed()
    }

    fn remove(&self, key: RecordKey, expected: Version) -> BoxFuture<'_, Result<Removal, StoreError>> {
        async move {
            let mut arguments = Cmd::new();
            arguments
                .arg(self.redis.key(&key))
                .arg(&expected.raw().to_be_bytes())
                .arg(self.redis.channel())
                .arg(news::message(Heard::Changed(key)));
            let answer = self.redis.link.run(&scripts::REMOVE, &arguments, Repeat::Telling).await?;
            match answer.value {
                Value::Int(1) => Ok(Removal::Removed),
                Value::Int(_) if answer.again => Err(unknown()),
                Value::Int(_) => Ok(Removal::NoSuchVersion),
                _ => Err(reply::not_understood()),
            }
        }
        .boxed()
    }

    fn changed(
        &self,
        key: RecordKey,
        since: Option<Version>,
        _now: Timestamp,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        self.ear.changed(key, since, move || self.redis.load(key)).boxed()
    }

    fn find(
        &self,
        prefix: KeyPrefix,
        _now: Timestamp,
    ) -> BoxFuture<'_, Result<Vec<(RecordKey, Versioned)>, StoreError>> {
        async move {
            let mut found = Vec::new();
            for master in self.redis.link.masters().await? {
                found.extend(self.redis.matching(&master, prefix, limits::FOUND_RECORDS - found.len()).await?);
                if found.len() == limits::FOUND_RECORDS {
                    break;
                }
            }
            Ok(found)
        }
        .boxed()
    }

    fn announce(&self, announcement: Announcement, _now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            let mut arguments = Cmd::new();
            arguments
                .arg(self.redis.announcements_key())
                .arg(announcement.key.as_bytes())
                .arg(announcement.until.unix_millis())
                .arg(self.redis.channel())
                .arg(news::message(Heard::Announced(announcement)));
            let answer = self.redis.link.run(&scripts::ANNOUNCE, &arguments, Repeat::Freely).await?;
            if answer.value == Value::Int(1) {
                self.ear.announced(announcement);
            }
            Ok(())
        }
        .boxed()
    }

    fn announcements(&self, now: Timestamp) -> BoxStream<'static, News> {
        self.ear.announcements(now)
    }

    /// Records go by themselves, so that there are none to count; announcements are forgotten here.
    fn sweep(&self, now: Timestamp) -> BoxFuture<'_, Result<usize, StoreError>> {
        async move {
            self.ear.tidy(now);
            let mut arguments = Cmd::new();
            arguments.arg(self.redis.announcements_key()).arg(limits::SWEEP_STEP);
            loop {
                let step = self.redis.link.run(&scripts::FORGET, &arguments, Repeat::Freely).await?.value;
                match step {
                    Value::Int(step) if usize::try_from(step).is_ok_and(|step| step >= limits::SWEEP_STEP) => {}
                    _ => return Ok(0),
                }
            }
        }
        .boxed()
    }

    /// Writes what is forgotten in a second: a server that only reads is not ready.
    fn check(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            let version = drawn()?;
            // Another name each time, so that every node of a cluster has its turn.
            let probe = redis::cmd("SET")
                .arg(format!("{}check:{:x}", self.redis.link.address.prefix, version.raw()))
                .arg(&version.raw().to_be_bytes())
                .arg("PX")
                .arg(1000)
                .to_owned();
            self.redis.link.read(&probe).await.map(|_written| ())
        }
        .boxed()
    }

    fn durability(&self) -> Durability {
        Durability::Replicated
    }

    fn shared(&self) -> bool {
        true
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("prefix", &self.redis.link.address.prefix).finish_non_exhaustive()
    }
}

/// A version that nobody has drawn before: not after a removal, nor on a master that missed the last writes of the one
/// before, as a counter would.
fn drawn() -> Result<Version, StoreError> {
    getrandom::u64().map(Version::from_raw).map_err(|_| no_randomness())
}

fn no_randomness() -> StoreError {
    let message = "the operating system gives no randomness: restart the machine";
    StoreError::new(StoreErrorKind::Unavailable, message).before_writing()
}

fn unknown() -> StoreError {
    let message = "the connection to Redis broke during a write, and somebody else has written since: look again";
    StoreError::new(StoreErrorKind::Unavailable, message)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digest(hex: &[u8]) -> Option<RecordKey> {
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(hex.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    (hex.len() == 64).then_some(RecordKey::from_digest(digest))
}

/// `text` so that it means itself in a pattern.
fn escaped(text: &str) -> String {
    text.chars().flat_map(|letter| ['\\', letter]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_name() {
        for byte in [0, 0x0f, 0x5a, 0xff] {
            let key = RecordKey::from_digest([byte; 32]);
            assert_eq!(digest(hex(key.as_bytes()).as_bytes()), Some(key));
        }
        assert_eq!(digest(&[b'a'; 63]), None);
        assert_eq!(digest(&[b'x'; 64]), None);
    }
}
