//! Notices when one of a few files has another content, also where a symbolic link on the way to it is exchanged, as Kubernetes
//! does with mounted secrets.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// A watch over files. Nothing is polled.
pub(super) struct FileWatch {
    files: Vec<PathBuf>,
    /// Of what they held when it was last looked at.
    seen: u64,
    stirred: Arc<Notify>,
    /// Ends with this; nothing where the system does not watch.
    watcher: Option<RecommendedWatcher>,
}

impl FileWatch {
    /// Watches `files` from now on.
    pub(super) fn new(files: Vec<PathBuf>) -> Self {
        let mut watch = Self { seen: digest(&files), files, stirred: Arc::default(), watcher: None };
        watch.look();
        watch
    }

    /// Watches these files instead. A change that fell in between is not missed.
    pub(super) fn turn_to(&mut self, files: Vec<PathBuf>) {
        if self.files != files {
            let before = digest(&self.files);
            // What the new ones hold was just read, unless the old ones have changed again.
            if before == self.seen {
                self.seen = digest(&files);
            }
            self.files = files;
        }
        self.look();
    }

    /// What the files hold at this moment is known.
    pub(super) fn take_note(&mut self) {
        self.seen = digest(&self.files);
    }

    /// Resolves when they hold something else.
    pub(super) async fn changed(&mut self) {
        loop {
            if digest(&self.files) != self.seen {
                // A link may lead elsewhere now.
                self.look();
                return;
            }
            self.stirred.notified().await;
            // Whoever writes a file writes it in pieces, and perhaps several.
            let latest = Instant::now() + SETTLED_AFTER_MAX;
            while timeout_at(latest.min(Instant::now() + QUIET), self.stirred.notified()).await.is_ok() {}
        }
    }

    /// Has the system tell of the files and of every link on the way to them. What is watched are folders: a file that is
    /// replaced takes a watch of its own along.
    fn look(&mut self) {
        let of_interest: BTreeSet<PathBuf> = self.files.iter().flat_map(|file| way_to(file)).collect();
        let folders: BTreeSet<PathBuf> =
            of_interest.iter().filter_map(|path| path.parent()).map(Path::to_owned).collect();
        let stirred = self.stirred.clone();
        let told = move |event: notify::Result<Event>| match event {
            Ok(event) if event.kind.is_access() => {}
            Ok(event) if !event.need_rescan() && !event.paths.iter().any(|path| of_interest.contains(path)) => {}
            Ok(_) => stirred.notify_one(),
            Err(error) => tracing::warn!(%error, "the configuration's files are no longer watched: use SIGHUP"),
        };
        self.watcher = notify::recommended_watcher(told)
            .map_err(|error| tracing::warn!(%error, "the configuration's files cannot be watched: use SIGHUP"))
            .ok();
        let Some(watcher) = &mut self.watcher else { return };
        for folder in folders {
            if let Err(error) = watcher.watch(&folder, RecursiveMode::NonRecursive) {
                tracing::warn!(folder = %folder.display(), %error, "a folder of the configuration cannot be watched: use SIGHUP");
            }
        }
    }
}

/// What files hold, in short. One that cannot be read holds nothing.
fn digest(files: &[PathBuf]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for file in files {
        std::fs::read(file).ok().hash(&mut hasher);
    }
    hasher.finish()
}

/// The file itself and every symbolic link that is followed on the way to it.
fn way_to(file: &Path) -> Vec<PathBuf> {
    let mut way = Vec::new();
    let mut path = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    while way.len() < LINKS_MAX {
        let link = path.ancestors().filter(|part| part.is_symlink()).last().map(Path::to_owned);
        let Some((link, target)) = link.and_then(|link| Some((link.clone(), std::fs::read_link(link).ok()?))) else {
            break;
        };
        let rest = path.strip_prefix(&link).unwrap_or(Path::new("")).to_owned();
        let folder = link.parent().unwrap_or(Path::new("/")).to_owned();
        way.push(link);
        path = plain(&folder.join(target));
        if rest != Path::new("") {
            path.push(rest);
        }
    }
    way.push(path);
    way
}

/// Without `.` and `..`, which the system leaves out of what it tells. The links before a `..` were followed already.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    plain
}

/// So long nothing may stir before files are looked at: between the pieces of what is written there are milliseconds.
const QUIET: Duration = Duration::from_millis(100);

/// So long at most, if something stirs all the time.
const SETTLED_AFTER_MAX: Duration = Duration::from_secs(1);

/// As many links as Linux follows.
const LINKS_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    async fn soon(watch: &mut FileWatch) {
        tokio::time::timeout(Duration::from_secs(30), watch.changed()).await.expect("the change is noticed");
        watch.take_note();
    }

    #[tokio::test]
    async fn a_file_that_is_written_replaced_or_made_is_noticed_and_its_neighbours_are_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, later) = (folder.path().join("perennial.toml"), folder.path().join("secret"));
        std::fs::write(&file, "one").expect("written");
        let mut watch = FileWatch::new(vec![file.clone(), later.clone()]);
        std::fs::write(&file, "two").expect("written");
        soon(&mut watch).await;
        std::fs::write(folder.path().join("new"), "three").expect("written");
        std::fs::rename(folder.path().join("new"), &file).expect("renamed");
        soon(&mut watch).await;
        std::fs::write(&later, "a secret").expect("written");
        soon(&mut watch).await;
        std::fs::remove_file(&later).expect("removed");
        soon(&mut watch).await;
        // The same content again, and another file: nothing to read anew.
        std::fs::write(&file, "three").expect("written");
        std::fs::write(folder.path().join("perennial.redb"), "a store").expect("written");
        let quiet = tokio::time::timeout(QUIET * 5, watch.changed()).await;
        assert!(quiet.is_err(), "nothing has changed");
    }

    #[tokio::test]
    async fn links_that_are_exchanged_are_noticed_again_and_again() {
        // As Kubernetes mounts a secret: file → ..data/file, ..data → ..2026_1, and an update exchanges ..data by a rename.
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let publish = |version: &str| {
            std::fs::create_dir(at(version)).expect("made");
            std::fs::write(at(version).join("perennial.toml"), version).expect("written");
            symlink(version, at("..new")).expect("linked");
            std::fs::rename(at("..new"), at("..data")).expect("exchanged");
        };
        publish("..2026_1");
        symlink("..data/perennial.toml", at("perennial.toml")).expect("linked");
        assert_eq!(
            way_to(&at("perennial.toml")),
            [at("perennial.toml"), at("..data"), at("..2026_1").join("perennial.toml")]
        );
        let mut watch = FileWatch::new(vec![at("perennial.toml")]);
        for version in ["..2026_2", "..2026_3"] {
            publish(version);
            soon(&mut watch).await;
        }
        std::fs::write(at("..2026_3").join("perennial.toml"), "in place").expect("written");
        soon(&mut watch).await;
    }

    #[test]
    fn links_that_go_in_circles_end() {
        let folder = tempfile::tempdir().expect("a folder");
        symlink("b", folder.path().join("a")).expect("linked");
        symlink("a", folder.path().join("b")).expect("linked");
        assert_eq!(way_to(&folder.path().join("a")).len(), LINKS_MAX + 1);
    }
}
