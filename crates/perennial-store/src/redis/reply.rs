//! From Redis's answers to records and announcements.

use perennial_core::Timestamp;
use redis::Value;

use crate::{Announcement, RecordKey, StoreError, StoreErrorKind, Version, Versioned};

/// Bytes of version and expiry in front of a record's own.
const HEAD: usize = 16;

/// The string that keeps a record.
pub(super) fn stored(version: Version, expires: Timestamp, bytes: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(HEAD + bytes.len());
    stored.extend_from_slice(&version.raw().to_be_bytes());
    stored.extend_from_slice(&expires.unix_millis().to_be_bytes());
    stored.extend_from_slice(bytes);
    stored
}

/// The record in a string, or none for `Nil`.
pub(super) fn record(value: &Value) -> Result<Option<Versioned>, StoreError> {
    let stored = match value {
        Value::Nil => return Ok(None),
        Value::BulkString(stored) => stored,
        _ => return Err(not_understood()),
    };
    let (head, bytes) = stored.split_first_chunk::<HEAD>().ok_or_else(not_a_record)?;
    let [version, expires] = [&head[..8], &head[8..]].map(|half| half.try_into().expect("half of 16 bytes"));
    Ok(Some(Versioned {
        version: Version::from_raw(u64::from_be_bytes(version)),
        expires: Timestamp::from_unix_millis(i64::from_be_bytes(expires)),
        bytes: bytes.into(),
    }))
}

/// The cursor and the elements of a `SCAN` or `ZSCAN`.
pub(super) fn page(value: Value) -> Option<(Vec<u8>, Vec<Value>)> {
    let Value::Array(parts) = value else { return None };
    let [Value::BulkString(cursor), Value::Array(elements)] = <[Value; 2]>::try_from(parts).ok()? else { return None };
    Some((cursor, elements))
}

/// An announcement from its element and its score, which RESP2 and RESP3 write in different ways.
pub(super) fn announcement(member: &Value, score: &Value) -> Option<Announcement> {
    let Value::BulkString(key) = member else { return None };
    let score = match score {
        Value::Double(score) => *score,
        Value::BulkString(text) => std::str::from_utf8(text).ok()?.parse().ok()?,
        _ => return None,
    };
    // Milliseconds of this age are whole numbers far below 2^53.
    let until = Timestamp::from_unix_millis(score as i64);
    Some(Announcement { key: RecordKey::from_digest(key.as_slice().try_into().ok()?), until })
}

/// Host and port of each slot range's master.
pub(super) fn masters(slots: &Value) -> Option<Vec<(String, u16)>> {
    let Value::Array(ranges) = slots else { return None };
    let master = |range: &Value| {
        let Value::Array(parts) = range else { return None };
        let Value::Array(node) = parts.get(2)? else { return None };
        let [Value::BulkString(host), Value::Int(port), ..] = &node[..] else { return None };
        Some((String::from_utf8(host.clone()).ok()?, u16::try_from(*port).ok()?))
    };
    ranges.iter().map(master).collect()
}

/// The answer of something that is not Redis, or of a later one.
pub(super) fn not_understood() -> StoreError {
    let message = "what answers at the store's URL does not speak as Redis 7 or Valkey does: look at the URL";
    StoreError::new(StoreErrorKind::Unavailable, message)
}

fn not_a_record() -> StoreError {
    let message = "Redis holds something else under a session's key: give this store a prefix of its own";
    StoreError::new(StoreErrorKind::Corrupt, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_its_string() {
        for (version, expires, bytes) in [(0, 0, &b""[..]), (u64::MAX, i64::MAX, b"\0\xff"), (7, -1, b"bytes")] {
            let (version, expires) = (Version::from_raw(version), Timestamp::from_unix_millis(expires));
            let read = record(&Value::BulkString(stored(version, expires, bytes))).unwrap().unwrap();
            assert_eq!((read.version, read.expires, &read.bytes[..]), (version, expires, bytes));
        }
        assert_eq!(record(&Value::Nil).unwrap(), None);
        assert_eq!(record(&Value::BulkString(vec![1; 15])).unwrap_err().kind(), StoreErrorKind::Corrupt);
        assert!(record(&Value::Int(1)).is_err());
    }

    #[test]
    fn scores_are_read_in_both_dialects() {
        let member = Value::BulkString(vec![3; 32]);
        let until = Timestamp::from_unix_millis(1_800_000_000_123);
        let expected = Announcement { key: RecordKey::from_digest([3; 32]), until };
        for score in [Value::Double(1_800_000_000_123.0), Value::BulkString(b"1800000000123".to_vec())] {
            assert_eq!(announcement(&member, &score), Some(expected), "{score:?}");
        }
        assert_eq!(announcement(&Value::BulkString(vec![3; 31]), &Value::Double(1.0)), None);
    }
}
