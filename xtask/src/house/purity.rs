//! Core decides and nothing else: no clock, no I/O, no randomness, no runtime.

use std::collections::BTreeMap;

use toml::Table;

use super::{Breach, dependencies, features, package_name};

const CORE: &str = "perennial-core";

/// What core may be built on: formats, cryptography and vocabulary. Adding a line here is a decision of the house.
const CORE_MAY_USE: &[&str] = &[
    "aws-lc-rs",
    "base64",
    "form_urlencoded",
    "http",
    "httpdate",
    "jsonwebtoken",
    "proptest",
    "serde",
    "serde_json",
    "stateright",
    "thiserror",
    "url",
    "uuid",
    "zeroize",
];

/// What core refuses by name, a `*` standing for any ending, and why.
const CORE_REFUSES: &[(&str, &str)] = &[
    ("async-*", "core never awaits: the driver in `perennial` sends what core has built"),
    ("chrono", "core reads no clock: the time comes in as an argument"),
    ("fastrand", "core draws no randomness: it comes in as an argument"),
    ("futures*", "core never awaits: the driver in `perennial` sends what core has built"),
    ("getrandom", "core draws no randomness: it comes in as an argument"),
    ("hyper*", "core does no I/O: it builds requests and reads responses"),
    ("jiff", "core reads no clock: the time comes in as an argument"),
    ("log", "core logs nothing: it returns what happened"),
    ("rand*", "core draws no randomness: it comes in as an argument"),
    ("reqwest", "core does no I/O: it builds requests and reads responses"),
    ("time", "core reads no clock: the time comes in as an argument"),
    ("tokio*", "core knows no runtime: the driver in `perennial` awaits"),
    ("tracing*", "core logs nothing: it returns what happened"),
    ("ureq", "core does no I/O: it builds requests and reads responses"),
];

/// Features that would bring a clock or a random source through the back door.
const CORE_REFUSES_FEATURES: &[(&str, &[&str])] =
    &[("uuid", &["fast-rng", "rng-getrandom", "rng-rand", "v1", "v4", "v6", "v7"])];

/// What core's sources must not say, and why.
const CORE_NEVER_SAYS: &[(&str, &str)] = &[
    ("SystemTime::now", "core reads no clock: take a `Timestamp`"),
    ("Instant::now", "core reads no clock: take a `Timestamp`"),
    ("async fn", "core never awaits"),
    (".await", "core never awaits"),
    ("std::fs", "core does no I/O"),
    ("std::net", "core does no I/O"),
    ("std::env", "core reads no environment"),
    ("println!", "core prints nothing"),
    ("SystemRandom::new", "core draws no randomness: take `Random`"),
];

/// Every way in which core is not pure.
pub(crate) fn breaches(
    workspace: &Table,
    manifests: &BTreeMap<String, Table>,
    files: &BTreeMap<String, String>,
) -> Vec<Breach> {
    let mut found = Vec::new();
    for (path, manifest) in manifests.iter().filter(|(_, manifest)| package_name(manifest) == CORE) {
        for dependency in dependencies(manifest) {
            found.extend(refusal(dependency.package).map(|sentence| Breach::new(path, sentence)));
            let inherited = workspace
                .get("workspace")
                .and_then(|workspace| workspace.get("dependencies")?.get(dependency.package))
                .map(features)
                .unwrap_or_default();
            let asked = dependency.features.into_iter().chain(inherited);
            found.extend(
                asked
                    .filter_map(|feature| refused_feature(dependency.package, feature))
                    .map(|sentence| Breach::new(path, sentence)),
            );
        }
    }
    for (path, text) in
        files.iter().filter(|(path, _)| path.starts_with("crates/perennial-core/src/") && path.ends_with(".rs"))
    {
        found.extend(impure_lines(path, text));
    }
    found
}

fn refusal(package: &str) -> Option<String> {
    let matches = |pattern: &str| match pattern.strip_suffix('*') {
        Some(start) => package.starts_with(start),
        None => package == pattern,
    };
    if CORE_MAY_USE.contains(&package) {
        return None;
    }
    match CORE_REFUSES.iter().find(|(pattern, _)| matches(pattern)) {
        Some((_, why)) => Some(format!("core must not depend on `{package}`: {why}")),
        None => Some(format!(
            "core must not depend on `{package}`: it is not on the list CORE_MAY_USE in xtask/src/house/purity.rs"
        )),
    }
}

