//! The example file: every setting with its default or an example, commented out where it need not be there.

use super::super::setting::{Fallback, Kind, Section, Setting, Shown};
use super::super::top::TOP;

/// A whole file. What is commented out shows its default or an example.
pub fn example() -> String {
    format!("{HEAD}\n{}", section(&TOP))
}

fn section(section: &Section) -> String {
    let mut text = String::new();
    for row in section.settings {
        match row.kind {
            Kind::Table(inner) => text.push_str(&table(inner)),
            Kind::Tables(inner) => {
                text.push_str(&format!("\n# {}{}", inner.about, inner.sample));
            }
            _ => text.push_str(&line(row)),
        }
    }
    text
}

fn table(inner: &Section) -> String {
    let shown = inner.settings.iter().any(|row| row.shown == Shown::InForce);
    let head = if shown { format!("[{}]", inner.key) } else { format!("# [{}]", inner.key) };
    format!("\n{}{}", annotated(&head, inner.about), section(inner))
}

fn line(row: &Setting) -> String {
    let text = match row.fallback {
        Fallback::Value(default) if row.sample.is_empty() => default,
        _ => row.sample,
    };
    let setting = format!("{} = {}", row.key, row.kind.literal(text));
    match row.shown {
        Shown::InForce => annotated(&setting, row.note),
        Shown::CommentedOut => annotated(&format!("# {setting}"), row.note),
    }
}

fn annotated(line: &str, note: &str) -> String {
    if note.is_empty() { format!("{line}\n") } else { format!("{line:<COLUMN$} # {note}\n") }
}

/// Where comments begin.
const COLUMN: usize = 38;

const HEAD: &str = "\
#:schema ./perennial.schema.json
# Every setting of the gateway. What is commented out shows its default or an example.
# docs/configuration.md explains each; `perennial check --config perennial.toml` checks the whole.
# AUTH_SECRET (the output of `perennial secret`) comes from the environment, or from secret_files.
";
