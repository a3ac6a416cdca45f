//! Who may depend on whom: core ← store ← perennial ← gateway ← cli, and provider ← cli alone.

use std::collections::BTreeMap;

use toml::Table;

use super::{Breach, dependencies, package_name};

/// A crate, the crates it may use, and those that its tests may use besides.
struct Room {
    name: &'static str,
    may_use: &'static [&'static str],
    tests_may_use: &'static [&'static str],
}

const PROVIDER: &str = "perennial-provider";

/// Starts Redis and PostgreSQL for tests; nothing that is shipped uses it.
const SERVERS: &str = "perennial-testservers";

/// The plan of the house. The provider shares no code with core, so that both sides cannot agree on one mistake.
const ROOMS: &[Room] = &[
    Room { name: "perennial-core", may_use: &[], tests_may_use: &[] },
    // Its tests use itself with every feature.
    Room { name: "perennial-store", may_use: &["perennial-core"], tests_may_use: &["perennial-store", SERVERS] },
    Room { name: "perennial", may_use: &["perennial-core", "perennial-store"], tests_may_use: &[PROVIDER, SERVERS] },
    Room {
        name: "perennial-gateway",
        may_use: &["perennial-core", "perennial-store", "perennial"],
        tests_may_use: &[PROVIDER, SERVERS],
    },
    Room { name: PROVIDER, may_use: &[], tests_may_use: &[] },
    Room { name: SERVERS, may_use: &[], tests_may_use: &[] },
    Room {
        name: "perennial-cli",
        may_use: &["perennial-core", "perennial-store", "perennial", "perennial-gateway", PROVIDER],
        tests_may_use: &[SERVERS],
    },
    Room { name: "example-axum", may_use: &["perennial"], tests_may_use: &[PROVIDER] },
    Room { name: "perennial-sim", may_use: &["perennial-core", "perennial-store", "perennial"], tests_may_use: &[] },
    Room { name: "perennial-bench", may_use: &["perennial-core", "perennial"], tests_may_use: &[SERVERS] },
    Room { name: "xtask", may_use: &[], tests_may_use: &[] },
];

/// Every arrow that the plan does not have, and every crate without the workspace's lints.
pub(crate) fn breaches(manifests: &BTreeMap<String, Table>) -> Vec<Breach> {
    let ours: Vec<&str> = manifests.values().map(package_name).collect();
    let mut found = Vec::new();
    for (path, manifest) in manifests {
        let name = package_name(manifest);
        if manifest.get("lints").and_then(|lints| lints.get("workspace")?.as_bool()) != Some(true) {
            found.push(Breach::new(path, "does not inherit the workspace's lints: add `[lints] workspace = true`"));
        }
        let Some(room) = ROOMS.iter().find(|room| room.name == name) else {
            found.push(Breach::new(
                path,
                format!("`{name}` has no room in the house: give it one in xtask/src/house/arrows.rs"),
            ));
            continue;
        };
        for dependency in dependencies(manifest).into_iter().filter(|dependency| ours.contains(&dependency.package)) {
            let target = dependency.package;
            let allowed = room.may_use.contains(&target) || (dependency.dev && room.tests_may_use.contains(&target));
            if !allowed {
                found.push(Breach::new(path, forbidden(name, target)));
            }
        }
    }
    found
}

fn forbidden(name: &str, target: &str) -> String {
    let why = match (name, target) {
        (PROVIDER, _) | ("perennial-core", PROVIDER) => {
            "the provider shares no code with the engine, so that both sides cannot agree on one mistake"
        }
        (_, PROVIDER) => "the provider is for development: only the command uses it, and tests",
        _ => "the arrows go core ← store ← perennial ← gateway ← cli",
    };
    format!("`{name}` must not depend on `{target}`: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A house of three crates in which `manifest` is the one under test.
    fn check(manifest: &str) -> Vec<String> {
        let neighbours =
            ["perennial-core", "perennial-store", "perennial", "perennial-gateway", PROVIDER, "perennial-cli"];
        let mut manifests: BTreeMap<String, Table> = neighbours
            .iter()
            .map(|name| {
                let text = format!("[package]\nname = \"{name}\"\n[lints]\nworkspace = true\n");
                (format!("crates/{name}/Cargo.toml"), text.parse().expect("valid TOML"))
            })
            .collect();
        let table: Table = manifest.parse().expect("valid TOML");
        manifests.insert(format!("crates/{}/Cargo.toml", package_name(&table)), table);
        breaches(&manifests).into_iter().map(|breach| breach.sentence).collect()
    }

    fn crate_with(name: &str, tables: &str) -> String {
        format!("[package]\nname = \"{name}\"\n[lints]\nworkspace = true\n{tables}")
    }

    #[test]
    fn the_planned_arrows_pass() {
        for (name, tables) in [
            ("perennial-store", "[dependencies]\nperennial-core.workspace = true"),
            (
                "perennial",
                "[dependencies]\nperennial-store.workspace = true\n[dev-dependencies]\nperennial-provider.workspace = true",
            ),
            (
                "perennial-cli",
                "[dependencies]\nperennial-provider.workspace = true\nperennial-gateway.workspace = true",
            ),
            ("perennial-core", "[dependencies]\nserde.workspace = true"),
        ] {
            assert_eq!(check(&crate_with(name, tables)), Vec::<String>::new(), "{name}");
        }
    }

    #[test]
    fn every_other_arrow_is_a_breach() {
        for (name, tables) in [
            ("perennial-core", "[dependencies]\nperennial-store.workspace = true"),
            ("perennial-core", "[dev-dependencies]\nperennial-provider.workspace = true"),
            ("perennial-store", "[dependencies]\nperennial.workspace = true"),
            ("perennial", "[dependencies]\nperennial-gateway.workspace = true"),
            ("perennial", "[dependencies]\nperennial-provider.workspace = true"),
            ("perennial-gateway", "[target.'cfg(unix)'.dependencies]\nperennial-cli = { path = \"../perennial-cli\" }"),
            (PROVIDER, "[dependencies]\nperennial-core.workspace = true"),
            (PROVIDER, "[dev-dependencies]\nengine = { package = \"perennial-core\", path = \"../perennial-core\" }"),
            ("perennial-store", "[build-dependencies]\nperennial-provider.workspace = true"),
        ] {
            let found = check(&crate_with(name, tables));
            assert_eq!(found.len(), 1, "{name} {tables}: {found:?}");
            assert!(found[0].contains("must not depend on"), "{found:?}");
        }
    }

    #[test]
    fn a_crate_without_a_room_or_without_the_lints_is_a_breach() {
        assert!(check(&crate_with("perennial-helpers", ""))[0].contains("has no room"));
        for lints in ["", "[lints.rust]\nunsafe_code = \"allow\"\n", "[lints]\nworkspace = false\n"] {
            let found = check(&format!("[package]\nname = \"perennial\"\n{lints}"));
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].contains("lints"), "{found:?}");
        }
    }
}