fn refused_feature(package: &str, feature: &str) -> Option<String> {
    let (_, refused) = CORE_REFUSES_FEATURES.iter().find(|(name, _)| *name == package)?;
    refused.contains(&feature).then(|| {
        format!("core must not use the feature `{feature}` of `{package}`: it brings a clock or a random source")
    })
}

fn impure_lines<'a>(path: &'a str, text: &'a str) -> impl Iterator<Item = Breach> + 'a {
    text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")).flat_map(move |(number, line)| {
        let code = line.split_once(" //").map_or(line, |(code, _)| code);
        CORE_NEVER_SAYS
            .iter()
            .filter(move |(word, _)| code.contains(word))
            .map(move |(word, why)| Breach::new(format!("{path}:{}", number + 1), format!("says `{word}`: {why}")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(workspace: &str, core_tables: &str, source: &str) -> Vec<String> {
        let manifest = format!("[package]\nname = \"{CORE}\"\n{core_tables}");
        let manifests =
            BTreeMap::from([("crates/perennial-core/Cargo.toml".to_owned(), manifest.parse().expect("valid TOML"))]);
        let files = BTreeMap::from([("crates/perennial-core/src/lib.rs".to_owned(), source.to_owned())]);
        breaches(&workspace.parse().expect("valid TOML"), &manifests, &files)
            .into_iter()
            .map(|breach| breach.sentence)
            .collect()
    }

    #[test]
    fn formats_and_cryptography_pass() {
        assert_eq!(
            check("", "[dependencies]\nserde.workspace = true\naws-lc-rs = \"1\"\nuuid = \"1\"", "fn f() {}"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn clocks_io_randomness_and_runtimes_are_refused_with_their_reason() {
        for (package, reason) in [
            ("tokio", "runtime"),
            ("tokio-util", "runtime"),
            ("hyper", "no I/O"),
            ("reqwest", "no I/O"),
            ("chrono", "clock"),
            ("time", "clock"),
            ("rand", "randomness"),
            ("rand_core", "randomness"),
            ("getrandom", "randomness"),
            ("tracing", "logs nothing"),
            ("async-trait", "never awaits"),
            ("left-pad", "not on the list"),
        ] {
            for table in ["dependencies", "dev-dependencies", "build-dependencies", "target.'cfg(unix)'.dependencies"] {
                let found = check("", &format!("[{table}]\n{package} = \"1\""), "");
                assert_eq!(found.len(), 1, "{package} {found:?}");
                assert!(found[0].contains(reason), "{package} {found:?}");
            }
        }
    }

    #[test]
    fn a_renamed_dependency_is_seen_through() {
        assert_eq!(check("", "[dependencies]\nserde = { package = \"tokio\", version = \"1\" }", "").len(), 1);
    }

    #[test]
    fn a_random_source_by_feature_is_refused_where_it_is_asked_for_and_where_it_is_inherited() {
        assert_eq!(check("", "[dependencies]\nuuid = { version = \"1\", features = [\"v4\"] }", "").len(), 1);
        let workspace = "[workspace.dependencies]\nuuid = { version = \"1\", features = [\"v7\", \"serde\"] }";
        assert_eq!(check(workspace, "[dependencies]\nuuid.workspace = true", "").len(), 1);
    }

    #[test]
    fn sources_that_read_a_clock_or_await_are_refused_at_their_line() {
        for (word, _) in CORE_NEVER_SAYS {
            let found = check("", "", &format!("fn f() {{\n    let x = {word};\n}}\n"));
            assert!(!found.is_empty(), "{word}");
        }
        let path = "crates/perennial-core/src/lib.rs";
        let breach =
            impure_lines(path, "// .await in a comment\nfn f() {} // std::fs\nasync fn g() {}\n").collect::<Vec<_>>();
        assert_eq!(breach, [Breach::new(format!("{path}:3"), "says `async fn`: core never awaits")]);
    }
}
