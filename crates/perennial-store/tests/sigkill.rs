//! A process that is killed at any moment loses nothing it acknowledged: the test kills copies of itself.

#![cfg(unix)]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use perennial_core::Timestamp;
use perennial_store::{EmbeddedStore, OpenError, RecordKey, SessionStore, Swap, Versioned};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
const VICTIM: &str = "PERENNIAL_TEST_VICTIM";
const WRITERS: u8 = 16;

/// What the victim prints once a write is acknowledged: writer, count, version.
type Acknowledged = HashMap<u8, (u64, u64)>;

#[test]
fn no_acknowledged_write_is_lost_or_torn() {
    if let Some(path) = std::env::var_os(VICTIM) {
        return be_the_victim(Path::new(&path));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions.redb");
    let mut acknowledged = Acknowledged::new();
    for acks in [1, 2, 3, 17, 40, 77, 100, 150, 211, 300, 333, 480, 512, 700, 1000] {
        kill_after(acks, &path, &mut acknowledged);
        verify(&path, &mut acknowledged);
    }
    assert_eq!(acknowledged.len(), usize::from(WRITERS), "some writers never came to write");
}

#[test]
fn a_process_killed_while_it_creates_its_file_leaves_none_or_a_whole_one() {
    let folder = tempfile::tempdir().unwrap();
    for attempt in 0..8 {
        let path = folder.path().join(format!("{attempt}.redb"));
        let mut victim = victim(&path);
        std::thread::sleep(Duration::from_millis(attempt * 3));
        victim.kill().unwrap();
        victim.wait().unwrap();
        EmbeddedStore::open(&path).unwrap_or_else(|error| panic!("attempt {attempt}: {error}"));
    }
}

fn victim(path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "no_acknowledged_write_is_lost_or_torn"])
        .env(VICTIM, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Reads `acks` acknowledgements, kills the process in the midst of its writing, then reads what it said until then.
fn kill_after(acks: usize, path: &Path, acknowledged: &mut Acknowledged) {
    let mut victim = victim(path);
    let said = BufReader::new(victim.stdout.take().unwrap());
    let mut seen = 0;
    for line in said.lines() {
        let Some(ack) = line.unwrap().strip_prefix("ack ").and_then(parse) else {
            continue;
        };
        acknowledged.insert(ack.0, (ack.1, ack.2));
        seen += 1;
        if seen == 1 {
            let refused = EmbeddedStore::open(path).expect_err("two processes opened one file");
            assert!(matches!(refused, OpenError::InUse { .. }), "{refused}");
            if cfg!(target_os = "linux") {
                assert!(refused.to_string().contains(&format!("process {}", victim.id())), "{refused}");
            }
        }
        if seen == acks {
            victim.kill().unwrap();
        }
    }
    victim.wait().unwrap();
    assert!(seen >= acks, "the victim died by itself after {seen} of {acks} writes");
}

/// A line cut by the kill parses to nothing, and counts as not acknowledged.
fn parse(ack: &str) -> Option<(u8, u64, u64)> {
    let (fields, "end") = ack.rsplit_once(' ')? else {
        return None;
    };
    let mut fields = fields.split(' ');
    let writer = fields.next()?.parse().ok()?;
    Some((writer, fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[tokio::main(flavor = "current_thread")]
async fn verify(path: &Path, acknowledged: &mut Acknowledged) {
    let store = EmbeddedStore::open(path).unwrap();
    for (writer, (count, version)) in acknowledged {
        let record = store.load(key(*writer), NOW).await.unwrap();
        let record = record.unwrap_or_else(|| panic!("writer {writer}: acknowledged write {count} is lost"));
        let stored = counted(&record);
        // The one write that was under way may have arrived without being acknowledged.
        assert!(stored == *count || stored == *count + 1, "writer {writer}: {count} acknowledged, {stored} stored");
        assert_eq!(record.bytes[..], bytes(*writer, stored), "writer {writer}: a torn record");
        assert_eq!(stored == *count, record.version.raw() == *version, "writer {writer}: a version moved");
        // What arrived unacknowledged counts from here on: the next victim goes on from it.
        (*count, *version) = (stored, record.version.raw());
    }
}

fn key(writer: u8) -> RecordKey {
    RecordKey::from_digest([writer; 32])
}

fn bytes(writer: u8, count: u64) -> Vec<u8> {
    let length = 16 + usize::try_from(count % 97).unwrap() * 100;
    let mut bytes = count.to_be_bytes().to_vec();
    bytes.resize(length, writer ^ count.to_be_bytes()[7]);
    bytes
}

fn counted(record: &Versioned) -> u64 {
    u64::from_be_bytes(record.bytes[..8].try_into().unwrap())
}

/// Writes without end from many tasks at once, and prints each acknowledgement; ends by being killed.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn be_the_victim(path: &Path) {
    let store = std::sync::Arc::new(EmbeddedStore::open(path).unwrap());
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let store = store.clone();
        writers.spawn(async move {
            let mut current = store.load(key(writer), NOW).await.unwrap();
            loop {
                let count = current.as_ref().map_or(0, counted) + 1;
                let expected = current.as_ref().map(|record| record.version);
                let expires = NOW + Duration::from_secs(3600);
                let swap = store.compare_and_swap(key(writer), expected, bytes(writer, count), expires, NOW).await;
                let Ok(Swap::Stored(version)) = swap else {
                    panic!("nobody else writes here, yet {swap:?}");
                };
                // Straight to the descriptor: a parent that is gone ends the victim too.
                let said = format!("ack {writer} {count} {} end\n", version.raw());
                if std::io::stdout().write_all(said.as_bytes()).is_err() {
                    std::process::exit(0);
                }
                current = store.load(key(writer), NOW).await.unwrap();
            }
        });
    }
    writers.join_next().await;
    std::process::exit(1);
}
