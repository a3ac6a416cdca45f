//! Moments as Auth.js writes them into JSON.

use cookie::time::OffsetDateTime;
use perennial_core::Timestamp;

/// `2026-11-23T20:43:00.000Z`; the epoch for moments no calendar holds.
pub(crate) fn iso8601(at: Timestamp) -> String {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.unix_millis()) * 1_000_000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second, milli) = at.to_hms_milli();
    format!("{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z", u8::from(month))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_javascript_writes_it() {
        assert_eq!(iso8601(Timestamp::from_unix_millis(1_795_449_565_007)), "2026-11-23T15:59:25.007Z");
        assert_eq!(iso8601(Timestamp::from_unix_millis(i64::MAX)), "1970-01-01T00:00:00.000Z");
    }
}
