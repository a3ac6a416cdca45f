//! From the one word of configuration that names a store to the store.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use percent_encoding::percent_decode_str;

use crate::{EmbeddedStore, MemoryStore, SessionStore};

/// Opens the store that `url` names: `memory:`, a path, `file:` with a percent-encoded path (RFC 8089 §2), or the URL of a
/// server: `redis:`, `rediss:`, both with `+sentinel` or `+cluster`, `postgres:`.
///
/// It blocks while a file is read and checked. A store on a server is reached by
/// [`check`](SessionStore::check), not by opening it.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("sessions.redb");
/// # let path = path.to_str().unwrap();
/// let store = perennial_store::open(path)?;
/// assert!(!store.shared());
/// # drop(store);
/// let refused = perennial_store::open("mysql://localhost").err().unwrap();
/// assert_eq!(refused.code(), "store_bad_name");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`OpenError`] says what is wrong with the name or with the file.
pub fn open(url: &str) -> Result<Arc<dyn SessionStore>, OpenError> {
    match name(url)? {
        Name::Memory => Ok(Arc::new(MemoryStore::new())),
        Name::File(path) => Ok(Arc::new(EmbeddedStore::open(path)?)),
        #[cfg(feature = "redis")]
        Name::Redis => Ok(Arc::new(crate::RedisStore::open(url)?)),
        #[cfg(feature = "postgres")]
        Name::Postgres => Ok(Arc::new(crate::PostgresStore::open(url)?)),
        #[cfg(not(feature = "redis"))]
        Name::Redis => Err(not_built_in(url)),
        #[cfg(not(feature = "postgres"))]
        Name::Postgres => Err(not_built_in(url)),
    }
}

