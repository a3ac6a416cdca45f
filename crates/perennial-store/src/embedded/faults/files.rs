//! Files that are not what the store left there, and what the operator reads about them.

use std::fs;
use std::path::Path;

use redb::{Database, TableDefinition};

use super::*;

fn refused(path: &Path) -> OpenError {
    EmbeddedStore::open(path).expect_err("the file was opened")
}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[cfg(unix)]
#[test]
fn the_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions.redb");
    drop(EmbeddedStore::open(&path).unwrap());
    assert_eq!(mode(&path), 0o600, "a new file");

    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    drop(EmbeddedStore::open(&path).unwrap());
    assert_eq!(mode(&path), 0o600, "an older file");

    let passwords = folder.path().join("passwd");
    fs::write(&passwords, "a path given by mistake").unwrap();
    fs::set_permissions(&passwords, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(refused(&passwords).code(), "store_foreign_file");
    assert_eq!(mode(&passwords), 0o644, "a file that is not ours");
}

#[test]
fn creation_leaves_one_file_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let files = || fs::read_dir(folder.path()).unwrap().count();
    // A name too long for the file system: the store is laid out, but cannot be given its name.
    assert_eq!(refused(&folder.path().join("x".repeat(300))).code(), "store_unreadable");
    assert_eq!(files(), 0, "a failed creation left something behind");
    drop(EmbeddedStore::open(folder.path().join("sessions.redb")).unwrap());
    assert_eq!(files(), 1, "a creation left more than the store behind");
}

#[test]
fn each_refusal_names_the_place_and_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("text"), "this is a shopping list, long enough to be taken for a header. ".repeat(200)).unwrap();
    foreign(&at("foreign"));
    drop(EmbeddedStore::open(at("newer")).unwrap());
    set_schema(&at("newer"), 7);
    fs::create_dir(at("folder")).unwrap();
    let _held = EmbeddedStore::open(at("held")).unwrap();
    let table = [
        ("text", "store_foreign_file", "name another file"),
        ("foreign", "store_foreign_file", "name another file"),
        ("newer", "store_newer_schema", "schema 7, this one reads 1"),
        ("folder", "store_unreadable", "name a file in this folder"),
        ("missing/sessions", "store_unreadable", "create its folder first"),
        (
            "held",
            "store_in_use",
            "and only one may use it: stop that one, or give all replicas redis:// or postgres://",
        ),
    ];
    for (name, code, remedy) in table {
        let error = refused(&at(name));
        let shown = error.to_string();
        assert_eq!(error.code(), code, "{shown}");
        assert!(shown.contains(remedy) && shown.contains(name), "{shown}");
    }
}

fn foreign(path: &Path) {
    let db = Database::create(path).unwrap();
    let writing = db.begin_write().unwrap();
    let recipes: TableDefinition<'_, &str, u64> = TableDefinition::new("recipes");
    writing.open_table(recipes).unwrap().insert("soup", 3).unwrap();
    writing.commit().unwrap();
}

fn set_schema(path: &Path, schema: u64) {
    let db = Database::create(path).unwrap();
    let writing = db.begin_write().unwrap();
    let meta: TableDefinition<'_, &str, u64> = TableDefinition::new("perennial_meta");
    writing.open_table(meta).unwrap().insert("schema", schema).unwrap();
    writing.commit().unwrap();
}

/// A flipped bit lies in a page that is free, or it is found; it never changes a record unnoticed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_file_is_refused_or_reads_right() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions.redb");
    let mut model = Model::default();
    let store = EmbeddedStore::open(&path).unwrap();
    assert!(model.play(&store, 4).await);
    drop(store);
    let sound = fs::read(&path).unwrap();
    let used = sound.iter().rposition(|byte| *byte != 0).unwrap();

    let flips = (0..60).map(|step| {
        let at = 16 + step * (used - 16) / 60;
        let mut bits = sound.clone();
        bits[at] ^= 0x10;
        (format!("a bit flipped at byte {at}"), bits)
    });
    let cuts = [1, 2, 5].map(|part| (format!("cut to {part} parts of 6"), sound[..sound.len() * part / 6].to_vec()));
    let mut refusals = 0;
    for (story, content) in flips.chain(cuts) {
        fs::write(&path, content).unwrap();
        match EmbeddedStore::open(&path) {
            Ok(store) => model.clone().verify(&store, &story).await,
            Err(OpenError::Corrupt { .. } | OpenError::NotAStore { .. }) => refusals += 1,
            Err(other) => panic!("{story}: {other}"),
        }
    }
    assert!(refusals > 3, "hardly any damage was found: {refusals}");
}
