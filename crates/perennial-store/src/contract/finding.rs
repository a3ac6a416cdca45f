//! Finding a record by the beginning of its key.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{in_an_hour, now, store};
use crate::{KeyPrefix, RecordKey, SessionStore, limits};

pub(super) async fn a_prefix_finds_the_live_records_it_begins_and_no_others(keeper: &Arc<dyn SessionStore>) {
    // Characters that mean something to one pattern language or another, and the ends of the alphabet.
    for beginning in [*b"*?[a-z]\\%", *b"_'\";\0\0\0\0\0", [0; 9], [0xff; 9], [0x7f; 9]] {
        let named = |last: u8| {
            let mut digest = [last; 32];
            digest[..9].copy_from_slice(&beginning);
            RecordKey::from_digest(digest)
        };
        let mut neighbour = *named(1).as_bytes();
        neighbour[8] ^= 1;
        let mut expected = BTreeSet::new();
        for last in [0, 1, 0xff] {
            let version = store(keeper, named(last), None, &[last], in_an_hour()).await;
            expected.insert((named(last), version.raw()));
        }
        store(keeper, RecordKey::from_digest(neighbour), None, b"neighbour", in_an_hour()).await;
        store(keeper, named(2), None, b"past", now() - Duration::from_secs(1)).await;
        for length in [9, 4] {
            let found = found(keeper, &beginning[..length]).await;
            let found: BTreeSet<_> = found.into_iter().map(|(key, record)| (key, record.version.raw())).collect();
            let mut expected = expected.clone();
            if length == 4 {
                expected.extend(found.iter().filter(|(key, _)| *key.as_bytes() == neighbour));
            }
            assert_eq!(found, expected, "a prefix found other records than those it begins");
        }
        let one = found(keeper, named(1).as_bytes()).await;
        assert!(
            matches!(&one[..], [(key, record)] if *key == named(1) && record.bytes[..] == [1]),
            "a prefix found {one:?}"
        );
    }
    assert!(found(keeper, &[0x33; 9]).await.is_empty(), "a prefix found what is not there");
}

pub(super) async fn more_than_a_handful_is_cut(keeper: &Arc<dyn SessionStore>) {
    let count = u16::try_from(limits::FOUND_RECORDS + 3).expect("a small limit");
    for number in 0..count {
        store(keeper, super::key(number), None, b"one of many", in_an_hour()).await;
    }
    let found: BTreeSet<RecordKey> =
        found(keeper, &super::key(0).as_bytes()[..9]).await.into_iter().map(|(key, _)| key).collect();
    assert_eq!(found.len(), limits::FOUND_RECORDS, "more than a handful, or less");
}

async fn found(keeper: &Arc<dyn SessionStore>, beginning: &[u8]) -> Vec<(RecordKey, crate::Versioned)> {
    let prefix = KeyPrefix::new(beginning).expect("long enough");
    let found = keeper.find(prefix, now()).await.expect("a healthy store finds");
    assert!(found.len() <= limits::FOUND_RECORDS, "more than a handful was found: {}", found.len());
    found
}
