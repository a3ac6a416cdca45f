//! Disks that fail: the n-th write, the power, the space, the bits.

mod disk;
mod files;
mod load;

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;
use std::time::Duration;

use futures_util::future::join_all;

use super::*;
use crate::StoreErrorKind;
use disk::Disk;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
const LATER: Timestamp = Timestamp::from_unix_seconds(1_800_003_600);
const KEYS: u8 = 8;

fn key(number: u8) -> RecordKey {
    RecordKey::from_digest([number; 32])
}

/// Bytes that show a torn or foreign record: their length and each of them follow from what they stand for.
fn bytes(number: u8, round: u64) -> Vec<u8> {
    let length = 40 + (usize::from(number) * 731 + usize::try_from(round).unwrap() * 977) % 9000;
    let seal = format!("{number}/{round}/{length};");
    seal.bytes().cycle().take(length).collect()
}

fn open(disk: &Disk) -> Result<EmbeddedStore, OpenError> {
    let disk = disk.clone();
    let opener = Box::new(move || file::open_backend("the disk", disk.clone()));
    EmbeddedStore::start(opener, Duration::from_millis(20))
}

/// What a record may hold: its last acknowledged state, and after a failed call perhaps what that call asked for.
#[derive(Clone, Default)]
struct Known {
    acknowledged: Option<(Version, Vec<u8>)>,
    in_doubt: Option<Option<Vec<u8>>>,
}

#[derive(Clone, Default)]
struct Model {
    known: HashMap<u8, Known>,
    versions: HashSet<Version>,
}

impl Model {
    /// Writes to all keys at once, round after round, until `rounds` are over or something fails; whether all went well.
    async fn play(&mut self, store: &EmbeddedStore, rounds: u64) -> bool {
        for round in 0..rounds {
            let plays = (0..KEYS).map(|number| {
                let known = self.known.get(&number).cloned().unwrap_or_default();
                self::play(store, number, round, known)
            });
            let mut went_well = true;
            for (number, known) in (0..KEYS).zip(join_all(plays).await) {
                went_well &= known.in_doubt.is_none();
                if let Some((version, _)) = &known.acknowledged {
                    self.versions.insert(*version);
                }
                self.known.insert(number, known);
            }
            if !went_well {
                return false;
            }
        }
        true
    }

    /// Reads everything back, then shows that the store works on and repeats no version.
    async fn verify(&mut self, store: &EmbeddedStore, story: &str) {
        for number in 0..KEYS {
            let found = store.load(key(number), NOW).await.unwrap();
            let Known { acknowledged, in_doubt } = self.known.remove(&number).unwrap_or_default();
            let found_bytes = found.as_ref().map(|record| record.bytes.to_vec());
            let acknowledged_bytes = acknowledged.as_ref().map(|(_, bytes)| bytes.clone());
            assert!(
                found_bytes == acknowledged_bytes || in_doubt.as_ref() == Some(&found_bytes),
                "{story}: key {number} lost its acknowledged state or is torn: {found:?}"
            );
            if let (None, Some(record), Some((version, _))) = (&in_doubt, &found, &acknowledged) {
                assert_eq!(record.version, *version, "{story}");
            }
            let expected = found.map(|record| record.version);
            let swapped = store.compare_and_swap(key(number), expected, b"after".to_vec(), LATER, NOW).await;
            let Swap::Stored(version) = swapped.unwrap() else {
                panic!("{story}: the version that was loaded does not match");
            };
            assert!(self.versions.insert(version), "{story}: a version was given again");
        }
    }
}

/// One write: mostly a swap, now and then a removal.
async fn play(store: &EmbeddedStore, number: u8, round: u64, known: Known) -> Known {
    let expected = known.acknowledged.as_ref().map(|(version, _)| *version);
    if let Some(version) = expected
        && (u64::from(number) + round) % 5 == 4
    {
        return match store.remove(key(number), version).await {
            Ok(Removal::Removed) => Known::default(),
            Ok(Removal::NoSuchVersion) => {
                panic!("the acknowledged version of {number} is not there")
            }
            Err(_) => Known { in_doubt: Some(None), ..known },
        };
    }
    let bytes = bytes(number, round);
    match store.compare_and_swap(key(number), expected, bytes.clone(), LATER, NOW).await {
        Ok(Swap::Stored(version)) => Known { acknowledged: Some((version, bytes)), in_doubt: None },
        Ok(Swap::Conflict(current)) => {
            panic!("the acknowledged version of {number} is not there, but {current:?}")
        }
        Err(error) if error.wrote_nothing() => {
            Known { in_doubt: Some(known.acknowledged.as_ref().map(|(_, bytes)| bytes.clone())), ..known }
        }
        Err(_) => Known { in_doubt: Some(Some(bytes)), ..known },
    }
}