/// Why a store did not open; each says what to do. It quotes paths, and of a URL the scheme alone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process, or this one, has the file open.
    #[error(
        "{place}: the file is in use by {holder}, and only one may use it: stop that one, or give all replicas redis:// or postgres://"
    )]
    InUse {
        /// The file.
        place: String,
        /// Who has it: `process 4711`, or `another process` where the system does not tell.
        holder: String,
    },
    /// The file holds something else.
    #[error("{place} is not a session store of Perennial: name another file")]
    NotAStore {
        /// The file.
        place: String,
    },
    /// The file is ours, of a later version.
    #[error(
        "{place} was written by a later version of Perennial (schema {found}, this one reads {known}): run that version, or name another file"
    )]
    NewerSchema {
        /// The file.
        place: String,
        /// The schema of the file.
        found: u64,
        /// The highest schema that this version reads.
        known: u64,
    },
    /// The file is not what was written to it.
    #[error(
        "{place} is damaged: move it away and start anew; sessions whose cookie carries their tokens go on, the others sign in again"
    )]
    Corrupt {
        /// The file.
        place: String,
        /// What was found, if the database could say it.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The file cannot be read and written.
    #[error("{place} cannot be opened ({source}): {remedy}")]
    Io {
        /// The file.
        place: String,
        /// What the operator should do.
        remedy: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// The operating system refused a thread.
    #[error("the store's writer could not be started ({0}): allow this process more threads")]
    NoThread(#[source] io::Error),
    /// This build has no keeper for that kind of store.
    #[error("this build has no store for {scheme}: build it with that feature, or use a path, or memory:")]
    NotBuiltIn {
        /// The URL's scheme.
        scheme: String,
    },
    /// The name is none of a store.
    #[error("{reason}: name a store as memory:, as a path, as file: and a path, or by a redis:// or postgres:// URL")]
    BadName {
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl OpenError {
    /// The stable name of the reason, for logs and answers.
    pub fn code(&self) -> &'static str {
        match self {
            OpenError::InUse { .. } => "store_in_use",
            OpenError::NotAStore { .. } => "store_foreign_file",
            OpenError::NewerSchema { .. } => "store_newer_schema",
            OpenError::Corrupt { .. } => "store_corrupt",
            OpenError::Io { .. } => "store_unreadable",
            OpenError::NoThread(_) => "store_no_thread",
            OpenError::NotBuiltIn { .. } => "store_not_built_in",
            OpenError::BadName { .. } => "store_bad_name",
        }
    }
}

#[cfg(not(all(feature = "redis", feature = "postgres")))]
fn not_built_in(url: &str) -> OpenError {
    OpenError::NotBuiltIn { scheme: url.split(':').next().unwrap_or_default().to_owned() }
}

#[derive(Debug, PartialEq, Eq)]
enum Name {
    Memory,
    File(PathBuf),
    Redis,
    Postgres,
}

fn name(url: &str) -> Result<Name, OpenError> {
    let bad = |reason| Err(OpenError::BadName { reason });
    match url.split_once(':') {
        _ if url.is_empty() => bad("the store's name is empty"),
        Some(("memory", "" | "//")) => Ok(Name::Memory),
        Some(("memory", _)) => bad("memory: takes nothing after it"),
        Some(("file", rest)) => file_name(rest),
        Some(("postgres" | "postgresql", _)) => Ok(Name::Postgres),
        Some((scheme, _)) if matches!(scheme.split('+').next(), Some("redis" | "rediss")) => Ok(Name::Redis),
        Some((_, rest)) if rest.starts_with("//") => bad("the store's URL has an unknown scheme"),
        _ => Ok(Name::File(PathBuf::from(url))),
    }
}

/// `file:relative`, `file:/absolute`, `file:///absolute` and `file://localhost/absolute`.
fn file_name(rest: &str) -> Result<Name, OpenError> {
    let bad = |reason| Err(OpenError::BadName { reason });
    let path = match rest.strip_prefix("//") {
        None => rest,
        Some(authority) => match authority.strip_prefix("localhost").unwrap_or(authority) {
            path if path.starts_with('/') => path,
            _ => return bad("a file: URL cannot name another host"),
        },
    };
    match percent_decode_str(path).decode_utf8() {
        Err(_) => bad("the path of the file: URL is not UTF-8"),
        Ok(path) if path.is_empty() => bad("file: lacks its path"),
        Ok(path) if path.contains('\0') => bad("the path holds a NUL"),
        Ok(path) => Ok(Name::File(PathBuf::from(path.as_ref()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_stores() {
        let table = [
            ("memory:", Ok(Name::Memory)),
            ("memory://", Ok(Name::Memory)),
            ("memory:x", Err("store_bad_name")),
            ("", Err("store_bad_name")),
            ("sessions.redb", Ok(Name::File("sessions.redb".into()))),
            ("/var/lib/a b%20", Ok(Name::File("/var/lib/a b%20".into()))),
            ("C:\\sessions", Ok(Name::File("C:\\sessions".into()))),
            ("file:a%20b", Ok(Name::File("a b".into()))),
            ("file:///var/a", Ok(Name::File("/var/a".into()))),
            ("file://localhost/var/a", Ok(Name::File("/var/a".into()))),
            ("file://elsewhere/a", Err("store_bad_name")),
            ("file:", Err("store_bad_name")),
            ("file:%ff", Err("store_bad_name")),
            ("file:a%00", Err("store_bad_name")),
            ("redis://u:planted@h", Ok(Name::Redis)),
            ("rediss+sentinel://h", Ok(Name::Redis)),
            ("redis", Ok(Name::File("redis".into()))),
            ("postgres://h", Ok(Name::Postgres)),
            ("postgresql://h", Ok(Name::Postgres)),
            ("mysql://u:planted@h", Err("store_bad_name")),
        ];
        for (url, expected) in table {
            let named = name(url);
            if let Err(error) = &named {
                assert!(!error.to_string().contains("planted"), "{error}");
            }
            assert_eq!(named.map_err(|error| error.code()), expected, "{url}");
        }
    }
}
