//! The rules that hold the house together, checked from its files.

mod arrows;
mod matrix;
mod purity;
mod traces;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, ExitCode};

use toml::Table;

/// One broken rule: where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Breach {
    pub(crate) place: String,
    pub(crate) sentence: String,
}

impl Breach {
    fn new(place: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self { place: place.into(), sentence: sentence.into() }
    }
}

/// `cargo xtask house`.
pub(crate) fn run(root: &Path) -> ExitCode {
    if report(&breaches(root)) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints the broken rules; true when there is none.
pub(crate) fn report(breaches: &[Breach]) -> bool {
    for Breach { place, sentence } in breaches {
        println!("{place}: {sentence}");
    }
    if breaches.is_empty() {
        println!(
            "The house stands: every arrow, the purity of core, no trace of a machine, and a test behind every claim of the matrix."
        );
    }
    breaches.is_empty()
}

/// Every broken rule of the checkout at `root`.
pub(crate) fn breaches(root: &Path) -> Vec<Breach> {
    let files = match files(root) {
        Ok(files) => files,
        Err(sentence) => return vec![Breach::new(".", sentence)],
    };
    let mut found = Vec::new();
    let mut manifests = BTreeMap::new();
    let mut workspace = Table::new();
    for (path, text) in &files {
        match text.parse::<Table>() {
            _ if !path.ends_with("Cargo.toml") || path.starts_with("fuzz/") => {}
            Ok(table) if path == "Cargo.toml" => workspace = table,
            Ok(table) => {
                manifests.insert(path.clone(), table);
            }
            Err(error) => found.push(Breach::new(path, format!("is no TOML: {}", error.message()))),
        }
    }
    found.extend(arrows::breaches(&manifests));
    found.extend(purity::breaches(&workspace, &manifests, &files));
    found.extend(traces::breaches(&files));
    found.extend(matrix::breaches(&files));
    found.sort();
    found
}

/// All text files that are or could be committed, by their path from the root.
fn files(root: &Path) -> Result<BTreeMap<String, String>, String> {
    let listing = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .map_err(|error| format!("git cannot list the files: {error}"))?;
    if !listing.status.success() {
        return Err(format!("git cannot list the files: {}", String::from_utf8_lossy(&listing.stderr).trim()));
    }
    let names = String::from_utf8(listing.stdout).map_err(|_| "a file's name is not UTF-8".to_owned())?;
    // A file that was just deleted is still listed; pictures and the like are no text.
    Ok(names
        .split_terminator('\0')
        .filter_map(|name| Some((name.to_owned(), std::fs::read_to_string(root.join(name)).ok()?)))
        .collect())
}

/// A dependency as a manifest states it.
pub(crate) struct Dependency<'a> {
    /// The package's own name, also where the manifest renames it.
    pub(crate) package: &'a str,
    /// Only tests, benches and examples see it.
    pub(crate) dev: bool,
    pub(crate) features: Vec<&'a str>,
}

/// The dependencies of a manifest in all its tables, those for one target included.
pub(crate) fn dependencies(manifest: &Table) -> Vec<Dependency<'_>> {
    let targets = manifest.get("target").and_then(|target| target.as_table()).into_iter().flatten();
    let places = std::iter::once(manifest).chain(targets.filter_map(|(_, place)| place.as_table()));
    let mut found = Vec::new();
    for place in places {
        for (table, dev) in [("dependencies", false), ("build-dependencies", false), ("dev-dependencies", true)] {
            for (name, spec) in place.get(table).and_then(|table| table.as_table()).into_iter().flatten() {
                let package = spec.get("package").and_then(|package| package.as_str()).unwrap_or(name);
                found.push(Dependency { package, dev, features: features(spec) });
            }
        }
    }
    found
}

/// The features that a dependency's line asks for.
pub(crate) fn features(spec: &toml::Value) -> Vec<&str> {
    spec.get("features")
        .and_then(|list| list.as_array())
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str())
        .collect()
}

/// The name of the package that a manifest describes.
pub(crate) fn package_name(manifest: &Table) -> &str {
    manifest.get("package").and_then(|package| package.get("name")?.as_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_found_in_every_table_under_their_own_name() {
        let manifest: Table = r#"
            [package]
            name = "x"
            [dependencies]
            a = "1"
            b = { package = "real-b", version = "1", features = ["f"] }
            [build-dependencies]
            c.workspace = true
            [dev-dependencies]
            d = { path = "../d" }
            [target.'cfg(unix)'.dependencies]
            e = "1"
        "#
        .parse()
        .expect("valid TOML");
        let mut found: Vec<_> =
            dependencies(&manifest).into_iter().map(|one| (one.package, one.dev, one.features)).collect();
        found.sort();
        assert_eq!(
            found,
            [
                ("a", false, vec![]),
                ("c", false, vec![]),
                ("d", true, vec![]),
                ("e", false, vec![]),
                ("real-b", false, vec!["f"])
            ]
        );
    }

    #[test]
    fn this_house_stands() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the repository");
        assert_eq!(breaches(root), []);
    }
}