const ROUNDS: u64 = 6;

/// A disk with an empty store: a file gets its name only when it is that far.
fn laid_out() -> Disk {
    static DISK: LazyLock<Disk> = LazyLock::new(|| {
        let disk = Disk::new();
        drop(open(&disk).unwrap());
        disk
    });
    DISK.copy()
}

/// How many operations on the disk opening, the whole play and closing take when nothing fails.
async fn operations() -> u64 {
    let disk = laid_out();
    let before = disk.operations();
    let store = open(&disk).unwrap();
    assert!(Model::default().play(&store, ROUNDS).await);
    drop(store);
    disk.operations() - before
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_nth_operation_failed_the_file_holds_what_was_acknowledged() {
    let operations = operations().await;
    assert!(operations > 60, "the play is too short to mean anything: {operations}");
    let mut failures = 0;
    for failing in 1..=operations {
        let disk = laid_out();
        disk.fail_at(failing);
        let mut model = Model::default();
        if let Ok(store) = open(&disk) {
            model.play(&store, ROUNDS).await;
        }
        failures += u64::from(disk.has_failed());
        disk.mend();
        let store = open(&disk).unwrap_or_else(|error| panic!("operation {failing} failed, and then: {error}"));
        model.verify(&store, &format!("operation {failing} failed")).await;
    }
    assert!(failures > operations * 3 / 4, "the planned failures hardly ever happened: {failures}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_loss_at_the_nth_operation_loses_nothing_acknowledged() {
    let operations = operations().await;
    for last in 1..=operations {
        for fate in 0..2 {
            let disk = laid_out();
            disk.die_at(last);
            let mut model = Model::default();
            if let Ok(store) = open(&disk) {
                model.play(&store, ROUNDS).await;
            }
            let story = format!("power lost at operation {last}, fate {fate}");
            let disk = disk.after_power_loss(last * 2 + fate);
            let store = open(&disk).unwrap_or_else(|error| panic!("{story}, and then: {error}"));
            model.verify(&store, &story).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_goes_on_by_itself_after_a_failed_operation() {
    let disk = Disk::new();
    let store = open(&disk).unwrap();
    let mut model = Model::default();
    assert!(model.play(&store, 2).await);
    for failing in 1..=6 {
        disk.fail_at(failing);
        assert!(!model.play(&store, ROUNDS).await, "the planned failure {failing} did not happen");
        within_a_while(async || store.check().await.is_ok()).await;
        model.verify(&store, &format!("operation {failing} failed, the store went on")).await;
        for number in 0..KEYS {
            let record = store.load(key(number), NOW).await.unwrap().unwrap();
            let acknowledged = Some((record.version, record.bytes.to_vec()));
            model.known.insert(number, Known { acknowledged, in_doubt: None });
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_writes_serves_reads_and_recovers() {
    let disk = Disk::new();
    let store = open(&disk).unwrap();
    let first = store.compare_and_swap(key(0), None, bytes(0, 0), LATER, NOW).await.unwrap();
    disk.allow(2 << 20);
    let mut stored = 0;
    let error = loop {
        let digest = *blob_key(stored).as_bytes();
        let blob = vec![7; limits::RECORD_BYTES];
        match store.compare_and_swap(RecordKey::from_digest(digest), None, blob, LATER, NOW).await {
            Ok(swap) => assert!(matches!(swap, Swap::Stored(_))),
            Err(error) => break error,
        }
        stored += 1;
        assert!(stored < 1000, "the disk never fills");
    };
    assert_eq!((error.kind(), error.is_retryable()), (StoreErrorKind::Full, true), "{error:?}");
    assert!(error.to_string().contains("free space"), "{error}");
    for number in 0..stored {
        let kept = store.load(blob_key(number), NOW).await.unwrap();
        assert_eq!(kept.map(|record| record.bytes.len()), Some(limits::RECORD_BYTES), "blob {number}");
    }
    disk.allow(64 << 20);
    within_a_while(async || store.check().await.is_ok()).await;
    let kept = store.load(key(0), NOW).await.unwrap().unwrap();
    assert_eq!(Swap::Stored(kept.version), first);
    let renewed = store.compare_and_swap(key(0), Some(kept.version), bytes(0, 1), LATER, NOW).await.unwrap();
    assert!(matches!(renewed, Swap::Stored(_)), "{renewed:?}");
}

fn blob_key(number: u64) -> RecordKey {
    let mut digest = [0xee; 32];
    digest[..8].copy_from_slice(&number.to_be_bytes());
    RecordKey::from_digest(digest)
}

/// The pause after a failure is real time, so this looks again until it is over.
async fn within_a_while(done: impl AsyncFn() -> bool) {
    let waiting = async {
        while !done().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("the store does not recover by itself");
}
