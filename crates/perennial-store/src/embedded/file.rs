//! The file: how it is opened, to whom it is readable, and what its errors mean.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use redb::backends::FileBackend;
use redb::{Database, StorageBackend};

use super::tables::{self, Content};
use crate::{OpenError, StoreError, StoreErrorKind, limits};

/// Opens or creates the store at `path`, readable and writable by the owner alone.
pub(super) fn open(path: &Path) -> Result<Database, OpenError> {
    let place = path.display().to_string();
    match path.try_exists() {
        Ok(true) => {}
        Ok(false) => create(path, &place)?,
        Err(error) => return Err(not_opened(place, error)),
    }
    let failed = |error| not_opened(place.clone(), error);
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(failed)?;
    #[cfg(unix)]
    let opened = file.try_clone().map_err(failed)?;
    let database = open_file(&place, file)?;
    // Only what has proved to be ours: a path given by mistake must not lock others out of a file of theirs.
    #[cfg(unix)]
    keep_private(path, &opened).map_err(failed)?;
    Ok(database)
}

/// Lays a store out beside `path` and gives it that name when it is complete.
///
/// A process killed meanwhile leaves no half a store, which the next one could not tell from a damaged one.
fn create(path: &Path, place: &str) -> Result<(), OpenError> {
    let failed = |error| not_opened(place.to_owned(), error);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let draft = tempfile::Builder::new().prefix(".perennial-store-").tempfile_in(folder).map_err(failed)?;
    drop(open_file(place, draft.reopen().map_err(failed)?)?);
    draft.as_file().sync_all().map_err(failed)?;
    match draft.persist_noclobber(path) {
        Ok(_) => sync_folder(folder).map_err(failed),
        // Another process was faster; opening says whether it still holds the file.
        Err(lost) if lost.error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(lost) => Err(failed(lost.error)),
    }
}

fn open_file(place: &str, file: File) -> Result<Database, OpenError> {
    let backend = FileBackend::new(file).map_err(|error| unreadable(place.to_owned(), error.into()))?;
    open_backend(place, backend)
}

/// Opens the store that lies on `backend`; `place` names it in errors.
pub(super) fn open_backend(place: &str, backend: impl StorageBackend) -> Result<Database, OpenError> {
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let db = redb::Builder::new()
            .set_cache_size(limits::EMBEDDED_CACHE_BYTES)
            // A plain open trusts the file and may panic much later, when it reaches the damage.
            .set_check_integrity_on_open(true)
            .create_with_backend(backend)?;
        let content = tables::prepare(&db)?;
        Ok((db, content))
    }));
    let place = place.to_owned();
    match opened {
        Ok(Ok((db, Content::Store))) => Ok(db),
        Ok(Ok((_, Content::Newer(found)))) => Err(OpenError::NewerSchema { place, found, known: tables::SCHEMA }),
        Ok(Ok((_, Content::Foreign))) => Err(OpenError::NotAStore { place }),
        Ok(Err(error)) => Err(unreadable(place, error)),
        Err(_panic) => Err(OpenError::Corrupt { place, source: None }),
    }
}

/// What an operator reads when a request on the open file fails.
pub(super) fn failure(error: redb::Error) -> StoreError {
    let (kind, message) = match &error {
        redb::Error::Io(cause) if is_full(cause) => (
            StoreErrorKind::Full,
            "the disk or quota of the session file is full: free space there, and the store goes on by itself",
        ),
        redb::Error::Io(cause) if cause.kind() == ErrorKind::UnexpectedEof => (StoreErrorKind::Corrupt, DAMAGED),
        redb::Error::Corrupted(_) => (StoreErrorKind::Corrupt, DAMAGED),
        redb::Error::PreviousIo | redb::Error::Io(_) => (
            StoreErrorKind::Unavailable,
            "the session file cannot be read or written: look at its disk; the store tries again by itself",
        ),
        _ => (StoreErrorKind::Unavailable, "the session file refused a transaction: restart the process"),
    };
    StoreError::new(kind, message).caused_by(error)
}

