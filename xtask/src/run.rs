//! Running other programs: what they print is shown as it comes, and kept.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// The cargo that runs us, at the root of the repository.
///
/// `CARGO` is the toolchain's own cargo, so a nested call uses the same compiler and the same artefacts.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    // Set by `cargo run` for us alone; a build that saw them would not share artefacts with a plain `cargo build`.
    for name in ["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "CARGO_PKG_NAME", "CARGO_PKG_VERSION"] {
        command.env_remove(name);
    }
    command
}

/// Where cargo puts what it builds.
pub(crate) fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |folder| root.join(folder))
}

/// Runs `command` with our own terminal and hands on whether it succeeded.
pub(crate) fn status(command: &mut Command) -> ExitCode {
    match command.status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{}: {error}", command.get_program().display());
            ExitCode::FAILURE
        }
    }
}

/// What a program printed, both streams in the order of arrival, and whether it succeeded.
pub(crate) struct Output {
    pub(crate) text: String,
    pub(crate) success: bool,
}

/// Runs `command`, shows each line at once and appends it to `log`.
///
/// # Errors
/// The program cannot be started, or its output cannot be read or kept.
pub(crate) fn streamed(command: &mut Command, log: &mut File) -> std::io::Result<Output> {
    writeln!(log, "$ {}", display(command))?;
    let (reader, writer) = std::io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = command
        .spawn()
        .map_err(|error| std::io::Error::new(error.kind(), format!("{}: {error}", command.get_program().display())))?;
    // `command` still holds the writing ends; the reader would wait for them for ever.
    command.stdout(Stdio::null()).stderr(Stdio::null());

    let mut text = String::new();
    let mut lines = BufReader::new(reader);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        std::io::stdout().write_all(&line)?;
        log.write_all(&line)?;
        text.push_str(&String::from_utf8_lossy(&line));
        line.clear();
    }
    Ok(Output { text, success: child.wait()?.success() })
}

/// The command as one would type it.
pub(crate) fn display(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Output {
        let mut log = tempfile();
        streamed(Command::new("sh").args(["-c", script]), &mut log).expect("sh runs")
    }

    fn tempfile() -> File {
        let path =
            std::env::temp_dir().join(format!("xtask-run-{}-{:?}", std::process::id(), std::thread::current().id()));
        let file = File::create(&path).expect("a temporary file");
        std::fs::remove_file(path).expect("an open file may be unlinked");
        file
    }

    #[test]
    fn both_streams_are_kept_in_order() {
        let output = shell("echo one; echo two >&2; printf three");
        assert_eq!(output.text, "one\ntwo\nthree");
        assert!(output.success);
    }

    #[test]
    fn a_failing_program_is_a_failure() {
        assert!(!shell("exit 3").success);
    }
}
