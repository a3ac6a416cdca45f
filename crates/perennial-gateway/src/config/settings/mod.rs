//! What is made from the table of settings: the JSON Schema for editors, the tables of docs/configuration.md, the example file, and
//! what flags say of themselves. `cargo xtask docs` writes the files; a test compares the committed ones.

mod example;
mod page;
mod schema;

pub use self::example::example;
pub use self::page::page;
pub use self::schema::schema;

use super::setting::{Fallback, Kind, Section, Setting};
use super::top::TOP;

/// What holds when the setting of this key is not given, written as in an environment variable; nothing if that is not the
/// gateway's to say.
///
/// # Panics
/// When there is no such setting.
pub fn default(key: &str) -> &'static str {
    match row(key).fallback {
        Fallback::Value(value) => value,
        Fallback::Words(_) | Fallback::Required => "",
    }
}

/// What the setting of this key does, in plain words, for a flag's help.
///
/// # Panics
/// When there is no such setting.
pub fn meaning(key: &str) -> String {
    capitalised(&plain(row(key).meaning))
}

fn row(key: &str) -> &'static Setting {
    let (sections, last) = key.rsplit_once('.').unwrap_or(("", key));
    let found = section(sections).and_then(|section| section.find(last));
    found.unwrap_or_else(|| panic!("the table of settings has no `{key}`"))
}

/// The section of a path: `session`, `upstreams.health`, or nothing for the top.
fn section(path: &str) -> Option<&'static Section> {
    path.split('.').filter(|part| !part.is_empty()).try_fold(&TOP, |section, part| match section.find(part)?.kind {
        Kind::Table(inner) | Kind::Tables(inner) => Some(inner),
        _ => None,
    })
}

/// Markdown without its links and code marks.
fn plain(markdown: &str) -> String {
    let mut text = String::new();
    let mut rest = markdown;
    while let Some((before, after)) = rest.split_once('[') {
        // The text of a link has no brackets in it.
        let link =
            after.split_once(']').and_then(|(name, target)| Some((name, target.strip_prefix('(')?.split_once(')')?.1)));
        text.push_str(before);
        let (name, after) = link.unwrap_or(("[", after));
        text.push_str(name);
        rest = after;
    }
    text.push_str(rest);
    text.replace('`', "")
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_becomes_plain_text() {
        for (markdown, expected) in [
            ("a path, see [stores](stores.md)", "a path, see stores"),
            ("`[a]` and [b](c) and `d`", "[a] and b and d"),
            ("nothing to do", "nothing to do"),
            ("[[routes]]", "[[routes]]"),
        ] {
            assert_eq!(plain(markdown), expected);
        }
    }

    #[test]
    fn every_row_says_what_it_is_and_its_default_is_good() {
        fn look(section: &'static Section, path: &str) {
            assert!(section.about.ends_with('.'), "{path}: what is it about, in a sentence?");
            for row in section.settings {
                let key = format!("{path}{}", row.key);
                assert!(!row.meaning.is_empty() && !row.note.contains('\n'), "{key} says nothing");
                assert!(section.settings.iter().filter(|other| other.key == row.key).count() == 1, "{key} twice");
                if let Fallback::Value(text) = row.fallback {
                    let value = row.kind.parse(text).unwrap_or_else(|| panic!("{key}: {text} is not of its kind"));
                    assert!(row.kind.covers(&value), "{key}: its default is out of range");
                }
                if let Fallback::Required = row.fallback {
                    assert!(!row.remedy.is_empty(), "{key} has to be given: say what to do when it is not");
                }
                if let Kind::Table(inner) | Kind::Tables(inner) = row.kind {
                    look(inner, &format!("{key}."));
                }
            }
        }
        look(&TOP, "");
    }
}