/// The same, for a file that could not be opened again.
pub(super) fn reopen_failure(error: OpenError) -> StoreError {
    let kind = match &error {
        OpenError::Corrupt { .. } | OpenError::NotAStore { .. } | OpenError::NewerSchema { .. } => {
            StoreErrorKind::Corrupt
        }
        OpenError::Io { source, .. } if is_full(source) => StoreErrorKind::Full,
        _ => StoreErrorKind::Unavailable,
    };
    StoreError::new(kind, error.to_string()).caused_by(error)
}

/// The same, for a file that was opened and could not be read then.
pub(super) fn unread(error: StoreError) -> OpenError {
    let place = "the session file".to_owned();
    match error.kind() {
        StoreErrorKind::Corrupt => OpenError::Corrupt { place, source: Some(Box::new(error)) },
        _ => not_opened(place, io::Error::other(error)),
    }
}

/// What an operator reads when reading or writing the file ended in a panic of the database.
pub(super) fn damaged() -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, DAMAGED)
}

const DAMAGED: &str = "the session file is damaged: stop, move it away and start anew; sessions whose cookie carries their \
                       tokens go on, the others sign in again";

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

fn unreadable(place: String, error: redb::Error) -> OpenError {
    match error {
        redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => {
            OpenError::InUse { holder: holder(&place), place }
        }
        redb::Error::UpgradeRequired(_) => OpenError::NotAStore { place },
        redb::Error::Io(error) if error.kind() == ErrorKind::InvalidData => OpenError::NotAStore { place },
        redb::Error::Io(error) if error.kind() != ErrorKind::UnexpectedEof => not_opened(place, error),
        error => OpenError::Corrupt { place, source: Some(Box::new(error)) },
    }
}

/// Who holds the file's lock, as Linux tells in `/proc/locks`: `1: FLOCK ADVISORY WRITE <process> <device>:<inode> 0 EOF`.
fn holder(place: &str) -> String {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::MetadataExt;

        let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
        let inode = std::fs::metadata(place).map(|file| format!(":{}", file.ino())).unwrap_or_default();
        let holds = |line: &&str| line.split_whitespace().nth(5).is_some_and(|file| file.ends_with(&inode));
        // Other locks of the same process come with no number.
        let process = |line: &str| line.split_whitespace().nth(4)?.parse().ok().filter(|process: &u32| *process > 0);
        let process = locks.lines().filter(|_| !inode.is_empty()).filter(holds).find_map(process);
        if let Some(process) = process {
            return format!("process {process}");
        }
    }
    let _ = place;
    "another process".to_owned()
}

fn not_opened(place: String, source: io::Error) -> OpenError {
    let remedy = match source.kind() {
        ErrorKind::NotFound => "create its folder first",
        ErrorKind::PermissionDenied => "let the user this process runs as read and write it, and its folder",
        ErrorKind::IsADirectory => "name a file in this folder",
        ErrorKind::ReadOnlyFilesystem => "name a file on a disk that can be written",
        _ if is_full(&source) => "free space on its disk",
        _ => "look at its disk",
    };
    OpenError::Io { place, remedy, source }
}

#[cfg(unix)]
const OWNER_ALONE: u32 = 0o600;

/// Takes away what an older file grants to others.
#[cfg(unix)]
fn keep_private(path: &Path, file: &File) -> io::Result<()> {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    let mode = file.metadata()?.permissions().mode() & 0o777;
    if mode & !OWNER_ALONE == 0 {
        return Ok(());
    }
    tracing::warn!(
        path = %path.display(),
        mode = format_args!("{mode:o}"),
        "the session file was open to others; it is for its owner alone now"
    );
    file.set_permissions(Permissions::from_mode(OWNER_ALONE))
}

/// Makes the new file's name durable: without it a power loss may forget a file whose content was synced.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
