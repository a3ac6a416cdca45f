//! Where a keeper's sequence of versions begins.

use std::time::SystemTime;

/// The clock's microseconds since 1970.
///
/// A sequence that is begun anew, because the process or the file is new, then starts above all that went before,
/// unless a million records a second were written until then.
pub(crate) fn beginning() -> u64 {
    let since_epoch = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since_epoch.as_micros()).unwrap_or(0)
}
