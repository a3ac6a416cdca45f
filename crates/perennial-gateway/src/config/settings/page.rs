//! The tables of the reference page.

use super::super::setting::{Fallback, Kind, Section, Setting};
use super::section;

/// `text`, with a table of settings between each pair of `<!-- settings: session -->` and `<!-- end of settings -->`. The top of
/// the file is `top`.
pub fn page(text: &str) -> String {
    let mut made = String::new();
    let mut skipping = false;
    for line in text.lines() {
        if line == END {
            skipping = false;
        }
        if !skipping {
            made.push_str(line);
            made.push('\n');
        }
        let path = line.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(" -->"));
        if let Some(path) = path {
            let section = section(if path == "top" { "" } else { path });
            made.push_str(&section.map_or_else(|| format!("There are no settings called {path}.\n"), table));
            skipping = true;
        }
    }
    made
}

fn table(section: &Section) -> String {
    let rows = section.settings.iter().filter(|row| !matches!(row.kind, Kind::Table(_) | Kind::Tables(_)));
    let head = "| key | value | default | meaning |\n|---|---|---|---|\n".to_owned();
    rows.fold(head, |table, row| table + &line(section, row))
}

fn line(section: &Section, row: &Setting) -> String {
    let key = match row.kind {
        Kind::Map => format!("[{}.{}]", section.key, row.key),
        _ => row.key.to_owned(),
    };
    let value = if row.value.is_empty() { row.kind.words() } else { row.value.to_owned() };
    let default = match row.fallback {
        Fallback::Value(text) => format!("`{}`", row.kind.literal(text)),
        Fallback::Words(words) => words.to_owned(),
        Fallback::Required => "required".to_owned(),
    };
    format!("| `{key}` | {value} | {default} | {} |\n", row.meaning)
}

const BEGIN: &str = "<!-- settings: ";

const END: &str = "<!-- end of settings -->";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_the_marks_is_replaced_and_nothing_else() {
        let text = "before\n<!-- settings: pages -->\nold\n<!-- end of settings -->\nafter\n";
        let made = page(text);
        assert!(made.starts_with("before\n<!-- settings: pages -->\n| key |") && made.ends_with("after\n"), "{made}");
        assert!(made.contains("| `sign_in` | text | ours |") && !made.contains("old"), "{made}");
        assert_eq!(page(&made), made);
    }
}
